from __future__ import annotations

import csv
import math
from pathlib import Path

import numpy as np

from offset_autoencoder.reporting.tables import write_csv


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
