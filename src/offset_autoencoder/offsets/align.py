"""Rows of a table found by id."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from offset_autoencoder.errors import InputError
from offset_autoencoder.offsets.kind import Int64

_NAMED = 5


def match_ids(where: str, table_ids: NDArray[Any], sample_ids: NDArray[Any], what: str) -> Int64:
    """The row of a table that each sample's id names.

    Whole numbers and text are compared as text where one side has the one and the other the
    other, as when a csv of numbers belongs to data whose ids were text.

    Args:
        where: The place that errors name.
        table_ids: The table's ids, whole numbers or text (m,).
        sample_ids: The samples' ids, whole numbers or text (n,), each once.
        what: What the samples are, for messages: ``"train split"``.

    Returns:
        Rows (n,) with ``table_ids[rows] == sample_ids``.

    Raises:
        InputError: where an id stands twice in the table, is missing from it, or belongs to
            no sample; naming the first few.
    """
    if (table_ids.dtype.kind == "U") != (sample_ids.dtype.kind == "U"):
        table_ids, sample_ids = table_ids.astype(np.str_), sample_ids.astype(np.str_)
    order = np.argsort(table_ids, kind="stable")
    ordered = table_ids[order]
    again = np.flatnonzero(ordered[1:] == ordered[:-1])
    if again.size:
        first, second = order[again[0]], order[again[0] + 1]
        raise InputError(
            f"{where}, rows {first} and {second}",
            f"the id {_name(table_ids[first])} stands twice, each must stand once",
        )
    missing = sample_ids[~np.isin(sample_ids, table_ids)]
    if missing.size:
        raise InputError(
            where,
            f"has no vector for {_count(missing, 'sample')} of the {what}: {_list(missing)}",
            "every sample needs one",
        )
    unknown = table_ids[~np.isin(table_ids, sample_ids)]
    if unknown.size:
        raise InputError(
            where,
            f"has {_count(unknown, 'id')} of no sample of the {what}: {_list(unknown)}",
            "remove these rows or mend their ids",
        )
    rows: Int64 = order[np.searchsorted(ordered, sample_ids)].astype(np.int64)
    return rows


def _count(ids: NDArray[Any], noun: str) -> str:
    return f"{len(ids)} {noun}{'s' if len(ids) != 1 else ''}"


def _list(ids: NDArray[Any]) -> str:
    shown = ", ".join(_name(value) for value in ids[:_NAMED])
    return f"id {shown}" + (", ..." if len(ids) > _NAMED else "")


def _name(value: Any) -> str:
    return repr(value.item())
