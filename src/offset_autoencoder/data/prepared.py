"""``data/prepared``: the splits as later stages read them, memory-mapped."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from offset_autoencoder import paths
from offset_autoencoder.config.data_schema import SPLITS, SplitName
from offset_autoencoder.data.preprocessing import Preprocessing
from offset_autoencoder.data.scaling import Scale, ScaleArrays
from offset_autoencoder.data.splits import Digests, sample_digests
from offset_autoencoder.errors import InputError
from offset_autoencoder.io import files
from offset_autoencoder.io.arrays import ConcatenatedRows, Rows, chunks, reorder

FLOAT32_BYTES = 4  # of a value as prepared

LEFT_OUT: Literal["left_out"] = "left_out"
PartName = SplitName | Literal["left_out"]
"""A split, or what is in none: samples of no normal class that would be trained on."""

SplitRows = Mapping[PartName, Rows]


@dataclass(frozen=True)
class PreparedSplit:
    """One split, rows in ascending order of id.

    Attributes:
        x: float32 ``(n, input_dim)``, C order; memory-mapped where it was loaded.
        y: int64 ``(n,)``, index into the schema's classes, or None.
        ids: ``(n,)`` int64 or text.
        rows: int64 ``(n,)``, places of its samples in the first seed's splits, one after the other;
            None in the first seed's own.
    """

    x: NDArray[np.float32]
    y: NDArray[np.int64] | None
    ids: NDArray[Any]
    rows: Rows | None = None


@dataclass(frozen=True)
class Schema:
    """Content of ``schema.json``, key by key; where splits vary, each seed's has its own.

    Attributes:
        source: ``digits``, ``mnist``, ``fashion_mnist``, or the files' names.
        samples: Number of samples of each split.
        input_dim: Number of features of a sample.
        image_shape: ``[h, w]`` or ``[h, w, c]`` of a sample, or None.
        sequence_shape: ``[steps, c]`` of a sample, or None; drawn where there is no image.
        channels_first: Whether the channels stand first in both.
        scale: ``{"kind": ...}``, and ``divisor`` (unit), or ``constant_features``: the number of
            features that were set to 0 (minmax, standard).
        range: ``[0, 1]`` where the scale is made for it (unit, minmax) and every value of
            every split, of whatever seed, keeps to it; None where values have no range to rely on.
        classes: The labels as they came, in order of class index, or None.
        ids: ``given`` where they are the user's, ``rows`` where they are row numbers.
        digests: Of ``x``, ``y`` and ``ids`` of each split.
        columns: The features' names, where the files have names.
        left_out: Number of samples in no split: see :data:`PartName`.
        preprocessing: What was done to the raw features before they were scaled.
        dropped: Number of rows of the files that were left out for a missing cell.
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
    sequence_shape: list[int] | None = None
    channels_first: bool = False
    left_out: int = 0
    preprocessing: Preprocessing = field(default_factory=Preprocessing)
    dropped: int = 0

    @property
    def parts(self) -> list[PartName]:
        """The splits, and what is in none of them where that is anything."""
        return [*SPLITS, LEFT_OUT] if self.left_out else [*SPLITS]

    def size(self, name: PartName) -> int:
        """Number of samples of a split, or of those in none."""
        return self.left_out if name == LEFT_OUT else self.samples[name]


@dataclass(frozen=True)
class PreparedData:
    """Splits and schema of ``data/prepared``; ``left_out`` are samples in no split."""

    train: PreparedSplit
    validation: PreparedSplit
    test: PreparedSplit
    schema: Schema
    left_out: PreparedSplit | None = None

    def split(self, name: SplitName) -> PreparedSplit:
        """Split of a name."""
        return self.parts[name]

    @property
    def parts(self) -> dict[PartName, PreparedSplit]:
        """The splits by name, then what is in none, if anything is."""
        splits: dict[PartName, PreparedSplit] = {name: getattr(self, name) for name in SPLITS}
        return splits if self.left_out is None else {**splits, LEFT_OUT: self.left_out}


@dataclass(frozen=True)
class SplitStatistics:
    """Extremes of a split's scaled values (NaN where a value is), and digests.

    ``samples`` holds a digest of each sample, ``sha256`` is that of x as written, ``clipped`` the
    number of values that were.
    """

    low: float
    high: float
    samples: Digests
    sha256: str
    clipped: int = 0


def in_order(
    x: ConcatenatedRows, ids: NDArray[Any], rows: SplitRows | None
) -> tuple[ConcatenatedRows, Rows]:
    """Put the rows of a matrix in an order in which those of each split ascend.

    They do where ids are row numbers; where the user gave ids, all rows are put in the order of
    the ids. ``rows`` are those of each split; None: of any split that is in the order of the ids.

    Returns:
        The matrix, and the place in it of each row, int64 ``(n,)``.
    """
    parts = [*rows.values()] if rows else [np.argsort(ids, kind="stable")]
    if all(bool(np.all(part[1:] > part[:-1])) for part in parts):
        return x, np.arange(len(x))
    order = np.argsort(ids, kind="stable")
    places = np.empty(len(order), dtype=np.int64)
    places[order] = np.arange(len(order))
    return reorder(x, order), places


