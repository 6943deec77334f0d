from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tests.prepared_data import digests_of

from offset_autoencoder.config import SPLITS, SplitName
from offset_autoencoder.config.offset_kinds import OFFSETS
from offset_autoencoder.data.prepared import PreparedData, PreparedSplit, Schema
from offset_autoencoder.errors import InputError
from offset_autoencoder.io import arrays
from offset_autoencoder.io.files import sha256_of_array
from offset_autoencoder.offsets.build import apply_offset, build_offset, compute_tables
from offset_autoencoder.offsets.kind import Float32, Vectors
from offset_autoencoder.offsets.table import load_table

SIZES: dict[SplitName, int] = {"train": 150, "validation": 11, "test": 40}
SOURCE = """
import numpy as np

def stateless(x, latent_dim, rng):
    return np.cos(x @ rng.standard_normal((x.shape[1], latent_dim)))

class Fitted:
    def fit(self, x_train, latent_dim, rng):
        weights = rng.random((x_train.shape[1], latent_dim))
        return {"mean": x_train.mean(axis=0), "weights": weights, "gain": 2.5}

    def apply(self, state, x):
        return (x - state["mean"]) @ state["weights"] * float(state["gain"])
"""
KINDS: list[dict[str, Any]] = [
    {"kind": "zero"},
    {"kind": "hash", "seed": 3},
    {"kind": "random_projection", "seed": 2},
    {"kind": "pca"},
    {"kind": "pca", "whiten": True},
    {"kind": "class_code", "code": "simplex"},
    {"kind": "class_code", "code": "one_hot"},
    {"kind": "class_code", "code": "hadamard"},
    {"kind": "kmeans", "n_clusters": 5},
    {"kind": "kmeans", "n_clusters": 5, "vectors": "pca"},
    {"kind": "interference"},
    {"kind": "interference", "signal": "constellation", "points": "qpsk"},
    {"kind": "function", "function": "mine_for_apply:stateless", "seed": 4},
    {"kind": "function", "function": "mine_for_apply:Fitted"},
]
every_kind = pytest.mark.parametrize(
    "keys", KINDS, ids=lambda keys: "-".join(map(str, keys.values()))
)


def prepared(seed: int = 0, *, labelled: bool = True) -> PreparedData:
    generator = np.random.default_rng(seed)
    ids = np.split(generator.permutation(sum(SIZES.values())), np.cumsum(list(SIZES.values())))
    splits = {
        split: PreparedSplit(
            x=generator.random((n, 12), dtype=np.float32),
            y=generator.integers(0, 4, n) if labelled else None,
            ids=np.sort(some),
        )
        for (split, n), some in zip(SIZES.items(), ids, strict=False)
    }
    schema = Schema(
        source="file",
        samples=SIZES,
        input_dim=12,
        image_shape=None,
        scale={"kind": "none"},
        range=None,
        classes=[1, 2, 3, 4] if labelled else None,
        ids="rows",
        digests=digests_of(splits),
    )
    return PreparedData(
        train=splits["train"], validation=splits["validation"], test=splits["test"], schema=schema
    )


def whole(table: Vectors) -> Float32:
    return np.concatenate(list(table.chunks()))


def offset(keys: dict[str, Any]) -> Any:
    return OFFSETS[keys["kind"]].model_validate(keys)


def build(root: Path, keys: dict[str, Any], data: PreparedData, *latent_dims: int) -> None:
    build_offset(root, "mine", offset(keys), data, latent_dims, root / "raw")


@pytest.fixture(autouse=True)
def _module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.syspath_prepend(str(tmp_path))
    (tmp_path / "mine_for_apply.py").write_text(SOURCE)
    yield
    sys.modules.pop("mine_for_apply", None)


@every_kind
def test_new_samples_get_what_the_table_holds(tmp_path: Path, keys: dict[str, Any]) -> None:
    data = prepared()
    build(tmp_path, keys, data, 8)
    table = load_table(tmp_path, "mine", 8)
    for split in SPLITS:
        samples = data.split(split)
        got = apply_offset(tmp_path / "mine", samples.x, samples.y, samples.ids)
        assert got.dtype == np.float32
        assert got.tobytes() == np.asarray(table.split(split)).tobytes()


