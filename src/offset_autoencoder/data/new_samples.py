"""New samples for a trained model, read from a file as ``prepare`` reads those of ``data/raw``."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from offset_autoencoder.config import load_params
from offset_autoencoder.config.schema import Data
from offset_autoencoder.data.readers import find_reader, read_array_table
from offset_autoencoder.data.readers.base import (
    ColumnRoles,
    Columns,
    Reader,
    RoleKeys,
    Table,
    as_ids,
    as_labels,
    check_features,
)
from offset_autoencoder.errors import InputError, did_you_mean
from offset_autoencoder.io.files import open_npy
from offset_autoencoder.paths import PARAMS

_OPTIONS = RoleKeys(features="--features", label="--label", id="--id", split=None, file=None)


@dataclass(frozen=True)
class ColumnOptions:
    """Options of a command that assign the columns of a file to roles.

    Attributes:
        features: Columns of the features, separated by commas, or the array of an npz.
        label: Column, array, or (npy, idx) file of the labels.
        id: Likewise, of the ids.
    """

    features: str | None = None
    label: str | None = None
    id: str | None = None


def check_input(path: Path) -> Reader:
    """Reader of a file of samples.

    Raises:
        InputError: where there is no such file, or no reader for it.
    """
    if path.is_dir():
        raise InputError(str(path), "is a folder, expected a file")
    if not path.exists():
        raise InputError(str(path), "no such file")
    return find_reader(path)


def read_new_samples(
    path: Path,
    options: ColumnOptions,
    *,
    labelled: bool,
    trained_on: Sequence[str] | None = None,
) -> Table:
    """Read samples, and ids and labels where they are named or known by params.yaml.

    Of a csv or parquet file the features are, failing ``options.features``, the columns that the
    model was trained on, in their order, wherever they stand; failing these too, all columns that
    have no other role.

    Args:
        path: The file.
        options: Options of the command.
        labelled: Whether the labels are needed; they are not read otherwise.
        trained_on: Names of the features that the model was trained on, where it knows them.

    Raises:
        InputError: where the file, a column or an array is missing or damaged, and where a value
            is no finite number.
    """
    try:
        reader = check_input(path)
        table = _read(reader, path, options, labelled, trained_on)
        check_features(table)
        return dataclasses.replace(
            table,
            labels=None if table.labels is None else as_labels(table, table.labels),
            ids=None if table.ids is None else as_ids(table, table.ids),
        )
    except OSError as error:
        raise InputError(str(path), f"cannot be read: {error.strerror}") from None


def _read(
    reader: Reader,
    path: Path,
    options: ColumnOptions,
    labelled: bool,
    trained_on: Sequence[str] | None,
) -> Table:
    if reader.columns is not None:
        columns = reader.columns(path)
        roles = _choose_columns(path, columns, options, trained_on, labelled=labelled)
        return reader.read(path, roles, None)
    label = options.label if labelled else None
    if reader.layout == "arrays":
        features = None if options.features is None else (options.features,)
        return reader.read(path, ColumnRoles(features, label, options.id, keys=_OPTIONS), None)
    if options.features is not None:
        raise InputError("--features", f"{path} holds one array: there is nothing to name")
    files = {"label": label, "id": options.id}
    others = {role: Path(name) for role, name in files.items() if name is not None}
    for role, file in others.items():
        if not file.is_file():
            raise InputError(f"--{role}", f"no such file: {file}")
    return read_array_table(path, others, "samples")


def _choose_columns(
    path: Path,
    columns: Columns,
    options: ColumnOptions,
    trained_on: Sequence[str] | None,
    *,
    labelled: bool,
) -> ColumnRoles:
    """Roles of the columns: by the options, then by model and params.yaml.

    A column that is no feature and that nobody asks for is not read: new samples may have
    nothing in it.
    """
    data = load_params(PARAMS).data if PARAMS.exists() else Data()
    for option, name in (("label", options.label), ("id", options.id)):
        if name is not None and name not in columns.names:
            raise InputError(
                f"--{option}", f"{path} has no column {name!r}", did_you_mean(name, columns.names)
            )

    def in_file(name: object) -> str | None:
        return name if isinstance(name, str) and name in columns.names else None

    label, identity = options.label or in_file(data.label), options.id or in_file(data.id)
    others = {name for name in (label, identity, in_file(data.split)) if name is not None}
    features = _choose_features(path, columns, options, trained_on, others)
    if features is None and others - {identity} - ({label} if labelled else set()):
        features = columns.without(others)
    return ColumnRoles(features, label if labelled else None, identity, keys=_OPTIONS)


def _choose_features(
    path: Path,
    columns: Columns,
    options: ColumnOptions,
    trained_on: Sequence[str] | None,
    others: set[str],
) -> tuple[str, ...] | None:
    if options.features is not None:
        features = tuple(name.strip() for name in options.features.split(","))
        source = "--features"
    elif trained_on is not None:
        features, source = tuple(trained_on), "the model"
    else:
        return None
    for name in features:
        if name not in columns.names:
            raise InputError(
                str(path),
                f"has no column {name!r}, one of the features of {source}",
                did_you_mean(name, columns.names),
            )
        if name in others:
            raise InputError(str(path), f"column {name!r} is no feature: it is label, id or split")
    return features


@dataclass(frozen=True)
class SideInputs:
    """Inputs of a model beside the samples of a file; None is one that it does not need.

    Attributes:
        is_scaled: Whether the samples are as in ``data/prepared``.
        labels: ``(n,)``.
        ids: ``(n,)``.
        offset: f(x) to use instead of the computed one, ``(n, L)``.
    """

    is_scaled: bool
    labels: NDArray[Any] | None = None
    ids: NDArray[Any] | None = None
    offset: NDArray[Any] | None = None

    def of(self, rows: slice) -> dict[str, Any]:
        """Keyword arguments of a served model for some of the rows."""
        inputs: dict[str, Any] = {"is_scaled": self.is_scaled, "first_row": rows.start}
        for name in ("labels", "ids", "offset"):
            if (values := getattr(self, name)) is not None:
                inputs[name] = np.asarray(values[rows])
        return inputs


def choose_side_inputs(
    table: Table,
    offset: Path | None,
    *,
    needs: Literal["labels", "ids", "offset"] | None,
    offset_kind: str | None,
    latent_dim: int,
    text_ids: bool,
    is_scaled: bool,
) -> SideInputs:
    """Take from a file what a model's offset needs.

    Args:
        table: The samples.
        offset: An npy file of f(x) to use instead of the computed one, or None.
        needs: What the model's offset needs beside x.
        offset_kind: Kind of its offset, for messages.
        latent_dim: Length of its code.
        text_ids: Whether its data had text for ids.
        is_scaled: Whether the samples are as in ``data/prepared``.

    Raises:
        InputError: naming the option that is missing.
    """
    if offset is not None:
        return SideInputs(is_scaled, offset=_read_offset(offset, (len(table.x), latent_dim)))
    if needs == "offset":
        raise InputError(
            "--offset",
            "missing: the model's offset is a file of vectors for known samples",
            "reconstruct takes a file of those of new ones",
        )
    if needs is not None and getattr(table, needs) is None:
        raise InputError(
            f"--{needs.removesuffix('s')}",
            f"missing: the model's offset, {offset_kind}, asks for the samples' {needs}",
            f"name where {table.origin} has them",
        )
    if needs == "labels":
        return SideInputs(is_scaled, labels=table.labels)
    if needs == "ids":
        assert table.ids is not None
        return SideInputs(is_scaled, ids=table.ids.astype(np.str_) if text_ids else table.ids)
    return SideInputs(is_scaled)


def _read_offset(path: Path, shape: tuple[int, int]) -> NDArray[Any]:
    if not path.is_file():
        raise InputError("--offset", f"no such file: {path}")
    vectors = open_npy(path)
    if vectors.shape != shape:
        raise InputError("--offset", f"{path} has shape {vectors.shape}, expected {shape}")
    return vectors
