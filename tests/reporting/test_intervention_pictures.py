from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import matplotlib as mpl
import pytest
from matplotlib.image import imread
from offset_autoencoder.reporting.colours import model_colours, swept_colours
from offset_autoencoder.reporting.intervention_pictures import (
    draw_interventions,
    draw_offset_scales,
    draw_robustness,
)
from offset_autoencoder.reporting.probe_picture import draw_probes

Findings = Any  # conftest's, which tests cannot import
MakeFindings = Callable[..., Findings]
MakeReport = Callable[..., Any]


def _draw(findings: Findings, folder: Path, metric: str = "mse") -> dict[str, bytes]:
    asked: dict[str, Any] = {"metric": metric, "confidence": 0.95}
    found, settings = findings.interventions, findings.params.settings
    models, values = model_colours(settings, []), swept_colours(settings)
    path = folder / "interventions.png"
    assert draw_interventions(path, found, margin=0.05, colours=models, **asked)
    assert draw_robustness(folder / "robustness.png", found, colours=values, **asked)
    assert draw_offset_scales(folder / "offset_scales.png", found, colours=values, **asked)
    assert draw_probes(folder / "probes.png", findings.probes, colours=models, confidence=0.95)
    return {path.name: path.read_bytes() for path in sorted(folder.iterdir())}


def test_the_same_numbers_give_the_same_bytes_whatever_matplotlibrc_says(
    findings: Findings, tmp_path: Path
) -> None:
    first = _draw(findings, tmp_path / "first")
    with mpl.rc_context({"font.size": 30, "axes.facecolor": "red", "savefig.dpi": 7}):
        assert _draw(findings, tmp_path / "second") == first
    for name in first:
        assert imread(tmp_path / "first" / name).shape[1] == 900


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize(("seeds", "metric"), [(1, "mse"), (1, "psnr"), (2, "explained_variance")])
def test_few_seeds_are_drawn_without_complaint(
    seeds: int,
    metric: str,
    make_report: MakeReport,
    make_findings: MakeFindings,
    tmp_path: Path,
) -> None:
    _draw(make_findings(make_report(seeds=seeds).params, metric), tmp_path, metric)


def test_nothing_to_draw_leaves_no_file(findings: Findings, tmp_path: Path) -> None:
    path = tmp_path / "nothing.png"
    for draw in (draw_interventions, draw_robustness, draw_offset_scales):
        assert not draw(path, [], metric="mse", colours={}, confidence=0.95)
        found = findings.interventions
        assert not draw(path, found, metric="mae", colours={}, confidence=0.95)
    one_level = [i for i in findings.interventions if i.intervention.level in (None, 0)]
    assert not draw_robustness(path, one_level, metric="mse", colours={}, confidence=0.95)
    assert not draw_probes(path, [], colours={}, confidence=0.95)
    assert not list(tmp_path.iterdir())


def test_a_larger_change_stands_further_right(
    make_report: MakeReport, make_findings: MakeFindings, tmp_path: Path
) -> None:
    models = {"pca": {"offset": "pca", "rms": [0.05, 5.0]}}
    found = make_findings(make_report(seeds=3, models=models).params).interventions
    permuted = [item for item in found if item.intervention.name == "permuted"]
    path = tmp_path / "interventions.png"
    blue = {"pca": "#0072B2"}
    assert draw_interventions(path, permuted, metric="mse", colours=blue, confidence=0.95)
    picture = imread(path)[:, :, :3]
    drawn = (abs(picture - [0, 0x72 / 255, 0xB2 / 255]).max(axis=2) < 0.02).nonzero()
    middle = (drawn[0].min() + drawn[0].max()) / 2
    above, below = drawn[1][drawn[0] < middle], drawn[1][drawn[0] > middle]
    assert above.max() + 100 < below.min()
