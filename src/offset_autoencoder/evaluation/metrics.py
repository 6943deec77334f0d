"""How near a reconstruction is to what was put in: one number a metric and run, in float64."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

METRICS = ("mse", "mae", "binary_crossentropy", "psnr", "explained_variance")
HIGHER_IS_BETTER = frozenset({"psnr", "explained_variance"})

# What is added to the code when a metric is measured, as the suffix of its column: the run's
# own offset as deployed; its own offset and its own Gaussian noise, as in training; neither.
CONDITIONS = {"": "deployed", "_own": "as trained", "_clean": "clean"}

_CLIP = 1e-7


def split_condition(column: str) -> tuple[str, str]:
    """A column of ``runs.csv`` as metric and condition suffix: ``mse_own`` → ``mse``, ``_own``."""
    for suffix in CONDITIONS:
        if suffix and column.endswith(suffix):
            return column.removesuffix(suffix), suffix
    return column, ""


def higher_is_better(column: str) -> bool:
    """Whether a larger value of this column, in whatever condition, is the better one."""
    return split_condition(column)[0] in HIGHER_IS_BETTER


def mse(x: NDArray[Any], reconstruction: NDArray[Any]) -> float:
    """Mean squared error over samples and features: ``mean((x' − x)²)``.

    Args:
        x: What was put in, (n, features).
        reconstruction: What came out, (n, features).

    Raises:
        ValueError: where the shapes differ, or nothing is given.
    """
    x, reconstruction = _both(x, reconstruction)
    return float(np.mean(np.square(reconstruction - x)))


def mae(x: NDArray[Any], reconstruction: NDArray[Any]) -> float:
    """Mean absolute error over samples and features: ``mean(|x' − x|)``.

    Args:
        x: What was put in, (n, features).
        reconstruction: What came out, (n, features).

    Raises:
        ValueError: where the shapes differ, or nothing is given.
    """
    x, reconstruction = _both(x, reconstruction)
    return float(np.mean(np.abs(reconstruction - x)))


def binary_crossentropy(x: NDArray[Any], reconstruction: NDArray[Any]) -> float:
    """Binary cross-entropy in nats, the mean over samples and features.

    ``mean(−x·ln(x') − (1 − x)·ln(1 − x'))``, with x' clipped to [1e-7, 1 − 1e-7] as Keras does.
    For x strictly between 0 and 1 its least value is the entropy of x, not zero.

    Args:
        x: What was put in, (n, features), in [0, 1].
        reconstruction: What came out, (n, features), in [0, 1].

    Raises:
        ValueError: where the shapes differ, nothing is given, or x is outside [0, 1].
    """
    x, reconstruction = _both(x, reconstruction)
    if np.min(x) < 0 or np.max(x) > 1:
        raise ValueError(f"x must lie in [0, 1], got [{np.min(x):g}, {np.max(x):g}]")
    clipped = np.clip(reconstruction, _CLIP, 1 - _CLIP)
    return float(-np.mean(x * np.log(clipped) + (1 - x) * np.log1p(-clipped)))


def psnr(
    x: NDArray[Any], reconstruction: NDArray[Any], *, data_range: tuple[float, float]
) -> float:
    """Peak signal-to-noise ratio in decibels: ``10·log10((high − low)² / mse)``.

    Of the mean squared error over all samples, so it is not the mean of the samples' ratios.

    Args:
        x: What was put in, (n, features).
        reconstruction: What came out, (n, features).
        data_range: Lowest and highest value that the data can take.

    Returns:
        Decibels; infinity for a perfect reconstruction.

    Raises:
        ValueError: where the shapes differ, nothing is given, or the range is empty.
    """
    low, high = data_range
    if not high > low:
        raise ValueError(f"data_range must be low < high, got {data_range}")
    error = mse(x, reconstruction)
    return float("inf") if error == 0 else float(10 * np.log10((high - low) ** 2 / error))


def explained_variance(x: NDArray[Any], reconstruction: NDArray[Any]) -> float:
    """Share of the variance that the reconstruction explains, over all features together.

    ``1 − Σᵢⱼ (x'ᵢⱼ − xᵢⱼ)² / Σᵢⱼ (xᵢⱼ − meanᵢ(xᵢⱼ))²``: the coefficient of determination against
    the best constant, the mean of each feature of these very samples. 1 is perfect, 0 is no
    better than that mean. Residuals of a constant feature count: they are error all the same.

    Args:
        x: What was put in, (n, features).
        reconstruction: What came out, (n, features).

    Returns:
        The share; NaN where x does not vary at all.

    Raises:
        ValueError: where the shapes differ, or nothing is given.
    """
    x, reconstruction = _both(x, reconstruction)
    total = float(np.sum(np.square(x - np.mean(x, axis=0))))
    if total == 0:
        return float("nan")
    return float(1 - np.sum(np.square(reconstruction - x)) / total)


def reconstruction_metrics(
    x: NDArray[Any],
    reconstruction: NDArray[Any],
    *,
    data_range: tuple[float, float] | None,
    cross_entropy: bool,
) -> dict[str, float]:
    """Every metric that applies, for the reconstruction of one run.

    Args:
        x: What was put in, (n, features).
        reconstruction: What came out, (n, features).
        data_range: Lowest and highest value that the data can take, or None where that is not
            known: no PSNR then.
        cross_entropy: Whether x and the network's output both lie in [0, 1]: binary
            cross-entropy then.

    Returns:
        The metrics, in the order of :data:`METRICS`.

    Raises:
        ValueError: where the shapes differ, nothing is given, or x is outside [0, 1] though
            cross-entropy is asked for.
    """
    x, reconstruction = _both(x, reconstruction)
    values = {"mse": mse(x, reconstruction), "mae": mae(x, reconstruction)}
    if cross_entropy:
        values["binary_crossentropy"] = binary_crossentropy(x, reconstruction)
    if data_range is not None:
        values["psnr"] = psnr(x, reconstruction, data_range=data_range)
    values["explained_variance"] = explained_variance(x, reconstruction)
    return values


def _both(
    x: NDArray[Any], reconstruction: NDArray[Any]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    if x.shape != reconstruction.shape or x.ndim != 2 or not x.size:
        raise ValueError(
            f"x and reconstruction must both be (n, features), got the shapes {x.shape} "
            f"and {reconstruction.shape}"
        )
    return np.asarray(x, dtype=np.float64), np.asarray(reconstruction, dtype=np.float64)
