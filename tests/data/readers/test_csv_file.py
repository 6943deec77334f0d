import gzip
from pathlib import Path

import numpy as np
import pytest

from offset_autoencoder.data.readers.base import ColumnRoles
from offset_autoencoder.data.readers.column_files import read_csv_table
from offset_autoencoder.errors import InputError


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "x.csv"


def test_roles(path: Path) -> None:
    path.write_text("name,a,kind,b,part\nu,1,cat,2.5,train\nv,3,dog,-4e2,test\n")
    table = read_csv_table(path, ColumnRoles(label="kind", id="name", split="part"))
    np.testing.assert_array_equal(table.x, [[1, 2.5], [3, -400]])
    assert table.columns == ("a", "b")
    assert np.asarray(table.labels).tolist() == ["cat", "dog"]
    assert np.asarray(table.ids).tolist() == ["u", "v"]
    assert np.asarray(table.splits).tolist() == ["train", "test"]


@pytest.mark.parametrize("ending", ["gz", "GZ"])
def test_gzipped(tmp_path: Path, ending: str) -> None:
    text = "a,b\n" + "1,2\n" * 5000 + "0.5,7\n"
    zipped = tmp_path / f"x.csv.{ending}"
    zipped.write_bytes(gzip.compress(text.encode()))
    assert read_csv_table(zipped, ColumnRoles()).x[-1].tolist() == [0.5, 7]
    zipped.write_bytes(gzip.compress((text + "x,1\n").encode()))
    with pytest.raises(InputError, match=r"row 5001 \(line 5003\), column 'a': 'x' is not a"):
        read_csv_table(zipped, ColumnRoles())
    for damaged in (gzip.compress(text.encode())[:-20], text.encode(), b""):
        zipped.write_bytes(damaged)
        with pytest.raises(InputError, match=r"x\.csv\.(gz|GZ): (is empty|is a damaged)"):
            read_csv_table(zipped, ColumnRoles())


def test_integer_ids_are_integers_and_others_stay_as_written(path: Path) -> None:
    path.write_text("id,a\n10,1\n-2,2\n")
    ids = read_csv_table(path, ColumnRoles(id="id")).ids
    assert np.asarray(ids).dtype == np.int64
    for text in ("007", "2020-01-01", "1.0", "99999999999999999999"):
        path.write_text(f"id,a\n10,1\n{text},2\n")
        ids = read_csv_table(path, ColumnRoles(id="id")).ids
        assert np.asarray(ids).tolist() == ["10", text]


def test_integers_that_become_floats_late_in_a_long_file(path: Path) -> None:
    path.write_text("a,b\n" + "1,2\n" * 300_000 + "0.5,7\n")
    x = read_csv_table(path, ColumnRoles()).x
    assert x.shape == (300_001, 2)
    np.testing.assert_array_equal(x[-1], [0.5, 7])


def test_bom_crlf_quotes_and_empty_lines(path: Path) -> None:
    path.write_bytes(b'\xef\xbb\xbfa,"b,c"\r\n"1",2\r\n\r\n3,4\r\n')
    table = read_csv_table(path, ColumnRoles())
    np.testing.assert_array_equal(table.x, [[1, 2], [3, 4]])
    assert table.columns == ("a", "b,c")
    assert table.location(1, 1).endswith("x.csv, row 1 (line 4), column 'b,c'")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a,b\n1,2\n3,x7\n", r"row 1 \(line 3\), column 'b': 'x7' is not a finite number"),
        ("a,b\n1,2\n,4\n", r"row 1 \(line 3\), column 'a': the cell is empty"),
        ("a,b\n1,NaN\n,4\n", r"row 0 \(line 2\), column 'b': 'NaN' is not a finite number"),
        ("a,b\n1,2\n2020-01-01,4\n", r"row 1 \(line 3\), column 'a': '2020-01-01' is not"),
        ("a,b\n\n1,2\ntrue,4\n", r"row 1 \(line 4\), column 'a': 'true' is not"),
        ("a,b\n1,test\n", r"'test' is not a finite .*column in data\.split if it names the splits"),
        ("a,b\n1,2\n3\n", r"line 3: has 1 cells, the header has 2 .*truncated"),
        ("a,b\n1,2\n3,4,5\n", r"line 3: has 3 cells, the header has 2"),
        ("a,a\n1,2\n", "names column 'a' twice"),
        ("0.1,0.2\n0.3,0.4\n", r"line 1: looks like data \(0\.1, \.\.\.\), expected a header"),
        ("a;b\n1;2\n", r"line 1: cells are separated by ';', expected commas"),
        (",a\n0,2\n1,3\n", r"column 0: has no name, so that it may be an index"),
        ("", "is empty, expected a header"),
        ("\xe9t\xe9,b\n1,2\n", "is not UTF-8"),
        ("a,label\n1,x\n2,\n", r"row 1 \(line 3\), column 'label': the label is empty"),
    ],
)
def test_mistakes_are_placed(path: Path, text: str, message: str) -> None:
    path.write_bytes(text.encode("latin-1"))
    with pytest.raises(InputError, match=message):
        read_csv_table(path, ColumnRoles(label="label" if "label" in text else None))


def test_a_bad_cell_far_down_is_placed(path: Path) -> None:
    path.write_text("a,b\n" + "1,2\n" * 200_000 + "1,oops\n" + "1,2\n" * 10)
    with pytest.raises(InputError, match=r"row 200000 \(line 200002\), column 'b': 'oops'"):
        read_csv_table(path, ColumnRoles())


@pytest.mark.parametrize(
    ("roles", "message"),
    [
        (ColumnRoles(label="lable"), r"data\.label: .* no column 'lable' \(did you mean 'label'"),
        (ColumnRoles(id="z"), r"data\.id: .* no column 'z' \(known are 'a', 'b', 'label'\)"),
        (ColumnRoles(features=("a", "c")), r"data\.features\[1\]: .* no column 'c'"),
        (ColumnRoles(features=("a", "a")), r"data\.features\[1\]: names column 'a' twice"),
        (ColumnRoles(features=()), r"data\.features: names no column"),
        (
            ColumnRoles(features=("label",), label="label"),
            "column 'label' is the label, not a feature",
        ),
        (ColumnRoles(label="a", id="label", split="b"), "no column left for the features"),
    ],
)
def test_wrong_roles(path: Path, roles: ColumnRoles, message: str) -> None:
    path.write_text("a,b,label\n1,2,x\n")
    with pytest.raises(InputError, match=message):
        read_csv_table(path, roles)
