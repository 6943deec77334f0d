"""Samples and offset tables on a Ray cluster, each sent to a node once.

They are in the nodes' object stores, which every task reads without a copy; what is too large for
these, or for ``train.memory_limit``, is in a file of each node's cache, by digest.
"""

from __future__ import annotations

import contextlib
import functools
import os
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import ray
from filelock import FileLock
from numpy.typing import NDArray

from offset_autoencoder.errors import InputError
from offset_autoencoder.io.arrays import rows_per_chunk
from offset_autoencoder.io.files import A_DAY, npy_writer, open_checked, open_npy, sha256_of_array
from offset_autoencoder.paths import user_cache
from offset_autoencoder.runs.spec import IdentifiedRun
from offset_autoencoder.training.state import TrainingData

Array = NDArray[np.float32]

_SPLITS_SHARED = 8  # splits of seeds that stay in the object store
_A_WEEK = 7 * A_DAY


@dataclass(frozen=True)
class SharedArray:
    """An array of the driver: an object of Ray's or, where it is too large, a file of each node.

    Attributes:
        shape: Its shape, (n, D).
        ref: The object's reference; None where there is a file.
        digest: SHA-256 of the file's array.
    """

    shape: tuple[int, ...]
    ref: Any = None
    digest: str = ""


@dataclass(frozen=True)
class SharedData:
    """:class:`.state.TrainingData` of a split, as tasks get it."""

    x: SharedArray
    x_validation: SharedArray
    tables: Mapping[tuple[str, int], tuple[SharedArray, SharedArray]]


class SharedArrays:
    """The driver's side: what runs train on, shared when the first of them is.

    Args:
        data: Opens what the runs of a seed train on.
        limits: Bytes of it that may be in memory.
    """

    def __init__(self, data: Callable[[int], TrainingData], limits: Sequence[int]) -> None:
        self._data, self._limits = data, [float(limit) for limit in limits]
        self._sources: dict[str, Array] = {}
        self._shared = functools.lru_cache(_SPLITS_SHARED)(self._share)
        self._first: int | None = None  # seed of the split of all

    def of(self, runs: Sequence[IdentifiedRun], *, varies: bool) -> dict[int, SharedData]:
        """What runs train on, by seed, with the offset tables that they need and no others.

        ``varies``: each seed has a split of its own.
        """
        settings = [run.run.setting for run in runs]
        keys = {(setting.spec.offset, setting.network.latent_dim) for setting in settings}
        self._first = runs[0].run.seed if self._first is None else self._first
        seeds = {run.run.seed: run.run.seed if varies else self._first for run in runs}
        of_split = {seed: self._needed(seed, keys) for seed in {*seeds.values()}}
        return {seed: of_split[split] for seed, split in seeds.items()}

    def chunk(self, digest: str, index: int) -> Any:
        """Reference of a chunk of an array that nodes keep in a file."""
        array = self._sources[digest]
        rows = rows_per_chunk(array.shape[1])
        return ray.put(np.ascontiguousarray(array[index * rows : (index + 1) * rows]))

    @functools.cached_property
    def _most_in_store(self) -> float:
        """Bytes that go to the object stores: what may be in memory, and half a store."""
        resources = [node["Resources"] for node in ray.nodes() if node["Alive"]]
        stores = [r["object_store_memory"] / 2 for r in resources if "object_store_memory" in r]
        return min(self._limits + stores)

    def _needed(self, seed: int, keys: set[tuple[str | None, int]]) -> SharedData:
        shared = self._shared(seed)
        tables = {key: pair for key, pair in shared.tables.items() if key in keys}
        return SharedData(shared.x, shared.x_validation, tables)

    def _share(self, seed: int) -> SharedData:
        data = self._data(seed)
        tables = [array for pair in data.tables.values() for array in pair]
        size = sum(array.nbytes for array in (data.x, data.x_validation, *tables))
        share = self._share_file if size > self._most_in_store else _share_object
        return SharedData(
            share(data.x),
            share(data.x_validation),
            {key: (share(a), share(b)) for key, (a, b) in data.tables.items()},
        )

    def _share_file(self, array: Array) -> SharedArray:
        digest = sha256_of_array(array)
        self._sources[digest] = array
        return SharedArray(array.shape, digest=digest)


def _share_object(array: Array) -> SharedArray:
    return SharedArray(array.shape, ref=ray.put(np.asarray(array)))


def open_shared(shared: SharedData, mailbox: Any) -> TrainingData:
    """What runs train on, opened on a node by a task.

    ``mailbox``: the actor :class:`.ray_worker.Mailbox`, which the driver answers by.
    """
    opened = functools.partial(_open_array, mailbox)
    tables = {key: (opened(a), opened(b)) for key, (a, b) in shared.tables.items()}
    return TrainingData(opened(shared.x), opened(shared.x_validation), tables)


def _open_array(mailbox: Any, array: SharedArray) -> Array:
    """An array without a copy in this process; a file is fetched by the first task on a node."""
    if array.ref is not None:
        found: Array = ray.get(array.ref)
        return found
    path = cache_folder() / f"{array.digest}.npy"
    path.parent.mkdir(parents=True, exist_ok=True)
    samples, width = array.shape
    with FileLock(f"{path}.lock"):
        with contextlib.suppress(InputError):  # there is none, or it is damaged
            opened = open_checked(path, array.digest, "")
            os.utime(path, ns=(time.time_ns(), path.stat().st_mtime_ns))  # it is used
            return opened
        _remove_unused(path.parent)
        with npy_writer(path, (samples, width)) as writer:
            for index in range(-(-samples // rows_per_chunk(width))):
                (ref,) = ray.get(mailbox.chunk.remote(array.digest, index))
                writer.append(ray.get(ref))
            if writer.digest != array.digest:
                raise InputError(str(path), "is not what was sent", "run the command again")
        return open_npy(path)


def cache_folder() -> Path:
    """Folder of this node for arrays that are too large for memory; a week unused they go."""
    return user_cache() / "data"


def _remove_unused(folder: Path) -> None:
    for path in folder.glob("*.npy"):
        if time.time() - path.stat().st_atime > _A_WEEK:
            path.unlink(missing_ok=True)
