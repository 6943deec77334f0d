"""Runs that were interrupted go on from their checkpoints and end as if they had not been."""

from __future__ import annotations

import contextlib
import signal
import threading
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tests.training import small_runs
from tests.training.small_runs import BATCH, LINEAR, NETWORK, TABLE, X_VALIDATION, D, X

from offset_autoencoder.io.files import write_npz
from offset_autoencoder.models.architecture import Architecture
from offset_autoencoder.runs.files import Checkpoints, TrainedRun
from offset_autoencoder.runs.spec import Chunks
from offset_autoencoder.training import engine as engine_module
from offset_autoencoder.training.batches import draw_noise, epoch_chunks
from offset_autoencoder.training.pool import Trainer, train_population
from offset_autoencoder.training.state import Job

OnEpoch = Callable[[Sequence[Job]], None]
pytestmark = pytest.mark.usefixtures("compiled_once")


def job(name: str, seed: int = 0, **changes: Any) -> Job:
    return small_runs.job(name, seed, **{"epochs": 6, "checkpoint_seconds": 0.0, **changes})


def train(
    jobs: Sequence[Job],
    folder: Path | None,
    on_epoch: OnEpoch = lambda jobs: None,
    *,
    results: dict[str, TrainedRun] | None = None,
    on_result: Callable[[], None] = lambda: None,
    workers: int = 1,
    x: Any = X,
    **population: Any,
) -> dict[str, TrainedRun]:
    """Train the runs that have no result yet."""
    results = {} if results is None else results

    def keep(job: Job, result: TrainedRun) -> None:
        on_result()
        results[job.id] = result

    train_population(
        small_runs.population(**population),
        [job for job in jobs if job.id not in results],
        x,
        X_VALIDATION,
        keep,
        on_epoch,
        workers,
        checkpoints=Checkpoints(folder),
    )
    return results


def check_same(results: dict[str, TrainedRun], whole: dict[str, TrainedRun]) -> None:
    assert results.keys() == whole.keys()
    for name, result in results.items():
        other = whole[name]
        for field in ("status", "best_epoch", "stopped_early", "epochs"):
            assert getattr(result, field) == getattr(other, field), (name, field)
        for field in ("loss", "val_loss", "val_reconstruction"):
            np.testing.assert_array_equal(getattr(result, field), getattr(other, field))
        assert len(result.ended) == len(result.seconds) == result.epochs
        assert (result.weights is None) == (other.weights is None)
        for ours, theirs in zip(result.weights or [], other.weights or [], strict=True):
            assert ours.tobytes() == theirs.tobytes()


class Epochs:
    """Counts the epochs of runs that it is told of, and fails as it is told the last of so many."""

    def __init__(self, last: int | None = None) -> None:
        self.last, self.told, self.lock = last, 0, threading.Lock()

    def __call__(self, jobs: Sequence[Job]) -> None:
        with self.lock:
            self.told += len(jobs)
            if self.last is not None and self.told >= self.last:
                raise KeyboardInterrupt


WHOLE: dict[str, dict[str, TrainedRun]] = {}


@pytest.fixture
def uninterrupted(request: pytest.FixtureRequest, engine: str) -> Callable[..., Any]:
    """:func:`train` without interruption, once per test function and engine."""
    name = f"{request.node.originalname} {engine}"

    def train_once(jobs: Sequence[Job], **options: Any) -> dict[str, TrainedRun]:
        if name not in WHOLE:
            WHOLE[name] = train(jobs, None, **options)
        return WHOLE[name]

    return train_once


def total_epochs(whole: dict[str, TrainedRun]) -> int:
    return sum(run.epochs for run in whole.values())


@pytest.mark.parametrize("last", [1, 6, 7, 10, 14])
def test_a_run_that_was_cut_off_ends_with_the_bytes_of_one_that_was_not(
    tmp_path: Path, last: int, uninterrupted: Callable[..., Any]
) -> None:
    jobs = [
        job("plain"),
        job("noise", seed=1, stddev=0.3),
        job("stops", epochs=40, patience=2, learning_rate=0.3),
    ]
    whole = uninterrupted(jobs)
    assert whole["stops"].stopped_early
    results: dict[str, TrainedRun] = {}
    before, after = Epochs(last), Epochs()
    with pytest.raises(KeyboardInterrupt):
        train(jobs, tmp_path, before, results=results)
    train(jobs, tmp_path, after, results=results)
    check_same(results, whole)
    assert not list(tmp_path.iterdir())
    # It went on from there: no epoch is trained again but the one that was cut off.
    assert before.told + after.told <= total_epochs(whole) + len(jobs)


@pytest.mark.parametrize(
    "population",
    [
        {"optimizer": "sgd"},
        {"optimizer": "rmsprop"},
        {
            "architecture": Architecture(
                system="vae", network=NETWORK, input_dim=D, beta=1.0, warmup_steps=17
            ),
            "batch_size": 14,  # and the last one of an epoch is smaller
        },
    ],
)
def test_the_state_of_every_optimizer_and_a_warm_up_goes_on(
    tmp_path: Path, population: dict[str, Any]
) -> None:
    jobs = [job("a", stddev=1.0, warmup=4, patience=2, epochs=9)]
    whole, results = train(jobs, None, **population), {}
    for _ in range(20):
        with contextlib.suppress(KeyboardInterrupt):
            results = train(jobs, tmp_path, Epochs(2), **population)
            break
    check_same(results, whole)


