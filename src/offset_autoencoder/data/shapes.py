"""The shape of a sample: an image, a series, or features in a row.

Samples stay in the order in which their file has them, channels first or last, everywhere: shapes
only say how pictures and networks read them.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from offset_autoencoder.config import Params
from offset_autoencoder.config.data_schema import Data
from offset_autoencoder.errors import InputError

_MOST_CHANNELS = 4  # of an image: colours and opacity
_AXES = {"image_shape": (2, 3), "sequence_shape": (2,)}
_NAMES = {
    "image_shape": "[h, w], [h, w, channels] or, with data.channels: first, [channels, h, w]",
    "sequence_shape": "[steps, channels] or, with data.channels: first, [channels, steps]",
}


@dataclass(frozen=True)
class SampleShape:
    """How a sample's values are read.

    Attributes:
        image: ``(h, w)``, ``(h, w, c)`` or, with channels first, ``(c, h, w)``; None: no image.
        sequence: ``(steps, channels)`` or ``(channels, steps)`` for networks of series; None where
            nothing says so. Where there is an image too, pictures show that.
        channels_first: Whether channels stand first in both.
        warning: What in them looks as if channels stood elsewhere, and a mend; or ``""``.
    """

    image: tuple[int, ...] | None = None
    sequence: tuple[int, ...] | None = None
    channels_first: bool = False
    warning: str = ""

    @classmethod
    def of(
        cls, data: Data, own: tuple[int, ...], features: int, *, draw_series: bool = False
    ) -> SampleShape:
        """The shape of samples that their file holds as arrays of shape ``own``.

        What ``data`` leaves open, the array says: two axes are an image's, or a series' where one
        of them is 1 or ``draw_series``; three are an image's. A first axis of 1 is that of a
        single channel, whose place makes no difference.

        Raises:
            InputError: where a key does not fit the samples or another key.
        """
        for key in _AXES:
            _check(data, key, features)
        two = len(own) == 2
        is_series = data.sequence_shape is not None or (two and (draw_series or 1 in own))
        image, sequence = data.image_shape, data.sequence_shape
        if image is None and not is_series and len(own) in (2, 3):
            image = list(own)
        if sequence is None and two and (image or is_series):
            is_flat = own[0] == 1 and data.channels is None
            sequence = [own[1], 1] if is_flat else list(own)
        if image and len(image) == 3 and data.channels is None and image[0] == 1 < image[2] - 3:
            image = image[1:]
        shape = cls(
            tuple(image) if image else None,
            None if sequence is None else tuple(sequence),
            data.channels == "first",
        )
        return shape if data.channels else replace(shape, warning=_misplaced_channels(shape))


def axis_names(
    image: Sequence[int] | None, sequence: Sequence[int] | None, *, channels_first: bool
) -> list[str]:
    """Names of the values of an image or a series: ``"step_3_channel_0"``; none where it is none.

    They stand in the order of the data; axes of one are not named.
    """
    shape, axes = (image, ["row", "column"]) if image else (sequence or (), ["step"])
    if len(shape) > len(axes):
        axes = ["channel", *axes] if channels_first else [*axes, "channel"]
    return [
        "_".join(
            f"{axis}_{i}" for axis, i, side in zip(axes, index, shape, strict=True) if side > 1
        )
        for index in np.ndindex(*shape)
        if math.prod(shape) > 1
    ]


def draws_series(params: Params) -> bool:
    """Whether arrays with two axes per sample are series in pictures: some network reads them so.

    None then reads images, and they are no images of a built-in data set.
    """
    reads = {setting.network.kind_record.reads for setting in params.settings}
    is_open = params.data.source == "file" or params.data.image_shape is not None
    return is_open and "sequence_shape" in reads and "image_shape" not in reads


def _check(data: Data, key: str, features: int) -> None:
    shape: Sequence[int] | None = getattr(data, key)
    if not shape and (shape is None or key == "image_shape"):
        return
    where = f"params.yaml: data.{key}"
    if len(shape) not in _AXES[key]:
        raise InputError(where, f"is {_NAMES[key]}, got {list(shape)}")
    if (values := math.prod(shape)) != features:
        raise InputError(where, f"{list(shape)} has {values} values, a sample has {features}")


def _misplaced_channels(shape: SampleShape) -> str:
    image, sequence = shape.image, shape.sequence
    if image is not None and len(image) == 3:
        looks_first = image[0] <= _MOST_CHANNELS < min(image[1:])
        read_as = f"{image[0]} × {image[1]} pixels of {image[2]} channels"
    elif image is None and sequence is not None:
        looks_first = sequence[0] < sequence[1]
        read_as = f"{sequence[0]} steps of {sequence[1]} channels"
    else:
        return ""
    mend = "if the channels stand first, set data.channels: first, or save the array anew as "
    mend += "np.ascontiguousarray(np.moveaxis(x, 1, -1)); if they do not, data.channels: last"
    text = f"samples of shape {image or sequence} are read as {read_as}: {mend}"
    return text if looks_first else ""
