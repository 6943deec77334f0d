"""Experiments with what is added to an autoencoder's code."""
