"""New samples for a trained model, read from a file as ``prepare`` reads those of ``data/raw``."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from offset_autoencoder.config import load_params
from offset_autoencoder.config.schema import Data, Split
from offset_autoencoder.data.readers import base, find_reader, read_table
from offset_autoencoder.data.readers.base import ColumnRoles, Table
from offset_autoencoder.errors import InputError, did_you_mean
from offset_autoencoder.io.files import open_npy
from offset_autoencoder.paths import PARAMS

_OPTIONS = base.RoleKeys(features="--features", label="--label", id="--id", split=None, file=None)


@dataclass(frozen=True)
class ColumnOptions:
    """Options of a command that assign the columns of a file to roles.

    ``features`` are columns separated by commas, or the array of an npz; ``label`` and ``id`` a
    column, an array, or (npy, idx) a file.
    """

    features: str | None = None
    label: str | None = None
    id: str | None = None


def check_input(path: Path) -> base.Reader:
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
    have no other role. Labels are read only where they are needed (``labelled``).

    Raises:
        InputError: where the file, a column or an array is missing or damaged, and where a value
            is no finite number.
    """
    try:
        if (read_columns := check_input(path).columns) is not None:
            columns = read_columns(path)
            roles = _choose_columns(path, columns, options, trained_on, labelled=labelled)
        else:
            roles = ColumnRoles(
                features=None if options.features is None else (options.features,),
                label=options.label if labelled else None,
                id=options.id,
                keys=_OPTIONS,
                locate=_locate,
            )
        table = read_table(path, roles)
        base.check_features(table, roles)
        return table
    except OSError as error:
        raise InputError(str(path), f"cannot be read: {error.strerror}") from None


def _locate(role: str, name: str) -> Path:
    if not Path(name).is_file():
        raise InputError(f"--{role}", f"no such file: {name}")
    return Path(name)


def _choose_columns(
    path: Path,
    columns: base.Columns,
    options: ColumnOptions,
    trained_on: Sequence[str] | None,
    *,
    labelled: bool,
) -> ColumnRoles:
    """Roles of the columns: by the options, then by model and params.yaml.

    A column that is no feature and that nobody asks for is not read: new samples may have
    nothing in it.
    """
    params, names = load_params(PARAMS) if PARAMS.exists() else None, columns.names
    data, split = (params.data, params.split) if params else (Data(), Split())

    def in_file(name: object) -> str | None:
        return name if isinstance(name, str) and name in names else None

    named = ColumnRoles(label=options.label, id=options.id, keys=_OPTIONS)
    named.check_names(names, str(path), "column")
    label, identity = options.label or in_file(data.label), options.id or in_file(data.id)
    no_features = (label, identity, *map(in_file, (data.split, split.group, split.order)))
    others = {name for name in no_features if name is not None}
    features, source = None if trained_on is None else tuple(trained_on), "the model"
    if options.features is not None:
        features = tuple(name.strip() for name in options.features.split(","))
        source = "--features"
    for name in features or ():
        if name not in names:
            what = f"has no column {name!r}, one of the features of {source}"
            raise InputError(str(path), what, did_you_mean(name, names))
        if name in others:
            what = f"column {name!r} is no feature: it is label, id, split, group or order"
            raise InputError(str(path), what)
    if features is None and others - {identity} - ({label} if labelled else set()):
        features = columns.without(others)
    return ColumnRoles(features, label if labelled else None, identity, keys=_OPTIONS)


def choose_side_inputs(
    table: Table,
    offset: Path | None,
    *,
    needs: Literal["labels", "ids", "offset"] | None,
    offset_kind: str | None,
    latent_dim: int,
    text_ids: bool,
) -> dict[str, NDArray[Any]]:
    """Take from a table what a model's offset needs beside x: at most one array, ``(n, ...)``.

    ``offset`` is an npy file of f(x), ``(n, latent_dim)``, to use instead of the computed one.
    Ids become text where the model's data had text for ids.

    Raises:
        InputError: naming the option that is missing.
    """
    if offset is not None:
        if not offset.is_file():
            raise InputError("--offset", f"no such file: {offset}")
        vectors, shape = open_npy(offset), (len(table.x), latent_dim)
        if vectors.shape != shape:
            what = f"{offset} has shape {vectors.shape}, expected {shape}"
            raise InputError("--offset", what)
        return {"offset": vectors}
    if needs is None:
        return {}
    if needs == "offset":
        what = "missing: the model's offset is a file of vectors for known samples"
        raise InputError("--offset", what, "reconstruct takes a file of those of new ones")
    values: NDArray[Any] | None = getattr(table, needs)
    if values is None:
        what = f"missing: the model's offset, {offset_kind}, asks for the samples' {needs}"
        hint = f"name where {table.origin} has them"
        raise InputError(f"--{needs.removesuffix('s')}", what, hint)
    return {needs: values.astype(np.str_) if needs == "ids" and text_ids else values}
