"""The table of growth with the number of runs."""

import io

import pytest
from benchmarks.scale import exponents, scale_table
from rich.console import Console

FIGURES = [
    {"runs": 270.0, "train, s": 3.0, "models, files": 0.0},
    {"runs": 2700.0, "train, s": 30.0, "models, files": 8.0},
    {"runs": 27000.0, "train, s": 3000.0, "models, files": 8.0},
]


def test_exponents_are_those_from_size_to_size() -> None:
    assert exponents(FIGURES, "train, s") == pytest.approx([1.0, 2.0])
    assert exponents(FIGURES, "models, files") == pytest.approx([0.0, 0.0])


def test_the_table_has_a_row_for_each_figure() -> None:
    console = Console(width=120, file=io.StringIO(), record=True)
    console.print(scale_table(FIGURES))
    text = console.export_text()
    assert "2,700 runs" in text
    assert "1.00, 2.00" in text
