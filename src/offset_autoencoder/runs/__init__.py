"""Trained runs: what determines one, the files it is kept in, and how it is opened again."""
