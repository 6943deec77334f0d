"""The data set: read, checked, split, scaled, and kept as arrays that can be memory-mapped."""
