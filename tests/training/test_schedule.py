from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from offset_autoencoder.runs.files import (
    TrainedRun,
    is_valid,
    read_finished_run,
    read_history,
    read_saved_run,
)
from offset_autoencoder.runs.spec import IdentifiedRun
from offset_autoencoder.training import schedule
from offset_autoencoder.training.pool import PopulationJobs
from offset_autoencoder.training.schedule import (
    RunProgress,
    group_into_populations,
    open_jobs,
    train_runs,
)
from offset_autoencoder.training.state import Job, SampleSizes, TrainingData

MakeRuns = Callable[..., list[IdentifiedRun]]
D, L, N, M = 6, 3, 30, 10
RNG = np.random.default_rng(0)


def table(rows: int, latent_dim: int = L) -> Any:
    return RNG.normal(size=(rows, latent_dim)).astype(np.float32)


DATA = TrainingData(
    x=RNG.random((N, D), dtype=np.float32),
    x_validation=RNG.random((M, D), dtype=np.float32),
    tables={
        ("none", L): (np.zeros((N, L), np.float32), np.zeros((M, L), np.float32)),
        ("frozen", L): (table(N), table(M)),
        ("frozen", 2): (table(N, 2), table(M, 2)),
    },
)


SIZES = SampleSizes.of(DATA.x, DATA.x_validation)


def make_jobs(runs: Sequence[IdentifiedRun], data: TrainingData) -> list[Job]:
    return [open_job()[0] for open_job in open_jobs(runs, lambda seed: data)]


def swept(make_runs: MakeRuns, key: str, values: list[Any]) -> list[IdentifiedRun]:
    return make_runs(seeds=2, models={"m": {"offset": "frozen", key: values}})


@pytest.mark.parametrize(
    ("key", "values"),
    [
        ("latent_dim", [2, 3]),
        ("hidden", [[4], [5], []]),
        ("activation", ["relu", "tanh"]),
        ("normalize", ["unit", "power", "none"]),
        ("batch_size", [8, 16]),
        ("optimizer", ["adam", "sgd"]),
        ("initializer", ["glorot_uniform", "he_normal"]),
        ("dropout", [0.0, 0.1]),
    ],
)
def test_what_shapes_the_program_trains_apart(
    make_runs: MakeRuns, key: str, values: list[Any]
) -> None:
    runs = swept(make_runs, key, values)
    groups = list(group_into_populations(runs))
    assert len(groups) == len(values)
    for (population, members), value in zip(groups, values, strict=True):
        assert [member.run.seed for member in members] == [0, 1]
        assert {dict(member.run.setting.sweep)[key] for member in members} == {
            tuple(value) if isinstance(value, list) else value
        }
        setting = members[0].run.setting
        assert population.architecture.network == setting.network
        assert population.architecture.input_dim == D
        assert (population.batch_size, population.optimizer) == (
            setting.train.batch_size,
            setting.train.optimizer,
        )


def test_runs_train_together_where_they_differ_in_numbers_alone(make_runs: MakeRuns) -> None:
    runs = make_runs(
        seeds=1,
        models={
            "plain": {},
            "table": {"offset": "frozen", "rms": 0.1},
            "numbers": {"learning_rate": 0.1, "epochs": 2, "patience": None, "stddev": 0.1},
            "loss": {"loss": "mean_squared_error"},
            "output": {"loss": "mean_squared_error", "output": "linear"},
            "both": {"system": "concatenate", "offset": "frozen", "stddev": [0.0, 0.1]},
            "second": {"system": "two_encoder", "rms": [0.1, 0.2]},
            "two": {"system": "ensemble", "encoders": 2},
            "vae": {"system": "vae", "warmup": [0, 2]},
            "wide": {"system": "wide", "match": "two"},
        },
        network={"latent_dim": 3, "hidden": [24]},
    )
    groups = [[member.run.setting.label for member in m] for _, m in group_into_populations(runs)]
    assert groups == [
        ["plain", "table", "numbers"],
        ["loss"],
        ["output"],
        ["both stddev=0", "both stddev=0.1"],
        ["second rms=0.1"],
        ["second rms=0.2"],
        ["two"],
        ["vae warmup=0"],
        ["vae warmup=2"],
        ["wide"],
    ]


