"""The templates of ``dvc plots``, filled by DVC's own renderer from files of our own writers."""

from __future__ import annotations

import csv
import json
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from offset_autoencoder.evaluation.summary import learning_curves
from offset_autoencoder.evaluation.verdict_wording import OUTCOMES
from offset_autoencoder.io.tables import write_csv
from offset_autoencoder.reporting.colours import OUTCOME_COLOURS, model_colours
from offset_autoencoder.reporting.comparisons import DIFFERENCE_COLUMNS, difference_rows
from offset_autoencoder.reporting.curves import CURVE_COLUMNS, curve_rows
from offset_autoencoder.reporting.intervals import SETTING_COLUMNS, series, setting_rows
from offset_autoencoder.reporting.interventions import (
    CHANGE_COLUMNS,
    LEVEL_COLUMNS,
    change_rows,
    level_rows,
)

Report = Any  # conftest's, which tests cannot import
Findings = Any
Colours = Any
MakeReport = Callable[..., Report]


TEMPLATES = Path(__file__).parents[2] / ".dvc" / "plots"
AXES = {
    "intervention_changes": ("change", "setting"),
    "level_curves": ("level", "mean"),
    "learning_curves": ("epoch", "mean"),
    "comparison_intervals": ("change", "setting"),
    "settings_intervals": ("noise_level", "mean"),
}


def _read(
    path: Path, report: Report, findings: Findings, colours: Colours, template: str
) -> list[dict[str, str]]:
    found = findings.interventions
    baselines = ["none", "gaussian"]
    if template == "intervention_changes":
        write_csv(path, CHANGE_COLUMNS, change_rows(found, "mse", colours.by_model))
    elif template == "level_curves":
        write_csv(path, LEVEL_COLUMNS, level_rows(found, "mse", "noise", colours.by_values))
    elif template == "learning_curves":
        curves = learning_curves(report.histories, confidence=0.95)
        write_csv(path, CURVE_COLUMNS, curve_rows(curves, colours.by_values))
    elif template == "comparison_intervals":
        write_csv(path, DIFFERENCE_COLUMNS, difference_rows(report.comparisons, "mse"))
    else:
        rows = setting_rows(report.summaries, baselines=baselines, colours=colours.by_model)
        write_csv(path, SETTING_COLUMNS, rows)
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
    template: str, report: Report, findings: Findings, colours: Colours, tmp_path: Path
) -> None:
    from dvc_render.vega import VegaRenderer  # type: ignore[import-untyped]

    rows = _read(tmp_path / "data.csv", report, findings, colours, template)
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


def test_colours_of_verdicts_are_those_of_the_picture() -> None:
    text = (TEMPLATES / "comparison_intervals.json").read_text()
    scale = json.loads(text)["spec"]["encoding"]["color"]["scale"]
    assert dict(zip(scale["domain"], scale["range"], strict=True)) == OUTCOME_COLOURS
    assert len(set(scale["range"])) == len(OUTCOMES)


def _colour_encodings(node: Any) -> Iterator[dict[str, Any]]:
    if isinstance(node, dict):
        for key, value in node.items():
            if key == "color" and isinstance(value, dict):
                yield value
            else:
                yield from _colour_encodings(value)
    elif isinstance(node, list):
        for item in node:
            yield from _colour_encodings(item)


@pytest.mark.parametrize("template", sorted(set(AXES) - {"comparison_intervals"}))
def test_every_other_colour_is_taken_from_the_file(template: str) -> None:
    spec = json.loads((TEMPLATES / f"{template}.json").read_text())
    fixed = {"value": "#000000"}  # the line at zero
    encodings = [each for each in _colour_encodings(spec) if each != fixed]
    assert encodings
    assert all((each["field"], each["scale"]) == ("colour", None) for each in encodings)


def test_a_model_has_one_colour_in_every_file(
    report: Report, findings: Findings, colours: Colours, tmp_path: Path
) -> None:
    seen: dict[str, set[str]] = {}
    for template in ("settings_intervals", "intervention_changes"):
        for row in _read(tmp_path / "data.csv", report, findings, colours, template):
            seen.setdefault(row["model"], set()).add(row["colour"])
    assert seen == {model: {colour} for model, colour in colours.by_model.items()}


def test_a_line_of_settings_differs_in_power_alone(make_report: MakeReport) -> None:
    models = {
        "none": {"offset": "none"},
        "both": {"offset": "pca", "rms": [0.1, 0.2], "stddev": [0.0, 0.1]},
    }
    report = make_report(models=models, network={"latent_dim": [8, 16]})
    names = [series(setting) for setting in report.params.settings]
    assert names[:2] == ["none latent_dim=8", "none latent_dim=16"]
    assert names.count("both latent_dim=8 stddev=0.1") == 2
    drawn = model_colours(report.params.settings, ["none"])
    rows = setting_rows(report.summaries, baselines=["none"], colours=drawn)
    assert [row["noise_level"] for row in rows[:2]] == [None, None]
    assert [row["shown_as"] for row in rows] == ["reference"] * 2 + ["line"] * 8
