from __future__ import annotations

import csv
import math
from pathlib import Path

import numpy as np
import pytest

from offset_autoencoder.errors import InputError
from offset_autoencoder.io.tables import csv_text, read_csv, write_csv


def test_floats_come_back_as_they_were_and_gaps_are_empty(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "table.csv"
    row = {"a": 0.1 + 0.2, "b": None, "c": math.nan, "d": 'x, "y"', "e": np.float64(1e-17), "f": 3}
    write_csv(path, ["a", "b", "c", "d", "e", "f", "g"], [row])
    assert b"\r" not in path.read_bytes()
    with path.open(newline="") as stream:
        (read,) = csv.DictReader(stream)
    assert float(read["a"]) == 0.1 + 0.2
    assert float(read["e"]) == 1e-17
    assert (read["b"], read["c"], read["d"], read["f"], read["g"]) == ("", "", 'x, "y"', "3", "")


def test_a_float32_is_written_in_its_own_shortest_form() -> None:
    row = {"a": np.float32(0.1), "b": np.float32(math.nan), "c": math.nan}
    assert csv_text(["a", "b", "c"], [row]) == "a,b,c\n0.1,nan,\n"


def test_what_is_written_is_read_cell_by_cell(tmp_path: Path) -> None:
    path = tmp_path / "table.csv"
    write_csv(path, ["a", "b"], [{"a": 'x,\n"y"', "b": 1.5}, {"a": "", "b": None}])
    assert read_csv(path) == [{"a": 'x,\n"y"', "b": "1.5"}, {"a": "", "b": ""}]
    with pytest.raises(InputError, match="has no column 'c'"):
        read_csv(path, ["a", "c"])
    path.write_text("")
    assert read_csv(path) == []


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"a,b\n1,2\n1\n", "row 2: has 1 cells, expected 2"),
        (b"a,b\n1,2,3\n", "row 1: has 3 cells, expected 2"),
        (b'a,b\n"1,2\n', "is not a table"),
        (b"a,b\n\xff,2\n", "is not a table"),
        (None, "no such file"),
    ],
)
def test_a_damaged_table_is_named(tmp_path: Path, content: bytes | None, message: str) -> None:
    path = tmp_path / "table.csv"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(InputError, match=message) as caught:
        read_csv(path)
    assert "run dvc repro" in str(caught.value)


def test_a_cell_that_is_no_number_is_named(tmp_path: Path) -> None:
    path = tmp_path / "table.csv"
    path.write_text("a,b,c\n1,2,\n3,x,4\n")
    first, second = read_csv(path)
    assert first.numbers_after("a") == {"b": 2.0}
    assert second.number("c") == 4.0
    with pytest.raises(InputError, match=r"table.csv, row 2, column b: expected a number, got 'x'"):
        second.numbers_after("a")
