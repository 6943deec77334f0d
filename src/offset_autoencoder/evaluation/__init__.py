"""Evaluation of trained runs: metrics, interventions, probes, comparisons and verdicts."""
