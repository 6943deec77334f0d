"""Which columns of a new csv or parquet file are features, labels and ids."""

from __future__ import annotations

import csv
import gzip
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from offset_autoencoder.config import load_params
from offset_autoencoder.config.schema import Data
from offset_autoencoder.data.raw_files import format_of
from offset_autoencoder.data.table import Roles
from offset_autoencoder.errors import InputError, did_you_mean
from offset_autoencoder.paths import PARAMS


@dataclass(frozen=True)
class Named:
    """What the command line says of a file.

    Attributes:
        features: The features' columns, commas between them, or an npz's array.
        label: The labels' column, array, or file of its own (npy, idx).
        id: Likewise, of the ids.
    """

    features: str | None = None
    label: str | None = None
    id: str | None = None


@dataclass(frozen=True)
class Columns:
    """The columns of a file.

    Attributes:
        names: All of them; none where the file is damaged, of which its reader says more.
        index: Those that pandas stored as a table's index.
    """

    names: Sequence[str]
    index: frozenset[str] = frozenset()

    def but(self, others: set[str]) -> tuple[str, ...]:
        """Those that are neither others nor index."""
        return tuple(name for name in self.names if name not in others | self.index)


def choose_columns(
    path: Path, named: Named, trained_on: Sequence[str] | None, *, labelled: bool
) -> Roles:
    """Which columns play which part: what the options say, then model and params.yaml.

    A column that is no feature and that nobody asks for is not read: new samples may have
    nothing in it.

    Args:
        path: The file, csv or parquet.
        named: What the command line says of it.
        trained_on: The names of the model's features, where it knows them.
        labelled: Whether labels are needed.

    Raises:
        InputError: where a column is missing, or plays two parts.
    """
    data = load_params(PARAMS).data if PARAMS.exists() else Data()
    columns = read_columns(path)
    for option, name in (("label", named.label), ("id", named.id)):
        if name is not None and name not in columns.names:
            raise InputError(
                f"--{option}", f"{path} has no column {name!r}", did_you_mean(name, columns.names)
            )

    def known(name: object) -> str | None:
        return name if isinstance(name, str) and name in columns.names else None

    label, identity = named.label or known(data.label), named.id or known(data.id)
    others = {name for name in (label, identity, known(data.split)) if name is not None}
    features = _features(path, columns, named, trained_on, others)
    if features is None and others - {identity} - ({label} if labelled else set()):
        features = columns.but(others)
    return Roles(features, label if labelled else None, identity)


def read_columns(path: Path) -> Columns:
    """The columns of a csv or parquet file."""
    if format_of(path) == "parquet":
        import pyarrow as pa
        from pyarrow import parquet as pq

        try:
            schema = pq.read_schema(path)
        except pa.ArrowException:
            return Columns(())
        stored = (schema.pandas_metadata or {}).get("index_columns", [])
        return Columns(schema.names, frozenset(name for name in stored if isinstance(name, str)))
    text = gzip.open if path.suffix.lower() == ".gz" else open
    try:
        with text(path, "rt", encoding="utf-8-sig", newline="") as stream:
            return Columns(next((cells for cells in csv.reader(stream) if cells), []))
    except (OSError, EOFError, UnicodeDecodeError, csv.Error):
        return Columns(())


def _features(
    path: Path,
    columns: Columns,
    named: Named,
    trained_on: Sequence[str] | None,
    others: set[str],
) -> tuple[str, ...] | None:
    if named.features is not None:
        features, whose = tuple(name.strip() for name in named.features.split(",")), "--features"
    elif trained_on is not None:
        features, whose = tuple(trained_on), "the model"
    else:
        return None
    for name in features if columns.names else ():
        if name not in columns.names:
            raise InputError(
                str(path),
                f"has no column {name!r}, one of the features of {whose}",
                did_you_mean(name, columns.names),
            )
        if name in others:
            raise InputError(str(path), f"column {name!r} is no feature: it is label, id or split")
    return features
