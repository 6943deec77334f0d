"""What the shell offers where a model's name or a run's id is due."""

from __future__ import annotations

import csv
from collections.abc import Iterator
from pathlib import Path

# Read by hand: a shell waits for every Tab, and nothing that reads it elsewhere is as light.
_INDEX = Path("models/index.csv")


def models(incomplete: str) -> list[str]:
    """The names of the models that have runs."""
    names = dict.fromkeys(row["model"] for row in _rows())
    return [name for name in names if name.startswith(incomplete)]


def run_ids(incomplete: str) -> list[tuple[str, str]]:
    """The first digits of the runs' ids, each with the run's model and seed."""
    return [
        (row["id"][: max(12, len(incomplete))], f"{row['model']}, seed {row['seed']}")
        for row in _rows()
        if row["id"].startswith(incomplete)
    ]


def _rows() -> Iterator[dict[str, str]]:
    try:
        with _INDEX.open(newline="", encoding="utf-8") as stream:
            yield from (
                row for row in csv.DictReader(stream) if {"model", "seed", "id"} <= row.keys()
            )
    except (OSError, ValueError, csv.Error):
        return
