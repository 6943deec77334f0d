"""Suite that every kind of offset must pass."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tests.offsets.small_data import SIZES, build, offset, prepared

from offset_autoencoder.config import SPLITS, SplitName
from offset_autoencoder.config.offset_kinds import OFFSETS
from offset_autoencoder.data.prepared import PreparedData
from offset_autoencoder.io import arrays
from offset_autoencoder.io.files import sha256_of_array
from offset_autoencoder.offsets.kind import Float32, State, apply_offset, compute_vectors
from offset_autoencoder.offsets.table import load_table

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
    {"kind": "encoder", "hidden": [8], "epochs": 1},
    {"kind": "adversarial", "hidden": [8], "epochs": 1, "steps": 5},
]
FILE = {"kind": "file", "path": "t.npy"}
Tables = dict[SplitName, Float32]


def label(keys: dict[str, Any]) -> str:
    return "-".join(map(str, keys.values()))


every_kind = pytest.mark.parametrize("keys", KINDS, ids=label)


def computed(keys: dict[str, Any], data: PreparedData, raw: Path) -> tuple[State, Tables]:
    """State and vectors of each split, at latent dim 8."""
    state, vectors = compute_vectors("mine", offset(keys), data, 8, raw)
    return state, {split: np.concatenate(list(vectors[split])) for split in SPLITS}


@pytest.fixture(autouse=True)
def _module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.syspath_prepend(str(tmp_path))
    (tmp_path / "mine_for_apply.py").write_text(SOURCE)
    for raw in (tmp_path / "raw", tmp_path / "whole" / "raw", tmp_path / "parts" / "raw"):
        raw.mkdir(parents=True)
        np.save(raw / "t.npy", np.random.default_rng(0).random((sum(SIZES.values()), 8)))
    yield
    sys.modules.pop("mine_for_apply", None)


def test_no_kind_is_left_out() -> None:
    assert {keys["kind"] for keys in [*KINDS, FILE]} == set(OFFSETS)


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
    first, tables = computed(keys, data, tmp_path)
    second, others = computed(keys, changed, tmp_path)
    assert first.keys() == second.keys()
    for key, array in first.items():
        assert array.tobytes() == second[key].tobytes()
    assert np.array_equal(tables["train"], others["train"])


@pytest.mark.parametrize("keys", KINDS[2:5] + KINDS[8:10] + KINDS[13:])
def test_fitted_kinds_do_learn_from_the_training_split(
    tmp_path: Path, keys: dict[str, Any]
) -> None:
    data = prepared()
    changed = PreparedData(prepared(seed=1).train, data.validation, data.test, data.schema)
    tables, others = (computed(keys, each, tmp_path)[1] for each in (data, changed))
    assert not np.array_equal(tables["test"], others["test"])


@pytest.mark.parametrize("keys", [*KINDS, FILE], ids=label)
def test_built_twice_the_files_are_identical(tmp_path: Path, keys: dict[str, Any]) -> None:
    contents = []
    for _ in range(2):
        latent_dims = (8,) if keys is FILE else (8, 4)
        build(tmp_path, keys, prepared(), *latent_dims)
        files = sorted((tmp_path / "mine").rglob("*.*"))
        assert len(files) == 5 * len(latent_dims)
        contents.append([(file, file.read_bytes()) for file in files])
    assert contents[0] == contents[1]


@pytest.mark.parametrize("keys", [*KINDS, FILE], ids=label)
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
