"""How the values of a sample are read: as an image, a series, or features in a row."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from offset_autoencoder.config.data_schema import Data
from offset_autoencoder.data.shapes import SampleShape, axis_names
from offset_autoencoder.errors import InputError


def shape_of(own: tuple[int, ...], draw_series: bool = False, **keys: Any) -> SampleShape:
    return SampleShape.of(Data(**keys), own, int(np.prod(own)), draw_series=draw_series)


@pytest.mark.parametrize(
    ("own", "keys", "image", "sequence"),
    [
        ((64,), {}, None, None),
        ((64,), {"image_shape": [8, 8]}, (8, 8), None),
        ((64,), {"sequence_shape": [32, 2]}, None, (32, 2)),
        ((8, 8), {}, (8, 8), (8, 8)),
        ((8, 8), {"image_shape": []}, None, None),
        ((8, 8), {"sequence_shape": [8, 8]}, None, (8, 8)),
        ((8, 8), {"draw_series": True}, None, (8, 8)),
        ((8, 8), {"draw_series": True, "image_shape": [8, 8]}, (8, 8), (8, 8)),
        ((275, 1), {}, None, (275, 1)),
        ((1, 275), {}, None, (275, 1)),
        ((275, 1), {"image_shape": [25, 11]}, (25, 11), (275, 1)),
        ((275, 1), {"image_shape": []}, None, (275, 1)),
        ((3, 275), {"draw_series": True, "channels": "first"}, None, (3, 275)),
        ((28, 28, 1), {}, (28, 28, 1), None),
        ((1, 28, 28), {}, (28, 28), None),
        ((1, 28, 28), {"channels": "last"}, (1, 28, 28), None),
        ((1, 28, 3), {}, (1, 28, 3), None),
        ((3, 32, 32), {"channels": "first"}, (3, 32, 32), None),
        ((2, 4, 5, 3), {}, None, None),
    ],
    ids=str,
)
def test_the_keys_and_the_array_decide(
    own: tuple[int, ...], keys: dict[str, Any], image: Any, sequence: Any
) -> None:
    shape = shape_of(own, **keys)
    assert (shape.image, shape.sequence) == (image, sequence)
    assert shape.channels_first == (keys.get("channels") == "first")
    assert shape.warning == ""


@pytest.mark.parametrize(
    ("own", "draw_series", "read_as"),
    [
        ((3, 32, 32), False, "(3, 32, 32) are read as 3 × 32 pixels of 32 channels"),
        ((4, 20, 16), False, "(4, 20, 16) are read as 4 × 20 pixels of 16 channels"),
        ((9, 128), True, "(9, 128) are read as 9 steps of 128 channels"),
    ],
)
def test_channels_that_look_misplaced_are_a_warning_with_two_mends(
    own: tuple[int, ...], draw_series: bool, read_as: str
) -> None:
    warning = shape_of(own, draw_series).warning
    assert read_as in warning
    for mend in ("data.channels: first", "np.moveaxis(x, 1, -1)", "data.channels: last"):
        assert mend in warning
    moved = np.ascontiguousarray(np.moveaxis(np.zeros((2, *own)), 1, -1))  # as it says
    assert shape_of(moved.shape[1:], draw_series).warning == ""
    for channels in ("first", "last"):
        assert shape_of(own, draw_series, channels=channels).warning == ""


@pytest.mark.parametrize(
    "own", [(32, 32, 3), (128, 9), (8, 8), (4, 6, 3), (3, 3, 3), (28, 28, 4), (64,)]
)
@pytest.mark.parametrize("draw_series", [False, True])
def test_what_stands_where_it_should_is_no_warning(own: tuple[int, ...], draw_series: bool) -> None:
    assert shape_of(own, draw_series).warning == ""


@pytest.mark.parametrize(
    ("keys", "message"),
    [
        ({"sequence_shape": [12]}, r"sequence_shape: is \[steps, channels\] or, with"),
        ({"sequence_shape": []}, r"sequence_shape: is \[steps, channels\] or, with"),
        ({"sequence_shape": [5, 2]}, r"sequence_shape: \[5, 2\] has 10 values, a sample has 12"),
        ({"image_shape": [12]}, r"image_shape: is \[h, w\], \[h, w, channels\] or, with"),
    ],
)
def test_a_shape_that_does_not_fit_is_one_line(keys: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        shape_of((12,), **keys)


@pytest.mark.parametrize(
    ("keys", "names"),
    [
        ({"sequence": [2, 2]}, ["step_0_channel_0", "step_0_channel_1", "step_1_channel_0", "..."]),
        (
            {"sequence": [2, 2], "first": True},
            ["channel_0_step_0", "channel_0_step_1", "...", "..."],
        ),
        ({"sequence": [3, 1]}, ["step_0", "step_1", "step_2"]),
        ({"image": [1, 2]}, ["column_0", "column_1"]),
        ({"image": [2, 1, 2]}, ["row_0_channel_0", "row_0_channel_1", "row_1_channel_0", "..."]),
        ({"image": [2, 2], "sequence": [2, 2]}, ["row_0_column_0", "row_0_column_1", "...", "..."]),
        ({"image": [1, 2, 1], "first": True}, ["row_0", "row_1"]),
        ({}, []),
        ({"sequence": [1, 1]}, []),
    ],
)
def test_values_are_named_by_their_axes_in_the_order_of_the_data(
    keys: dict[str, Any], names: list[str]
) -> None:
    found = axis_names(
        keys.get("image"), keys.get("sequence"), channels_first=keys.get("first", False)
    )
    assert len(found) == len(names)
    for name, expected in zip(found, names, strict=True):
        assert expected in (name, "...")
