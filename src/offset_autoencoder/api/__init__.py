"""The Python face: comparisons of arrays, trained networks of one's own, results as tables."""
