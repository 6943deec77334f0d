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
from offset_autoencoder.data.scaling import Clipping, Scale, ScaleArrays
from offset_autoencoder.data.splits import LEFT_OUT, Digests, PartName, SplitRows, sample_digests
from offset_autoencoder.errors import InputError
from offset_autoencoder.io import files
from offset_autoencoder.io.arrays import ConcatenatedRows, Rows, chunks, reorder

FLOAT32_BYTES = 4  # of a value as prepared

REMEDY = "run dvc repro --force prepare"


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
        digests: Of ``x``, ``y`` and ``ids`` of each split, and of what is in none.
        columns: The features' names, where the files have names.
        left_out: Number of samples in no split: see :data:`PartName`.
        preprocessing: What was done to the raw features before they were scaled.
        dropped: Number of rows of the files that were left out for a missing cell.
        scale_sha256: SHA-256 of ``scale.npz``.
        varies: Whether this is the split of the first seed, of several that have their own.
    """

    source: str
    samples: dict[SplitName, int]
    input_dim: int
    image_shape: list[int] | None
    scale: dict[str, Any]
    range: list[float] | None
    classes: list[int] | list[str] | None
    ids: str
    digests: dict[PartName, dict[str, str | None]]
    columns: list[str] | None = None
    sequence_shape: list[int] | None = None
    channels_first: bool = False
    left_out: int = 0
    preprocessing: Preprocessing = field(default_factory=Preprocessing)
    dropped: int = 0
    scale_sha256: str | None = field(default=None, compare=False)
    varies: bool = field(default=False, compare=False)

    @property
    def parts(self) -> list[PartName]:
        """The splits, and what is in none of them where that is anything."""
        return [*SPLITS, LEFT_OUT] if self.left_out else [*SPLITS]

    def size(self, name: PartName) -> int:
        """Number of samples of a split, or of those in none."""
        return self.left_out if name == LEFT_OUT else self.samples[name]

    def digest(self, name: PartName, array: str) -> str | None:
        """Digest of an array of a split, or of those in none; None where it was not noted."""
        return self.digests.get(name, {}).get(array)


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


@dataclass
class SplitStatistics:
    """Extremes of a split's scaled values (NaN where a value is), and digests.

    ``samples`` has room for a digest of each sample, of which ``n`` are known yet; ``sha256`` is
    that of x as written, ``clipped`` the number of values that were.
    """

    samples: Digests
    low: float = np.inf
    high: float = -np.inf
    sha256: str = ""
    clipped: int = 0
    n: int = 0

    def add(self, x: NDArray[np.float32]) -> None:
        """Go on with the next samples, ``(k, D)``."""
        # NumPy's minimum, since Python's own drops NaN.
        self.low = float(np.minimum(self.low, x.min()))
        self.high = float(np.maximum(self.high, x.max()))
        self.samples[self.n : self.n + len(x)] = sample_digests(x)
        self.n += len(x)


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
    statistics = {
        name: SplitStatistics(np.empty(len(part), np.uint64)) for name, part in rows.items()
    }
    clipping = {name: Clipping(scale.arrays) for name in rows}
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
                clipping[name].count(raw)
                scaled = scale.apply(raw)
                statistics[name].add(scaled)
                writers[name].append(scaled)
            report(start + len(chunk))
    for name, writer in writers.items():
        statistics[name].sha256, statistics[name].clipped = writer.digest, clipping[name].values
    return statistics


def load_prepared(folder: Path | str = paths.PREPARED) -> PreparedData:
    """Open ``data/prepared``; ``x`` is mapped, so that opening costs nothing.

    Where splits vary, it is that of the first seed: see :func:`.varying.load_splits`.

    Raises:
        InputError: where a file is missing, damaged, or not what the schema says.
    """
    folder = Path(folder)
    schema = load_schema(folder)
    loaded = {name: _load_split(folder, name, schema) for name in schema.parts}
    return PreparedData(**loaded, schema=schema)


def load_scale(folder: Path = paths.PREPARED, schema: Schema | None = None) -> ScaleArrays:
    """Read what :func:`.scaling.apply_scale` takes, for new raw samples.

    Raises:
        InputError: where ``scale.npz`` is missing, damaged or, where there is a schema, another.
    """
    expected = schema.scale_sha256 if schema else None
    arrays = files.read_npz(folder / "scale.npz", expected, REMEDY)
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
    digest = files.sha256_of_file(folder / "scale.npz")
    files.write_json(folder / "schema.json", {**asdict(schema), "scale_sha256": digest})


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
        raise InputError(where, what, REMEDY) from None


def _load_split(folder: Path, name: PartName, schema: Schema) -> PreparedSplit:
    ids = np.array(open_array(folder, name, "ids", schema))
    y = None if schema.classes is None else np.array(open_array(folder, name, "y", schema))
    return PreparedSplit(x=open_array(folder, name, "x", schema), y=y, ids=ids)


def open_array(
    folder: Path, name: PartName, array: Literal["x", "y", "ids"], schema: Schema
) -> NDArray[Any]:
    """Map an array of a split.

    Raises:
        InputError: where it is missing, or its digest is not that of the schema.
    """
    return files.open_checked(folder / name / f"{array}.npy", schema.digest(name, array), REMEDY)
