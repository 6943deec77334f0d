"""Description of a served model: ``served.json`` of its folder."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from pydantic import Field

from offset_autoencoder.config import values
from offset_autoencoder.config.offset_kinds import OFFSETS, OffsetSection, SideInput
from offset_autoencoder.config.systems import SYSTEMS
from offset_autoencoder.data.preprocessing import Preprocessing
from offset_autoencoder.data.shapes import axis_names
from offset_autoencoder.errors import InputError
from offset_autoencoder.io.files import read_json, write_json

METADATA = "served.json"
FORMAT = 2
NAME_IN_MLFLOW = "model"

_AGAIN = "make the folder anew, with this version"


class ModelMetadata(values.Section):
    """Description of a served model, beside its weights.

    Attributes:
        format: Of the folder.
        run: The run's id.
        model: The model's name in params.yaml; None where it was not taken by name.
        system: System that built its network.
        function: The user's function that built it, else None.
        input_dim: Features of a sample.
        columns: The features' names, where the samples that it was trained on had names.
        image_shape: Of a sample that is an image, else None.
        sequence_shape: Of a sample that is a series, else None.
        channels_first: Whether the channels stand first in both.
        latent_dim: Length of code and offset.
        offset_kind: Kind of its offset; None for a run without one.
        offset_factor: Factor of f(x) before it is added.
        scale: Kind of the scale.
        preprocessing: What was done to raw features before they were scaled.
        classes: The labels as they came, in order of class index, or None.
        text_ids: True where the data's ids are text.
        has_code: True where its network names a code that depends on x alone.
        test_samples_sha256: Digest of the scaled test samples.
        test: Test metrics, as evaluate measured them; empty where they are not known.
        thresholds: Quantiles of the errors of the validation samples, by metric and quantile.
    """

    format: int = FORMAT
    run: str
    model: str | None
    system: Annotated[str, values.member_of(SYSTEMS)]
    function: str | None
    seed: values.Seed
    input_dim: values.Count
    columns: list[str] | None
    image_shape: list[int] | None
    sequence_shape: list[int] | None = None
    channels_first: bool = False
    latent_dim: values.Count
    offset_kind: str | None
    offset_factor: values.Number
    scale: str
    preprocessing: Preprocessing = Preprocessing()
    classes: list[int] | list[str] | None
    text_ids: bool
    has_code: bool
    test_samples_sha256: str
    test: dict[str, float]
    thresholds: dict[str, dict[str, float]] = Field({})

    def check_axes(self, where: str, shape: tuple[int, ...]) -> None:
        """Refuse samples of a shape whose axes stand in another order than in training.

        Raises:
            InputError: at ``where``; axes of one, and rows of features, make no difference.
        """
        trained_on = tuple(self.image_shape or self.sequence_shape or ())
        own, theirs = (tuple(side for side in axes if side > 1) for axes in (shape, trained_on))
        if len(own) > 1 and own != theirs and sorted(own) == sorted(theirs):
            what = f"has samples of shape {shape}, the model was trained on {trained_on}"
            raise InputError(where, what, "bring the axes into that order, by np.moveaxis")

    def feature_names(self, columns: Sequence[str] | None) -> tuple[str, ...]:
        """Names of the features of samples whose columns have these names, if any; () without.

        Of images and series without names, or with numbers for names, they say row, column, step
        and channel.
        """
        if columns is not None and [*columns] != [str(i) for i in range(self.input_dim)]:
            return tuple(columns)
        shapes = self.image_shape, self.sequence_shape
        by_axes = axis_names(*shapes, channels_first=self.channels_first)
        return tuple(by_axes or columns or ())

    @property
    def raw_features(self) -> int:
        """Number of features of a raw sample, before any were left out."""
        return self.preprocessing.raw_features or self.input_dim

    @property
    def raw_columns(self) -> tuple[str, ...] | None:
        """Columns that its features are made of; None where they are its features."""
        if self.columns is None or not self.preprocessing.levels:
            return None
        return self.preprocessing.raw_columns(self.columns)

    @property
    def needs(self) -> SideInput | None:
        """Input that must be given beside x for the offset to be known; None: x is enough."""
        return offset_section(self.offset_kind).needs

    @property
    def user_code(self) -> bool:
        """True where applying it runs functions of the user's ``src/custom``."""
        return self.function is not None or offset_section(self.offset_kind).user_code


def offset_section(kind: str | None) -> type[OffsetSection]:
    """Record of a kind of offset; of none and of an unknown one, that of nothing special."""
    return OFFSETS.get(kind or "", OffsetSection)


def write_metadata(folder: Path, metadata: ModelMetadata) -> None:
    """Write ``served.json``."""
    write_json(folder / METADATA, metadata.model_dump())


def read_metadata(folder: Path) -> ModelMetadata:
    """Read ``served.json``.

    Raises:
        InputError: where it is missing, or not of this format.
    """
    path = folder / METADATA
    if not path.is_file():
        raise InputError(str(folder), f"is no model's folder: it has no {METADATA}")
    document = read_json(path)
    version = document.get("format") if isinstance(document, dict) else None
    if version != FORMAT:
        raise InputError(str(path), f"has format {version!r}, expected {FORMAT}", _AGAIN)
    try:
        return values.validate_section(ModelMetadata, str(path), document)
    except InputError as error:
        raise InputError(error.where, error.what, _AGAIN) from None


@dataclass(frozen=True)
class ExportOrder:
    """Request to export a run, by id and model's name, as a served model's folder.

    ``test`` holds the metrics of ``evaluate`` on the test split; ``mse`` is measured again.
    """

    run: str
    model: str
    folder: str
    test: dict[str, float]
