"""Promises of every registered reader."""

import gzip
import struct
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pandas as pd
import pytest
from numpy.typing import NDArray

from offset_autoencoder.data.readers import READERS, base, find_reader, read_table
from offset_autoencoder.data.readers.base import ColumnRoles, Reader, RoleKeys
from offset_autoencoder.errors import InputError

X = np.arange(60, dtype=np.float64).reshape(20, 3)
KINDS = np.arange(20) % 4


def write_idx(path: Path) -> None:
    content = bytes([0, 0, 14, 2]) + struct.pack(">2I", *X.shape) + X.astype(">f8").tobytes()
    path.write_bytes(content)


def write_hdf5(path: Path) -> None:
    with h5py.File(path, "w") as file:
        file["x"], file["kind"] = X, KINDS


def frame() -> pd.DataFrame:
    return pd.DataFrame(X, columns=["a", "b", "c"]).assign(kind=KINDS)


FILES: dict[str, tuple[str, Callable[[Path], object]]] = {
    "npy": ("x.npy", lambda path: np.save(path, X)),
    "npz": ("x.npz", lambda path: np.savez(path, x=X, kind=KINDS)),
    "csv": ("x.csv", lambda path: frame().to_csv(path, index=False)),
    "parquet": ("x.parquet", lambda path: frame().to_parquet(path)),
    "hdf5": ("x.h5", write_hdf5),
    "idx": ("x.idx", write_idx),
}
every_reader = pytest.mark.parametrize("reader", READERS, ids=lambda reader: reader.name)
KEYS = RoleKeys(features="mine.columns", id="mine.id", label="mine.label", split=None)


@pytest.fixture
def path(reader: Reader, tmp_path: Path) -> Path:
    name, write = FILES[reader.name]
    write(tmp_path / name)
    return tmp_path / name


@every_reader
def test_a_file_is_recognised_by_its_name_alone(reader: Reader, path: Path) -> None:
    matching = [other for other in READERS if other.pattern.search(path.name)]
    assert matching == [reader]
    assert find_reader(path.with_name(path.name.upper())) is reader


@every_reader
def test_the_samples_are_read(reader: Reader, path: Path) -> None:
    has_roles = reader.layout != "array"
    table = reader.read(path, ColumnRoles(label="kind" if has_roles else None))
    np.testing.assert_array_equal(table.x, X)
    assert table.origin == str(path)
    assert table.columns == (("a", "b", "c") if reader.layout == "columns" else None)
    if has_roles:
        np.testing.assert_array_equal(np.asarray(table.labels), KINDS)


@every_reader
def test_the_columns_are_read_where_there_are_any(reader: Reader, path: Path) -> None:
    assert (reader.columns is not None) == (reader.layout == "columns")
    if reader.columns is not None:
        assert reader.columns(path, ColumnRoles()).names == ("a", "b", "c", "kind")


@every_reader
@pytest.mark.parametrize(
    "content",
    [b"", b"\x00\x01 no such format", gzip.compress(b"a", mtime=0)[:-3]],
    ids=["empty", "no format", "gzip cut short"],
)
def test_a_file_of_something_else_is_named(reader: Reader, path: Path, content: bytes) -> None:
    path.write_bytes(content)
    with pytest.raises(InputError) as caught:
        reader.read(path, ColumnRoles())
    assert str(path) in str(caught.value)


@every_reader
def test_a_role_that_the_file_lacks_is_named_by_the_callers_setting(
    reader: Reader, path: Path
) -> None:
    if reader.layout == "array":
        return
    with pytest.raises(InputError, match=r"^params\.yaml: mine\.id: .* no (column|array) 'nope'"):
        reader.read(path, ColumnRoles(id="nope", keys=KEYS))
    with pytest.raises(InputError, match=r"^params\.yaml: mine\.columns.* no (column|array) 'z'"):
        reader.read(path, ColumnRoles(features=("z",), keys=KEYS))


LABELS = np.array([0, 1, 2, 1, 0] * 4)


def write_labels(path: Path, labels: NDArray[Any]) -> None:
    """Write labels alone to a file of a format, as a column of (n, 1) where it has room for one."""
    column = labels[:, None]
    if path.suffix == ".npy":
        np.save(path, column)
    elif path.suffix == ".npz":
        np.savez(path, target=column)
    elif path.suffix == ".h5":
        with h5py.File(path, "w") as file:
            file["group/target"] = column
    elif path.suffix == ".parquet":
        pd.DataFrame({"target": labels}).to_parquet(path)
    elif path.suffix == ".idx":
        head = bytes([0, 0, 14, 2]) + struct.pack(">2I", *column.shape)
        path.write_bytes(head + column.astype(">f8").tobytes())
    else:
        pd.DataFrame({"target": labels}).to_csv(path, index=False)


@every_reader
@pytest.mark.parametrize("ending", ["npy", "npz", "csv", "tsv", "parquet", "h5", "idx"])
def test_labels_and_ids_may_be_files_of_any_format(reader: Reader, path: Path, ending: str) -> None:
    files = {"label": f"labels.{ending}", "id": f"ids.{ending}"}
    # Whole floats are integers, whatever wrote them.
    write_labels(path.with_name(files["label"]), LABELS.astype(float))
    write_labels(path.with_name(files["id"]), np.arange(20) + 3.0)
    roles = ColumnRoles(
        label=files["label"], id=files["id"], locate=lambda role, name: path.with_name(name)
    )
    if reader.layout == "columns":
        roles = replace(roles, features=("a", "b", "c"))
    table = read_table(path, roles)
    np.testing.assert_array_equal(table.x, X)
    labels, ids = np.asarray(table.labels), np.asarray(table.ids)
    assert labels.dtype == ids.dtype == np.int64
    assert labels.tolist() == LABELS.tolist()
    assert ids.tolist() == [*range(3, 23)]