@every_kind
def test_a_sample_alone_gets_the_same_vector(tmp_path: Path, keys: dict[str, Any]) -> None:
    data = prepared()
    build(tmp_path, keys, data, 8)
    table = load_table(tmp_path, "mine", 8)
    assert data.test.y is not None
    for row in (0, 39):
        one = slice(row, row + 1)
        alone = data.test.x[one], data.test.y[one], data.test.ids[one]
        got = apply_offset(tmp_path / "mine", *alone)
        # A user's float32 matrix product rounds otherwise for one row than for many.
        np.testing.assert_allclose(got, table.test[one], rtol=1e-5, atol=1e-6)


@every_kind
def test_only_the_training_split_is_learned_from(tmp_path: Path, keys: dict[str, Any]) -> None:
    data = prepared()
    other = prepared(seed=1)
    changed = PreparedData(data.train, other.validation, other.test, data.schema)
    first, tables = compute_tables("mine", offset(keys), data, 8, tmp_path)
    second, others = compute_tables("mine", offset(keys), changed, 8, tmp_path)
    assert first.keys() == second.keys()
    for key, array in first.items():
        assert array.tobytes() == second[key].tobytes()
    assert np.array_equal(whole(tables["train"]), whole(others["train"]))


@pytest.mark.parametrize("keys", KINDS[2:5] + KINDS[8:10] + KINDS[-1:])
def test_fitted_kinds_do_learn_from_the_training_split(
    tmp_path: Path, keys: dict[str, Any]
) -> None:
    data = prepared()
    changed = PreparedData(prepared(seed=1).train, data.validation, data.test, data.schema)
    _, tables = compute_tables("mine", offset(keys), data, 8, tmp_path)
    _, others = compute_tables("mine", offset(keys), changed, 8, tmp_path)
    assert not np.array_equal(whole(tables["test"]), whole(others["test"]))


@every_kind
def test_built_twice_the_files_are_identical(tmp_path: Path, keys: dict[str, Any]) -> None:
    contents = []
    for _ in range(2):
        build(tmp_path, keys, prepared(), 8, 4)
        files = sorted((tmp_path / "mine").rglob("*.*"))
        assert len(files) == 10
        contents.append([(file, file.read_bytes()) for file in files])
    assert contents[0] == contents[1]


