"""Assignment of samples to splits: a function of id, class and a seed; leakage between splits.

Samples are ordered by the SHA-256 of seed and id, and the first of each class are held out.
So a sample's split does not depend on the order of the file, and no generator's stream is
involved. Where splits vary, that of a run's seed goes by both seeds and by nothing else: another
seed more leaves it as it is. How many of each class go where is a controlled rounding: totals are
exact, and each class's count is its exact share, rounded up or down.
"""

from __future__ import annotations

import hashlib
import itertools
import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from offset_autoencoder.config.schema import SPLITS, Split, SplitName
from offset_autoencoder.errors import InputError

Rows = NDArray[np.int64]
Digests = NDArray[np.uint64]
"""64 bits per sample, equal where all values of two samples are."""

_HASHED = 1 << 16  # ids at a time: bounds the memory


def assign(
    ids: NDArray[Any],
    split: Split,
    *,
    y: Rows | None = None,
    classes: Sequence[int | str] | None = None,
    given: NDArray[np.str_] | None = None,
    run_seed: int | None = None,
) -> dict[SplitName, Rows]:
    """Split a data set in three.

    Splits that the data set brings are kept; those that it lacks are cut from its train rows, with
    the shares of ``split`` taken of those rows.

    Args:
        ids: ``(n,)`` integers or text, each once.
        split: Shares, seed, and whether to stratify, where there are classes.
        y: ``(n,)`` index into the classes.
        classes: Their names, for messages.
        given: ``(n,)`` name of the split that the source assigns.
        run_seed: Seed of the runs whose split it is; None for the one split of all runs. The order
            of the samples is that of ``"split.seed:run_seed:id"`` or of ``"split.seed:id"``.

    Returns:
        The rows of each split in ascending order of id; together they are all rows, once.

    Raises:
        InputError: where a split would be empty, or a class has fewer samples than there are
            splits to cut.
    """
    rows: dict[SplitName, Rows] = dict.fromkeys(SPLITS, np.empty(0, dtype=np.int64))
    if given is not None:
        rows = {name: (given == name).nonzero()[0] for name in SPLITS}
    pool = np.arange(len(ids)) if given is None else rows["train"]
    if not len(pool):
        raise InputError("params.yaml: data.split", "no sample is marked train")
    cut = [name for name in SPLITS[1:] if not len(rows[name])]
    totals = _totals(len(pool), split, cut)
    # Held-out parts come first, so that a class's first samples are its held-out ones.
    names: list[SplitName] = [*cut, "train"]
    seed = f"{split.seed}" if run_seed is None else f"{split.seed}:{run_seed}"
    order = pool[hash_order(ids[pool], seed)]
    groups, counts = [order], np.array([totals])
    if cut and split.stratify and y is not None:
        classes_in_order = y[order]
        groups = [order[classes_in_order == k] for k in np.unique(classes_in_order)]
        for group in groups:
            if (size := len(group)) < len(names):
                index = int(y[group[0]])
                name_of_class = index if classes is None else classes[index]
                what = f"class {name_of_class!r} has {size} sample{'s' * (size != 1)}, cutting "
                what += f"{', '.join(names)} needs at least {len(names)} of each class"
                mend = "give more of it, leave it out, or set split.stratify: false"
                raise InputError("params.yaml: split.stratify", what, mend)
        counts = allocate([len(group) for group in groups], totals)
    bounds = np.cumsum(counts, axis=1)[:, :-1]
    pieces = [np.split(group, bound) for group, bound in zip(groups, bounds, strict=True)]
    for index, name in enumerate(names):
        rows[name] = np.concatenate([piece[index] for piece in pieces])
    return {name: part[np.argsort(ids[part], kind="stable")] for name, part in rows.items()}


def hash_order(ids: NDArray[Any], seed: int | str) -> Rows:
    """Order of ids by the SHA-256 of ``"seed:id"``, as ``(n,)`` indices.

    It is random, and independent of the ids' own order; 7 and "7" are the same id.
    """
    digests = np.empty(len(ids), dtype="S32")
    for start in range(0, len(ids), _HASHED):
        digests[start : start + _HASHED] = [
            hashlib.sha256(f"{seed}:{value}".encode("utf-8", "surrogatepass")).digest()
            for value in ids[start : start + _HASHED].tolist()
        ]
    return np.argsort(digests, kind="stable")


