"""Assignment of samples to splits: a function of id, class and a seed; leakage between splits.

Samples are ordered by the SHA-256 of seed and id, and the first of each class are held out.
So a sample's split does not depend on the order of the file, and no generator's stream is
involved. Where splits vary, that of a run's seed goes by both seeds and by nothing else: another
seed more leaves it as it is. How many of each class go where is a controlled rounding: totals are
exact, and each class's count is its exact share, rounded up or down. Groups are assigned whole, in
the order of their own hashes; samples in an order, by time say, are cut where its values change.
Splits are cut as they are without anomalies to detect; those outside the test split are then left
out.
"""

from __future__ import annotations

import contextlib
import hashlib
import itertools
import math
import re
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from offset_autoencoder.config.data_schema import SPLITS, Split, SplitName
from offset_autoencoder.errors import InputError, first_names
from offset_autoencoder.io.arrays import Rows

LEFT_OUT: Literal["left_out"] = "left_out"
PartName = SplitName | Literal["left_out"]
"""A split, or what is in none: samples of no normal class that would be trained on."""

SplitRows = Mapping[PartName, Rows]
Digests = NDArray[np.uint64]
"""64 bits per sample, equal where all values of two samples are."""

_ANOMALY = "params.yaml: evaluate.anomaly"
_HASHED = 1 << 16  # ids at a time: bounds the memory


