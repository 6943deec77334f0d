"""An offset table on disk: f(x) of every sample of every split, as memory-mapped arrays."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from offset_autoencoder.config import SPLITS, SplitName
from offset_autoencoder.errors import InputError
from offset_autoencoder.io.files import (
    npy_writer,
    open_checked,
    read_json,
    sha256_of_file,
    write_json,
    write_npz,
)

Float32 = NDArray[np.float32]

INFO = "offset.json"
STATE = "state.npz"
_KEYS = ["name", "kind", "params", "latent_dim", "input_dim", "rms", "largest", "digests", "data"]
# Where splits vary: the seed whose split the table was fitted on.
SPLIT_SEED = "split_seed"
# Tables of earlier versions lack it.
STATE_SHA256 = "state_sha256"
REMEDY = "run dvc repro --force --single-item offsets@{}"


@dataclass(frozen=True)
class OffsetTable:
    """Vectors of one offset at one latent dim, row-aligned with the prepared samples.

    Attributes:
        name: The name under ``offsets:``.
        rms: Root mean square of a coordinate over all rows and columns of the training split.
        train, validation, test: float32 (n, latent_dim), read-only.
        digests: SHA-256 of each split's array (:func:`.files.sha256_of_array`).
        info: The whole of offset.json.
    """

    name: str
    kind: str
    latent_dim: int
    rms: float
    train: Float32
    validation: Float32
    test: Float32
    digests: dict[str, str]
    info: dict[str, Any]

    def split(self, name: SplitName) -> Float32:
        """Vectors of a split, float32 (n, latent_dim)."""
        table: Float32 = getattr(self, name)
        return table


def scale_factor(table: OffsetTable, rms: float | None) -> float:
    """Factor that brings the training split to a root mean square; 1 for None, as they came.

    Raises:
        InputError: where the table is zero on the whole training split, or float32 cannot hold
            it, the factor, or what comes of them.
    """
    if rms is None:
        return 1.0
    if table.rms == 0:
        raise InputError(
            f"params.yaml: offsets.{table.name}",
            f"is zero on the whole training split at latent dim {table.latent_dim}: it cannot be "
            f"scaled to rms {rms:g}",
            "use rms: null or another offset",
        )
    factor, float32 = rms / table.rms, np.finfo(np.float32)
    smallest, largest = float(float32.tiny), float(float32.max)
    is_usable = table.rms >= smallest and smallest <= factor <= largest
    if not is_usable or factor * table.info["largest"] > largest:
        raise InputError(
            f"params.yaml: offsets.{table.name}",
            f"has rms {table.rms:.3g} and values up to {table.info['largest']:.3g} at latent dim "
            f"{table.latent_dim}: float32 cannot scale it to rms {rms:g}",
            "give vectors of a usual size, about 1",
        )
    return factor


def zero_warning(name: str) -> str:
    """Warning of an offset whose vectors are zero on the whole training split."""
    what = f"the vectors of offset {name} are all zero on the training split"
    return f"warning: {what}: a model with it is one with nothing added"


def write_table(
    folder: Path,
    info: Mapping[str, Any],
    samples: Mapping[SplitName, int],
    vectors: Mapping[SplitName, Iterable[Float32]],
    state: Mapping[str, NDArray[Any]],
) -> float:
    """Write a table's five files into a folder; offset.json, without which it is none, last.

    Args:
        folder: Made if need be.
        info: ``name``, ``kind``, ``params``, ``latent_dim``, ``input_dim`` and ``data`` (SHA-256 of
            the x of each split) of offset.json; where splits vary, its ``split_seed``.
        samples: Number of samples of each split.
        vectors: Vectors of each split, finite, in chunks float32 (rows, latent_dim).
        state: Arrays that determine f(x) of new samples.

    Returns:
        The root mean square of a coordinate over the training split.
    """
    squares, largest, digests = dict.fromkeys(SPLITS, 0.0), 0.0, {}
    for split in SPLITS:
        shape = samples[split], info["latent_dim"]
        with npy_writer(folder / f"{split}.npy", shape) as writer:
            for chunk in vectors[split]:
                squares[split] += float(np.sum(np.square(chunk, dtype=np.float64)))
                largest = max(largest, float(np.abs(chunk).max(initial=0)))
                writer.append(chunk)
        digests[split] = writer.digest
    write_npz(folder / STATE, state)
    rms = float(np.sqrt(squares["train"] / (samples["train"] * info["latent_dim"])))
    content = {**info, "rms": rms, "largest": largest, "digests": digests}
    content[STATE_SHA256] = sha256_of_file(folder / STATE)
    keys = [*_KEYS, STATE_SHA256, SPLIT_SEED]
    write_json(folder / INFO, {key: content[key] for key in keys if key in content})
    return rms


def folder_of(root: Path, name: str, latent_dim: int, *, swept: bool) -> Path:
    """Folder of a table: one folder per latent dim where several are asked for."""
    return root / name / f"latent_dim_{latent_dim}" if swept else root / name


def seed_folder(root: Path, name: str, seed: int | None) -> Path:
    """Folder of an offset's tables of a seed's split; None: of the first one's, or that of all."""
    return root / name if seed is None else root / name / "splits" / str(seed)


