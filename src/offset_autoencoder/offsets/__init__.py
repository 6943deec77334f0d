"""Offsets f(x): named tables of precomputed vectors, one module a kind."""
