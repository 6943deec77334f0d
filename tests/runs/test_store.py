from __future__ import annotations

import csv
import os
import shutil
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
from tests.folders import contents

from offset_autoencoder.errors import InputError
from offset_autoencoder.runs.files import TrainedRun, is_valid, write_run
from offset_autoencoder.runs.spec import IdentifiedRun
from offset_autoencoder.runs.store import (
    IndexedRun,
    clean,
    export_runs,
    import_runs,
    missing_ids,
    read_index,
    runs_folder,
)

MakeRuns = Callable[..., list[IdentifiedRun]]
Train = Callable[..., None]
Write = Callable[..., Path]


@pytest.fixture
def runs(make_runs: MakeRuns) -> list[IdentifiedRun]:
    return make_runs()


@pytest.fixture
def models(tmp_path: Path) -> Path:
    return tmp_path / "models"


@pytest.fixture
def store(tmp_path: Path) -> Path:
    return tmp_path / ".runs"


@pytest.fixture
def train(make_trained: Callable[..., tuple[TrainedRun, list[str]]]) -> Train:
    """Put runs into a folder as their training would."""

    def train(folder: Path, runs: Sequence[IdentifiedRun], **how: Any) -> None:
        for run in runs:
            trained, names = make_trained(seed=int(run.id[:6], 16), **how)
            write_run(folder / run.id, run.spec, trained, names)

    return train


def ids(runs: Sequence[IdentifiedRun]) -> list[str]:
    return [run.id for run in runs]


