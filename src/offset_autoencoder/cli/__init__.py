"""Command line ``offset-autoencoder``: options and help in ``app``, the work in the others."""
