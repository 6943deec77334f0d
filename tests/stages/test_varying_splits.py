"""A split for the runs of each seed, as ``prepare`` writes it, and what it leaves alone."""

from __future__ import annotations

import hashlib
import json
import re
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import yaml

from offset_autoencoder.config import SPLITS
from offset_autoencoder.data.prepared import PreparedData, load_prepared, load_scale
from offset_autoencoder.data.varying import load_splits
from offset_autoencoder.errors import InputError
from offset_autoencoder.io import arrays
from offset_autoencoder.io.files import sha256_of_array
from offset_autoencoder.stages.prepare import main

MSE = {"loss": "mean_squared_error", "output": "linear"}
PREPARED = Path("data/prepared")
BEFORE_SPLITS_COULD_VARY = {
    "train": "e8819c79a5912d7a81fb3bab6b80126e03521d44c7609566235657b67c580784",
    "validation": "cf6ed5d097feab97f22b0048404cc6b214a54055b880e509dca889485ab4e782",
    "test": "f99f785d3b5d64518d9dbe84e1a4baab7d0eca51a7c1c7bb81d3073ba29d0604",
}


@pytest.fixture(autouse=True)
def _project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "data" / "raw").mkdir(parents=True)


def prepare(**sections: Any) -> None:
    document: dict[str, Any] = {
        "seeds": 3,
        "data": {"source": "digits"},
        "split": {},
        "offsets": {"none": {"kind": "zero"}},
        "network": {"latent_dim": 2, **MSE},
        "train": {},
        "models": {"none": {"offset": "none"}},
        "evaluate": {"baselines": ["none"]},
        "tracking": {},
    }
    Path("params.yaml").write_text(yaml.safe_dump({**document, **sections}))
    main()


def table(samples: int = 90) -> pd.DataFrame:
    """A file whose ids are text, in no order."""
    rng = np.random.default_rng(0)
    frame = pd.DataFrame(rng.normal(size=(samples, 3)) * [1, 5, 0.1], columns=["u", "v", "w"])
    frame["kind"] = np.array(["cat", "dog", "emu"])[np.arange(samples) % 3]
    frame["name"] = [f"s{i:03}" for i in rng.permutation(samples)]
    frame.to_csv("data/raw/x.csv", index=False)
    return frame.set_index("name")


def from_table(scale: str) -> dict[str, Any]:
    return {"source": "file", "path": "x.csv", "label": "kind", "id": "name", "scale": scale}


def assert_same(data: PreparedData, other: PreparedData) -> None:
    for name in SPLITS:
        own, others = data.split(name), other.split(name)
        for part in ("x", "y", "ids"):
            np.testing.assert_array_equal(getattr(own, part), getattr(others, part))
            assert getattr(own, part).dtype == getattr(others, part).dtype
        assert own.x.flags.c_contiguous
    assert data.schema == other.schema


def test_each_seed_has_the_split_of_its_hashes() -> None:
    frame = table()
    prepare(data=from_table("unit"), split={"stratify": False, "seed": 5})
    for seed in range(3):
        digests = {i: hashlib.sha256(f"5:{seed}:{i}".encode()).digest() for i in frame.index}
        order = sorted(digests, key=digests.__getitem__)
        data = load_splits().of(seed)
        assert list(data.validation.ids) == sorted(order[:14])
        assert list(data.test.ids) == sorted(order[14:32])
        assert list(data.train.ids) == sorted(order[32:])