def test_what_the_jobs_of_a_system_are_fed(make_runs: MakeRuns) -> None:
    runs = make_runs(
        seeds=1,
        models={
            "vae": {"system": "vae", "offset": "frozen", "rms": 0.5},
            "second": {"system": "two_encoder", "rms": 0.5, "stddev": 0.1},
        },
    )
    vae, second = make_jobs(runs, DATA)
    assert vae.stddev == 1.0  # it scales its noise itself
    np.testing.assert_array_equal(vae.offset, DATA.tables["frozen", L][0])
    assert vae.offset_factor == 0.5
    assert second.stddev == 0.1
    assert second.offset.shape == (N, L)
    assert second.offset_validation.shape == (M, L)
    assert not second.offset.any()  # its rms is that of its own second encoder


def test_jobs_share_their_arrays_and_seeds_stand_side_by_side(make_runs: MakeRuns) -> None:
    runs = make_runs(
        seeds=[5, 2],
        models={
            "frozen": {"offset": "frozen", "rms": [0.5, 2.0]},
            "both": {"offset": "frozen", "rms": 0.5, "stddev": 0.1, "patience": None},
        },
    )
    jobs = make_jobs(runs, DATA)
    assert [job.seed for job in jobs] == [2, 2, 2, 5, 5, 5]
    np.testing.assert_array_equal(jobs[0].offset, DATA.tables["frozen", L][0])
    np.testing.assert_array_equal(jobs[0].offset_validation, DATA.tables["frozen", L][1])
    assert {job.id for job in jobs} == {run.id for run in runs}
    assert len({id(job.offset) for job in jobs}) == 1
    assert len({id(job.offset_validation) for job in jobs}) == 1
    by_id = {run.id: run.run.setting for run in runs}
    for job in jobs:
        setting = by_id[job.id]
        assert job.offset_factor == setting.spec.rms
        assert (job.stddev, job.learning_rate) == (setting.spec.stddev, setting.train.learning_rate)
        assert (job.epochs, job.patience) == (setting.train.epochs, setting.train.patience)


def test_jobs_take_the_table_of_their_latent_dim(make_runs: MakeRuns) -> None:
    jobs = make_jobs(swept(make_runs, "latent_dim", [2, 3]), DATA)
    assert sorted(job.offset.shape for job in jobs) == [(N, 2), (N, 2), (N, 3), (N, 3)]


@pytest.fixture(scope="module")
def trained(
    make_runs: MakeRuns, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Path, list[IdentifiedRun], list[tuple[float, int]]]:
    """Two populations, really trained: the store, the runs, and what was reported."""
    store = tmp_path_factory.mktemp("project") / ".runs"
    mse = {"loss": "mean_squared_error", "output": "linear", "offset": "none"}
    runs = make_runs(
        seeds=2,
        train={"epochs": 6, "batch_size": 8, "patience": 1, "learning_rate": 0.3},
        models={
            "frozen": {"offset": "frozen", "rms": [0.5, 1.0]},
            "none": {"offset": "none", "patience": None},
            "same": {"offset": "none", "patience": None},
            "mse": {**mse, "learning_rate": [0.01, 1e30]},
        },
    )
    reports: list[tuple[float, int]] = []
    train_runs(
        runs, lambda seed: DATA, SIZES, store, lambda work, done, _: reports.append((work, done))
    )
    return store, runs, reports


Trained = tuple[Path, list[IdentifiedRun], list[tuple[float, int]]]


def test_every_run_is_in_the_store(trained: Trained) -> None:
    store, runs, _ = trained
    assert {path.name for path in store.iterdir()} == {run.id for run in runs}
    assert all(is_valid(store / run.id) for run in runs)
    for run in runs:
        saved = read_saved_run(store / run.id)
        rate = run.run.setting.train.learning_rate
        assert saved.status == ("diverged" if rate > 1 else "finished")
        if saved.status == "finished":
            assert list(read_finished_run(store / run.id)[1]) == [
                f"{layer}/{part}"
                for layer in ("encoder_1", "code", "decoder_1", "reconstruction")
                for part in ("kernel", "bias")
            ]
            assert len(read_history(store / run.id)["loss"]) == saved.epochs


