from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tests.offsets.small_data import SIZES, build, prepared

from offset_autoencoder.config import SPLITS
from offset_autoencoder.errors import InputError
from offset_autoencoder.io import arrays
from offset_autoencoder.offsets.kind import apply_offset, find_kind


@pytest.fixture(autouse=True)
def _module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.syspath_prepend(str(tmp_path))
    yield
    sys.modules.pop("mine_for_apply", None)


@pytest.mark.filterwarnings("ignore:overflow")
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
    data.test.x[35] = 3e38
    with pytest.raises(InputError, match=r"mine, test split: row 35, column \d is -?inf, a finite"):
        build(tmp_path, {"kind": "random_projection"}, data, 8)
    assert not list(tmp_path.glob("mine"))


def test_a_table_by_id_is_put_in_order_on_disk(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = prepared()
    (tmp_path / "raw").mkdir()
    ids = np.random.default_rng(3).permutation(sum(SIZES.values()))
    np.savez(tmp_path / "raw" / "t.npz", x=ids[:, None] + np.arange(8) / 8, i=ids)
    monkeypatch.setattr(arrays, "CHUNK_VALUES", 8 * 17)
    table = build(tmp_path, {"kind": "file", "path": "t.npz", "id": "i"}, data, 8)
    for split in SPLITS:
        expected = data.split(split).ids[:, None] + np.arange(8) / 8
        np.testing.assert_array_equal(table.split(split), expected.astype(np.float32))


def test_table_of_known_vectors_cannot_be_applied(tmp_path: Path) -> None:
    (tmp_path / "raw").mkdir()
    np.save(tmp_path / "raw" / "t.npy", np.ones((sum(SIZES.values()), 8)))
    data = prepared()
    assert (build(tmp_path, {"kind": "file", "path": "t.npy"}, data, 8).train == 1).all()
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
        (np.full((2, 12), 1e300), None, "x, as float32: row 0, column 0 is inf"),
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
        ([1], r"ids: has shape \(1,\), expected \(2,\), one per sample"),
        ([0.5, 1.0], "ids: must be whole numbers or text, its dtype is float64"),
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


def test_unknown_kind_names_the_nearest() -> None:
    with pytest.raises(InputError, match=r"offsets.mine: unknown kind 'hsh' .*'hash'"):
        find_kind("offsets.mine", "hsh")
