import gzip
import time
from pathlib import Path

import numpy as np
import pytest

from offset_autoencoder.data.readers import text_files
from offset_autoencoder.data.readers.base import ColumnRoles, Columns, choose_features
from offset_autoencoder.data.readers.text_files import read_csv_table
from offset_autoencoder.errors import InputError


@pytest.fixture(params=["by blocks", "row by row"])
def how(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file of many columns is read row by row, and is the same."""
    if request.param == "row by row":
        monkeypatch.setattr(text_files, "_WIDE", 1)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "x.csv"


@pytest.mark.usefixtures("how")
def test_roles(path: Path) -> None:
    path.write_text("name,a,kind,b,part\nu,1,cat,2.5,train\nv,3,dog,-4e2,test\n")
    table = read_csv_table(path, ColumnRoles(label="kind", id="name", split="part"))
    np.testing.assert_array_equal(table.x, [[1, 2.5], [3, -400]])
    assert table.columns == ("a", "b")
    assert np.asarray(table.labels).tolist() == ["cat", "dog"]
    assert np.asarray(table.ids).tolist() == ["u", "v"]
    assert np.asarray(table.splits).tolist() == ["train", "test"]


@pytest.mark.usefixtures("how")
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


@pytest.mark.usefixtures("how")
def test_integer_ids_are_integers_and_others_stay_as_written(path: Path) -> None:
    path.write_text("id,a\n10,1\n-2,2\n")
    ids = read_csv_table(path, ColumnRoles(id="id")).ids
    assert np.asarray(ids).dtype == np.int64
    for text in ("3.0", "3."):
        path.write_text(f"id,a\n10,1\n{text},2\n")
        assert np.asarray(read_csv_table(path, ColumnRoles(id="id")).ids).tolist() == [10, 3]
    for text in ("007", "2020-01-01", "1.5", "99999999999999999999"):
        path.write_text(f"id,a\n10,1\n{text},2\n")
        ids = read_csv_table(path, ColumnRoles(id="id")).ids
        assert np.asarray(ids).tolist() == ["10", text]


def test_integers_that_become_floats_late_in_a_long_file(path: Path) -> None:
    path.write_text("a,b\n" + "1,2\n" * 300_000 + "0.5,7\n")
    x = read_csv_table(path, ColumnRoles()).x
    assert x.shape == (300_001, 2)
    np.testing.assert_array_equal(x[-1], [0.5, 7])


@pytest.mark.usefixtures("how")
def test_bom_crlf_quotes_and_empty_lines(path: Path) -> None:
    path.write_bytes(b'\xef\xbb\xbfa,"b,c"\r\n"1",2\r\n\r\n3,4\r\n')
    table = read_csv_table(path, ColumnRoles())
    np.testing.assert_array_equal(table.x, [[1, 2], [3, 4]])
    assert table.columns == ("a", "b,c")
    assert table.location(1, 1).endswith("x.csv, row 1 (line 4), column 'b,c'")


@pytest.mark.usefixtures("how")
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
        ("0.1,0.2\n0.3,0.4\n", r"line 1: looks like data \('0\.1', \.\.\.\), expected a header"),
        ("a;b\n1,5;2\n3;2\n", r"column 'a': '1,5' is not .*sep=';', decimal=','"),
        ('a,b\n"1,500",2\n7,2\n', r"column 'a': '1,500' is not .*sep=',', thousands=','"),
        ("5.1,3.5,1.4,Iris\n4.9,3.0,1.4,Iris\n", r"line 1: looks like data .*header: false"),
        ('a,b\n1,"' + "0.123," * 500 + '"\n', r"column 'b': '0\.123,0.{150,200}' is not"),
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


ROWS = np.arange(12.0).reshape(4, 3) ** 2 + 0.5


@pytest.mark.usefixtures("how")
@pytest.mark.parametrize(
    ("name", "separator", "tail"),
    [
        ("x.tsv", "\t", "\n"),
        ("x.txt", " ", "\n"),
        ("x.dat", "  \t ", " \n"),
        ("x.txt", ", ", "\r\n"),
        ("x.csv", ";", "\n"),
        ("x.csv", "|", "\n\n"),
    ],
)
@pytest.mark.parametrize("zipped", [False, True])
def test_separators(tmp_path: Path, name: str, separator: str, tail: str, zipped: bool) -> None:
    lines = ["aa", "b", "c"], *([repr(float(cell)) for cell in row] for row in ROWS)
    text = tail.join(separator.join(line) for line in lines).encode()
    path = tmp_path / (f"{name}.gz" if zipped else name)
    path.write_bytes(gzip.compress(text) if zipped else text)
    table = read_csv_table(path, ColumnRoles())
    np.testing.assert_array_equal(table.x, ROWS)
    assert [name.strip() for name in table.columns or ()] == ["aa", "b", "c"]


def test_blanks_at_the_borders_of_blocks(tmp_path: Path) -> None:
    x = np.random.default_rng(0).normal(size=(120_000, 6))
    np.savetxt(tmp_path / "x.txt", x, fmt="%12.5f", delimiter="   ", newline="  \n")
    read = read_csv_table(tmp_path / "x.txt", ColumnRoles(header=False)).x
    np.testing.assert_array_equal(read, np.loadtxt(tmp_path / "x.txt"))


def test_what_numpy_wrote(tmp_path: Path) -> None:
    for name, separator in (("x.txt", " "), ("x.csv", ","), ("x.tsv", "\t")):
        path = tmp_path / name
        np.savetxt(path, ROWS, delimiter=separator)
        with pytest.raises(InputError, match=r"looks like data .*set data\.header: false where"):
            read_csv_table(path, ColumnRoles())
        table = read_csv_table(path, ColumnRoles(header=False))
        np.testing.assert_array_equal(table.x, ROWS)
        assert table.columns == ("0", "1", "2")
        assert table.location(1, 2).endswith("row 1 (line 2), column '2'")
        np.savetxt(path, ROWS, delimiter=separator, header=separator.join("abc"))
        assert read_csv_table(path, ColumnRoles()).columns == ("a", "b", "c")


@pytest.mark.usefixtures("how")
def test_without_a_header_columns_are_named_by_number(path: Path) -> None:
    path.write_text("5.1,3.5,setosa,7\n4.9,3.0,virginica,8\n")
    roles = ColumnRoles(features=("0", "1"), label="2", id="3", header=False)
    table = read_csv_table(path, roles)
    np.testing.assert_array_equal(table.x, [[5.1, 3.5], [4.9, 3.0]])
    assert np.asarray(table.labels).tolist() == ["setosa", "virginica"]
    assert np.asarray(table.ids).tolist() == [7, 8]
    path.write_text("a,b\n1,2\n")
    with pytest.raises(InputError, match=r"row 0 \(line 1\).*'a' is not.*set data\.header: true"):
        read_csv_table(path, ColumnRoles(header=False))


@pytest.mark.parametrize(
    ("header", "below", "roles"),
    [
        ("1100,1102,1104", "0.3,0.1,0.2", ColumnRoles()),
        ("4000.1,3998.2,3996.3", "0.3,0.1,0.2", ColumnRoles()),
        ("1,2,4,8,16,32,64,128", "3,1,4,1,5,9,2,6", ColumnRoles()),
        ("kind,1100,1102,1104", "1,0.3,0.1,0.2", ColumnRoles(label="kind")),
        ("1100,1102", "0.3,0.1", ColumnRoles(features=("1102",))),
        ("1100,1102", "0.3,0.1", ColumnRoles(header=True)),
        ("7.5,1", "0.3,4", ColumnRoles(label="1")),
    ],
)
def test_a_header_may_be_of_numbers(
    path: Path, header: str, below: str, roles: ColumnRoles
) -> None:
    path.write_text(f"{header}\n{below}\n{below}\n")
    table = read_csv_table(path, roles)
    assert len(table.x) == 2
    assert set(table.columns or ()) <= set(header.split(","))


@pytest.mark.parametrize(
    "rows",
    ["0.1,0.2,0.7\n0.3,0.4,0.1\n", "1,2,4,7\n3,1,2,9\n", "2,4,6\n3,6,9\n", "3\n1\n"],
)
def test_rows_of_data_are_no_header(path: Path, rows: str) -> None:
    path.write_text(rows)
    with pytest.raises(InputError, match=r"line 1: looks like data .*data\.header: true"):
        read_csv_table(path, ColumnRoles())
    assert len(read_csv_table(path, ColumnRoles(header=False)).x) == 2


def test_names_in_a_message_are_few(path: Path) -> None:
    path.write_text(",".join(f"c{i}" for i in range(700)) + "\n" + ",".join("0" * 700) + "\n")
    with pytest.raises(InputError, match=r"known are 'c0', .* and 695 more") as caught:
        read_csv_table(path, ColumnRoles(label="zzz"))
    assert len(str(caught.value)) < 300


@pytest.mark.parametrize(
    "cell", ["+1.5", " 1.5 ", "1_5", "\u0661", "1e5", "-.5", "nan", "NA", "0x1", "inf"]
)
def test_cells_are_the_same_numbers_row_by_row(
    path: Path, cell: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    path.write_text(f"a,b\n1,2\n{cell},3\n")
    ends = []
    for wide in (1, 4096):
        monkeypatch.setattr(text_files, "_WIDE", wide)
        try:
            ends.append(repr(read_csv_table(path, ColumnRoles()).x.tolist()))
        except InputError as error:
            ends.append(str(error))
    assert ends[0] == ends[1]


def test_many_columns_are_chosen_and_read_in_time(path: Path) -> None:
    names = tuple(f"c{i}" for i in range(100_000))
    roles = ColumnRoles(features=names[:-1], label=names[-1], exclude=("c",))
    started = time.process_time()
    assert choose_features(Columns((*names, "c")), roles, "x.csv") == names[:-1]
    assert len(choose_features(Columns((*names, "c")), ColumnRoles(), "x.csv")) == len(names) + 1
    values = np.random.default_rng(0).integers(0, 9, (3, 50_000))
    rows = "\n".join(",".join(map(str, row)) for row in values)
    path.write_text(f"{','.join(names[:50_000])}\n{rows}\n")
    np.testing.assert_array_equal(read_csv_table(path, ColumnRoles()).x, values)
    assert time.process_time() - started < 20  # minutes where the square of columns counts
