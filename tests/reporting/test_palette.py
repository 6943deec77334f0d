from __future__ import annotations

from typing import Any, get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.reporting.conftest import make_report

from offset_autoencoder.evaluation.comparison import Outcome
from offset_autoencoder.evaluation.offset_verdict import OffsetWord
from offset_autoencoder.reporting.palette import (
    DARK_PAGE,
    OUTCOME_COLOURS,
    TERMINAL_STYLES,
    VERDICT_COLOURS,
    contrast,
    model_colours,
    on_dark,
    palette_of,
    swept_colours,
)


def _settings(models: dict[str, Any]) -> Any:
    return make_report(seeds=1, models=models).params.settings


def test_baselines_are_grey_and_no_two_models_alike() -> None:
    models = {f"m{index}": {"offset": "pca"} for index in range(40)}
    settings = _settings({"none": {"offset": "none"}, **models})
    colours = model_colours(settings, ["none", "m7", "absent"])
    greys = {name for name, rgb in colours.items() if rgb[1:3] == rgb[3:5] == rgb[5:]}
    assert greys == {"none", "m7"}
    assert len(set(colours.values())) == len(colours) == 41


def test_a_colour_goes_by_the_order_of_the_models() -> None:
    models = {"none": {"offset": "none"}, "pca": {"offset": "pca", "rms": [0.1, 0.2]}}
    few = model_colours(_settings(models), ["none"])
    more = model_colours(_settings({**models, "b": {"offset": "pca"}}), ["none"])
    assert {model: more[model] for model in few} == few


def test_the_same_power_has_one_colour_whichever_key_it_comes_from() -> None:
    models = {
        "gaussian": {"offset": "none", "stddev": [0.1, 0.2]},
        "pca": {"offset": "pca", "rms": [0.2, 0.3]},
    }
    colours = swept_colours(_settings(models))
    assert list(colours) == ["", "noise_level=0.1", "noise_level=0.2", "noise_level=0.3"]
    assert len(set(colours.values())) == 4


@pytest.mark.parametrize(
    ("first", "second", "ratio"),
    [("#000000", "#ffffff", 21), ("#777777", "#ffffff", 4.48), ("#ff0000", "#ffffff", 4.0)],
)
def test_contrast_is_that_of_wcag(first: str, second: str, ratio: float) -> None:
    assert contrast(first, second) == contrast(second, first)
    assert contrast(first, second) == pytest.approx(ratio, abs=0.005)


@given(st.integers(0, 0xFFFFFF))
def test_every_colour_is_legible_on_a_dark_page(number: int) -> None:
    assert contrast(on_dark(f"#{number:06x}"), DARK_PAGE) >= 4.5


def test_black_becomes_white_and_light_colours_stay() -> None:
    assert on_dark("#000000") == "#ffffff"
    assert on_dark("#56B4E9") == "#56b4e9"


def test_colours_are_those_of_the_pictures(report: Any) -> None:
    settings = report.params.settings
    palette = palette_of(settings, ["none", "gaussian"])
    drawn = {model: colour.light for model, colour in palette.models.items()}
    assert drawn == model_colours(settings, ["none", "gaussian"])
    words = {word: colour.light for word, colour in palette.words.items()}
    assert words == OUTCOME_COLOURS | VERDICT_COLOURS
    models = {f"m{index}": {"offset": "pca"} for index in range(40)}
    every = model_colours(_settings(models), ["m0", "m1", "m2"])
    assert not set(every.values()) & set(words.values())
    assert all(contrast(colour, "#ffffff") >= 4.5 for colour in words.values())
    assert set(words) == set(TERMINAL_STYLES) == {*get_args(Outcome), *get_args(OffsetWord)}
    assert len({colour.name for colour in palette.all}) == len(palette.all)
