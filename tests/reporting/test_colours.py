from __future__ import annotations

from collections.abc import Callable
from typing import Any

from offset_autoencoder.reporting.colours import model_colours, swept_colours

MakeReport = Callable[..., Any]


def _settings(make_report: MakeReport, models: dict[str, Any]) -> Any:
    return make_report(seeds=1, models=models).params.settings


def test_baselines_are_grey_and_no_two_models_alike(make_report: MakeReport) -> None:
    models = {f"m{index}": {"offset": "pca"} for index in range(40)}
    settings = _settings(make_report, {"none": {"offset": "none"}, **models})
    colours = model_colours(settings, ["none", "m7", "absent"])
    greys = {name for name, rgb in colours.items() if rgb[1:3] == rgb[3:5] == rgb[5:]}
    assert greys == {"none", "m7"}
    assert len(set(colours.values())) == len(colours) == 41


def test_a_colour_goes_by_the_order_of_the_models(make_report: MakeReport) -> None:
    models = {"none": {"offset": "none"}, "pca": {"offset": "pca", "rms": [0.1, 0.2]}}
    few = model_colours(_settings(make_report, models), ["none"])
    more = model_colours(_settings(make_report, {**models, "b": {"offset": "pca"}}), ["none"])
    assert {model: more[model] for model in few} == few


def test_the_same_power_has_one_colour_whichever_key_it_comes_from(
    make_report: MakeReport,
) -> None:
    models = {
        "gaussian": {"offset": "none", "stddev": [0.1, 0.2]},
        "pca": {"offset": "pca", "rms": [0.2, 0.3]},
    }
    colours = swept_colours(_settings(make_report, models))
    assert list(colours) == ["", "noise_level=0.1", "noise_level=0.2", "noise_level=0.3"]
    assert len(set(colours.values())) == 4