@every_kind
def test_chunks_of_rows_do_not_show(
    tmp_path: Path, keys: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    build(tmp_path / "whole", keys, prepared(), 8)
    whole = load_table(tmp_path / "whole", "mine", 8)
    monkeypatch.setattr(arrays, "CHUNK_VALUES", 12 * 17)  # train is 9 chunks
    build(tmp_path / "parts", keys, prepared(), 8)
    parts = load_table(tmp_path / "parts", "mine", 8)
    for split in SPLITS:
        got, expected = parts.split(split), whole.split(split)
        if keys["kind"] == "kmeans":  # starts from a part of the samples: another local optimum
            assert len(np.unique(got, axis=0)) <= 5
            assert got.shape == expected.shape
        else:
            np.testing.assert_allclose(got, expected, rtol=1e-4, atol=1e-6)
        assert parts.digests[split] == sha256_of_array(got)
    table = np.asarray(parts.train, dtype=np.float64)
    assert parts.rms == pytest.approx(np.sqrt(np.mean(table**2)), rel=1e-12)
    largest = max(float(np.abs(parts.split(split)).max()) for split in SPLITS)
    assert parts.info["largest"] == largest


def test_what_is_wrong_in_a_later_chunk_is_named_by_its_row(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = prepared()
    assert data.test.y is not None
    data.test.y[33] = 7
    monkeypatch.setattr(arrays, "CHUNK_VALUES", 12 * 17)
    with pytest.raises(InputError, match=r"y\[33\] is 7, no class index from 0 to 3"):
        build(tmp_path, {"kind": "class_code"}, data, 8)
    x = np.ones((sum(SIZES.values()), 8))
    x[161, 3] = np.inf
    (tmp_path / "raw").mkdir()
    np.save(tmp_path / "raw" / "t.npy", x)
    with pytest.raises(InputError, match=r"t\.npy, row 161, column 3: inf is not a finite"):
        build(tmp_path, {"kind": "file", "path": "t.npy"}, data, 8)
    source = "def f(x, latent_dim, rng): return np.where(x[:, :8] == 0.5, np.nan, x[:, :8])"
    (tmp_path / "mine_for_apply.py").write_text(f"import numpy as np\n{source}")
    data.train.x[70, 2] = 0.5
    with pytest.raises(InputError, match="returned: row 70, column 2 is nan"):
        build(tmp_path, {"kind": "function", "function": "mine_for_apply:f"}, data, 8)
    assert not list(tmp_path.glob("mine"))


def test_a_table_by_id_is_put_in_order_on_disk(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = prepared()
    (tmp_path / "raw").mkdir()
    ids = np.random.default_rng(3).permutation(sum(SIZES.values()))
    np.savez(tmp_path / "raw" / "t.npz", x=ids[:, None] + np.arange(8) / 8, i=ids)
    monkeypatch.setattr(arrays, "CHUNK_VALUES", 8 * 17)
    build(tmp_path, {"kind": "file", "path": "t.npz", "id": "i"}, data, 8)
    table = load_table(tmp_path, "mine", 8)
    for split in SPLITS:
        expected = data.split(split).ids[:, None] + np.arange(8) / 8
        np.testing.assert_array_equal(table.split(split), expected.astype(np.float32))


def test_table_of_known_vectors_cannot_be_applied(tmp_path: Path) -> None:
    (tmp_path / "raw").mkdir()
    np.save(tmp_path / "raw" / "t.npy", np.ones((sum(SIZES.values()), 8)))
    data = prepared()
    build(tmp_path, {"kind": "file", "path": "t.npy"}, data, 8)
    assert (load_table(tmp_path, "mine", 8).train == 1).all()
    with pytest.raises(InputError, match=r"kind file is a table .*nothing computes f\(x\)"):
        apply_offset(tmp_path / "mine", data.test.x)


def test_several_latent_dims_ask_for_one(tmp_path: Path) -> None:
    build(tmp_path, {"kind": "hash"}, prepared(), 4, 8)
    with pytest.raises(InputError, match="take one of latent_dim_4, latent_dim_8"):
        apply_offset(tmp_path / "mine", prepared().test.x)
    assert apply_offset(tmp_path / "mine" / "latent_dim_4", prepared().test.x).shape == (40, 4)


@pytest.mark.parametrize(
    ("x", "y", "expected"),
    [
        (np.zeros((2, 11)), None, r"x: must have shape \(n, 12\), it has \(2, 11\)"),
        (np.zeros(12), None, r"x: must have shape \(n, 12\), it has \(12,\)"),
        (np.full((2, 12), np.nan), None, "x: row 0, column 0 is nan"),
        (np.full((2, 12), 1e300), None, "x: row 0, column 0 is inf"),
        (np.zeros((2, 12)).astype(str), None, "x: must hold real numbers"),
        ([[1, 2], [3]], None, "x: is not an array"),
        (np.zeros((2, 12)), [0], r"y: must be 2 class indices, .*int64 \(1,\)"),
        (np.zeros((2, 12)), [0.0, 1.0], "y: must be 2 class indices"),
        (np.zeros((2, 12)), [0, 4], r"y\[1\] is 4, no class index from 0 to 3"),
        (np.zeros((2, 12)), None, "needs labels"),
    ],
)
def test_samples_that_do_not_suit(tmp_path: Path, x: Any, y: Any, expected: str) -> None:
    build(tmp_path, {"kind": "class_code"}, prepared(), 8)
    with pytest.raises(InputError, match=expected):
        apply_offset(tmp_path / "mine", x, y)


@pytest.mark.parametrize(
    ("ids", "expected"),
    [
        (None, "mine: kind interference goes by the sample's id"),
        ([1], r"ids: must be 2 whole numbers or texts, they are int64 \(1,\)"),
        ([0.5, 1.0], "ids: must be 2 whole numbers or texts, they are float64"),
        (np.array([1, 2**63], np.uint64), r"ids: must be below 2\*\*63"),
    ],
)
def test_ids_that_do_not_suit(tmp_path: Path, ids: Any, expected: str) -> None:
    build(tmp_path, {"kind": "interference"}, prepared(), 8)
    with pytest.raises(InputError, match=expected):
        apply_offset(tmp_path / "mine", np.zeros((2, 12)), ids=ids)


def test_folder_without_a_table_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"absent/offset.json: no such file"):
        apply_offset(tmp_path / "absent", np.zeros((1, 2)))


def test_a_failure_leaves_what_stood_there(tmp_path: Path) -> None:
    build(tmp_path, {"kind": "hash"}, prepared(), 8)
    before = {file: file.read_bytes() for file in (tmp_path / "mine").iterdir()}
    with pytest.raises(InputError):
        build(tmp_path, {"kind": "pca"}, prepared(), 8, 100)
    assert {file: file.read_bytes() for file in (tmp_path / "mine").iterdir()} == before
    assert not list(tmp_path.glob(".mine*"))
