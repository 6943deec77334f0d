from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from offset_autoencoder.reporting.html.palette import on_dark, palette_of

from offset_autoencoder.reporting.palette import DARK_PAGE, contrast

Report = object


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


def test_colours_are_those_of_the_pictures(report: object) -> None:
    from offset_autoencoder.reporting.colours import OUTCOME_COLOURS, model_colours

    settings = report.params.settings  # type: ignore[attr-defined]
    palette = palette_of(settings, ["none", "gaussian"])
    drawn = {model: colour.light for model, colour in palette.models.items()}
    assert drawn == model_colours(settings, ["none", "gaussian"])
    assert {word: colour.light for word, colour in palette.outcomes.items()} == OUTCOME_COLOURS
    assert len({colour.name for colour in palette.all}) == len(palette.all)
