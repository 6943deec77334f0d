"""Trained runs on the test split: every metric under every condition."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from offset_autoencoder.config.schema import Network
from offset_autoencoder.evaluation.metrics import CONDITIONS, METRICS, reconstruction_metrics
from offset_autoencoder.evaluation.reconstruct import compile_reconstruction, reconstruct
from offset_autoencoder.training.population import Population, Weights

Array = NDArray[np.float32]

DEPLOYED, OWN, CLEAN = CONDITIONS


@dataclass(frozen=True)
class RunOnTest:
    """A finished run, ready for the test split.

    Attributes:
        network: Its network.
        seed: Its seed.
        weights: Its weights, in the order of ``model.get_weights()``.
        offset: f(x) of the test samples as it is added, (n, L) float32.
        stddev: The Gaussian noise it was trained with.
    """

    network: Network
    seed: int
    weights: Weights
    offset: Array
    stddev: float


def added_to_code(run: RunOnTest, condition: str, noise_seed: int) -> Array:
    """What is added to the codes of the test samples under a condition, (n, L) float32.

    As deployed: the run's own offset. As trained: that and its own Gaussian noise, the same
    draws for every run of a seed. Clean: nothing.
    """
    if condition == CLEAN:
        return np.zeros_like(run.offset)
    if condition == DEPLOYED or run.stddev == 0:
        return run.offset
    seeds = np.random.SeedSequence(noise_seed, spawn_key=(run.seed,))
    noise = np.random.default_rng(seeds).standard_normal(run.offset.shape, dtype=np.float32)
    return run.offset + np.float32(run.stddev) * noise


def measure(
    runs: Mapping[str, RunOnTest],
    x: Array,
    *,
    data_range: tuple[float, float] | None,
    noise_seed: int,
    on_reconstruction: Callable[[int, int], None] = lambda done, of: None,
) -> dict[str, dict[str, float]]:
    """Every metric of every run, by id.

    Args:
        runs: The runs by id.
        x: (n, D) float32 test samples.
        data_range: Lowest and highest value that the data can take, where known.
        noise_seed: Seed of the noise of the condition "as trained".
        on_reconstruction: Told how many reconstructions of the test split are done, of how many.

    Returns:
        For each id the columns of ``runs.csv``: ``mse`` as deployed, ``mse_own`` as trained,
        ``mse_clean`` clean, and so on for the metrics that apply.
    """
    wanted = [
        (run_id, condition)
        for run_id, run in runs.items()
        for condition in dict.fromkeys(_same_conditions(run).values())
    ]
    in_unit_range = bool(x.min() >= 0 and x.max() <= 1)
    found: dict[tuple[str, str], dict[str, float]] = {}
    for run_id, condition, reconstruction in _reconstructions(runs, wanted, x, noise_seed):
        found[run_id, condition] = reconstruction_metrics(
            x,
            reconstruction,
            data_range=data_range,
            cross_entropy=in_unit_range and runs[run_id].network.output != "linear",
        )
        on_reconstruction(len(found), len(wanted))
    return {
        run_id: {
            f"{name}{condition}": found[run_id, same][name]
            for name in found[run_id, DEPLOYED]
            for condition, same in _same_conditions(run).items()
        }
        for run_id, run in runs.items()
    }


def metric_names(measured: Mapping[str, Mapping[str, float]]) -> list[str]:
    """The columns of ``runs.csv`` that any of the runs has, in the order of the metrics.

    Networks differ in what applies to them: one without a linear output has a cross-entropy.
    """
    found = {name for metrics in measured.values() for name in metrics}
    return [
        f"{metric}{condition}"
        for metric in METRICS
        for condition in CONDITIONS
        if f"{metric}{condition}" in found
    ]


def reconstruct_as_deployed(runs: Mapping[str, RunOnTest], x: Array) -> dict[str, Array]:
    """The runs' reconstructions of the same samples as deployed, by id, each (n, D) float32."""
    wanted = [(run_id, DEPLOYED) for run_id in runs]
    return {run_id: output for run_id, _, output in _reconstructions(runs, wanted, x, 0)}


def _same_conditions(run: RunOnTest) -> dict[str, str]:
    """For each condition the one whose reconstruction is the same for this run."""
    return {
        DEPLOYED: DEPLOYED,
        OWN: OWN if run.stddev else DEPLOYED,
        CLEAN: CLEAN if run.offset.any() else DEPLOYED,
    }


def _reconstructions(
    runs: Mapping[str, RunOnTest], wanted: Sequence[tuple[str, str]], x: Array, noise_seed: int
) -> Iterator[tuple[str, str, Array]]:
    """What came out for each (id, condition), those of one network together."""
    groups: dict[str, list[tuple[str, str]]] = defaultdict(list)
    for run_id, condition in wanted:
        groups[repr(runs[run_id].network)].append((run_id, condition))
    for members in groups.values():
        network = runs[members[0][0]].network
        population = Population(network, x.shape[1], batch_size=1, optimizer="sgd")
        outputs = reconstruct(
            population,
            compile_reconstruction(population),
            [runs[run_id].weights for run_id, _ in members],
            x,
            [added_to_code(runs[run_id], condition, noise_seed) for run_id, condition in members],
        )
        for (run_id, condition), output in zip(members, outputs, strict=True):
            yield run_id, condition, output


def rows_of_runs(
    index: Sequence[Any],
    measured: Mapping[str, Mapping[str, float]],
    sweep_cells: Sequence[Mapping[str, Any]],
) -> list[dict[str, Any]]:
    """The rows of ``reports/runs.csv``; a diverged run has no metrics.

    Args:
        index: The rows of ``models/index.csv``.
        measured: What :func:`measure` returned.
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
