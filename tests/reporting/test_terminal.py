from __future__ import annotations

import io
from collections.abc import Callable
from typing import Any

import pytest
from rich.console import Console

from offset_autoencoder.reporting.terminal import print_report

Report = Any  # conftest's, which tests cannot import
MakeReport = Callable[..., Report]


def _printed(report: Report, width: int = 80, **console: Any) -> str:
    stream = io.StringIO()
    print_report(
        Console(file=stream, width=width, **console),
        report.summaries,
        report.comparisons,
        baselines=report.params.evaluate.baselines,
        confidence=0.95,
    )
    return stream.getvalue()


def _row(text: str, *words: str) -> str:
    rows = [line for line in text.splitlines() if line.split()[: len(words)] == list(words)]
    assert rows, f"no row {words} in\n{text}"
    return rows[0]


def test_every_setting_has_one_line_in_80_columns_without_colour(report: Report) -> None:
    text = _printed(report)
    assert "\x1b" not in text
    assert max(map(len, text.splitlines())) <= 80
    for summary in report.summaries:
        line = _row(text, *summary.setting.label.split())
        assert f"{1e3 * summary.estimate.mean:.2f} ± {1e3 * summary.estimate.half:.2f}" in line
    assert "mean squared error on the test split, in 1e-3, and against none" in text
    assert "against gaussian at the same power" in text


def test_a_line_says_difference_p_wins_and_verdict(report: Report) -> None:
    item = next(
        item
        for item in report.comparisons
        if (item.setting.label, item.baseline.model) == ("pca rms=0.1", "none")
    )
    words = _row(_printed(report), "pca", "rms=0.1").split()
    assert words[-6:] == [
        f"{1e3 * item.difference.mean:+.2f}",
        "±",
        f"{1e3 * item.difference.half:.2f}",
        f"{item.p_corrected:.2g}",
        "10/10",
        "better",
    ]


def test_equivalent_is_a_word_of_its_own_or_an_addition(make_report: MakeReport) -> None:
    text = _printed(make_report())
    assert _row(text, "frozen", "rms=0.05").split()[-1] == "equivalent"
    assert _row(text, "class_code", "rms=0.05").split()[-4:] == ["better", "<", "5", "%"]
    assert "shown to change by less than 5 %" in " ".join(text.split())


def test_the_legend_says_what_was_compared_and_corrected(report: Report) -> None:
    text = " ".join(_printed(report).split())
    assert "half the 95% interval over seeds" in text
    assert "Holm-corrected" in text
    assert "(none 12, gaussian 9)" in text
    assert "Not told apart does not mean equal" in text
    assert "no gaussian setting to compare with: none" in text
    assert "diverged: pca rms=0.2, 1 of 10 runs" in text


def test_a_terminal_gets_colour(report: Report) -> None:
    assert "\x1b[32mbetter" in _printed(report, force_terminal=True, color_system="standard")


@pytest.mark.parametrize("seeds", [1, 3])
def test_few_seeds_print_no_nan_and_no_verdict(seeds: int, make_report: MakeReport) -> None:
    text = _printed(make_report(seeds=seeds))
    assert "nan" not in text
    assert "too few seeds" in text
    assert "better " not in text.split("Each run as deployed")[0]
    assert max(map(len, text.splitlines())) <= 80


@pytest.mark.parametrize(("scale", "shown"), [(1e-9, "in 1e-12"), (1e3, "± "), (1e9, "in 1e6")])
def test_values_of_any_size_stay_readable(
    scale: float, shown: str, make_report: MakeReport
) -> None:
    text = _printed(make_report(scale=scale))
    assert shown in text
    assert max(map(len, text.splitlines())) <= 80
    mean = _row(text, "none").split()[1]
    assert 0.1 <= float(mean) < 1e5


def test_an_experiment_without_baselines_prints_its_means(make_report: MakeReport) -> None:
    models = {"alone": {"offset": "none", "stddev": [0.1, 0.2]}}
    report = make_report(models=models)
    text = _printed(report)
    assert "difference" not in text
    assert _row(text, "alone", "stddev=0.1")


def test_a_stream_that_is_not_unicode_gets_ascii(report: Report) -> None:
    stream = io.TextIOWrapper(io.BytesIO(), encoding="ascii")
    print_report(
        Console(file=stream, width=80),
        report.summaries,
        report.comparisons,
        baselines=["none", "gaussian"],
        confidence=0.95,
    )
    stream.flush()


def test_where_every_run_diverged_that_is_what_is_said(make_report: MakeReport) -> None:
    text = _printed(make_report(seeds=2, diverged=True))
    assert "diverged: none, 2 of 2 runs" in text
    assert "nan" not in text
