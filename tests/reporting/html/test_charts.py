"""Data of the charts: every point of the files, no more digits than can be seen."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.reporting.html.project import Project, make_project, read_csv

from offset_autoencoder.reporting import figures
from offset_autoencoder.reporting.figures import (
    Figure,
    json_text,
    learning_curve_figure,
    level_figure,
    noise_level_figure,
    short,
    thinned,
)
from offset_autoencoder.reporting.palette import palette_of
from offset_autoencoder.reporting.plot_rows import plot_tables


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Project:
    return make_project(tmp_path_factory.mktemp("project"), seeds=4)


def lines_of(chart: Figure | None) -> dict[str, dict[str, Any]]:
    assert chart is not None
    (rows,) = json.loads(chart.spec)["datasets"].values()
    return {row["setting"]: row for row in rows}


def drawn(made: Project, plot: str) -> Figure | None:
    results = made.results
    rows = plot_tables(results)[plot][1]
    palette = palette_of(results.settings, results.evaluate.baselines)
    if plot == "learning_curves":
        return learning_curve_figure(results, rows, palette)
    if plot == "settings":
        return noise_level_figure(results, rows, palette)
    return level_figure(plot, results, rows, palette)


def test_learning_curves_are_those_of_the_file_after_the_first_tenth(made: Project) -> None:
    rows = read_csv(made.reports / "plots" / "learning_curves.csv")
    last = max(int(row["epoch"]) for row in rows)
    lines = lines_of(drawn(made, "learning_curves"))
    assert list(lines) == list(dict.fromkeys(row["setting"] for row in rows))
    for setting, line in lines.items():
        own = [row for row in rows if row["setting"] == setting and 10 * int(row["epoch"]) >= last]
        assert line["x"] == [int(row["epoch"]) for row in own]
        for name in ("mean", "low", "high"):
            np.testing.assert_allclose(line[name], [float(row[name]) for row in own], rtol=1e-4)


def test_many_curves_are_thinned_out_and_the_text_says_so(
    made: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(figures, "MOST_POINTS", 15 * len(made.results.settings))
    chart = drawn(made, "learning_curves")
    assert chart is not None
    whole = lines_of(chart)
    assert {len(line["x"]) for line in whole.values()} == {15}
    assert "through 15 of its epochs at most" in chart.caption


@given(st.integers(1, 300), st.integers(2, 50))
def test_thinning_keeps_both_ends(count: int, most: int) -> None:
    rows = [{"x": str(place)} for place in range(count)]
    kept = thinned(rows, most)
    assert len(kept) == min(count, most)
    assert (kept[0], kept[-1]) == (rows[0], rows[-1])


def test_levels_are_those_of_the_file(made: Project) -> None:
    for plot in ("robustness", "offset_scales"):
        rows = read_csv(made.reports / "plots" / f"{plot}.csv")
        lines = lines_of(drawn(made, plot))
        assert [name for name, line in lines.items() for _ in line["x"]] == [
            row["setting"] for row in rows
        ]
        for values, column in (("x", "level"), ("mean", "mean")):
            found = [value for line in lines.values() for value in line[values]]
            np.testing.assert_allclose(found, [float(row[column]) for row in rows], rtol=1e-4)


def test_what_has_no_noise_level_is_level_across_all(made: Project) -> None:
    lines = lines_of(drawn(made, "settings"))
    assert lines["none"]["x"] == [0.05, 0.2]
    assert len(set(lines["none"]["mean"])) == 1
    assert lines["pca"]["x"] == [0.05, 0.1, 0.2]
    assert set(lines) == {"none", "gaussian", "frozen", "pca", "class_code"}


def test_a_single_seed_has_no_band(tmp_path: Path) -> None:
    made = make_project(tmp_path, seeds=1)
    lines = lines_of(drawn(made, "learning_curves"))
    assert {end for line in lines.values() for end in line["low"] + line["high"]} == {None}


@pytest.mark.parametrize("text", ["</script>", "<!--", "&amp;", "\u2028", "{{ x }}", "ü\\"])
def test_json_holds_any_text_and_cannot_end_its_element(text: str) -> None:
    written = json_text({text: [text]})
    assert json.loads(written) == {text: [text]}
    assert not set(written) & set("<>&\u2028")


def test_numbers_that_are_none_are_refused_or_empty() -> None:
    with pytest.raises(ValueError, match="JSON"):
        json_text([float("nan")])
    assert [short(value) for value in (1 / 3, float("nan"), float("inf"))] == [0.33333, None, None]
