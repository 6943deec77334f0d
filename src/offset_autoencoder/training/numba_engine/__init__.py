"""Engine of dense networks: one compiled loop per run, no framework in between."""
