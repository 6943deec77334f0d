"""The templates of ``dvc plots``, filled by DVC's own renderer from files of our own writers."""

from __future__ import annotations

import csv
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from offset_autoencoder.evaluation.comparison import OUTCOMES
from offset_autoencoder.evaluation.summary import learning_curves
from offset_autoencoder.io.tables import write_csv
from offset_autoencoder.reporting.palette import OUTCOME_COLOURS
from offset_autoencoder.reporting.rendering import templates, write_templates
from offset_autoencoder.reporting.rows import (
    change_plot,
    comparison_plot,
    curve_plot,
    level_plot,
    setting_plot,
)

Report = Any  # conftest's, which tests cannot import
Findings = Any
Colours = Any

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
    interventions = findings.interventions
    if template == "intervention_changes":
        table = change_plot(interventions, "mse", colours.by_model)
    elif template == "level_curves":
        table = level_plot(interventions, "mse", "robustness", colours.by_values)
    elif template == "learning_curves":
        curves = learning_curves(report.histories, confidence=0.95)
        table = curve_plot(curves, colours.by_values)
    elif template == "comparison_intervals":
        table = comparison_plot(report.comparisons, "mse")
    else:
        baselines = ["none", "gaussian"]
        table = setting_plot(report.summaries, baselines=baselines, colours=colours.by_model)
    write_csv(path, *table)
    with path.open(newline="") as stream:
        return list(csv.DictReader(stream))


def _fields(node: Any) -> Iterator[str]:
    if isinstance(node, dict):
        for key, value in node.items():
            if key in ("field", "groupby") and isinstance(value, (str, list)):
                yield from [value] if isinstance(value, str) else value
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


def test_the_committed_templates_are_those_of_the_charts(tmp_path: Path) -> None:
    write_templates(tmp_path)
    names = sorted(path.name for path in tmp_path.iterdir())
    assert names == sorted(path.name for path in TEMPLATES.glob("*.json"))
    for name in names:
        made, committed = tmp_path / name, TEMPLATES / name
        assert made.read_text() == committed.read_text(), (
            f"{name}: run python -m offset_autoencoder.reporting.rendering"
        )


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
    columns = {*rows[0], "rev", *_made(spec)}
    numbers = set(spec["data"]["format"]["parse"])
    del spec["data"]
    assert set(_fields(spec)) - {"", "label"} <= columns  # a count of rows; of a panel
    assert "rev" in set(_fields(spec))
    assert numbers & set(rows[0])


def test_a_legend_lists_every_verdict_in_its_colour() -> None:
    text = json.dumps(templates()["comparison_intervals"])
    (domain,) = set(re.findall(r'"domain": (\[[^]]*\])', text))
    (colours,) = set(re.findall(r'"range": (\[[^]]*\])', text))
    assert json.loads(domain) == list(OUTCOMES)
    assert dict(zip(json.loads(domain), json.loads(colours), strict=True)) == OUTCOME_COLOURS
    assert len(set(json.loads(colours))) == len(OUTCOMES)


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
    encodings = list(_colour_encodings(templates()[template]))
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