@pytest.mark.parametrize("scale", ["none", "unit", "minmax", "standard"])
def test_a_scale_is_fitted_on_the_seeds_own_training_rows(scale: str) -> None:
    frame = table()
    prepare(data=from_table(scale))
    splits = load_splits()
    for seed in range(3):
        data = splits.of(seed)
        train = frame.loc[data.train.ids, ["u", "v", "w"]].to_numpy()
        shift, factor = {
            "none": (0, 1),
            "unit": (0, 1 / frame[["u", "v", "w"]].abs().to_numpy().max()),  # one for all seeds
            "minmax": (train.min(axis=0), 1 / np.ptp(train, axis=0)),
            "standard": (train.mean(axis=0), 1 / train.std(axis=0)),
        }[scale]
        for name in SPLITS:
            split = data.split(name)
            raw = frame.loc[split.ids, ["u", "v", "w"]].to_numpy()
            np.testing.assert_allclose(split.x, (raw - shift) * factor, rtol=1e-5, atol=1e-6)
            kinds = np.array(data.schema.classes)[split.y]
            np.testing.assert_array_equal(kinds, frame.loc[split.ids, "kind"])
        stored = load_scale(splits.folder_of(seed))
        for ours, theirs in zip((shift, factor), stored[:2], strict=True):
            np.testing.assert_allclose(theirs, np.broadcast_to(ours, theirs.shape), atol=1e-12)


def test_what_can_be_had_by_index_is_not_copied() -> None:
    table()
    prepare(data=from_table("none"))
    assert not list(PREPARED.glob("splits/*/*/x.npy"))
    assert len(list(PREPARED.glob("splits/*/*/rows.npy"))) == 6
    prepare(data=from_table("standard"))
    assert len(list(PREPARED.glob("splits/*/*/x.npy"))) == 6


@pytest.mark.parametrize("scale", ["none", "minmax"])
def test_a_split_does_not_depend_on_the_other_seeds_nor_on_how_it_is_kept(scale: str) -> None:
    table()
    prepare(data=from_table(scale), seeds=[4, 2, 9])
    shutil.copytree(PREPARED, "before")
    before = {seed: load_splits("before").of(seed) for seed in (4, 2, 9)}
    prepare(data=from_table(scale), seeds=[2, 7, 9, 4, 0])
    splits = load_splits()
    assert splits.seeds == (2, 7, 9, 4, 0)
    for seed, data in before.items():
        assert_same(splits.of(seed), data)
        assert splits.schema(seed).digests == data.schema.digests
    assert_same(load_prepared(), before[2])  # the folder holds the first one's


def test_the_digests_are_those_of_the_arrays() -> None:
    table()
    for scale in ("unit", "standard"):
        prepare(data=from_table(scale))
        for seed in range(3):
            data = load_splits().of(seed)
            for name in SPLITS:
                for part in ("x", "y", "ids"):
                    digest = sha256_of_array(getattr(data.split(name), part))
                    assert data.schema.digests[name][part] == digest


def test_larger_than_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    table()
    prepare(data=from_table("unit"))
    shutil.copytree(PREPARED, "before")
    expected = {seed: load_splits("before").of(seed) for seed in range(3)}
    monkeypatch.setattr(arrays, "CHUNK_VALUES", 16)
    prepare(data=from_table("unit"))
    for seed, data in expected.items():
        opened = load_splits().of(seed)
        assert_same(opened, data)
        assert isinstance(opened.train.x, np.memmap)


def test_one_split_for_all_where_the_data_bring_a_test_split() -> None:
    splits = np.array(["train"] * 14 + ["validation"] * 3 + ["test"] * 3)
    np.savez("data/raw/x.npz", x=np.linspace(0, 1, 40).reshape(20, 2), part=splits)
    data = {"source": "file", "path": "x.npz", "split": "part"}
    prepare(data=data)
    assert not load_splits().varies
    assert load_splits().of(17).schema.samples["test"] == 3
    with pytest.raises(InputError, match=r"split\.vary: is true, but the data bring a test split"):
        prepare(data=data, split={"vary": True})
    prepare(data=data, split={"vary": False})
    splits[splits == "test"] = "train"
    np.savez("data/raw/x.npz", x=np.linspace(0, 1, 40).reshape(20, 2), part=splits)
    prepare(data=data)  # its validation split is all seeds'
    ids = [tuple(load_splits().of(seed).validation.ids) for seed in range(3)]
    assert set(ids) == {(14, 15, 16)}
    assert len({tuple(load_splits().of(seed).test.ids) for seed in range(3)}) > 1


