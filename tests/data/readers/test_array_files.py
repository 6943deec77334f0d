"""npy, npz and idx files."""

import gzip
import pickle
import struct
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy import sparse

from offset_autoencoder.data.readers.array_files import read_idx, read_npz_table
from offset_autoencoder.data.readers.base import ColumnRoles
from offset_autoencoder.errors import InputError
from offset_autoencoder.io.files import open_npy

X = np.arange(60.0).reshape(20, 3)


class Bomb:
    def __reduce__(self) -> tuple[object, tuple[str]]:
        return (pytest.fail, ("a pickle was loaded",))


def test_npy_is_mapped(tmp_path: Path) -> None:
    np.save(tmp_path / "x.npy", X)
    array = open_npy(tmp_path / "x.npy")
    assert isinstance(array, np.memmap)
    np.testing.assert_array_equal(array, X)


@pytest.mark.parametrize("kept", [0, 3, 7, 50, 200, -1])
def test_truncated_npy(tmp_path: Path, kept: int) -> None:
    np.save(tmp_path / "x.npy", X)
    content = (tmp_path / "x.npy").read_bytes()
    (tmp_path / "x.npy").write_bytes(content[:kept])
    with pytest.raises(InputError, match=r"x\.npy: is damaged or truncated"):
        open_npy(tmp_path / "x.npy")


def test_objects_and_pickles_are_never_loaded(tmp_path: Path) -> None:
    objects = np.array([[Bomb(), 1]], dtype=object)
    np.save(tmp_path / "objects.npy", objects, allow_pickle=True)
    (tmp_path / "pickle.npy").write_bytes(pickle.dumps(Bomb()))
    (tmp_path / "pickle.npz").write_bytes(pickle.dumps(Bomb()))
    np.savez(tmp_path / "objects.npz", x=objects)
    for name in ("objects.npy", "pickle.npy"):
        with pytest.raises(InputError, match="pickled Python objects, which are never loaded"):
            open_npy(tmp_path / name)
    for name in ("objects.npz", "pickle.npz"):
        with pytest.raises(InputError, match="pickled Python objects, which are never loaded"):
            read_npz_table(tmp_path / name, ColumnRoles())


def test_npz_features_by_default(tmp_path: Path) -> None:
    path = tmp_path / "a.npz"
    np.savez(path, x=X, other=np.ones((20, 2)))
    np.testing.assert_array_equal(read_npz_table(path, ColumnRoles()).x, X)
    np.savez(path, pixels=X, y=np.ones(20))
    np.testing.assert_array_equal(read_npz_table(path, ColumnRoles()).x, X)
    np.savez(path, a=X, b=X)
    with pytest.raises(
        InputError, match=r"data\.features: which array .* a \(20, 3\), b \(20, 3\)"
    ):
        read_npz_table(path, ColumnRoles())


def test_npz_mistakes(tmp_path: Path) -> None:
    path = tmp_path / "a.npz"
    np.savez(path, x=X, labels=np.arange(19), wide=np.ones((20, 2)))
    with pytest.raises(InputError, match=r"data\.label: .* no array 'lables' \(did you mean 'lab"):
        read_npz_table(path, ColumnRoles(label="lables"))
    with pytest.raises(InputError, match=r"data\.features: .* has no array 'y'"):
        read_npz_table(path, ColumnRoles(features=("y",)))
    with pytest.raises(InputError, match=r"data\.features: names one array of .*, got x, wide"):
        read_npz_table(path, ColumnRoles(features=("x", "wide")))
    with pytest.raises(InputError, match=r"array 'labels': holds 19 values for 20 samples"):
        read_npz_table(path, ColumnRoles(label="labels"))
    with pytest.raises(InputError, match=r"array 'wide': has shape \(20, 2\), expected one id"):
        read_npz_table(path, ColumnRoles(id="wide"))


@pytest.mark.parametrize("compressed", [False, True])
def test_damaged_npz(tmp_path: Path, compressed: bool) -> None:
    path = tmp_path / "a.npz"
    (np.savez_compressed if compressed else np.savez)(path, x=np.arange(4000.0).reshape(-1, 4))
    content = path.read_bytes()
    flipped = bytearray(content)
    flipped[400:420] = b"\xff" * 20
    for damaged in (content[: len(content) // 2], content[:-5], b"", bytes(flipped)):
        path.write_bytes(damaged)
        with pytest.raises(InputError, match=r"a\.npz: is damaged"):
            read_npz_table(path, ColumnRoles())


def idx(array: np.ndarray, code: int) -> bytes:
    header = bytes([0, 0, code, array.ndim]) + struct.pack(f">{array.ndim}I", *array.shape)
    return header + array.astype(array.dtype.newbyteorder(">")).tobytes()


@pytest.mark.parametrize(
    ("code", "dtype"), [(8, "u1"), (9, "i1"), (11, "i2"), (12, "i4"), (13, "f4"), (14, "f8")]
)
@pytest.mark.parametrize("zipped", [False, True])
def test_idx(tmp_path: Path, code: int, dtype: str, zipped: bool) -> None:
    array = np.arange(24).reshape(2, 3, 4).astype(dtype)
    content = idx(array, code)
    path = tmp_path / ("x.idx.gz" if zipped else "x.idx")
    path.write_bytes(gzip.compress(content) if zipped else content)
    read = read_idx(path)
    np.testing.assert_array_equal(read, array)
    assert read.dtype.newbyteorder("=") == array.dtype


def test_damaged_idx(tmp_path: Path) -> None:
    content = idx(np.arange(100, dtype=np.uint8).reshape(10, 10), 8)
    path = tmp_path / "x.idx"
    for damaged, message in [
        (content[:-1], r"is truncated: 111 bytes, its header \(10, 10\) asks for 112"),
        (content + b"1", "is too long"),
        (content[:7], "is truncated: 7 bytes"),
        (b"", "is not an idx file"),
        (b"\x01" + content[1:], "is not an idx file"),
    ]:
        path.write_bytes(damaged)
        with pytest.raises(InputError, match=message):
            read_idx(path)
    zipped = gzip.compress(content)
    path = tmp_path / "x.idx.gz"
    for damaged in (zipped[:-9], zipped[:20]):
        path.write_bytes(damaged)
        with pytest.raises(InputError, match="damaged or truncated gzip"):
            read_idx(path)
    path.write_bytes(content)
    with pytest.raises(InputError, match="is not a gzip file"):
        read_idx(path)


@pytest.mark.parametrize("kind", ["csr", "csc", "coo"])
def test_sparse_matrices_are_written_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    monkeypatch.setattr("offset_autoencoder.io.arrays.CHUNK_VALUES", 100)
    matrix = sparse.random_array((40, 30), density=0.1, format=kind, rng=0)
    path = tmp_path / "x.npz"
    sparse.save_npz(path, matrix)
    np.testing.assert_array_equal(read_npz_table(path, ColumnRoles()).x, matrix.toarray())
    with pytest.raises(InputError, match=r"data\.label: .*one sparse matrix.*files of their own"):
        read_npz_table(path, ColumnRoles(label="y"))


def test_many_arrays_are_named_in_few_words(tmp_path: Path) -> None:
    path = tmp_path / "a.npz"
    arrays: dict[str, Any] = {f"a{i:02}": X for i in range(40)}
    np.savez(path, **arrays)
    with pytest.raises(InputError, match=r"a07 \(20, 3\) and 32 more"):
        read_npz_table(path, ColumnRoles())
