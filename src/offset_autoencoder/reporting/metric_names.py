"""What metrics are called in pictures."""

from __future__ import annotations

METRIC_NAMES = {
    "mse": "mean squared error",
    "mae": "mean absolute error",
    "binary_crossentropy": "binary cross-entropy, nats",
    "psnr": "PSNR, dB",
    "explained_variance": "explained variance, share",
}
# What a change of these is one of, as :func:`.equivalence.relative_change` takes them.
_ERRORS = {**METRIC_NAMES, "psnr": METRIC_NAMES["mse"], "explained_variance": METRIC_NAMES["mse"]}


def error_name(metric: str) -> str:
    """What the error behind a metric is called, without its unit."""
    return _ERRORS.get(metric, metric).partition(",")[0]
