"""Cells that are no numbers, in every format that has columns, and what is said of them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from offset_autoencoder.data.readers import read_table
from offset_autoencoder.data.readers.base import ColumnRoles, Table, check_features
from offset_autoencoder.data.readers.cells import MISSING, Cells
from offset_autoencoder.errors import InputError

SUFFIXES = ("csv", "csv.gz", "parquet")
every_format = pytest.mark.parametrize("suffix", SUFFIXES)


def read(folder: Path, table: pd.DataFrame, suffix: str, **roles: Any) -> Table:
    path = folder / f"x.{suffix}"
    if suffix == "parquet":
        table.to_parquet(path)
    else:
        table.to_csv(path, index=False)
    own = ColumnRoles(**roles)
    found = read_table(path, own)
    check_features(found, own)
    return found


@every_format
def test_missing_numbers_are_nan(tmp_path: Path, suffix: str) -> None:
    table = pd.DataFrame({"a": [1.0, np.nan, 3], "b": pd.array([4, 5, None], dtype="Int64")})
    found = read(tmp_path, table, suffix, missing=True)
    np.testing.assert_array_equal(found.x, [[1, 4], [np.nan, 5], [3, np.nan]])
    with pytest.raises(InputError, match=r"row 1.* column 'a': .*'b' has 1 missing cell, row 2"):
        read(tmp_path, table, suffix)


@pytest.mark.parametrize("word", MISSING)
def test_words_for_missing_cells(tmp_path: Path, word: str) -> None:
    path = tmp_path / "x.csv"
    path.write_text(f"a,b\n1,+2.5\n {word} ,u\n3, v \n4,{word}\n5,u\n")
    found = read_table(path, ColumnRoles(missing=True, text=None))
    np.testing.assert_array_equal(found.x[:, 0], [1, np.nan, 3, 4, 5])
    assert found.levels == {"b": ("+2.5", "u", "v")}
    np.testing.assert_array_equal(found.x[:, 1], [0, 1, 2, np.nan, 1])


@every_format
def test_columns_of_text_are_numbers_of_levels(tmp_path: Path, suffix: str) -> None:
    table = pd.DataFrame({"a": [1, 2, 3, 4], "kind": ["cat", None, "emu", "cat"]})
    found = read(tmp_path, table, suffix, missing=True, text=None)
    assert found.levels == {"kind": ("cat", "emu")}
    np.testing.assert_array_equal(found.x, [[1, 0], [2, np.nan], [3, 1], [4, 0]])
    # Of new samples it is known what is text, whatever these hold.
    table["kind"] = ["7", "8", "8", "7"]
    found = read(tmp_path, table, suffix, text=frozenset({"kind"}))
    assert found.levels == {"kind": ("7", "8")}
    np.testing.assert_array_equal(found.x[:, 1], [0, 1, 1, 0])


def test_categories_of_parquet(tmp_path: Path) -> None:
    table = pd.DataFrame({"a": pd.Categorical(["u", "v", "u"]), "b": pd.Categorical([3, 5, 3])})
    found = read(tmp_path, table, "parquet", text=None)
    assert found.levels == {"a": ("u", "v")}
    assert found.x.tolist() == [[0, 3], [1, 5], [0, 3]]
    table = pd.DataFrame({"a": [True, None, False]})
    found = read(tmp_path, table, "parquet", missing=True)
    np.testing.assert_array_equal(found.x[:, 0], [1, np.nan, 0])
    whole = read(tmp_path, pd.DataFrame({"a": [1, 2]}, dtype="uint8"), "parquet", missing=True)
    assert whole.x.dtype == np.uint8  # whose full scale is known
    dates = pd.DataFrame({"t": pd.to_datetime(["2020-01-01", "2020-01-02"]), "k": ["u", "v"]})
    with pytest.raises(
        InputError, match=r"column 't' is of type timestamp.*; column 'k' holds text"
    ):
        read(tmp_path, dates, "parquet")


@every_format
def test_a_number_that_is_misspelt_is_no_category(tmp_path: Path, suffix: str) -> None:
    if suffix == "parquet":
        return  # has types
    table = pd.DataFrame({"a": ["1", "2", "x7", "4"], "b": ["u", "v", "v", "w"]})
    with pytest.raises(
        InputError, match=r"row 2 .*column 'a': 'x7' is not a finite number \(fix or"
    ):
        read(tmp_path, table, suffix, text=None)


@every_format
def test_ids_are_no_categories(tmp_path: Path, suffix: str) -> None:
    table = pd.DataFrame({"name": [f"s{i}" for i in range(200)], "a": np.arange(200.0)})
    with pytest.raises(InputError, match=r"text, 200 levels: .* \(too many for categories, in 200"):
        read(tmp_path, table, suffix, text=None)
    assert read(tmp_path, table, suffix, text=None, exclude=("name",)).columns == ("a",)


def test_many_columns_are_cut(tmp_path: Path) -> None:
    table = pd.DataFrame({f"c{i}": ["u", "v"] for i in range(40)})
    with pytest.raises(InputError) as caught:
        read(tmp_path, table, "csv")
    assert "; 34 more columns: 'c6', 'c7', " in str(caught.value)
    assert len(str(caught.value)) < 1000


def test_groups_go_on_where_the_last_one_ended(tmp_path: Path) -> None:
    cells = Cells("a")
    for start in range(0, 9, 3):
        cells.count_numbers(np.where(np.arange(start, start + 3) % 4, 1.0, np.nan))
    assert (cells.rows, cells.missing, cells.missing_rows) == (9, 3, [0, 4, 8])
    table = pd.DataFrame({"k": ["u"] * 70_000 + ["v"] * 70_000, "a": [1.0] * 140_000})
    table.loc[139_999, "a"] = np.nan
    path = tmp_path / "x.parquet"
    table.to_parquet(path, row_group_size=10_000)
    found = read_table(path, ColumnRoles(missing=True, text=None))
    assert found.levels == {"k": ("u", "v")}
    np.testing.assert_array_equal(found.x[:, 0], np.repeat([0.0, 1.0], 70_000))
    with pytest.raises(InputError, match=r"1 missing cell, row 139999"):
        read_table(path, ColumnRoles())


@every_format
def test_exclude(tmp_path: Path, suffix: str) -> None:
    table = pd.DataFrame({"a": [1.0, 2], "b": [3.0, 4], "c": ["u", "v"]})
    found = read(tmp_path, table, suffix, exclude=("c",))
    assert found.columns == ("a", "b")
    with pytest.raises(InputError, match="no column left for the features"):
        read(tmp_path, table, suffix, exclude=("a", "b", "c"))


def test_all_columns_are_named(tmp_path: Path) -> None:
    table = pd.DataFrame({f"c{i}": ["u", "v"] for i in range(140)})
    for columns, more in (
        (9, "3 more columns: 'c6', 'c7', 'c8' ("),
        (140, " and 34 more, all by "),
    ):
        with pytest.raises(InputError) as caught:
            read(tmp_path, table.iloc[:, :columns], "csv")
        assert more in str(caught.value)
        assert all(repr(f"c{i}") in str(caught.value) for i in range(min(columns, 106)))
    counts = table.apply(pd.to_numeric, errors="coerce").isna().sum()  # as the error says
    assert (counts == 2).sum() == 140
    with pytest.raises(InputError, match=r"101 more columns: 6, .* all by np\.isfinite\(x\)"):
        check_features(Table(np.full((2, 107), np.nan), "x.npy"), ColumnRoles())
