from __future__ import annotations

import io

import pytest
from rich.console import Console

from offset_autoencoder.reporting.terminal import Column, print_table, report_console

LABELS = ["a model with a long name rms=0.05", "b"]


def _printed(width: int) -> tuple[list[str], list[str]]:
    stream = io.StringIO()
    setting = Column("setting", LABELS, right=False)
    number, word = Column("number", ["+1.5", "-22.5"]), Column("verdict", ["better", "worse"])
    headings = print_table(
        Console(file=stream, width=width), "a title", [setting, number, word], [setting, word]
    )
    return headings, stream.getvalue().splitlines()


def test_the_widest_layout_that_fits_is_printed() -> None:
    whole, brief = ["setting", "number", "verdict"], ["setting", "verdict"]
    needed = max(map(len, _printed(200)[1]))
    for width, expected in ((200, whole), (needed, whole), (needed - 1, brief), (10, brief)):
        headings, lines = _printed(width)
        assert headings == expected
        assert lines[1].split() == expected


def test_no_cell_is_ever_wrapped_or_cut() -> None:
    for width in (10, 30, 200):
        lines = _printed(width)[1]
        assert sum(line.startswith(LABELS[0]) for line in lines) == 1
        assert [line.split()[-1] for line in lines[-2:]] == ["better", "worse"]


def test_a_title_a_heading_a_rule_and_the_rows() -> None:
    assert len(_printed(200)[1]) == 3 + len(LABELS)


def test_a_pipe_is_100_columns_wide_unless_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdout", io.StringIO())
    monkeypatch.delenv("COLUMNS", raising=False)
    assert report_console().width == 100
    monkeypatch.setenv("COLUMNS", "72")
    assert report_console().width == 72
