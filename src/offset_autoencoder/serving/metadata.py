"""Description of a served model: ``served.json`` of its folder."""

from __future__ import annotations

from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

from offset_autoencoder.config.offset_kinds import OFFSETS, SideInput
from offset_autoencoder.config.systems import SYSTEMS
from offset_autoencoder.errors import InputError
from offset_autoencoder.io.files import read_json, write_json

METADATA = "served.json"
FORMAT = 2
NAME_IN_MLFLOW = "model"

_AGAIN = "make the folder anew, with this version"


@dataclass(frozen=True)
class ModelMetadata:
    """Description of a served model, beside its weights.

    Attributes:
        format: Of the folder.
        run: The run's id.
        model: The model's name in params.yaml; None where it was not taken by name.
        system: What built its network.
        function: The user's function that built it, else None.
        seed: The run's seed.
        input_dim: Features of a sample.
        columns: The features' names, where the samples that it was trained on had names.
        image_shape: Of a sample that is an image, else None.
        latent_dim: Length of code and offset.
        offset_kind: Kind of its offset; None for a run without one.
        offset_factor: What f(x) is multiplied by before it is added.
        scale: Kind of the scale.
        classes: The labels as they came, in order of class index, or None.
        text_ids: Whether the data's ids are text.
        has_code: Whether its network names a code that depends on x alone.
        test_samples_sha256: Digest of the scaled test samples.
        test: Test metrics, as evaluate measured them; empty where they are not known.
    """

    format: int
    run: str
    model: str | None
    system: str
    function: str | None
    seed: int
    input_dim: int
    columns: list[str] | None
    image_shape: list[int] | None
    latent_dim: int
    offset_kind: str | None
    offset_factor: float
    scale: str
    classes: list[int] | list[str] | None
    text_ids: bool
    has_code: bool
    test_samples_sha256: str
    test: dict[str, float]

    @property
    def needs(self) -> SideInput | None:
        """Input that must be given beside x for the offset to be known; None: x is enough."""
        return needs_of_kind(self.offset_kind)

    @property
    def user_code(self) -> bool:
        """Whether applying it runs functions of the user's ``src/custom``."""
        kind = OFFSETS.get(self.offset_kind or "")
        return self.function is not None or (kind is not None and kind.user_code)


def needs_of_kind(kind: str | None) -> SideInput | None:
    """Input that an offset of this kind needs beside x."""
    return OFFSETS[kind].needs if kind in OFFSETS else None


def write_metadata(folder: Path, metadata: ModelMetadata) -> None:
    """Write ``served.json``."""
    write_json(folder / METADATA, asdict(metadata))


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
    names = {field.name for field in fields(ModelMetadata)}
    if document.keys() != names:
        odd = min(document.keys() ^ names)
        raise InputError(str(path), f"has not the keys expected: {odd!r}", _AGAIN)
    _check(path, document)
    return ModelMetadata(**document)


def _check(path: Path, document: dict[str, Any]) -> None:
    for key in ("seed", "input_dim", "latent_dim"):
        if type(document[key]) is not int or document[key] < (key != "seed"):
            raise InputError(str(path), f"{key} is {document[key]!r:.40}, no such number", _AGAIN)
    if not isinstance(document["offset_factor"], int | float):
        raise InputError(str(path), "offset_factor is no number", _AGAIN)
    if document["system"] not in SYSTEMS:
        raise InputError(str(path), f"system is {document['system']!r:.40}", _AGAIN)


@dataclass(frozen=True)
class ExportOrder:
    """ExportOrder to export a run as a served model's folder.

    Attributes:
        run: Its id.
        model: The model's name.
        folder: Where to.
        test: What ``evaluate`` measured on the test split; ``mse`` is measured again.
    """

    run: str
    model: str
    folder: str
    test: dict[str, float]
