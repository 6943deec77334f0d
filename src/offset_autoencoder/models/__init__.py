"""Models: architectures, Keras layers and models, and inference. Importing it starts nothing."""
