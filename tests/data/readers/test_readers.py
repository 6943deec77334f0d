"""Promises of every registered reader."""

import gzip
import struct
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from offset_autoencoder.data.readers import READERS, find_reader, read_array, read_table
from offset_autoencoder.data.readers.base import ColumnRoles, Reader, RoleKeys
from offset_autoencoder.errors import InputError

X = np.arange(60, dtype=np.float64).reshape(20, 3)
KINDS = np.arange(20) % 4


def write_idx(path: Path) -> None:
    content = bytes([0, 0, 14, 2]) + struct.pack(">2I", *X.shape) + X.astype(">f8").tobytes()
    path.write_bytes(content)


def frame() -> pd.DataFrame:
    return pd.DataFrame(X, columns=["a", "b", "c"]).assign(kind=KINDS)


FILES: dict[str, tuple[str, Callable[[Path], object]]] = {
    "npy": ("x.npy", lambda path: np.save(path, X)),
    "npz": ("x.npz", lambda path: np.savez(path, x=X, kind=KINDS)),
    "csv": ("x.csv", lambda path: frame().to_csv(path, index=False)),
    "parquet": ("x.parquet", lambda path: frame().to_parquet(path)),
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
        assert reader.columns(path).names == ("a", "b", "c", "kind")


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


@every_reader
def test_labels_are_taken_from_files_of_one_array_only(reader: Reader, path: Path) -> None:
    if reader.layout == "array":
        np.testing.assert_array_equal(read_array(path), X)
    else:
        with pytest.raises(InputError, match="expected npy or idx beside features in npy or idx"):
            read_array(path)


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
        ("x.parquet", "parquet"),
        ("train-images-idx3-ubyte", "idx"),
        ("train-images-idx3-ubyte.gz", "idx"),
        ("train-images.idx3-ubyte", "idx"),
        ("x.idx.gz", "idx"),
    ],
)
def test_format_is_told_by_the_name(name: str, expected: str) -> None:
    assert find_reader(Path(name)).name == expected


@pytest.mark.parametrize("name", ["x.txt", "x", "x.npy.gz", "x.pkl"])
def test_unknown_formats_are_refused_with_those_known(name: str) -> None:
    with pytest.raises(InputError, match=r"known are \.npy, \.npz, \.csv"):
        find_reader(Path(name))
