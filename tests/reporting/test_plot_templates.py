"""The templates of ``dvc plots``, filled by DVC's own renderer from files of our own writers."""

from __future__ import annotations

import csv
import json
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from offset_autoencoder.reporting.comparisons import DIFFERENCE_COLUMNS, difference_rows
from offset_autoencoder.reporting.curves import CURVE_COLUMNS, curve_rows, learning_curves
from offset_autoencoder.reporting.intervals import SETTING_COLUMNS, series, setting_rows
from offset_autoencoder.reporting.interventions import (
    CHANGE_COLUMNS,
    LEVEL_COLUMNS,
    change_rows,
    level_rows,
)
from offset_autoencoder.reporting.tables import write_csv

Report = Any  # conftest's, which tests cannot import
Findings = Any
MakeReport = Callable[..., Report]


TEMPLATES = Path(__file__).parents[2] / ".dvc" / "plots"
AXES = {
    "intervention_changes": ("change", "setting"),
    "level_curves": ("level", "mean"),
    "learning_curves": ("epoch", "mean"),
    "comparison_intervals": ("difference", "setting"),
    "settings_intervals": ("power", "mean"),
}


def _read(path: Path, report: Report, findings: Findings, template: str) -> list[dict[str, str]]:
    found = findings.interventions
    if template == "intervention_changes":
        write_csv(path, CHANGE_COLUMNS, change_rows(found, "mse"))
    elif template == "level_curves":
        write_csv(path, LEVEL_COLUMNS, level_rows(found, "mse", "noise"))
    elif template == "learning_curves":
        curves = learning_curves(report.histories, confidence=0.95)
        write_csv(path, CURVE_COLUMNS, curve_rows(curves))
    elif template == "comparison_intervals":
        write_csv(path, DIFFERENCE_COLUMNS, difference_rows(report.comparisons, "mse"))
    else:
        write_csv(path, SETTING_COLUMNS, setting_rows(report.summaries))
    with path.open(newline="") as stream:
        return list(csv.DictReader(stream))


def _fields(node: Any) -> Iterator[str]:
    if isinstance(node, dict):
        for key, value in node.items():
            if key == "field" and isinstance(value, str):
                yield value
            elif key == "parse":
                yield from value
            elif isinstance(value, str):
                yield from re.findall(r"datum\.(\w+)", value)
            else:
                yield from _fields(value)
    elif isinstance(node, list):
        for item in node:
            yield from _fields(item)


def _made(node: Any) -> Iterator[str]:
    if isinstance(node, dict):
        yield from (value for key, value in node.items() if key == "as")
        for value in node.values():
            yield from _made(value)
    elif isinstance(node, list):
        for item in node:
            yield from _made(item)


@pytest.mark.parametrize("template", sorted(AXES))
def test_dvc_fills_the_template_and_every_field_it_names_is_in_the_file(
    template: str, report: Report, findings: Findings, tmp_path: Path
) -> None:
    from dvc_render.vega import VegaRenderer  # type: ignore[import-untyped]

    rows = _read(tmp_path / "data.csv", report, findings, template)
    x, y = AXES[template]
    points = [{**row, "rev": rev} for rev in ("workspace", "HEAD") for row in rows]
    renderer = VegaRenderer(
        points, "plot", template=template, template_dir=str(TEMPLATES), x=x, y=y, title="a title"
    )
    spec = json.loads(renderer.partial_html())
    assert spec["data"]["values"] == points
    assert "DVC_METRIC" not in json.dumps(spec)
    known = {*rows[0], "rev", *_made(spec)}
    del spec["data"]["values"]
    assert set(_fields(spec)) <= known
    assert "rev" in set(_fields(spec))


def test_colours_of_verdicts_cover_every_word() -> None:
    from offset_autoencoder.evaluation.verdict import OUTCOMES

    text = (TEMPLATES / "comparison_intervals.json").read_text()
    scale = json.loads(text)["spec"]["encoding"]["color"]["scale"]
    assert tuple(scale["domain"]) == OUTCOMES
    assert len(set(scale["range"])) == len(OUTCOMES)


def test_a_line_of_settings_differs_in_power_alone(make_report: MakeReport) -> None:
    models = {
        "none": {"offset": "none"},
        "both": {"offset": "pca", "rms": [0.1, 0.2], "stddev": [0.0, 0.1]},
    }
    report = make_report(models=models, network={"latent_dim": [8, 16]})
    names = [series(setting) for setting in report.params.settings]
    assert names[:2] == ["none latent_dim=8", "none latent_dim=16"]
    assert names.count("both latent_dim=8 stddev=0.1") == 2
    rows = setting_rows(report.summaries)
    assert [row["power"] for row in rows[:2]] == [None, None]