def names(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


def test_a_store_lacks_what_was_not_trained(
    store: Path, runs: list[IdentifiedRun], train: Train
) -> None:
    assert missing_ids(store, [*ids(runs), *ids(runs)]) == ids(runs)
    train(store, runs[2:5])
    train(store, runs[5:6], diverged=True)
    assert missing_ids(store, ids(runs)) == ids([*runs[:2], *runs[6:]])


def test_a_damaged_run_is_missing_and_out_of_the_way(
    store: Path, runs: list[IdentifiedRun], train: Train
) -> None:
    train(store, runs)
    (store / runs[3].id / "weights.npz").write_bytes(b"PK")
    (store / runs[4].id / "spec.json").unlink()
    shutil.rmtree(store / runs[5].id)
    (store / runs[5].id).write_text("a file where a folder should be")
    assert missing_ids(store, ids(runs)) == ids(runs[3:6])
    train(store, runs[3:6])
    assert missing_ids(store, ids(runs)) == []


def test_imports_the_runs_of_a_colleague(
    store: Path, models: Path, runs: list[IdentifiedRun], train: Train
) -> None:
    train(runs_folder(models), runs[:4])
    for run in runs[:4]:
        (runs_folder(models) / run.id / "times.npz").unlink()  # DVC does not bring it
    import_runs(models, store)
    assert names(store) == set(ids(runs[:4]))
    assert missing_ids(store, ids(runs)) == ids(runs[4:])
    for run in runs[:4]:
        assert contents(store / run.id) == contents(runs_folder(models) / run.id)


def test_imports_nothing_from_nothing(store: Path, models: Path) -> None:
    import_runs(models, store)
    assert not store.exists()
    assert not models.exists()


def test_imports_no_stray_or_damaged_thing(
    store: Path, models: Path, runs: list[IdentifiedRun], train: Train
) -> None:
    train(runs_folder(models), runs[:3])
    folder = runs_folder(models)
    (folder / "notes.txt").write_text("mine")
    (folder / ".DS_Store").write_text("")
    (folder / "empty").mkdir()
    (folder / ".run-killed").mkdir()
    (folder / ".run-killed" / "spec.json").write_text("{}")
    (folder / runs[0].id / "weights.npz").write_bytes(b"")
    (folder / runs[1].id).rename(folder / ("0" * 64))
    import_runs(models, store)
    assert names(store) == {runs[2].id}


def test_what_the_store_holds_is_left_as_it_is(
    store: Path, models: Path, runs: list[IdentifiedRun], train: Train
) -> None:
    train(store, runs[:1])
    train(runs_folder(models), runs[:1], moment=60.0)
    before = contents(store)
    import_runs(models, store)
    assert contents(store) == before


def test_of_a_run_that_stays_in_models_the_store_needs_no_more_than_a_folder(
    store: Path, models: Path, runs: list[IdentifiedRun], train: Train
) -> None:
    train(runs_folder(models), runs[:3])
    (runs_folder(models) / runs[2].id / "weights.npz").unlink()
    assert import_runs(models, store, current=ids(runs[:1])) == set(ids(runs[:2]))
    assert names(store) == set(ids(runs[:2]))
    (store / runs[0].id / "weights.npz").unlink()
    assert import_runs(models, store, current=ids(runs[:1])) == set(ids(runs[:2]))
    assert not is_valid(store / runs[0].id)
    # The params no longer want it: it is mended before it leaves models/.
    valid = import_runs(models, store)
    export_runs(models, store, runs[1:2], valid)
    assert names(runs_folder(models)) == {runs[1].id}
    assert missing_ids(store, ids(runs[:2])) == []


def test_a_run_known_to_be_valid_is_not_read_again(
    store: Path, models: Path, runs: list[IdentifiedRun], train: Train
) -> None:
    train(store, runs[:2])
    export_runs(models, store, runs[:2])
    for run in runs[:2]:
        (runs_folder(models) / run.id / "weights.npz").write_bytes(b"damaged since")
    export_runs(models, store, runs[:2], valid={runs[0].id})
    assert [is_valid(runs_folder(models) / run.id) for run in runs[:2]] == [False, True]


def test_exports_exactly_the_runs_of_the_params(
    store: Path, models: Path, runs: list[IdentifiedRun], train: Train
) -> None:
    train(store, runs)
    export_runs(models, store, runs[:6])
    assert names(models) == {"index.csv", "runs"}
    assert names(runs_folder(models)) == set(ids(runs[:6]))
    (runs_folder(models) / "notes.txt").write_text("mine")
    (runs_folder(models) / "folder").mkdir()
    (runs_folder(models) / "link").symlink_to(store, target_is_directory=True)
    export_runs(models, store, runs[4:])
    assert names(runs_folder(models)) == set(ids(runs[4:]))
    assert names(store) == set(ids(runs))
    for run in runs[4:]:
        assert contents(runs_folder(models) / run.id) == contents(store / run.id)


def test_models_are_the_same_bytes_whatever_was_there_before(
    store: Path, models: Path, runs: list[IdentifiedRun], train: Train, tmp_path: Path
) -> None:
    train(store, runs)
    export_runs(models, store, runs)
    (runs_folder(models) / runs[0].id / "weights.npz").write_bytes(b"damaged")
    shutil.rmtree(runs_folder(models) / runs[1].id)
    export_runs(models, store, runs)
    export_runs(tmp_path / "fresh", store, runs)
    assert contents(models) == contents(tmp_path / "fresh")
    assert all(is_valid(runs_folder(models) / run.id) for run in runs)


def test_the_index_is_a_row_a_run_in_the_order_of_the_params(
    store: Path, models: Path, make_runs: MakeRuns, train: Train
) -> None:
    runs = make_runs(
        seeds=[7, 3],
        models={
            "none": {"offset": "none"},
            "gaussian": {"offset": "none", "stddev": [0.1, 1e-05]},
            "frozen": {"offset": "frozen", "rms": [None, 0.5], "hidden": [[], [4, 2]]},
        },
    )
    train(store, runs[:-1])
    train(store, runs[-1:], diverged=True)
    rows = export_runs(models, store, runs)
    text = (models / "index.csv").read_bytes().decode()
    assert "\r" not in text
    table = list(csv.reader(text.splitlines()))
    assert table[0] == [*("model", "setting", "stddev", "rms", "hidden", "seed", "id", "status")]
    assert [[row[0], *row[2:6]] for row in table[1:]] == [
        [*cells, seed]
        for cells in (
            ("none", "", "", ""),
            ("gaussian", "0.1", "", ""),
            ("gaussian", "1e-05", "", ""),
            ("frozen", "", "null", "none"),
            ("frozen", "", "null", "4-2"),
            ("frozen", "", "0.5", "none"),
            ("frozen", "", "0.5", "4-2"),
        )
        for seed in ("7", "3")
    ]
    assert [row[1] for row in table[1:]] == [run.run.setting.label for run in runs]
    assert [row[6] for row in table[1:]] == ids(runs)
    assert [row[7] for row in table[1:]] == ["finished"] * 13 + ["diverged"]
    assert rows == read_index(models)
    assert rows[-1] == IndexedRun(
        "frozen",
        "frozen rms=0.5 hidden=4-2",
        {"rms": "0.5", "hidden": "4-2"},
        3,
        runs[-1].id,
        "diverged",
    )
    assert rows[-1].label == "frozen rms=0.5 hidden=4-2 seed=3" == runs[-1].run.label


def test_a_run_of_two_models_is_kept_once_and_listed_twice(
    store: Path, models: Path, make_runs: MakeRuns, train: Train
) -> None:
    runs = make_runs(seeds=1, models={"a": {"offset": "none"}, "b": {"offset": "none"}})
    train(store, runs)
    rows = export_runs(models, store, runs)
    assert [(row.model, row.id) for row in rows] == [("a", runs[0].id), ("b", runs[0].id)]
    assert len(names(runs_folder(models))) == 1


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("model,setting,seed,id\na,a,0,x\n", ": has no column 'status'"),
        ("model,seed,id,status\na,0,x,finished\n", ": has no column 'setting'"),
        ("model,setting,seed,id,status\na,a,zero,x,finished\n", ", row 1: invalid .*'zero'"),
        ("model,setting,seed,id,status\na,a,0,x\n", ", row 1: has 4 cells, expected 5"),
        ("model,setting,seed,id,status\na,a,0,x,finished,more\n", ", row 1: has 6 cells"),
        ('model,setting,seed,id,status\na,a,0,"x', ": is not a table: unexpected end"),
        ("model,setting,seed,id,status\n\xff", ": is not a table: .*utf-8"),
    ],
)
def test_a_damaged_index_is_one_line(models: Path, text: str, problem: str) -> None:
    models.mkdir()
    with pytest.raises(InputError, match=r"index\.csv: no such file \(run dvc repro\)"):
        read_index(models)
    (models / "index.csv").write_bytes(text.encode("latin-1"))
    with pytest.raises(InputError, match=rf"index\.csv{problem}.* \(run dvc repro\)"):
        read_index(models)


def test_what_killed_processes_left_is_swept(tmp_path: Path, write: Write) -> None:
    store, checkpoints = tmp_path / "store", tmp_path / "store" / ".checkpoints"
    run = write()
    checkpoints.mkdir()
    evaluations = store / ".evaluations"
    evaluations.mkdir()
    old, young, half, other, spent, gone, of_run = (
        store / ".run-old",
        store / ".run-young",
        checkpoints / ".x.npz.abc.tmp",
        checkpoints / "other.npz",
        checkpoints / f"{run.name}.npz",
        evaluations / "gone.npz",
        evaluations / f"{run.name}.npz",
    )
    for folder in (old, young):
        folder.mkdir()
    for file in (half, other, spent, gone, of_run):
        file.write_bytes(b"")
    two_days_ago = time.time() - 2 * 86_400
    for path in (old, half, other):
        os.utime(path, (two_days_ago, two_days_ago))
    clean(store)
    assert [path.exists() for path in (old, young, half, other, spent, gone, of_run)] == [
        False,
        True,
        False,
        True,
        False,
        False,
        True,
    ]
    assert is_valid(run)
    clean(tmp_path / "none")
