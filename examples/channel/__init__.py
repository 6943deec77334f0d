"""The network as a communications autoencoder, checked against theory."""
