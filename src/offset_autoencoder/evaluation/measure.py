"""Trained runs on the test split: every metric under every condition."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from offset_autoencoder.evaluation.metrics import CONDITIONS, METRICS, reconstruction_metrics
from offset_autoencoder.evaluation.opened import FinishedRun
from offset_autoencoder.models.inference import Decode, Encoded

Array = NDArray[np.float32]

DEPLOYED, OWN, CLEAN = CONDITIONS


def measure(
    run: FinishedRun,
    x: Array,
    encoded: Encoded,
    decode: Decode,
    *,
    data_range: tuple[float, float] | None,
    noise_seed: int,
) -> dict[str, float]:
    """Every metric of a run under every condition.

    As deployed: the run's own offset. As trained: that and its own noise, the same draws
    for every run of a seed; of a variational autoencoder a code drawn from its posterior. Clean:
    neither.

    Args:
        run: The run.
        x: (n, D) float32 samples.
        encoded: What its encoder makes of them.
        decode: Its decoder.
        data_range: Lowest and highest value that the data can take, where known.
        noise_seed: Seed of the noise of the condition "as trained".

    Returns:
        The columns of ``runs.csv``: ``mse`` as deployed, ``mse_own`` as trained, ``mse_clean``
        clean, and so on for the metrics that apply.
    """
    in_unit_range = bool(x.min() >= 0 and x.max() <= 1)
    cross_entropy = in_unit_range and run.architecture.network.output != "linear"

    def metrics(code: Array | None, offset: Array) -> dict[str, float]:
        return reconstruction_metrics(
            x, decode(code, offset), data_range=data_range, cross_entropy=cross_entropy
        )

    found = {DEPLOYED: metrics(encoded.code, encoded.offset)}
    noisy = as_trained(run, encoded, noise_seed)
    found[OWN] = found[DEPLOYED] if noisy is None else metrics(*noisy)
    zero = np.zeros_like(encoded.offset)
    found[CLEAN] = metrics(encoded.code, zero) if encoded.offset.any() else found[DEPLOYED]
    return {
        f"{name}{condition}": found[condition][name]
        for name in found[DEPLOYED]
        for condition in CONDITIONS
    }


def as_trained(
    run: FinishedRun, encoded: Encoded, noise_seed: int
) -> tuple[Array | None, Array] | None:
    """Code and offset with the noise of training on them; None for a run without noise."""
    if run.stddev == 0 and encoded.log_variance is None:
        return None
    seeds = np.random.SeedSequence(noise_seed, spawn_key=(run.seed,))
    noise = np.random.default_rng(seeds).standard_normal(encoded.offset.shape, dtype=np.float32)
    if encoded.code is not None and encoded.log_variance is not None:
        noise *= np.exp(encoded.log_variance / 2)
        return encoded.code + noise, encoded.offset
    noise *= np.float32(run.stddev)
    # A model of the user's own was trained with its noise on the offset, whatever it does with it.
    if encoded.code is None or run.architecture.system_record.is_users:
        return encoded.code, encoded.offset + noise
    return encoded.code + noise, encoded.offset


def metric_names(measured: Mapping[str, Mapping[str, float]]) -> list[str]:
    """The columns of ``runs.csv`` that any of the runs has, in the order of the metrics.

    Networks differ in what applies to them: one without a linear output has a cross-entropy.
    """
    found = {name for metrics in measured.values() for name in metrics}
    known = [f"{metric}{condition}" for metric in METRICS for condition in CONDITIONS]
    others = [name for metrics in measured.values() for name in metrics if name not in known]
    return [name for name in known if name in found] + list(dict.fromkeys(others))


def rows_of_runs(
    index: Sequence[Any],
    measured: Mapping[str, Mapping[str, float]],
    sweep_cells: Sequence[Mapping[str, Any]],
) -> list[dict[str, Any]]:
    """The rows of ``reports/runs.csv``; a diverged run has no metrics.

    Args:
        index: The rows of ``models/index.csv``.
        measured: What was measured, by id.
        sweep_cells: For each row its cells under the swept keys.
    """
    return [
        {
            "id": row.id,
            "model": row.model,
            **cells,
            "seed": row.seed,
            "status": row.status,
            **measured.get(row.id, {}),
        }
        for row, cells in zip(index, sweep_cells, strict=True)
    ]
