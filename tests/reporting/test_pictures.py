from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np
import pytest
from matplotlib.image import imread

from offset_autoencoder.reporting.curves import learning_curves
from offset_autoencoder.reporting.pictures import (
    draw_comparison,
    draw_learning_curves,
    draw_test_metric,
)
from offset_autoencoder.reporting.reconstructions import draw_reconstructions

Report = Any  # conftest's, which tests cannot import
MakeReport = Callable[..., Report]


def _draw(report: Report, folder: Path) -> dict[str, bytes]:
    comparison, metric = folder / "comparison.png", folder / "test_metric.png"
    assert draw_comparison(comparison, report.comparisons, metric="mse", confidence=0.95)
    assert draw_test_metric(metric, report.summaries, confidence=0.95)
    curves = learning_curves(report.histories, confidence=0.95)
    assert draw_learning_curves(folder / "learning_curves.png", curves, confidence=0.95)
    return {path.name: path.read_bytes() for path in sorted(folder.iterdir())}


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


def test_nothing_to_draw_leaves_no_file(tmp_path: Path) -> None:
    path = tmp_path / "nothing.png"
    assert not draw_comparison(path, [], metric="mse", confidence=0.95)
    assert not draw_test_metric(path, [], confidence=0.95)
    assert not draw_learning_curves(path, [], confidence=0.95)
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