def test_one_split_for_all_where_training_samples_exceed_the_memory_limit(
    capsys: pytest.CaptureFixture[str],
) -> None:
    np.save("data/raw/x.npy", np.random.default_rng(0).random((1000, 500), dtype=np.float32))
    data = {"source": "file", "path": "x.npy"}
    prepare(data=data, train={"memory_limit": "1.2 MB"})
    assert not load_splits().varies
    assert "one split for all seeds as train.memory_limit is below" in capsys.readouterr().out
    assert not (PREPARED / "splits.json").exists()
    prepare(data=data, train={"memory_limit": "1.2 MB"}, split={"vary": True})
    assert load_splits().varies
    prepare(data=data, train={"memory_limit": "1.4 MB"})
    assert load_splits().varies


def test_without_varying_no_file_is_another() -> None:
    prepare(split={"vary": False}, seeds=1)
    before = {p: p.read_bytes() for p in PREPARED.rglob("*") if p.is_file()}
    assert {path.name for path in PREPARED.iterdir()} == {
        *("train", "validation", "test", "schema.json", "scale.npz", "latent_dims.json")
    }
    prepare(split={"vary": False}, seeds=20)
    assert {p: p.read_bytes() for p in PREPARED.rglob("*") if p.is_file()} == before
    digests = json.loads((PREPARED / "schema.json").read_text())["digests"]
    assert {name: digests[name]["x"] for name in SPLITS} == BEFORE_SPLITS_COULD_VARY


def test_what_is_wrong_names_the_split() -> None:
    x = np.random.default_rng(0).random((60, 3))
    x[:, 2] = 0.5
    x[7, 2] = 0.6  # constant in the training split of whichever seed holds row 7 out
    np.save("data/raw/x.npy", x)
    data = {"source": "file", "path": "x.npy", "scale": "standard", "constant": "error"}
    prepare(data={**data, "scale": "unit"}, seeds=12)
    out = [s for s in range(12) if 7 not in load_splits().of(s).train.ids]
    assert out
    with pytest.raises(InputError, match=rf"column 2 is 0\.5 .* in the split of seed {out[0]} \("):
        prepare(data=data, seeds=12)
    inside = [seed for seed in range(12) if seed not in out]
    prepare(data=data, seeds=inside)
    with pytest.raises(InputError, match=rf"in the split of seed {out[-1]} \("):
        prepare(data=data, seeds=[*inside, out[-1]])


def test_values_that_a_loss_cannot_take_name_the_split() -> None:
    x = np.random.default_rng(0).integers(0, 3, (60, 3)) / 2
    x[7, 2] = 9  # beyond 1 where it is not in the training split that minmax is fitted on
    np.save("data/raw/x.npy", x)
    data = {"source": "file", "path": "x.npy", "scale": "minmax"}
    prepare(data=data, seeds=12)
    out = next(seed for seed in range(1, 12) if 7 not in load_splits().of(seed).train.ids)
    inside = [seed for seed in range(12) if 7 in load_splits().of(seed).train.ids]
    network = {"latent_dim": 2}
    prepare(data=data, seeds=inside, network=network)
    assert load_splits().schema(inside[-1]).range == [0, 1]
    message = (
        rf"x\.npy, row 7, column 2: 9 in the \w+ split of seed {out}, scaled by .*minmax, is out"
    )
    with pytest.raises(InputError, match=message):
        prepare(data=data, seeds=[*inside, out], network=network)
    outside = [seed for seed in range(12) if seed not in inside]
    message = (
        rf"in all {len(outside)} values are: .* in the splits of {len(outside)} of 12 seeds: "
        rf"{outside[0]}.*, of column 2 \(set data\.clip: true, or data\.scale: unit, or network"
    )
    with pytest.raises(InputError, match=message):
        prepare(data=data, seeds=12, network=network)
    for way_out in ({"clip": True}, {"scale": "unit"}):
        prepare(data={**data, **way_out}, seeds=12, network=network)
        assert load_splits().schema(out).range == [0, 1]
    prepare(data=data, seeds=[*inside, out])
    # What is known of values is known of all splits, so that every run has the same metrics.
    assert [load_splits().schema(seed).range for seed in (inside[0], inside[1], out)] == [None] * 3
    assert load_splits().value_range == (0.0, 9.0)


