"""Training of populations of runs by the engines, side by side on all cores."""
