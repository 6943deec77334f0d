"""``data/prepared``: the splits as later stages read them, memory-mapped."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from offset_autoencoder import paths
from offset_autoencoder.config.schema import SPLITS, SplitName
from offset_autoencoder.errors import InputError
from offset_autoencoder.io.arrays import open_npy
from offset_autoencoder.io.files import (
    read_json,
    read_npz,
    replace_folder,
    sha256_of_array,
    write_json,
    write_npy,
    write_npz,
)


@dataclass(frozen=True)
class PreparedSplit:
    """One split, rows in ascending order of id.

    Attributes:
        x: float32 ``(n, input_dim)``, C order; memory-mapped where it was loaded.
        y: int64 ``(n,)``, index into the schema's classes, or None.
        ids: ``(n,)`` int64 or text.
    """

    x: NDArray[np.float32]
    y: NDArray[np.int64] | None
    ids: NDArray[Any]

    @property
    def digests(self) -> dict[str, str | None]:
        """The SHA-256 of each array, None where there are no labels."""
        return {
            "x": sha256_of_array(self.x),
            "y": None if self.y is None else sha256_of_array(self.y),
            "ids": sha256_of_array(self.ids),
        }


@dataclass(frozen=True)
class Schema:
    """What ``schema.json`` says, key by key.

    Attributes:
        source: ``digits``, ``mnist``, ``fashion_mnist``, or the files' names.
        samples: How many of each split.
        input_dim: Features of a sample.
        image_shape: ``[h, w]`` or ``[h, w, c]`` of a sample, or None.
        scale: ``{"kind": ...}`` and its facts: ``divisor`` (unit), or ``constant_features``, how
            many features of a built-in data set were set to 0 (minmax, standard).
        range: ``[0, 1]`` where the scale is made for it (unit, minmax) and every value of
            every split keeps to it; None where values have no range to rely on.
        classes: The labels as they came, in order of class index, or None.
        ids: ``given`` where the user's, ``rows`` where row numbers.
        digests: Of ``x``, ``y`` and ``ids`` of each split.
        columns: The features' names, where the files have names.
    """

    source: str
    samples: dict[SplitName, int]
    input_dim: int
    image_shape: list[int] | None
    scale: dict[str, Any]
    range: list[float] | None
    classes: list[int] | list[str] | None
    ids: str
    digests: dict[SplitName, dict[str, str | None]]
    columns: list[str] | None = None


@dataclass(frozen=True)
class PreparedData:
    """What ``data/prepared`` holds."""

    train: PreparedSplit
    validation: PreparedSplit
    test: PreparedSplit
    schema: Schema

    def split(self, name: SplitName) -> PreparedSplit:
        """The split of a name."""
        return {"train": self.train, "validation": self.validation, "test": self.test}[name]


def load_prepared(folder: Path = paths.PREPARED) -> PreparedData:
    """Open what ``prepare`` wrote; ``x`` is mapped, so that opening costs nothing.

    Raises:
        InputError: where a file is missing, damaged, or not what the schema says.
    """
    document = read_json(folder / "schema.json")
    try:
        schema = Schema(**document)
    except TypeError as error:
        raise InputError(
            str(folder / "schema.json"), f"is not a schema: {error}", "run dvc repro prepare"
        ) from None
    splits = {name: _load_split(folder / name, name, schema) for name in SPLITS}
    return PreparedData(**splits, schema=schema)


def load_scale(
    folder: Path = paths.PREPARED,
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """The shift and the factor that new raw samples need; see :func:`.scaling.apply_scale`.

    Raises:
        InputError: where ``scale.npz`` is missing or damaged.
    """
    arrays = read_npz(folder / "scale.npz")
    if not {"shift", "factor"} <= arrays.keys():
        raise InputError(str(folder / "scale.npz"), "holds no shift and factor")
    return arrays["shift"], arrays["factor"]


def write_prepared(
    folder: Path,
    data: PreparedData,
    *,
    shift: NDArray[np.float64],
    factor: NDArray[np.float64],
    latent_dims: Mapping[str, Sequence[int]],
) -> None:
    """Write the folder whole: it takes the place of the old one when all of it is written.

    Args:
        folder: Where to.
        data: Splits and schema.
        shift: float64 ``(1,)`` or ``(input_dim,)``.
        factor: Likewise.
        latent_dims: Of each offset, the latent dims that it is needed in.
    """
    with replace_folder(folder) as new:
        for name in SPLITS:
            write_npy(new / name / "x.npy", data.split(name).x)
        write_all_but_x(new, data, shift=shift, factor=factor, latent_dims=latent_dims)


def write_all_but_x(
    folder: Path,
    data: PreparedData,
    *,
    shift: NDArray[np.float64],
    factor: NDArray[np.float64],
    latent_dims: Mapping[str, Sequence[int]],
) -> None:
    """Write what belongs beside the splits' ``x.npy``; arguments as of :func:`write_prepared`."""
    for name in SPLITS:
        split = data.split(name)
        write_npy(folder / name / "ids.npy", split.ids)
        if split.y is not None:
            write_npy(folder / name / "y.npy", split.y)
    write_npz(folder / "scale.npz", {"shift": shift, "factor": factor})
    write_json(
        folder / "latent_dims.json", {name: list(dims) for name, dims in latent_dims.items()}
    )
    write_json(folder / "schema.json", asdict(data.schema))


def digests_of(splits: Mapping[SplitName, PreparedSplit]) -> dict[SplitName, dict[str, str | None]]:
    """The digests of every split, as the schema holds them."""
    return {name: splits[name].digests for name in SPLITS}


def _load_split(folder: Path, name: SplitName, schema: Schema) -> PreparedSplit:
    x, ids = open_npy(folder / "x.npy"), np.array(open_npy(folder / "ids.npy"))
    y = np.array(open_npy(folder / "y.npy")) if schema.classes is not None else None
    expected = (schema.samples[name], schema.input_dim)
    if x.shape != expected or x.dtype != np.float32:
        raise InputError(
            str(folder / "x.npy"),
            f"is {x.dtype} {x.shape}, schema.json says float32 {expected}",
            "run dvc repro prepare",
        )
    for array, file in ((ids, "ids.npy"), (y, "y.npy")):
        if array is not None and array.shape != expected[:1]:
            raise InputError(
                str(folder / file), f"has shape {array.shape}, expected {expected[:1]}"
            )
    return PreparedSplit(x=x, y=y, ids=ids)
