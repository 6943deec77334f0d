"""Trained runs applied to new samples, from the project or from a served model's folder."""
