"""The command ``offset-autoencoder``: one module a command, their options and help in ``app``."""
