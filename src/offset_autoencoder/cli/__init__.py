"""Command line ``offset-autoencoder``: options and help in ``app``, the work of a command in its module."""