def write_splits(
    folder: Path,
    x: ConcatenatedRows,
    rows: SplitRows,
    scale: Scale,
    report: Callable[[int], None] = lambda rows: None,
) -> dict[PartName, SplitStatistics]:
    """Scale raw samples ``(n, D)`` and write ``SPLIT/x.npy`` for every split, in one pass.

    The rows of each split ascend; ``report`` is called with the number of rows read so far.
    """
    low, high = dict.fromkeys(rows, np.inf), dict.fromkeys(rows, -np.inf)
    samples = {name: np.empty(len(part), dtype=np.uint64) for name, part in rows.items()}
    clipped = dict.fromkeys(rows, 0)
    with contextlib.ExitStack() as stack:
        writers = {}
        for name, part in rows.items():
            file = files.npy_writer(folder / name / "x.npy", (len(part), x.shape[1]))
            writers[name] = stack.enter_context(file)
        for start, chunk in chunks(x):
            for name, part in rows.items():
                first, end = np.searchsorted(part, (start, start + len(chunk)))
                if first == end:
                    continue
                raw = chunk[part[first:end] - start]
                clipped[name] += scale.arrays.clipped(raw)
                scaled = scale.apply(raw)
                # Of NumPy's, since Python's own drop NaN.
                low[name] = np.minimum(low[name], scaled.min())
                high[name] = np.maximum(high[name], scaled.max())
                samples[name][first:end] = sample_digests(scaled)
                writers[name].append(scaled)
            report(start + len(chunk))
    return {
        name: SplitStatistics(
            float(low[name]), float(high[name]), samples[name], writer.digest, clipped[name]
        )
        for name, writer in writers.items()
    }


def load_prepared(folder: Path | str = paths.PREPARED) -> PreparedData:
    """Open ``data/prepared``; ``x`` is mapped, so that opening costs nothing.

    Where splits vary, it is that of the first seed: see :func:`.varying.load_splits`.

    Raises:
        InputError: where a file is missing, damaged, or not what the schema says.
    """
    folder = Path(folder)
    schema = load_schema(folder)
    loaded = {name: _load_split(folder / name, name, schema) for name in schema.parts}
    return PreparedData(**loaded, schema=schema)


def load_scale(folder: Path = paths.PREPARED) -> ScaleArrays:
    """Read what :func:`.scaling.apply_scale` takes, for new raw samples.

    Raises:
        InputError: where ``scale.npz`` is missing or damaged.
    """
    arrays = files.read_npz(folder / "scale.npz")
    if not {"shift", "factor"} <= arrays.keys() <= {*ScaleArrays._fields}:
        what = "holds no shift and factor, or more than a scale"
        raise InputError(str(folder / "scale.npz"), what)
    return ScaleArrays(**arrays)


def write_all_but_x(
    folder: Path,
    data: PreparedData,
    scale: ScaleArrays,
    latent_dims: Mapping[str, Sequence[int]],
) -> None:
    """Write all but the splits' ``x.npy``, with the latent dims that each offset is needed in."""
    for name, split in data.parts.items():
        files.write_npy(folder / name / "ids.npy", split.ids)
        if split.y is not None:
            files.write_npy(folder / name / "y.npy", split.y)
    files.write_json(folder / "latent_dims.json", dict(latent_dims))
    write_schema(folder, data.schema, scale)


def write_schema(folder: Path, schema: Schema, scale: ScaleArrays) -> None:
    """Write the schema and the scale of a split."""
    files.write_npz(folder / "scale.npz", scale.stored)
    files.write_json(folder / "schema.json", asdict(schema))


def load_schema(folder: Path) -> Schema:
    """Read the ``schema.json`` of a split.

    Raises:
        InputError: where it is missing, or no schema.
    """
    document = files.read_json(folder / "schema.json")
    try:
        document["preprocessing"] = Preprocessing(**document["preprocessing"])
        return Schema(**document)
    except (KeyError, TypeError) as error:
        where, what = str(folder / "schema.json"), f"is not a schema: {error}"
        raise InputError(where, what, "run dvc repro prepare") from None


def _load_split(folder: Path, name: PartName, schema: Schema) -> PreparedSplit:
    x, ids = open_x(folder.parent, name, schema), np.array(files.open_npy(folder / "ids.npy"))
    y = np.array(files.open_npy(folder / "y.npy")) if schema.classes is not None else None
    for file, array in (("ids", ids), ("y", y)):
        if array is not None:
            path = folder / f"{file}.npy"
            check_array(path, array, (schema.size(name),), array.dtype)
    return PreparedSplit(x=x, y=y, ids=ids)


def open_x(folder: Path, name: PartName, schema: Schema) -> NDArray[np.float32]:
    """Map the ``x.npy`` of a split.

    Raises:
        InputError: where it is missing, damaged, or not what the schema says.
    """
    path = folder / name / "x.npy"
    x = files.open_npy(path)
    shape = (schema.size(name), schema.input_dim)
    check_array(path, x, shape, np.dtype(np.float32))
    return x


def check_array(
    path: Path, array: NDArray[Any], shape: tuple[int, ...], dtype: np.dtype[Any]
) -> None:
    """Refuse an array that is not what the schema says.

    Raises:
        InputError: naming both.
    """
    if array.shape != shape or array.dtype != dtype:
        what = f"is {array.dtype} {array.shape}, schema.json says {dtype} {shape}"
        raise InputError(str(path), what, "run dvc repro prepare")
