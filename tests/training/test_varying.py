"""Runs that train on different splits, side by side: each as if it were alone."""

from __future__ import annotations

import functools
import weakref
from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np
import pytest
from tests.training.small_runs import BATCH, NETWORK, D, L, M, N, X, job, train

from offset_autoencoder.models.architecture import Architecture
from offset_autoencoder.runs.files import TrainedRun
from offset_autoencoder.training.engine import Population
from offset_autoencoder.training.pool import PopulationJobs, train_populations
from offset_autoencoder.training.schedule import _OpenedData
from offset_autoencoder.training.state import Job, SampleSizes, TrainingData

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("compiled_once")]
SIZES = SampleSizes(N, M, X[:1].nbytes, varies=True)


def split_of(seed: int) -> TrainingData:
    generator = np.random.default_rng(seed)
    x, x_validation = (generator.random((rows, D), dtype=np.float32) for rows in (N, M))
    return TrainingData(x, x_validation)


def run(seed: int, engine: str) -> tuple[Job, TrainingData]:
    generator, data = np.random.default_rng([seed, 1]), split_of(seed)
    offset, offset_validation = (
        generator.normal(size=(rows, L)).astype(np.float32) for rows in (N, M)
    )
    tables = {"offset": offset, "offset_validation": offset_validation}
    return job(f"{engine}{seed}", seed, stddev=0.1, **tables), data


def train_on_splits(
    population: Population, jobs: Sequence[Callable[[], tuple[Job, TrainingData]]], workers: int = 2
) -> dict[str, TrainedRun]:
    results: dict[str, TrainedRun] = {}
    take = PopulationJobs(population, jobs, lambda job, run: results.__setitem__(job.id, run))
    train_populations([take], SIZES, workers=workers)
    return results


@pytest.mark.parametrize("engine", ["numba", "keras"])
def test_a_run_depends_on_its_own_split_alone(engine: str) -> None:
    population = Population(
        Architecture(network=NETWORK, input_dim=D), BATCH, "adam", engine=engine
    )
    jobs = [functools.partial(run, seed, engine) for seed in range(19)]
    together = train_on_splits(population, jobs)
    assert len(together) == 19
    for seed in (0, 17):
        one, data = run(seed, engine)
        alone = train_on_splits(population, [functools.partial(run, seed, engine)])[one.id]
        # As where one split serves all.
        of_one_split = train([one], population, data.x, data.x_validation)[one.id]
        for other, tolerance in ((alone, 0.0), (of_one_split, 0.0 if engine == "numba" else 1e-5)):
            np.testing.assert_allclose(together[one.id].val_loss, other.val_loss, rtol=tolerance)
            assert other.weights is not None
            weights = together[one.id].weights
            assert weights is not None
            for own, others in zip(weights, other.weights, strict=True):
                np.testing.assert_allclose(own, others, rtol=tolerance, atol=tolerance)


def test_a_slot_lets_go_of_its_first_split() -> None:
    """The first run ends at once, and its split's arrays are free while the others go on."""
    first: list[weakref.ref[TrainingData]] = []
    seen: list[bool] = []

    def open_job(seed: int) -> tuple[Job, TrainingData]:
        data = split_of(seed)
        first.append(weakref.ref(data))
        seen.append(first[0]() is not None)
        return job(f"keras{seed}", seed, epochs=1 if seed == 0 else 3), data

    population = Population(
        Architecture(network=NETWORK, input_dim=D), BATCH, "adam", engine="keras", most_slots=4
    )
    train_on_splits(population, [functools.partial(open_job, seed) for seed in range(12)], 1)
    assert seen == [True] * 5 + [False] * 7


def test_chunks_of_each_runs_own_samples() -> None:
    """Samples that exceed the memory limit, by either engine."""
    for engine in ("numba", "keras"):
        population = Population(
            Architecture(network=NETWORK, input_dim=D), BATCH, "adam", engine=engine
        )
        limited = replace(population, memory_limit=X.nbytes // 2)
        jobs = [functools.partial(run, seed, engine) for seed in range(3)]
        together = train_on_splits(limited, jobs)
        one, data = run(2, engine)
        alone = train([one], limited, data.x, data.x_validation)[one.id]
        np.testing.assert_allclose(together[one.id].val_loss, alone.val_loss, rtol=1e-6)


def test_few_splits_are_open_at_once() -> None:
    """A split is opened when its first run begins, and forgotten when its last one has ended."""
    opened: list[int] = []
    alive: list[int] = []

    def open_split(seed: int) -> TrainingData:
        opened.append(seed)
        return split_of(seed)

    data = _OpenedData(open_split)

    def open_job(seed: int, number: int) -> tuple[Job, TrainingData]:
        alive.append(len(data._opened))
        split = data(seed)
        return job(f"{seed}-{number}", seed, epochs=2), split

    population = Population(Architecture(network=NETWORK, input_dim=D), BATCH, "adam")
    jobs = [functools.partial(open_job, seed, n) for seed in range(8) for n in range(4)]
    train_on_splits(population, jobs)
    assert max(alive) <= 2 + 1
    assert sorted(set(opened)) == list(range(8))


@pytest.mark.parametrize("engine", ["numba", "keras"])
def test_splits_of_unlike_sizes(engine: str) -> None:
    """As whole groups make them: each run trains on its own samples, as if it were alone."""
    population = Population(
        Architecture(network=NETWORK, input_dim=D), BATCH, "adam", engine=engine
    )

    def run_of(seed: int, rows: int) -> tuple[Job, TrainingData]:
        one, data = run(seed, engine)
        part = replace(
            one, offset=one.offset[:rows], offset_validation=one.offset_validation[: M - seed]
        )
        return part, TrainingData(data.x[:rows], data.x_validation[: M - seed])

    sizes = {0: N, 1: N - BATCH - (engine == "numba")}  # Keras compiles a last batch apart
    jobs = [functools.partial(run_of, seed, rows) for seed, rows in sizes.items()]
    # Of the second limit the smaller one is within. Keras compiles for each size.
    for limit in (None, X.nbytes - 1)[: 1 + (engine == "numba")]:
        limited = replace(population, memory_limit=limit)
        together: dict[str, TrainedRun] = {}
        take = PopulationJobs(limited, jobs, lambda job, run: together.__setitem__(job.id, run))  # noqa: B023
        train_populations([take], SIZES._replace(are_alike=False), workers=2)
        for seed, rows in sizes.items():
            one, data = run_of(seed, rows)
            alone = train([one], limited, data.x, data.x_validation)[one.id]
            tolerance = 0.0 if engine == "numba" else 1e-5
            losses = together[one.id].loss, together[one.id].val_loss
            np.testing.assert_allclose(losses, (alone.loss, alone.val_loss), rtol=tolerance)
