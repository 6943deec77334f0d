"""The templates of ``dvc plots``, filled by DVC's own renderer from files of our own writers."""

from __future__ import annotations

import csv
import io
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, get_args

import pytest

from offset_autoencoder.evaluation.comparison import Outcome
from offset_autoencoder.evaluation.results import ExperimentResults
from offset_autoencoder.io.tables import csv_text
from offset_autoencoder.reporting.palette import OUTCOME_COLOURS
from offset_autoencoder.reporting.plot_rows import plot_tables
from offset_autoencoder.reporting.rendering import templates, write_templates

TEMPLATES = Path(__file__).parents[2] / ".dvc" / "plots"
PLOTS = {
    "intervention_changes": ("interventions", "change", "setting"),
    "level_curves": ("robustness", "level", "mean"),
    "learning_curves": ("learning_curves", "epoch", "mean"),
    "comparison_intervals": ("comparison", "change", "setting"),
    "settings_intervals": ("settings", "noise_level", "mean"),
}
"""By template its csv file, and the columns of its axes."""


def _nodes(node: Any) -> Iterator[dict[str, Any]]:
    """Every object of a specification."""
    if isinstance(node, dict):
        yield node
    if isinstance(node, (dict, list)):
        for inner in node.values() if isinstance(node, dict) else node:
            yield from _nodes(inner)


def _fields(specification: Any) -> Iterator[str]:
    """Columns that it names."""
    for node in _nodes(specification):
        for key, value in node.items():
            if key in ("field", "groupby") and isinstance(value, (str, list)):
                yield from [value] if isinstance(value, str) else value
            elif isinstance(value, str):
                yield from re.findall(r"datum\.(\w+)", value)


def test_the_committed_templates_are_those_of_the_charts(tmp_path: Path) -> None:
    write_templates(tmp_path)
    names = sorted(path.name for path in tmp_path.iterdir())
    assert names == sorted(path.name for path in TEMPLATES.glob("*.json"))
    for name in names:
        made, committed = tmp_path / name, TEMPLATES / name
        assert made.read_text() == committed.read_text(), (
            f"{name}: run python -m offset_autoencoder.reporting.rendering"
        )


@pytest.mark.parametrize("template", sorted(PLOTS))
def test_dvc_fills_the_template_and_every_field_it_names_is_in_the_file(
    template: str, whole: ExperimentResults
) -> None:
    from dvc_render.vega import VegaRenderer  # type: ignore[import-untyped]

    plot, x, y = PLOTS[template]
    rows = list(csv.DictReader(io.StringIO(csv_text(*plot_tables(whole)[plot]))))
    points = [{**row, "rev": rev} for rev in ("workspace", "HEAD") for row in rows]
    renderer = VegaRenderer(
        points, "plot", template=template, template_dir=str(TEMPLATES), x=x, y=y, title="a title"
    )
    spec = json.loads(renderer.partial_html())
    assert spec["data"]["values"] == points
    assert "DVC_METRIC" not in json.dumps(spec)
    columns = {*rows[0], "rev", *(node["as"] for node in _nodes(spec) if "as" in node)}
    numbers = set(spec["data"]["format"]["parse"])
    del spec["data"]
    assert set(_fields(spec)) - {"", "label"} <= columns  # a count of rows; of a panel
    assert "rev" in set(_fields(spec))
    assert numbers & set(rows[0])


def test_a_legend_lists_every_verdict_in_its_colour() -> None:
    text = json.dumps(templates()["comparison_intervals"])
    (domain,) = set(re.findall(r'"domain": (\[[^]]*\])', text))
    (colours,) = set(re.findall(r'"range": (\[[^]]*\])', text))
    assert json.loads(domain) == list(get_args(Outcome))
    assert dict(zip(json.loads(domain), json.loads(colours), strict=True)) == OUTCOME_COLOURS
    assert len(set(json.loads(colours))) == len(get_args(Outcome))


@pytest.mark.parametrize("template", sorted(set(PLOTS) - {"comparison_intervals"}))
def test_every_other_colour_is_taken_from_the_file(template: str) -> None:
    encodings = [
        n["color"] for n in _nodes(templates()[template]) if isinstance(n.get("color"), dict)
    ]
    assert encodings
    assert all((each["field"], each["scale"]) == ("colour", None) for each in encodings)
