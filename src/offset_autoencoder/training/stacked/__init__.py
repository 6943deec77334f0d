"""Networks of any layers, trained by TensorFlow: stacks of runs in one program."""