def allocate(sizes: Sequence[int], totals: Sequence[int]) -> NDArray[np.int64]:
    """Number of samples of each class in each part: a controlled rounding of the exact shares.

    The exact share of class c in part j is ``sizes[c] · totals[j] / Σ totals``. Each count is
    its share rounded up or down, each row sums to ``sizes``, each column to ``totals``. Such
    a rounding always exists: a transportation problem with whole margins has whole vertices.

    ``sizes`` is ``(K,)``, ``totals`` ``(P,)``, of the same sum; the counts are ``(K, P)``.
    """
    # Integers throughout: shares are numerators over the common denominator Σ totals.
    total = sum(totals)
    numerators = np.array([[size * part for part in totals] for size in sizes], dtype=object)
    counts = (numerators // total).astype(np.int64)
    fractions = numerators % total
    up = np.zeros_like(counts, dtype=bool)
    for row, size in enumerate(sizes):  # the largest remainders of each class are rounded up
        by_fraction = sorted(range(len(totals)), key=lambda j: (-fractions[row, j], j))
        up[row, by_fraction[: size - int(counts[row].sum())]] = True
    excess = counts.sum(axis=0) + up.sum(axis=0) - np.array(totals)
    while excess.any():
        source = int(np.argmax(excess))
        path = _path(up, fractions > 0, source, excess)
        for start, end in itertools.pairwise(path):
            row = _cheapest(up, fractions, start, end)
            up[row, start], up[row, end] = False, True
        excess[source] -= 1
        excess[path[-1]] += 1
    return counts + up


def _path(
    up: NDArray[np.bool_], open_cells: NDArray[np.bool_], source: int, excess: Rows
) -> list[int]:
    """Shortest way, from part to part, to hand one sample on to a part that lacks one."""
    paths = [[source]]
    seen = {source}
    for path in paths:  # grows while it is gone through: a breadth-first search
        for part in range(up.shape[1]):
            if part in seen or not np.any(up[:, path[-1]] & ~up[:, part] & open_cells[:, part]):
                continue
            if excess[part] < 0:
                return [*path, part]
            seen.add(part)
            paths.append([*path, part])
    raise AssertionError("margins that do not fit each other")


def _cheapest(up: NDArray[np.bool_], fractions: NDArray[Any], start: int, end: int) -> int:
    """Class whose rounding suffers least when one sample moves from part to part."""
    rows = np.nonzero(up[:, start] & ~up[:, end] & (fractions[:, end] > 0))[0]
    return int(max(rows, key=lambda row: (fractions[row, end] - fractions[row, start], -row)))


def _totals(samples: int, split: Split, cut: Sequence[SplitName]) -> list[int]:
    totals = []
    for name in cut:
        share = getattr(split, name)
        totals.append(math.floor(share * samples + 0.5))
        if not totals[-1]:
            what = f"{share:g} of {samples} sample{'s' * (samples != 1)} leaves {name} empty"
            mend = "give more samples or a larger share"
            raise InputError(f"params.yaml: split.{name}", what, mend)
    totals.append(samples - sum(totals))
    if totals[-1] <= 0:
        what = f"of {samples} samples none is left for train"
        raise InputError("params.yaml: split", what, "lower the shares")
    return totals


def split_leakage(digests: Mapping[SplitName, Digests]) -> dict[SplitName, int]:
    """Number of samples of validation, and of test, that an earlier split contains, too.

    For validation those that stand in train, for test those in train or in validation, by the
    :func:`sample_digests` of each split.
    """
    return {
        name: int(np.isin(digests[name], np.concatenate([digests[n] for n in SPLITS[:i]])).sum())
        for i, name in enumerate(SPLITS)
        if i
    }


def sample_digests(x: NDArray[np.float32]) -> Digests:
    """Digests of samples ``(n, D)``."""
    content = bytearray()
    for row in x + np.float32(0):  # -0 and 0 are one value
        content += hashlib.blake2b(row.data, digest_size=8).digest()
    return np.frombuffer(bytes(content), dtype=np.uint64)
