"""Kinds of offset: their interface, tables built with one, and f(x) of new samples.

``where`` always names the place that an :class:`InputError` blames: ``"params.yaml: offsets.pca"``.
"""

from __future__ import annotations

import functools
import importlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from offset_autoencoder import paths
from offset_autoencoder.config.data_schema import SPLITS, Complex, SplitName
from offset_autoencoder.config.offset_kinds import OFFSETS, DataShape
from offset_autoencoder.data.prepared import PreparedData, PreparedSplit
from offset_autoencoder.errors import InputError, adding, did_you_mean
from offset_autoencoder.io.arrays import (
    ConcatenatedRows,
    RowSubset,
    chunks,
    real_parts,
    rows_per_block,
)
from offset_autoencoder.io.files import open_npy, read_npz, replace_folder
from offset_autoencoder.offsets.table import (
    INFO,
    REMEDY,
    SPLIT_SEED,
    STATE,
    STATE_SHA256,
    folder_of,
    read_info,
    seed_folder,
    write_table,
)

State = dict[str, NDArray[Any]]
Float32 = NDArray[np.float32]
Float64 = NDArray[np.float64]
Int64 = NDArray[np.int64]


@dataclass(frozen=True)
class Samples:
    """Samples to compute vectors for.

    Attributes:
        x: float32 (n, input_dim), finite.
        y: Class index of each sample, int64 (n,); None where there are no labels.
        ids: Id of each sample, int64 or text (n,); None where they are not known.
        first_row: Row of the first sample in its split, for messages.
    """

    x: Float32
    y: Int64 | None = None
    ids: NDArray[Any] | None = None
    first_row: int = 0


@dataclass(frozen=True)
class Training(Samples):
    """Training split, the only one that a kind may learn from, and what goes with it.

    Attributes:
        n_classes: Number of classes in the whole data set; None without labels.
        x_validation: float32 (m, input_dim): tells when to stop a training, and nothing else.
        raw: Folder of the user's own files.
    """

    n_classes: int | None = None
    x_validation: Float32 | None = None
    raw: Path = paths.RAW


Apply = Callable[[Samples], Float32]
Vectors = Mapping[SplitName, Iterable[Float32]]
"""Vectors of each split: chunks (rows, latent_dim) in order, computed or read when asked for."""


@dataclass(frozen=True)
class OffsetKind:
    """Functions of a kind; the module named like it holds them as ``KIND``.

    Attributes:
        fit: From (where, section of params.yaml, training split, latent_dim) to all that
            ``apply`` needs, as named arrays. The section's ``check_shape`` has let the data pass.
            Raises InputError where the kind cannot be had with this data.
        apply: From (where, state, samples) to f(x), float32 (n, latent_dim), of any samples; a row
            depends on its own sample alone. x has as many features as the training split. Raises
            InputError where the samples cannot be given a vector.
        load: In its place, from (where, state) to such a function of samples, where something must
            be made ready first: a model loaded, a program compiled.
        read: From (name, section of params.yaml, prepared data, latent_dim, data/raw) to the
            vectors of each split, row-aligned with its samples, where they are read from files.
        check: From what ``fit`` is called with; raises InputError where a file of the user's that
            it needs does not suit, before anything is fitted.
    """

    fit: Callable[[str, Any, Training, int], State]
    apply: Callable[[str, State, Samples], Float32] | None = None
    load: Callable[[str, State], Apply] | None = None
    read: Callable[[str, Any, PreparedData, int, Path], Vectors] | None = None
    check: Callable[[str, Any, Training, int], None] | None = None

    def applier(self, where: str, state: State) -> Apply:
        """Function f of one state, to be called for chunk after chunk of samples."""
        if self.load is not None:
            return self.load(where, state)
        assert self.apply is not None
        return functools.partial(self.apply, where, state)


def find_kind(where: str, name: str) -> OffsetKind:
    """Kind of an offset by its name; its module is imported only when asked for.

    Raises:
        InputError: where there is no such kind, naming the nearest.
    """
    if name not in OFFSETS:
        raise InputError(where, f"unknown kind {name!r}", did_you_mean(name, tuple(OFFSETS)))
    kind: OffsetKind = importlib.import_module(f"{__package__}.{name}").KIND
    return kind