def test_constant_features_are_left_out_for_all_seeds() -> None:
    x = np.random.default_rng(0).random((60, 4))
    x[:, 2] = 0.5
    x[7, 2] = 0.6  # constant in the training split of whichever seed holds row 7 out
    x[:, 0] = 3
    np.save("data/raw/x.npy", x)
    data = {"source": "file", "path": "x.npy", "constant": "drop"}
    for scale in ("none", "unit", "minmax", "standard"):
        prepare(data={**data, "scale": scale}, seeds=12)
        schemas = [load_splits().schema(seed) for seed in range(12)]
        assert {schema.input_dim for schema in schemas} == {2}
        assert {schema.scale["kind"] for schema in schemas} == {scale}
        assert schemas[5].preprocessing.kept == [1, 3]
    inside = [s for s in range(12) if 7 in load_splits().of(s).train.ids]
    prepare(data=data, seeds=inside)
    assert load_prepared().schema.preprocessing.kept == [1, 2, 3]
    np.testing.assert_array_equal(load_prepared().train.x[:, 0] > 0, True)
    np.save("data/raw/x.npy", np.ones((30, 2)))
    with pytest.raises(InputError, match="every feature is constant: none would be left"):
        prepare(data=data)
    np.save("data/raw/x.npy", x.reshape(60, 2, 2))
    with pytest.raises(InputError, match=r"of shape \[2, 2\] \(set data\.constant: zero\)"):
        prepare(data=data)
    prepare(data={**data, "constant": "zero", "scale": "standard"}, seeds=12)


def test_samples_that_stand_twice_are_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    x = np.random.default_rng(0).random((40, 3))
    x[20:] = x[:20]
    np.save("data/raw/x.npy", x)
    prepare(data={"source": "file", "path": "x.npy"})
    _, warning, _ = capsys.readouterr().out.splitlines()
    assert warning.startswith("warning: samples that also stand in an earlier split: up to ")


def test_damaged_files_are_named() -> None:
    prepare()
    splits = load_splits()
    named = r"splits\.json: names no split of seed 5 \(run dvc repro\)"
    with pytest.raises(InputError, match=named):
        splits.of(5)
    path = PREPARED / "splits" / "1" / "test" / "rows.npy"
    rows = np.load(path)
    for damaged in (rows + 2000, rows[:-1], rows * 1.0, rows[::-1], np.r_[rows[0] + 1, rows[1:]]):
        np.save(path, damaged)
        with pytest.raises(InputError, match=r"rows\.npy: is damaged: .*\(run dvc repro --force p"):
            splits.of(1)
    path.unlink()
    with pytest.raises(InputError, match=r"rows\.npy: no such file"):
        splits.of(1)
    shutil.rmtree(PREPARED / "splits")  # as of a single seed
    (PREPARED / "splits.json").unlink()  # else the first split would stand for all
    with pytest.raises(InputError, match=r"splits\.json: no such file, though there are splits"):
        load_splits()
    (PREPARED / "splits.json").write_text('{"seeds": []}')
    with pytest.raises(InputError, match=r"splits\.json: is damaged"):
        load_splits()