def assign(
    ids: NDArray[Any],
    split: Split,
    *,
    y: Rows | None = None,
    classes: Sequence[int | str] | None = None,
    given: NDArray[np.str_] | None = None,
    groups: NDArray[Any] | None = None,
    moments: NDArray[Any] | None = None,
    run_seed: int | None = None,
) -> dict[SplitName, Rows]:
    """Split a data set in three.

    Splits that the data set brings are kept; those that it lacks are cut from its train rows, with
    the shares of ``split`` taken of those rows. Groups and equal moments are kept whole, so that
    the sizes are as near to the shares as they allow.

    Args:
        ids: ``(n,)`` integers or text, each once.
        split: Shares, seed, and whether to stratify, where there are classes.
        y: ``(n,)`` index into the classes.
        classes: Their names, for messages.
        given: ``(n,)`` name of the split that the source assigns.
        groups: ``(n,)`` integers or text, equal for samples that stay in one split. Classes are
            then shared out about evenly, as far as whole groups allow.
        moments: ``(n,)`` that order the samples: the last are test, those before them validation.
        run_seed: Seed of the runs whose split it is; None for the one split of all runs. The order
            of the samples is that of ``"split.seed:run_seed:id"`` or of ``"split.seed:id"``.

    Returns:
        The rows of each split in ascending order of id; together they are all rows, once.

    Raises:
        InputError: where a split would be empty, or there are fewer samples of a class, groups or
            moments than splits to cut.
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
    is_stratified = cut and split.stratify and y is not None
    if cut and (moments is not None or groups is not None):
        if moments is not None:
            parts = _cut_in_order(moments[pool], totals)
        else:
            assert groups is not None
            labels = y[pool] if is_stratified and y is not None else None
            parts = _cut_by_group(groups[pool], labels, totals, seed)
        rows |= {name: pool[parts == index] for index, name in enumerate(names)}
        return {name: part[np.argsort(ids[part], kind="stable")] for name, part in rows.items()}
    order = pool[hash_order(ids[pool], seed)]
    members, counts = [order], np.array([totals])
    if is_stratified and y is not None:
        classes_in_order = y[order]
        members = [order[classes_in_order == k] for k in np.unique(classes_in_order)]
        rare = []
        for of_class in members:
            if (size := len(of_class)) < len(names):
                index = int(y[of_class[0]])
                name_of_class = index if classes is None else classes[index]
                rare.append(f"class {name_of_class!r} has {size} sample{'s' * (size != 1)}")
        if rare:
            what = f"{first_names(rare)}, cutting {', '.join(names)} needs at least {len(names)}"
            mend = "give more of it, leave it out, or set split.stratify: false"
            raise InputError("params.yaml: split.stratify", f"{what} of each class", mend)
        counts = allocate([len(of_class) for of_class in members], totals)
    bounds = np.cumsum(counts, axis=1)[:, :-1]
    pieces = [np.split(of_class, bound) for of_class, bound in zip(members, bounds, strict=True)]
    for index, name in enumerate(names):
        rows[name] = np.concatenate([piece[index] for piece in pieces])
    return {name: part[np.argsort(ids[part], kind="stable")] for name, part in rows.items()}


def _cut_in_order(moments: NDArray[Any], totals: Sequence[int]) -> Rows:
    """Part of each sample, ``(n,)``: the last in time are the last held-out part, train the first.

    ``totals`` are the samples that the held-out parts, and then train, are to have. Each cut lies
    where the moment changes, as near to them as can be.
    """
    distinct, index, counts = np.unique(moments, return_inverse=True, return_counts=True)
    held_out = len(totals) - 1
    if len(distinct) <= held_out:
        what = f"orders the samples by {len(distinct)} value{'s' * (len(distinct) != 1)}, cutting "
        what += f"{held_out + 1} splits needs one each, as samples of equal values stay together"
        raise InputError("params.yaml: split.order", what, "name a column of more values")
    ends, wanted = np.cumsum(counts), np.cumsum([totals[-1], *totals[:-1]])
    cuts: list[int] = []
    for later in range(held_out, 0, -1):  # a value at least is left for each later part
        first = cuts[-1] + 1 if cuts else 0
        choices = np.abs(ends[first : len(ends) - later] - wanted[len(cuts)])
        cuts.append(first + int(np.argmin(choices)))
    in_time: Rows = np.searchsorted(cuts, index)  # train is 0
    return (in_time - 1) % len(totals)


def _cut_by_group(groups: NDArray[Any], y: Rows | None, totals: Sequence[int], seed: str) -> Rows:
    """Part of each sample, ``(n,)``: held-out parts, then train, each of whole groups.

    A part is given groups, in the order of their hashes, as long as each brings it nearer to its
    size and, over the classes, to its share of them: distances squared, over what all parts have.
    Where its size then asks for more, it gets those that do best by the classes. A part that is
    left empty gets the smallest group there is.
    """
    names, index = np.unique(groups, return_inverse=True)
    parts, held_out = len(totals), len(totals) - 1
    if len(names) < parts:
        what = f"there {'is 1 group' if len(names) == 1 else f'are {len(names)} groups'}, cutting "
        what += f"{parts} splits needs at least one each"
        raise InputError("params.yaml: split.group", what, "name a column of more groups")
    sizes = np.bincount(index)[:, None]  # by group: all samples and, stratified, those of a class
    if y is not None:
        labels, classes = np.unique(y, return_inverse=True)
        of_class = np.bincount(index * len(labels) + classes, minlength=len(names) * len(labels))
        sizes = np.hstack([sizes, of_class.reshape(len(names), -1)])
    of_all = sizes.sum(axis=0)
    in_order, part_of = hash_order(names, seed), np.full(len(names), held_out)

    def nearer(groups: Any) -> NDArray[np.float64]:
        gained: NDArray[np.float64] = (2 * missing - sizes[groups]) * sizes[groups] / of_all
        return gained

    for part, total in enumerate(totals[:-1]):
        missing = of_all * (total / len(index))
        for group in in_order[part_of[in_order] == held_out]:
            size, *by_class = nearer(group)
            if size > 0 and sum(by_class) >= 0:
                part_of[group] = part
                missing -= sizes[group]
        free = in_order[part_of[in_order] == held_out]
        while len(free := free[nearer(free)[:, 0] > 0]):
            best = int(np.argmax(nearer(free)[:, 1:].sum(axis=1)))
            part_of[free[best]] = part
            missing -= sizes[free[best]]
            free = np.delete(free, best)
    by_size = in_order[np.argsort(sizes[in_order, 0], kind="stable")]
    for part in range(parts):
        members = np.bincount(part_of, minlength=parts)
        if not members[part]:
            part_of[next(group for group in by_size if members[part_of[group]] > 1)] = part
    return part_of[index]


def as_moments(values: NDArray[Any], location: Callable[[int], str]) -> NDArray[Any]:
    """Numbers or dates that order samples, ``(n,)``: as they are, or those that their text names.

    Dates in text are ISO 8601 and become microseconds since 1970; those with a zone are in
    universal time, the others in one of their own. ``location`` names a sample's place.

    Raises:
        InputError: for the first text that is neither, or that is of another kind than the first.
    """
    if values.dtype.kind != "U":
        return values
    texts, first, index = np.unique(values, return_index=True, return_inverse=True)
    kinds, moments = zip(*map(_moment, texts.tolist()), strict=True)
    expected = kinds[index[0]]
    odd = [row for row, kind in zip(first, kinds, strict=True) if kind != expected or not kind]
    if odd:
        row = int(min(odd))
        what = "is neither a finite number nor an ISO date (2024-05-31, with or without a time)"
        if kind := kinds[index[row]]:
            what = f"is {kind}, the first is {expected}"
        mend = "split.order names a column of either; pandas.to_datetime reads most dates"
        raise InputError(location(row), f"{str(values[row])!r} {what}", mend)
    return np.array(moments)[index]


def _moment(text: str) -> tuple[str, float]:
    """Kind of a text, empty for none, and its number, or its microseconds since 1970."""
    with contextlib.suppress(ValueError):
        number = float(text)
        return ("a number" if math.isfinite(number) else ""), number
    with contextlib.suppress(ValueError):
        date = datetime.fromisoformat(re.sub(r"^(\d{4}-\d\d)$", r"\1-01", text.strip()))
        kind = "a date with a zone" if date.tzinfo else "a date without a zone"
        since = date.replace(tzinfo=date.tzinfo or UTC) - datetime.fromtimestamp(0, UTC)
        return kind, since // timedelta(microseconds=1)
    return "", math.nan


def group_leakage(groups: NDArray[Any], rows: Mapping[Any, Rows]) -> dict[SplitName, int]:
    """Number of groups of validation, and of test, that an earlier split contains, too."""
    return split_leakage({name: np.unique(groups[rows[name]]) for name in SPLITS})


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


def split_leakage(digests: Mapping[SplitName, NDArray[Any]]) -> dict[SplitName, int]:
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


def leave_out(
    rows: Mapping[SplitName, Rows],
    is_anomaly: NDArray[np.bool_] | None,
    ids: NDArray[Any],
    of_seed: str = "",
) -> dict[PartName, Rows]:
    """Splits whose training and validation rows are normal, with the rows that are then in none.

    Args:
        rows: Rows of each split of n samples.
        is_anomaly: ``(n,)``; None where all are normal and nothing is left out.
        ids: ``(n,)`` integers or text.
        of_seed: ``" of seed 3"`` where they are a seed's, for messages.

    Returns:
        The rows of each split and, where there are anomalies to detect, those left out, all in
        ascending order of id.

    Raises:
        InputError: where training or validation would be empty, or the test split has not both.
    """
    splits: dict[PartName, Rows] = {}
    for name, part in rows.items():
        splits[name] = part
        if is_anomaly is not None and name != "test":
            splits[name] = part[~is_anomaly[part]]
        if not len(splits[name]):
            what = f"the {name} split{of_seed} has no sample of a normal class"
            raise InputError(f"{_ANOMALY}.normal", what, "name more classes, or give more samples")
    if is_anomaly is None:
        return splits
    of_test = is_anomaly[rows["test"]]
    if of_test.all() or not of_test.any():
        lacks = "sample of a normal class" if of_test.all() else "anomaly"
        what = f"the test split{of_seed} has no {lacks}"
        raise InputError(_ANOMALY, what, "give more samples, or a larger split.test")
    others = [part[is_anomaly[part]] for name, part in rows.items() if name != "test"]
    out = np.concatenate(others)
    out = out[np.argsort(ids[out], kind="stable")]
    return splits | {LEFT_OUT: out} if len(out) else splits
