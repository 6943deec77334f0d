"""Training populations of runs, and keeping every run that was ever trained."""