def load_table(
    root: Path | str, name: str, latent_dim: int, seed: int | None = None
) -> OffsetTable:
    """Load the table of an offset at a latent dim, memory-mapped.

    Args:
        root: ``data/offsets``.
        name: A name under ``offsets:``.
        latent_dim: One of those that a model with this offset has.
        seed: Seed of the runs on whose split it is to be fitted, where each seed has a split of its
            own; None: the first one.

    Raises:
        InputError: where there is no such table, or its files are damaged.
    """
    root = Path(root)
    places = [seed_folder(root, name, seed), root / name]
    folders = [
        folder_of(place.parent, place.name, latent_dim, swept=swept)
        for place in places
        for swept in (False, True)
    ]
    folder = next((folder for folder in folders if (folder / INFO).is_file()), None)
    info = read_info(folder) if folder else {}
    is_of_seed = seed is None or info.get(SPLIT_SEED, seed) == seed
    if folder is None or info["latent_dim"] != latent_dim or not is_of_seed:
        of_seed = "" if is_of_seed else f", for the split of seed {seed}"
        raise InputError(
            str(root / name),
            f"holds no table of offset {name!r} at latent dim {latent_dim}{of_seed}",
            f"run dvc repro offsets@{name}",
        )
    fields = {key: info[key] for key in ("name", "kind", "latent_dim", "rms", "digests")}
    fields |= {split: open_vectors(folder, info, split) for split in SPLITS}
    return OffsetTable(**fields, info=info)


def find_tables(root: Path, seed: int | None) -> Iterator[Path]:
    """Folders of the tables of all offsets and latent dims, of the split of a seed.

    ``root`` is ``data/offsets``, and None stands for the first seed's split, or for that of all.
    """
    for offset in sorted(root.iterdir() if root.is_dir() else ()):
        folder = seed_folder(root, offset.name, seed)
        for path in sorted([*folder.glob(INFO), *folder.glob(f"latent_dim_*/{INFO}")]):
            yield path.parent


def read_info(folder: Path) -> dict[str, Any]:
    """Read a table's offset.json.

    Raises:
        InputError: where it is missing or is not what an offsets stage writes.
    """
    info = read_json(folder / INFO)
    for key in _KEYS:
        if not isinstance(info, dict) or key not in info:
            raise InputError(str(folder / INFO), f"lacks {key!r}", REMEDY.format("NAME"))
    return dict(info)


def open_vectors(folder: Path, info: Mapping[str, Any], split: SplitName) -> Float32:
    """Vectors of a split, memory-mapped, float32 (n, latent_dim); ``info`` is the offset.json.

    Raises:
        InputError: where they are missing or damaged.
    """
    path, remedy = folder / f"{split}.npy", REMEDY.format(info["name"])
    table: Float32 = open_checked(path, info["digests"][split], remedy)
    return table
