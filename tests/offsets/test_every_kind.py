"""Suite that every kind of offset must pass."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tests.folders import contents
from tests.offsets.small_data import SIZES, build, offset, prepared

from offset_autoencoder.config import SPLITS
from offset_autoencoder.config.offset_kinds import OFFSETS
from offset_autoencoder.data.prepared import PreparedData
from offset_autoencoder.io import arrays
from offset_autoencoder.io.files import sha256_of_array
from offset_autoencoder.offsets.kind import apply_offset, compute_vectors
from offset_autoencoder.offsets.table import OffsetTable

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
Built = Callable[[dict[str, Any]], tuple[Path, OffsetTable]]


def label(keys: dict[str, Any]) -> str:
    return "-".join(map(str, keys.values()))


every_kind = pytest.mark.parametrize("keys", KINDS, ids=label)


def write_raw(root: Path) -> None:
    (root / "raw").mkdir(parents=True)
    np.save(root / "raw" / "t.npy", np.random.default_rng(0).random((sum(SIZES.values()), 8)))


@pytest.fixture(autouse=True)
def _module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.syspath_prepend(str(tmp_path))
    (tmp_path / "mine_for_apply.py").write_text(SOURCE)
    write_raw(tmp_path)
    yield
    sys.modules.pop("mine_for_apply", None)


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Built:
    """Folder and table of a kind at latent dim 8, built when first asked for."""
    found: dict[str, tuple[Path, OffsetTable]] = {}

    def of(keys: dict[str, Any]) -> tuple[Path, OffsetTable]:
        if label(keys) not in found:
            root = tmp_path_factory.mktemp("built") / "root"
            write_raw(root)
            found[label(keys)] = root / "mine", build(root, keys, prepared(), 8)
        return found[label(keys)]

    return of


def test_no_kind_is_left_out() -> None:
    assert {keys["kind"] for keys in [*KINDS, FILE]} == set(OFFSETS)


@every_kind
def test_new_samples_get_what_the_table_holds_together_and_alone(
    built: Built, keys: dict[str, Any]
) -> None:
    data, (folder, table) = prepared(), built(keys)
    for split in SPLITS:
        samples = data.split(split)
        got = apply_offset(folder, samples.x, samples.y, samples.ids)
        assert got.dtype == np.float32
        assert got.tobytes() == np.asarray(table.split(split)).tobytes()
    assert data.test.y is not None
    for row in (0, 39):
        one = slice(row, row + 1)
        got = apply_offset(folder, data.test.x[one], data.test.y[one], data.test.ids[one])
        # A user's float32 matrix product rounds otherwise for one row than for many.
        np.testing.assert_allclose(got, table.test[one], rtol=1e-5, atol=1e-6)


@every_kind
def test_only_the_training_split_is_learned_from(
    built: Built, tmp_path: Path, keys: dict[str, Any]
) -> None:
    data, other, (folder, table) = prepared(), prepared(seed=1), built(keys)
    changed = PreparedData(data.train, other.validation, other.test, data.schema)
    state, vectors = compute_vectors("mine", offset(keys), changed, 8, tmp_path)
    with np.load(folder / "state.npz") as first:
        assert {key: first[key].tobytes() for key in first} == {
            key: np.asarray(array).tobytes() for key, array in state.items()
        }
    assert np.array_equal(np.concatenate(list(vectors["train"])), table.train)


@pytest.mark.parametrize("keys", KINDS[2:5] + KINDS[8:10] + KINDS[13:])
def test_fitted_kinds_do_learn_from_the_training_split(
    built: Built, tmp_path: Path, keys: dict[str, Any]
) -> None:
    data = prepared()
    changed = PreparedData(prepared(seed=1).train, data.validation, data.test, data.schema)
    _, vectors = compute_vectors("mine", offset(keys), changed, 8, tmp_path)
    assert not np.array_equal(np.concatenate(list(vectors["test"])), built(keys)[1].test)


@pytest.mark.parametrize("keys", [*KINDS, FILE], ids=label)
def test_built_twice_the_files_are_identical(
    built: Built, tmp_path: Path, keys: dict[str, Any]
) -> None:
    build(tmp_path, keys, prepared(), 8)
    assert len(contents(tmp_path / "mine")) == 5
    assert contents(tmp_path / "mine") == contents(built(keys)[0])


@pytest.mark.parametrize("keys", [*KINDS, FILE], ids=label)
def test_chunks_of_rows_do_not_show(
    built: Built, tmp_path: Path, keys: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    _, whole = built(keys)
    monkeypatch.setattr(arrays, "CHUNK_VALUES", 12 * 17)  # train is 9 chunks
    parts = build(tmp_path, keys, prepared(), 8)
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
