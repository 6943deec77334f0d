from __future__ import annotations

import contextlib
import itertools
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from matplotlib.figure import Figure
from matplotlib.image import imread

from offset_autoencoder.evaluation.summary import learning_curves
from offset_autoencoder.reporting import comparison_picture, metric_picture
from offset_autoencoder.reporting.colours import model_colours, swept_colours
from offset_autoencoder.reporting.comparison_picture import draw_comparison
from offset_autoencoder.reporting.learning_curve_picture import draw_learning_curves
from offset_autoencoder.reporting.metric_picture import draw_test_metric, spread
from offset_autoencoder.reporting.reconstructions import draw_reconstructions

Report = Any  # conftest's, which tests cannot import
MakeReport = Callable[..., Report]
Drawn = Callable[[Any], Figure]


def _draw(report: Report, folder: Path) -> dict[str, bytes]:
    comparison, metric = folder / "comparison.png", folder / "test_metric.png"
    settings = report.params.settings
    assert draw_comparison(comparison, report.comparisons, metric="mse", confidence=0.95)
    baselines = ["none", "gaussian"]
    colours = model_colours(settings, baselines)
    assert draw_test_metric(
        metric, report.summaries, baselines=baselines, colours=colours, confidence=0.95
    )
    curves = learning_curves(report.histories, confidence=0.95)
    path = folder / "learning_curves.png"
    assert draw_learning_curves(path, curves, colours=swept_colours(settings), confidence=0.95)
    return {path.name: path.read_bytes() for path in sorted(folder.iterdir())}


@pytest.fixture
def figure_of(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Drawn:
    """The figure that a module draws, as matplotlib has it before it is written."""

    def figure_of(module: Any) -> Figure:
        kept = Figure(layout="constrained")

        @contextlib.contextmanager
        def written_figure(*_: Any) -> Iterator[Figure]:
            yield kept

        monkeypatch.setattr(module, "written_figure", written_figure)
        return kept

    return figure_of


def test_the_same_numbers_give_the_same_bytes_whatever_matplotlibrc_says(
    report: Report, tmp_path: Path
) -> None:
    first = _draw(report, tmp_path / "first")
    with mpl.rc_context({"font.size": 30, "axes.facecolor": "red", "savefig.dpi": 7}):
        assert _draw(report, tmp_path / "second") == first
    assert b"matplotlib" not in b"".join(first.values())
    assert set(first) == {"comparison.png", "learning_curves.png", "test_metric.png"}
    for name in first:
        assert imread(tmp_path / "first" / name).shape[1] == 900


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("seeds", [1, 2])
def test_few_seeds_are_drawn_without_complaint(
    seeds: int, tmp_path: Path, make_report: MakeReport
) -> None:
    _draw(make_report(seeds=seeds), tmp_path)


@pytest.mark.filterwarnings("error")
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
def test_any_number_of_lines_and_points_finds_room(
    models: dict[str, Any], tmp_path: Path, make_report: MakeReport
) -> None:
    report = make_report(seeds=2, models=models)
    colours = model_colours(report.params.settings, ["none"])
    path = tmp_path / "test_metric.png"
    assert draw_test_metric(
        path, report.summaries, baselines=["none"], colours=colours, confidence=0.95
    )
    assert imread(path).shape[1] == 900


def test_the_error_stands_at_its_power_on_an_axis_of_ratios(
    report: Report, figure_of: Drawn
) -> None:
    figure = figure_of(metric_picture)
    colours = model_colours(report.params.settings, ["none", "gaussian"])
    draw_test_metric(
        Path("x.png"),
        report.summaries,
        baselines=["none", "gaussian"],
        colours=colours,
        confidence=0.95,
    )
    left, right = figure.axes
    assert (left.get_xscale(), left.get_yscale()) == ("log", "log")
    places = [
        np.asarray(container[0].get_xdata(), dtype=np.float64) for container in left.containers
    ]
    assert len(places) == 4
    for place in places:
        np.testing.assert_allclose(place, [0.05, 0.1, 0.2], rtol=0.0201)
    assert {text.get_text() for text in left.texts} == {*colours}
    assert [tick.get_text() for tick in right.get_xticklabels()] == ["none"]


def test_changes_are_in_percent_on_an_axis_that_keeps_small_ones_apart(
    report: Report, figure_of: Drawn
) -> None:
    figure = figure_of(comparison_picture)
    draw_comparison(Path("x.png"), report.comparisons, metric="mse", confidence=0.95)
    titles = [panel.get_title(loc="left") for panel in figure.axes]
    assert titles == [
        "against none",
        *(f"against gaussian\n{name}" for name in ("deployed", "as trained", "clean")),
    ]
    panel = figure.axes[0]
    assert panel.get_xscale() == "symlog"
    labels = [tick.get_text() for tick in panel.get_yticklabels()]
    items = [i for i in report.comparisons if (i.baseline.model, i.metric) == ("none", "mse")]
    points = {
        (float(np.asarray(line.get_xdata())[0]), float(np.asarray(line.get_ydata())[0]))
        for line in panel.get_lines()
        if line.get_marker() == "o" and len(np.asarray(line.get_xdata())) == 1
    }
    assert points == {
        (100 * item.equivalence.change.mean, labels.index(item.setting.label)) for item in items
    }


@given(st.lists(st.floats(0, 1), min_size=1, max_size=30), st.floats(0.001, 0.2))
def test_names_are_moved_apart_and_no_further(places: list[float], apart: float) -> None:
    places = sorted(places)
    moved = spread(places, apart)
    assert len(moved) == len(places)
    assert all(after - before >= apart - 1e-9 for before, after in itertools.pairwise(moved))
    assert sum(moved) == pytest.approx(sum(places), abs=1e-9)
    if all(after - before >= apart for before, after in itertools.pairwise(places)):
        assert moved == pytest.approx(places)


def test_nothing_to_draw_leaves_no_file(tmp_path: Path) -> None:
    path = tmp_path / "nothing.png"
    assert not draw_comparison(path, [], metric="mse", confidence=0.95)
    assert not draw_test_metric(path, [], baselines=[], colours={}, confidence=0.95)
    assert not draw_learning_curves(path, [], colours={}, confidence=0.95)
    assert not draw_reconstructions(path, np.zeros((0, 8, 8)), [], data_range=(0, 1))
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("shape", [(8, 8), (8, 8, 1), (6, 9, 3), (4, 4, 2)])
def test_images_of_every_shape_are_drawn_in_the_order_given(
    shape: tuple[int, ...], tmp_path: Path
) -> None:
    path = tmp_path / "reconstructions.png"
    black, white = np.zeros((3, *shape)), np.ones((3, *shape))
    assert draw_reconstructions(path, black, [("pca rms=0.2", white)], data_range=(0, 1))
    picture = imread(path)[:, :, :3].mean(axis=2)
    height, width = picture.shape
    last = picture[:, width - 10]
    assert last[: height // 4].min() < 0.01
    assert last[-height // 4 :].min() > 0.99


def test_rows_must_fit_the_originals(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="pca"):
        draw_reconstructions(
            tmp_path / "x.png",
            np.zeros((2, 8, 8)),
            [("pca", np.zeros((1, 8, 8)))],
            data_range=(0, 1),
        )