@pytest.mark.usefixtures("engine")
def test_a_run_cut_off_between_its_last_epoch_and_its_end(tmp_path: Path) -> None:
    """Its checkpoint says that it has ended: it is not trained on."""
    jobs = [
        job("a"),
        job("b", seed=1, epochs=3),
        job("c", epochs=40, patience=2, learning_rate=0.3),
        job("bad", learning_rate=1e30, epochs=9),
    ]
    whole = train(jobs, None, network=LINEAR)
    assert whole["bad"].status == "diverged"
    results: dict[str, TrainedRun] = {}

    def fail() -> None:
        raise OSError("disk full")

    told = Epochs()
    for each in jobs:
        with pytest.raises(OSError, match="disk full"):
            train([each], tmp_path, told, on_result=fail, network=LINEAR)
    assert len(list(tmp_path.iterdir())) == len(jobs)
    train(jobs, tmp_path, told, results=results, network=LINEAR)
    check_same(results, whole)
    assert told.told == total_epochs(whole)
    assert not list(tmp_path.iterdir())


@pytest.mark.usefixtures("engine")
def test_a_checkpoint_that_cannot_be_used_is_ignored(tmp_path: Path) -> None:
    jobs = [job("damaged"), job("foreign", seed=1)]
    whole, results = train(jobs, None), {}
    (tmp_path / "damaged.npz").write_bytes(b"PK\x03\x04")
    write_npz(tmp_path / "foreign.npz", {"weights": np.zeros(3, np.float32)})
    told = Epochs()
    results = train(jobs, tmp_path, told)
    check_same(results, whole)
    assert told.told == total_epochs(whole)
    assert not list(tmp_path.iterdir())


def test_checkpoints_are_as_far_apart_as_asked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    written: list[str] = []
    monkeypatch.setattr(Checkpoints, "write", lambda self, run_id, state: written.append(run_id))
    train([job("often", epochs=5), job("never", checkpoint_seconds=1e6)], tmp_path)
    assert written == ["often"] * 5


@pytest.fixture
def press_ctrl_c(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[], None]]:
    """Has the user press Ctrl-C, and waits until the training knows of it."""
    known, lock, main = threading.Event(), threading.Lock(), threading.main_thread().ident
    assert main is not None
    end = Trainer.end

    def end_and_tell(trainer: Trainer) -> None:
        end(trainer)
        known.set()

    def press() -> None:
        with lock:
            if not known.is_set():
                signal.pthread_kill(main, signal.SIGINT)
            assert known.wait(600)

    monkeypatch.setattr(Trainer, "end", end_and_tell)
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield press
    signal.signal(signal.SIGINT, before)


@pytest.mark.parametrize("workers", [1, 2])
def test_ctrl_c_leaves_a_checkpoint_of_every_run_in_training(
    tmp_path: Path,
    workers: int,
    press_ctrl_c: Callable[[], None],
    uninterrupted: Callable[..., Any],
) -> None:
    """However short the training was: nothing of it is lost."""
    jobs = [job(str(s), s, stddev=0.1, epochs=8, checkpoint_seconds=1e6) for s in range(18)]
    whole = uninterrupted(jobs)
    results: dict[str, TrainedRun] = {}
    before, after = Epochs(), Epochs()

    def count(members: Sequence[Job]) -> None:
        before(members)
        if before.told >= 50:
            press_ctrl_c()

    with pytest.raises(KeyboardInterrupt):
        train(jobs, tmp_path, count, results=results, workers=workers)
    left = {path.stem for path in tmp_path.iterdir()}
    assert left
    assert not left & results.keys()
    train(jobs, tmp_path, after, results=results, workers=workers)
    check_same(results, whole)
    assert before.told + after.told == total_epochs(whole)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("epoch", [1, 3])
def test_ctrl_c_in_the_middle_of_a_long_epoch(
    tmp_path: Path,
    epoch: int,
    press_ctrl_c: Callable[[], None],
    uninterrupted: Callable[..., Any],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """With data larger than memory it does not wait for the epoch's end, which is far off."""
    x, table = np.tile(X[:64], (15, 1)), np.tile(TABLE[:64], (15, 1))
    jobs = [job("a", offset=table, stddev=0.1, epochs=4, checkpoint_seconds=1e6)]
    limited: dict[str, Any] = {"x": x, "memory_limit": 40_000}
    whole, chunks = uninterrupted(jobs, **limited), 0
    assert len(list(epoch_chunks(0, 1, len(x), Chunks(BATCH, 3)))) == 20

    def draw(*arguments: Any) -> Any:
        nonlocal chunks
        chunks += 1
        if chunks == 20 * epoch - 9:
            press_ctrl_c()
        return draw_noise(*arguments)

    monkeypatch.setattr(engine_module, "draw_noise", draw)
    before, after = Epochs(), Epochs()
    with pytest.raises(KeyboardInterrupt):
        train(jobs, tmp_path, before, **limited)
    assert chunks < 20 * epoch  # it ended within the epoch
    assert before.told == epoch - 1
    results = train(jobs, tmp_path, after, **limited)
    check_same(results, whole)
    assert before.told + after.told == 4