def subjects(samples: int = 90) -> pd.DataFrame:
    """:func:`table` with a subject of 1 to 9 rows each, and a day."""
    frame = table(samples).reset_index()
    frame["subject"] = np.repeat(np.arange(samples), np.arange(samples) % 9 + 1)[:samples]
    frame["day"] = pd.Timestamp("2024-01-01") + pd.to_timedelta(np.arange(samples) // 4, unit="D")
    frame.to_csv("data/raw/x.csv", index=False)
    return frame.set_index("name")


DAYS_APART = {"features": ["u", "v", "w"]}


def test_groups_are_whole_in_the_split_of_every_seed(capsys: pytest.CaptureFixture[str]) -> None:
    frame = subjects()
    data = from_table("standard") | DAYS_APART
    prepare(data=data, split={"group": "subject"}, seeds=[4, 2, 9])
    said = capsys.readouterr().out
    assert f", {frame.subject.nunique()} groups (subject) kept whole, classes shared" in said
    assert "kept whole, classes shared out as evenly as they allow, each of 3 seeds with" in said
    assert re.search(r"train \d+ to \d+ / validation \d+ to \d+ / test \d+ to \d+, 3 cl", said)
    assert "warning" not in said
    splits = load_splits()
    tests = []
    for seed in (4, 2, 9):
        data_of_seed = splits.of(seed)
        of = {name: set(frame.loc[data_of_seed.split(name).ids].subject) for name in SPLITS}
        assert sum(map(len, of.values())) == frame.subject.nunique()
        assert sum(len(data_of_seed.split(name).ids) for name in SPLITS) == 90
        train = frame.loc[data_of_seed.train.ids, ["u", "v", "w"]].to_numpy()
        np.testing.assert_allclose(load_scale(splits.folder_of(seed))[0], train.mean(axis=0))
        tests.append(tuple(sorted(of["test"])))
    assert len(set(tests)) == 3
    shutil.copytree(PREPARED, "before")
    prepare(data=data, split={"group": "subject"}, seeds=[2, 7])
    assert_same(load_splits().of(2), load_splits("before").of(2))


def test_in_time_there_is_one_split(capsys: pytest.CaptureFixture[str]) -> None:
    frame = subjects()
    data = from_table("unit") | DAYS_APART
    prepare(data=data, split={"order": "day"})
    said = capsys.readouterr().out
    assert "3 classes, one split in the order of day, not stratified\n" in said
    assert not load_splits().varies
    days = [frame.loc[load_prepared().split(name).ids].day for name in SPLITS]
    assert days[0].max() < days[1].min() <= days[1].max() < days[2].min()
    with pytest.raises(InputError, match=r"split\.vary: vary: true and order exclude each other"):
        prepare(data=data, split={"order": "day", "vary": True})
    with pytest.raises(InputError, match=r"split\.order: order and group exclude each other"):
        prepare(data=data, split={"order": "day", "group": "subject"})


def test_groups_and_times_that_given_splits_part_are_counted(
    capsys: pytest.CaptureFixture[str],
) -> None:
    frame = subjects()
    frame["part"] = np.where(np.arange(90) % 3 == 0, "test", "train")
    frame.to_csv("data/raw/x.csv")
    data = from_table("standard") | DAYS_APART | {"split": "part"}
    prepare(data=data, split={"group": "subject"})
    both = {s for s, g in frame.groupby("subject") if g.part.nunique() == 2}
    of_test = frame[frame.part == "test"].subject.nunique()
    said = capsys.readouterr().out.splitlines()
    line = "warning: groups (subject) that also stand in an earlier split: "
    assert said[1:-1] == [f"{line}{len(both)} of {of_test} in test"]
    prepare(data=data, split={"order": "day"})
    said = capsys.readouterr().out.splitlines()
    validation = load_prepared().validation.ids
    late = (frame.loc[validation].day >= frame[frame.part == "test"].day.min()).sum()
    line = "warning: samples of validation that do not lie before test in day: "
    assert said[1:-1] == [f"{line}{late} of {len(validation)}"]