@pytest.mark.parametrize("ending", ["npy", "npz", "csv", "parquet", "h5"])
def test_labels_that_are_measurements_are_refused_in_every_format(
    tmp_path: Path, ending: str
) -> None:
    np.save(tmp_path / "x.npy", X)
    write_labels(tmp_path / f"y.{ending}", np.arange(20) / 4)
    roles = ColumnRoles(label=f"y.{ending}", locate=lambda role, name: tmp_path / name)
    with pytest.raises(InputError, match=r"row 1: label 0\.25 names no class.*bin them .*leave"):
        read_table(tmp_path / "x.npy", roles)


@pytest.mark.parametrize("ending", ["npy", "npz", "h5"])
def test_one_hot_labels_are_told_how_to_become_classes(tmp_path: Path, ending: str) -> None:
    np.save(tmp_path / "x.npy", X)
    one_hot = np.eye(3)[LABELS]
    np.save(tmp_path / "y.npy", one_hot)
    np.savez(tmp_path / "y.npz", x=X, y=one_hot)
    with h5py.File(tmp_path / "y.h5", "w") as file:
        file["x"], file["y"] = X, one_hot
    is_array = ending == "npy"
    roles = ColumnRoles(
        label="y.npy" if is_array else "y", locate=lambda role, name: tmp_path / name
    )
    path = tmp_path / ("x.npy" if is_array else f"y.{ending}")
    with pytest.raises(InputError, match=r"shape \(20, 3\).*if it is one-hot: ") as caught:
        read_table(path, roles)
    python = str(caught.value.hint).removeprefix("if it is one-hot: ").rpartition(", and name")[0]
    exec(python)
    found = read_table(path, replace(roles, label="labels.npy")).labels
    assert np.asarray(found).tolist() == LABELS.tolist()


def test_a_file_of_several_is_none_of_labels(tmp_path: Path) -> None:
    np.save(tmp_path / "x.npy", X)
    frame().to_csv(tmp_path / "y.csv", index=False)
    np.savez(tmp_path / "y.npz", a=X, b=X)
    for name, what in (("y.csv", "4 columns, expected one: a, b"), ("y.npz", "2 arrays, expected")):
        roles = ColumnRoles(label=name, locate=lambda role, name: tmp_path / name)
        with pytest.raises(InputError, match=what):
            read_table(tmp_path / "x.npy", roles)


@pytest.mark.parametrize("ending", ["npy", "npz", "h5"])
def test_complex_numbers_become_real_as_asked(tmp_path: Path, ending: str) -> None:
    z = (X + 2j * X[::-1]).astype(np.complex64)
    path = tmp_path / f"z.{ending}"
    if ending == "npy":
        np.save(path, np.asfortranarray(z))
    elif ending == "npz":
        np.savez(path, x=z)
    else:
        with h5py.File(path, "w") as file:
            file["x"] = z
    parts = read_table(path, ColumnRoles(complex="real_imag")).x
    assert parts.dtype == np.float32
    np.testing.assert_array_equal(parts, np.stack([z.real, z.imag], axis=-1))
    sizes = read_table(path, ColumnRoles(complex="abs")).x
    np.testing.assert_array_equal(sizes, np.abs(z))
    roles = ColumnRoles()
    with pytest.raises(InputError, match=r"complex numbers.*set data\.complex: real_imag .*: abs"):
        base.check_features(read_table(path, roles), roles)


def test_labels_in_another_file_are_one_per_sample(tmp_path: Path) -> None:
    np.save(tmp_path / "x.npy", X)
    np.save(tmp_path / "y.npy", KINDS)
    roles = ColumnRoles(label="y.npy", locate=lambda role, name: tmp_path / name)
    table = read_table(tmp_path / "x.npy", roles)
    np.testing.assert_array_equal(np.asarray(table.labels), KINDS)
    np.save(tmp_path / "y.npy", KINDS[:-1])
    with pytest.raises(InputError, match=r"y\.npy: holds 19 values for 20 samples"):
        read_table(tmp_path / "x.npy", roles)


def test_the_callers_settings_stand_in_every_hint(tmp_path: Path) -> None:
    path = tmp_path / "x.csv"
    path.write_text("a,b\n1,x\n")
    with pytest.raises(InputError, match=r"name the columns to use in mine\.columns, mine\.label"):
        find_reader(path).read(path, ColumnRoles(keys=KEYS))
    options = RoleKeys(features="--features", id="--id", label=None, split=None, file=None)
    with pytest.raises(InputError, match=r"^--features: .* has no column 'z'"):
        find_reader(path).read(path, ColumnRoles(features=("z",), keys=options))


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("x.npy", "npy"),
        ("x.NPZ", "npz"),
        ("a.b.csv", "csv"),
        ("a.b.csv.GZ", "csv"),
        ("x.tsv", "csv"),
        ("x.txt.gz", "csv"),
        ("iris.data", "csv"),
        ("x.parquet", "parquet"),
        ("x.h5", "hdf5"),
        ("x.HDF5", "hdf5"),
        ("train-images-idx3-ubyte", "idx"),
        ("train-images-idx3-ubyte.gz", "idx"),
        ("train-images.idx3-ubyte", "idx"),
        ("x.idx.gz", "idx"),
    ],
)
def test_format_is_told_by_the_name(name: str, expected: str) -> None:
    assert find_reader(Path(name)).name == expected


@pytest.mark.parametrize("name", ["x.foo", "x"])
def test_unknown_formats_are_refused_with_those_known(name: str) -> None:
    with pytest.raises(InputError, match=r"known are \.npy, \.npz, \.csv"):
        find_reader(Path(name))