def build_offset(
    root: Path,
    name: str,
    params: Any,
    data: PreparedData,
    latent_dims: Sequence[int],
    raw: Path,
    seeds: Sequence[int] = (),
    split_of: Callable[[int], PreparedData] | None = None,
) -> dict[int, float]:
    """Build an offset's table for each latent dim and split, and put them in place all at once.

    Args:
        root: ``data/offsets``.
        name: The name under ``offsets:``.
        params: The section of that name.
        data: The splits to fit it on and to apply it to.
        latent_dims: Those of the models with this offset, each once.
        raw: ``data/raw``, with the files that some kinds read.
        seeds: Where each seed has a split of its own, all of them; ``data`` is the first one's.
        split_of: Opens the split of another one.

    Returns:
        Root mean square of a training coordinate at each latent dim, over the first split.

    Raises:
        InputError: where the offset cannot be had; then nothing has changed.
    """
    with replace_folder(root / name) as building:

        def write(data: PreparedData, seed: int | None, folder: Path) -> dict[int, float]:
            info = {
                "name": name,
                "kind": params.kind,
                "params": params.model_dump(mode="json"),
                "input_dim": data.schema.input_dim,
                "data": {split: str(data.schema.digests[split]["x"]) for split in SPLITS},
                **({} if seed is None else {SPLIT_SEED: seed}),
            }
            rms: dict[int, float] = {}
            for latent_dim in latent_dims:
                swept = len(latent_dims) > 1
                first = folder_of(building.parent, building.name, latent_dim, swept=swept)
                read = None if folder == building else first
                state, vectors = compute_vectors(name, params, data, latent_dim, raw, read)
                rms[latent_dim] = write_table(
                    folder_of(folder.parent, folder.name, latent_dim, swept=swept),
                    {**info, "latent_dim": latent_dim},
                    {split: len(data.split(split).x) for split in SPLITS},
                    vectors,
                    state,
                )
            return rms

        rms = write(data, seeds[0] if seeds else None, building)
        for seed in seeds[1:]:
            assert split_of is not None
            with adding(f", in the split of seed {seed}"):
                write(split_of(seed), seed, seed_folder(building.parent, building.name, seed))
    return rms


def compute_vectors(
    name: str,
    params: Any,
    data: PreparedData,
    latent_dim: int,
    raw: Path,
    first: Path | None = None,
) -> tuple[State, Vectors]:
    """Fit an offset on the training split; it is applied when its vectors are asked for.

    ``first`` is the folder of the first seed's table where the data are the split of another one:
    what was read from files is there already, in the order of that split.

    Returns:
        State that determines f(x) of new samples, and the vectors of each split.

    Raises:
        InputError: where the offset cannot be had, or a vector that is asked for is not finite.
    """
    where = f"params.yaml: offsets.{name}"
    kind = find_kind(where, params.kind)
    training = training_of(data, raw)
    n, input_dim = training.x.shape
    params.check_shape(where, DataShape(n, input_dim, training.n_classes), [latent_dim])
    state = kind.fit(where, params, training, latent_dim)
    # What is in no split of the first seed may be in one of another's.
    if kind.read is not None and first is not None and data.left_out is None:
        return state, _rows_of_first(first, data)
    if kind.read is not None:
        return state, kind.read(name, params, data, latent_dim, raw)
    apply = kind.applier(where, state)
    return state, {
        split: _computed(f"{where}, {split} split", data.split(split), apply, latent_dim)
        for split in SPLITS
    }


def training_of(data: PreparedData, raw: Path) -> Training:
    """What a kind may learn from; ``raw`` is ``data/raw``."""
    train, classes = data.train, data.schema.classes
    n_classes = None if classes is None else len(classes)
    x_validation = data.validation.x
    return Training(train.x, train.y, train.ids, 0, n_classes, x_validation=x_validation, raw=raw)


def _rows_of_first(folder: Path, data: PreparedData) -> Vectors:
    """Vectors of a seed's samples, from the table of the first seed's."""
    table = ConcatenatedRows(tuple(open_npy(folder / f"{split}.npy") for split in SPLITS))
    rows = {split: data.split(split).rows for split in SPLITS}
    return {
        split: (chunk for _, chunk in chunks(RowSubset(table, part)))
        for split, part in rows.items()
        if part is not None
    }


def _computed(where: str, split: PreparedSplit, apply: Apply, latent_dim: int) -> Iterator[Float32]:
    for start, x in chunks(split.x, latent_dim):
        rows = slice(start, start + len(x))
        y = None if split.y is None else split.y[rows]
        vectors = apply(Samples(x, y, split.ids[rows], start))
        check_finite(where, vectors, start)
        yield vectors