def test_progress_adds_up(trained: Trained) -> None:
    _, runs, reports = trained
    once = {run.id: run for run in runs}.values()
    work = sum(run.run.setting.train.epochs for run in once)
    assert len(once) == len(runs) - 2
    assert reports[-1] == (work, len(once))
    assert [done for _, done in reports] == sorted(done for _, done in reports)
    assert max(of for of, _ in reports) == work
    assert {done for _, done in reports} == set(range(len(once) + 1))


def test_a_worker_opens_the_split_of_a_seed_once(make_runs: MakeRuns, tmp_path: Path) -> None:
    opened: list[int] = []

    def data(seed: int) -> TrainingData:
        opened.append(seed)
        return TrainingData(DATA.x, DATA.x_validation, DATA.tables)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("offset_autoencoder.training.pool.available_cores", lambda: 1)
        train_runs(make_runs(seeds=2), data, SIZES, tmp_path, lambda *_: None)
    assert opened == [0, 1]


def test_runs_that_are_cut_off_keep_those_that_had_ended(
    make_runs: MakeRuns, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    runs = make_runs(seeds=4)

    def killed(works: Sequence[PopulationJobs], *_: Any, **options: Any) -> None:
        (work,) = works
        weights = work.population.initial(0).weights
        loss, times = np.zeros(2, np.float32), np.ones(2)
        result = TrainedRun("finished", weights, loss, loss, loss, 1, True, times, times)
        for open_job in work.jobs[:3]:
            work.on_result(open_job()[0], result)
        raise KeyboardInterrupt

    monkeypatch.setattr(schedule, "train_populations", killed)
    with pytest.raises(KeyboardInterrupt):
        train_runs(runs, lambda seed: DATA, SIZES, tmp_path, lambda *_: None)
    kept = list(tmp_path.iterdir())
    assert len(kept) == 3
    assert all(is_valid(folder) for folder in kept)


class Clock:
    """Seconds that pass when they are told to."""

    now = 100.0

    def monotonic(self) -> float:
        return self.now


def test_progress_tells_epochs_per_second_and_the_loss_of_the_newest_run(
    make_runs: MakeRuns, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock, told = Clock(), list[tuple[float, int, str]]()
    monkeypatch.setattr(schedule, "time", clock)
    first, second = make_runs(seeds=2, models={"m": {"offset": "frozen"}})
    most = first.run.setting.train.epochs
    progress = RunProgress(
        [first, second], lambda epochs, runs, note: told.append((epochs, runs, note()))
    )
    clock.now += 2
    progress.count({first.id: 1, second.id: 1})
    assert told[-1] == (2, 0, "1 epochs/s")
    progress.end(first.id, 0.12345)
    assert told[-1] == (most + 1, 1, "1 epochs/s, loss 0.123")
    clock.now += 2
    progress.count({second.id: 198})  # most of them again, after a fault
    assert told[-1] == (2 * most, 1, "50 epochs/s, loss 0.123")
    progress.end(second.id)  # diverged
    assert told[-1] == (2 * most, 2, "50 epochs/s")


def test_the_loss_that_is_told_is_that_of_the_weights(make_runs: MakeRuns, tmp_path: Path) -> None:
    runs = make_runs(seeds=1, models={"m": {"offset": "frozen"}})
    notes: list[str] = []
    train_runs(runs, lambda _: DATA, SIZES, tmp_path, lambda *done: notes.append(done[2]()))
    saved = read_saved_run(tmp_path / runs[0].id)
    assert saved.best_epoch is not None
    loss = read_history(tmp_path / runs[0].id)["val_loss"][saved.best_epoch - 1]
    assert notes[-1].endswith(f", loss {loss:.3g}")
