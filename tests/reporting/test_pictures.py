"""The PNG files of ``reports/plots``, read back as pixels."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any
from unittest.mock import patch

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image
from tests.reporting.conftest import NOTHING, make_findings, make_report, make_results, make_whole

from offset_autoencoder.evaluation.results import ExperimentResults
from offset_autoencoder.reporting.plot_rows import plot_tables
from offset_autoencoder.reporting.reports import PICTURES, draw_pictures


def draw(results: ExperimentResults, folder: Path, *charts: str) -> set[str]:
    """Draw all pictures, or those of some charts; the names of the files."""
    asked = {name: PICTURES[name] for name in charts or PICTURES}
    with patch.dict(PICTURES, asked, clear=True):
        draw_pictures(folder, results, plot_tables(results))
    return {path.stem for path in folder.glob("*")}


def scales_of(specification: Any, axis: str) -> set[str]:
    """Types of the scales of an axis, ``x`` or ``y``, in all layers and panels of a chart."""
    if isinstance(specification, list):
        return {kind for part in specification for kind in scales_of(part, axis)}
    if not isinstance(specification, dict):
        return set()
    scale = (specification.get("encoding", {}).get(axis) or {}).get("scale") or {}
    inner = {kind for part in specification.values() for kind in scales_of(part, axis)}
    return inner | ({scale["type"]} if "type" in scale else set())


def pixels(path: Path) -> NDArray[np.uint8]:
    return np.asarray(Image.open(path).convert("RGB"))


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("seeds", [1, 2])
def test_few_seeds_are_drawn_without_complaint(seeds: int, tmp_path: Path) -> None:
    assert draw(make_results(seeds=seeds), tmp_path) >= set(PICTURES)


def test_errors_stand_on_an_axis_of_ratios_and_changes_on_one_that_keeps_small_ones_apart(
    whole: ExperimentResults,
) -> None:
    plots = plot_tables(whole)

    def scales(name: str, axis: str) -> set[str]:
        drawn = PICTURES[name](whole, plots)
        assert drawn is not None
        return scales_of(drawn[0].to_dict(), axis)

    assert scales("test_metric", "y") == {"log"}
    assert scales("comparison", "x") == scales("interventions", "x") == {"symlog"}


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize(("metric", "seeds"), [("psnr", 1), ("explained_variance", 2)])
def test_metrics_of_any_sign_are_drawn(metric: str, seeds: int, tmp_path: Path) -> None:
    made = make_report(seeds=seeds, evaluate={"metric": metric})
    interventions = make_findings(made.params, metric)["interventions"]
    summaries = [replace(summary, metric=metric) for summary in made.summaries]
    results = make_whole(made, interventions=interventions, summaries=summaries, comparisons=[])
    plots = plot_tables(results)
    for name in ("test_metric", "interventions", "robustness", "offset_scales"):
        drawn = PICTURES[name](results, plots)
        assert drawn is not None
        assert "log" not in scales_of(drawn[0].to_dict(), "y")
    asked = ("test_metric", "interventions")
    assert draw(results, tmp_path, *asked) >= set(asked)


@pytest.mark.parametrize(
    "models",
    [
        {"none": {"offset": "none"}},
        {"pca": {"offset": "pca", "rms": [0.1, 0.2]}},
        {"pca": {"offset": "pca", "rms": [0.1, 0.2], "latent_dim": [8, 16]}, "none": {}},
        {f"m{i}": {"offset": "pca", "rms": [0.01 * (1 + i), 0.5]} for i in range(30)},
        {f"m{i}": {"offset": "pca"} for i in range(60)},
    ],
)
def test_any_number_of_lines_and_points_finds_room(models: dict[str, Any], tmp_path: Path) -> None:
    results = make_results("none", seeds=2, models=models)
    assert "test_metric" in draw(results, tmp_path, "test_metric", "interventions")
    assert pixels(tmp_path / "test_metric.png").shape[0] > 300


def test_nothing_to_draw_leaves_no_file(tmp_path: Path) -> None:
    made = make_report(seeds=2, diverged=True)
    results = make_whole(made, samples="none", curves=[], comparisons=[], **NOTHING)
    assert draw(results, tmp_path) == set()


def test_one_level_makes_no_curve(whole: ExperimentResults, tmp_path: Path) -> None:
    one = [item for item in whole.interventions if item.intervention.level in (None, 0)]
    results = replace(whole, interventions=one)
    plots = plot_tables(results)
    assert (
        PICTURES["robustness"](results, plots) is PICTURES["offset_scales"](results, plots) is None
    )


def test_a_larger_change_stands_further_right(tmp_path: Path) -> None:
    models = {"pca": {"offset": "pca", "rms": [0.05, 5.0]}}
    results = make_results("none", seeds=3, models=models)
    permuted = [
        item
        for item in results.interventions
        if item.intervention.name == "permuted" and item.split == "test"
    ]
    draw(replace(results, interventions=permuted), tmp_path, "interventions")
    picture = pixels(tmp_path / "interventions.png").astype(int)
    drawn = (abs(picture - [0, 0x72, 0xB2]).max(axis=2) < 5).nonzero()
    middle = (drawn[0].min() + drawn[0].max()) / 2
    above, below = drawn[1][drawn[0] < middle], drawn[1][drawn[0] > middle]
    assert above.max() + 50 < below.min()
