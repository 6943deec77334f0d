"""Splits of ``data/prepared`` where each seed has one of its own.

The folder itself holds that of the first seed, as it would hold the one split of all runs.
``splits.json`` then names the seeds, and ``splits/SEED/`` holds that of every other one:
``schema.json``, ``scale.npz`` and, by split, ``rows.npy``, the places of its samples in the first
seed's splits, one after the other in the order train, validation, test and, where samples are in
no split, ``left_out``. Only where its scale is another than the first one's is there an ``x.npy``,
too: what can be had by index is not copied.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from offset_autoencoder import paths
from offset_autoencoder.data.prepared import (
    REMEDY,
    PreparedData,
    PreparedSplit,
    Schema,
    SplitStatistics,
    load_prepared,
    load_scale,
    load_schema,
    open_array,
)
from offset_autoencoder.data.scaling import ScaleArrays
from offset_autoencoder.data.splits import PartName, SplitRows
from offset_autoencoder.errors import InputError
from offset_autoencoder.io import files
from offset_autoencoder.io.arrays import ConcatenatedRows, Matrix, RowSubset, chunks, copied

_SEEDS = "splits.json"
_ROWS = "rows.npy"


@dataclass(frozen=True)
class PreparedSplits:
    """Splits of ``data/prepared``: one for all runs, or one for the runs of each seed.

    Attributes:
        seeds: Those with a split of their own, the first one first; empty where one serves all.
        value_range: Smallest and largest scaled value, over the splits of all seeds; None where one
            split serves all.
    """

    folder: Path
    seeds: tuple[int, ...] = ()
    value_range: tuple[float, float] | None = None

    @property
    def varies(self) -> bool:
        """True if each seed has a split of its own."""
        return bool(self.seeds)

    def has(self, seed: int) -> bool:
        """True if there is a split that the runs of a seed may have."""
        return not self.varies or seed in self.seeds

    def key(self, seed: int) -> int | None:
        """Seed under which a seed's split is kept beside the first one's; None for that one.

        Raises:
            InputError: where splits vary and the seed has none.
        """
        if not self.varies or seed == self.seeds[0]:
            return None
        if not self.has(seed):
            what = f"names no split of seed {seed}"
            raise InputError(str(self.folder / _SEEDS), what, "run dvc repro")
        return seed

    def folder_of(self, seed: int) -> Path:
        """Folder of a seed's split, with its ``schema.json`` and ``scale.npz``."""
        key = self.key(seed)
        return self.folder if key is None else seed_folder(self.folder, key)

    def schema(self, seed: int) -> Schema:
        """Schema of a seed's split."""
        return load_schema(self.folder_of(seed))

    def scale(self, seed: int) -> ScaleArrays:
        """Scale of a seed's split."""
        return load_scale(self.folder_of(seed), self.schema(seed))

    def of(self, seed: int) -> PreparedData:
        """Open a seed's split.

        Where it is kept as places in the first seed's splits, its samples are copied: into memory
        or, where they are more than :func:`.arrays.bytes_in_memory`, into a temporary file, which
        goes when they are no longer used.

        Raises:
            InputError: where a file is missing, damaged, or not what the schema says.
        """
        first, folder = load_prepared(self.folder), self.folder_of(seed)
        if folder == self.folder:
            return first
        schema, parts = load_schema(folder), list(first.parts.values())
        is_scaled_alike = self.scale(seed).equals(self.scale(self.seeds[0]))
        x = ConcatenatedRows(tuple(part.x for part in parts))
        ids = np.concatenate([part.ids for part in parts])
        labels = [part.y for part in parts if part.y is not None]
        y = np.concatenate(labels) if labels else None
        splits: dict[PartName, PreparedSplit] = {}
        for name in schema.parts:
            path = folder / name / _ROWS
            rows = np.array(files.open_checked(path, None, REMEDY))
            # No two samples have one id, so that these tell whether the rows are the right ones.
            is_inside = rows.dtype.kind == "i" and rows.min() >= 0 and rows.max() < len(ids)
            digest = files.sha256_of_array(ids[rows]) if is_inside else "beyond all samples"
            files.check_digest(path, digest, schema.digest(name, "ids"), REMEDY)
            y_of = None if y is None else y[rows]
            if is_scaled_alike:
                own = RowSubset(x, rows)
                x_of = copied((chunk for _, chunk in chunks(own)), np.dtype(np.float32), own.shape)
            else:
                x_of = open_array(folder, name, "x", schema)
            splits[name] = PreparedSplit(x_of, y_of, ids[rows], rows)
        return PreparedData(**splits, schema=schema)


def load_splits(folder: Path | str = paths.PREPARED) -> PreparedSplits:
    """Open the splits of ``data/prepared``, of which each is read when it is asked for.

    Raises:
        InputError: where ``splits.json`` is damaged, or missing beside splits of seeds.
    """
    folder = Path(folder)
    path = folder / _SEEDS
    if not path.exists():
        schema = folder / "schema.json"
        if schema.exists() and files.read_json(schema).get("varies"):
            raise InputError(str(path), "no such file, though there are splits of seeds", REMEDY)
        return PreparedSplits(folder)
    try:
        document = files.read_json(path)
        low, high = document["value_range"]
        first, *others = (int(seed) for seed in document["seeds"])
        return PreparedSplits(folder, (first, *others), (float(low), float(high)))
    except (KeyError, TypeError, ValueError) as error:
        raise InputError(str(path), f"is damaged: {error}", REMEDY) from None


def seed_folder(folder: Path, seed: int) -> Path:
    """Folder of the split of a seed that is not the first."""
    return folder / "splits" / str(seed)


def write_seeds(folder: Path, seeds: Sequence[int], value_range: tuple[float, float]) -> None:
    """Write the seeds that have a split of their own: see :class:`PreparedSplits`."""
    files.write_json(folder / _SEEDS, {"seeds": list(seeds), "value_range": list(value_range)})


def write_rows(folder: Path, rows: SplitRows) -> None:
    """Write the places of a seed's samples in the first seed's splits, in ascending order of id.

    This and, where it is scaled otherwise, :func:`.prepared.write_splits` make the split.
    """
    for name, part in rows.items():
        files.write_npy(folder / name / _ROWS, part)


def rows_of_first(
    folder: Path, names: Iterable[PartName], rows: SplitRows
) -> dict[PartName, Matrix]:
    """Samples of splits by their places in the splits ``names`` of a folder, read on access."""
    x = ConcatenatedRows(tuple(files.open_npy(folder / name / "x.npy") for name in names))
    return {name: RowSubset(x, part) for name, part in rows.items()}


def statistics_of_rows(x: Mapping[PartName, Matrix]) -> dict[PartName, SplitStatistics]:
    """Statistics of the scaled samples of splits, as if they were written as an x of their own."""
    statistics = {}
    for name, part in x.items():
        statistics[name] = SplitStatistics(np.empty(len(part), np.uint64))
        digest = files.float32_digest((len(part), part.shape[1]))
        for _, chunk in chunks(part):
            statistics[name].add(chunk)
            digest.update(chunk.data)
        statistics[name].sha256 = digest.hexdigest()
    return statistics