def apply_offset(
    folder: str | Path, x: ArrayLike, y: ArrayLike | None = None, ids: ArrayLike | None = None
) -> Float32:
    """Compute f(x) of any samples with a stored offset.

    Args:
        folder: The folder of one table, with its offset.json and state.npz.
        x: Samples (n, input_dim), scaled as those in ``data/prepared``; taken as float32.
        y: Class indices (n,), for kind ``class_code``.
        ids: Ids (n,), whole numbers or text, for kind ``interference``.

    Returns:
        float32 (n, latent_dim), not scaled to any rms.

    Raises:
        InputError: where the folder holds no such table, the samples do not suit it, or its
            kind is ``file``, which has vectors for known samples only.
    """
    folder = Path(folder)
    tables = sorted(path.parent.name for path in folder.glob(f"latent_dim_*/{INFO}"))
    if tables and not (folder / INFO).exists():
        raise InputError(str(folder), f"holds several tables: take one of {', '.join(tables)}")
    info = read_info(folder)
    apply = stored_applier(folder)
    array, input_dim = real_array("x", x), int(info["input_dim"])
    if array.ndim != 2 or array.shape[1] != input_dim:
        raise InputError("x", f"must have shape (n, {input_dim}), it has {array.shape}")
    n, labels = len(array), None if y is None else real_array("y", y)
    if labels is not None and (labels.shape != (n,) or labels.dtype.kind not in "iu"):
        it_is = f"{labels.dtype} {labels.shape}"
        raise InputError("y", f"must be {n} class indices, whole numbers, it is {it_is}")
    return apply(
        Samples(
            finite_float32("x", array),
            y=None if labels is None else labels.astype(np.int64),
            ids=None if ids is None else sample_ids(ids, n),
        )
    )


def stored_applier(folder: Path) -> Apply:
    """Function f of new samples of the table in a folder, to be called for chunk after chunk.

    Raises:
        InputError: where its state is missing or damaged.
    """
    info = read_info(folder)
    remedy = REMEDY.format(info["name"]) + ", or make the model's folder that it is in anew"
    state = read_npz(folder / STATE, info.get(STATE_SHA256), remedy)
    return find_kind(str(folder), info["kind"]).applier(str(folder), state)


def check_finite(where: str, array: NDArray[Any], first_row: int = 0) -> None:
    """Refuse NaN and infinity.

    Raises:
        InputError: naming the first row and column of (n, columns), counted from 0 in the whole,
            of which ``first_row`` is the array's first one.
    """
    finite = np.isfinite(array)
    if finite.all():
        return
    row, column = np.argwhere(~finite)[0]
    cell = f"row {first_row + row}, column {column} is {array[row, column]}"
    raise InputError(where, f"{cell}, a finite number is expected")


def real_array(where: str, values: ArrayLike, parts: Complex | None = None) -> NDArray[Any]:
    """Array of any real dtype and shape; of complex numbers the parts, where they are named.

    Raises:
        InputError: where they are no array, or not real numbers.
    """
    try:
        array = np.asarray(values)
    except ValueError:
        raise InputError(where, "is not an array: its rows are not of one length") from None
    if parts is not None and array.ndim:
        array = real_parts(array, parts)
    if array.dtype.kind not in "fiub":
        hint = "give their real and imaginary parts, or np.abs of them"
        what = f"must hold real numbers, its dtype is {array.dtype}"
        raise InputError(where, what, hint if array.dtype.kind == "c" else None)
    return array


def finite_float32(where: str, array: NDArray[Any], first_row: int = 0) -> Float32:
    """Real numbers (n, columns) as float32 in C order.

    Raises:
        InputError: where one is not finite, or too large for float32.
    """
    with np.errstate(over="ignore"):  # too large for float32 is infinity, which is refused below
        table: Float32 = np.ascontiguousarray(array, dtype=np.float32)
    if not np.isfinite(table).all():
        check_finite(where, array, first_row)
        check_finite(f"{where}, as float32", table, first_row)
    return table


def sample_ids(ids: ArrayLike, n: int) -> NDArray[Any]:
    """Ids of samples as kinds take them, int64 or text (n,).

    Raises:
        InputError: where they are of another shape or dtype, or too large.
    """
    array = id_column("ids", ids, n)
    if array.dtype.kind == "u" and n and array.max() >= 2**63:
        raise InputError("ids", f"must be below 2**63, the largest is {array.max()}")
    return array if array.dtype.kind == "U" else array.astype(np.int64)


def id_column(where: str, values: ArrayLike, n: int) -> NDArray[Any]:
    """Whole numbers or text of any width, (n,).

    Raises:
        InputError: where they are of another shape or dtype.
    """
    array = np.asarray(values)
    if array.shape != (n,):
        raise InputError(where, f"has shape {array.shape}, expected ({n},), one per sample")
    if array.dtype.kind not in "iuU":
        raise InputError(where, f"must be whole numbers or text, its dtype is {array.dtype}")
    return array


def random_stream(name: str, seed: int) -> np.random.Generator:
    """Generator of a kind's own: nothing else that is seeded with the number draws the same."""
    return np.random.default_rng(np.random.SeedSequence(seed, spawn_key=tuple(name.encode())))


def unit_directions(generator: np.random.Generator, n: int, latent_dim: int) -> Float64:
    """Directions uniform on the unit sphere, (n, latent_dim): Gaussian, normalised."""
    rows = generator.standard_normal((n, latent_dim))
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)


def row_blocks(n: int, width: int) -> Iterator[slice]:
    """Slices of n rows of ``width`` values: as much as is converted and computed with at once."""
    rows = rows_per_block(width)
    return (slice(start, start + rows) for start in range(0, n, rows))
