"""New samples for a trained model, read from a file as ``prepare`` reads those of ``data/raw``."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from offset_autoencoder.config import load_params
from offset_autoencoder.config.data_schema import Data, Split
from offset_autoencoder.data.preprocessing import Preprocessing
from offset_autoencoder.data.readers import base, find_reader, read_table, roles_apart
from offset_autoencoder.data.readers.base import ColumnRoles, Table
from offset_autoencoder.errors import InputError, adding, did_you_mean, first_names
from offset_autoencoder.io.files import open_npy, special_file
from offset_autoencoder.paths import PARAMS

_NO_PREPROCESSING = Preprocessing()
_OPTIONS = base.RoleKeys(
    features="--features",
    label="--label",
    id="--id",
    split=None,
    header="--header",
    complex=None,
    file=None,
)


@dataclass(frozen=True)
class ColumnOptions:
    """Options of a command that assign the columns of a file to roles.

    ``features`` are columns separated by commas, or the array of an npz or hdf5; ``label`` and
    ``id`` a column, an array, or a file. ``header`` is whether a csv has one; None: as params.yaml
    says.
    """

    features: str | None = None
    label: str | None = None
    id: str | None = None
    header: bool | None = None


def check_input(path: Path) -> base.Reader:
    """Reader of a file of samples.

    Raises:
        InputError: where there is no such file, or no reader for it.
    """
    if kind := special_file(path):
        raise InputError(str(path), f"is {kind}, expected a file")
    if not path.exists():
        raise InputError(str(path), "no such file")
    return find_reader(path)


def read_new_samples(
    path: Path,
    options: ColumnOptions,
    *,
    labelled: bool,
    trained_on: Sequence[str] | None = None,
    preprocessing: Preprocessing = _NO_PREPROCESSING,
) -> Table:
    """Read samples, and ids and labels where they are named or known by params.yaml.

    Of a csv or parquet file the features are, failing ``options.features``, the columns that the
    model was trained on, in their order, wherever they stand; failing these too, all columns that
    have no other role. Labels are read only where they are needed (``labelled``). Missing cells
    and text are treated as those of the model's data set were; the table's notes say of which.

    Raises:
        InputError: where the file, a column or an array is missing or damaged, and where a value
            is no finite number.
    """
    try:
        reader = check_input(path)
        params = load_params(PARAMS) if PARAMS.exists() else None
        data, split = (params.data, params.split) if params else (Data(), Split())
        needed = None if trained_on is None else preprocessing.raw_columns(trained_on)
        roles = ColumnRoles(
            label=options.label,
            id=options.id,
            header=data.header if options.header is None else options.header,
            complex=preprocessing.complex,
            missing=preprocessing.missing != "error",
            text=frozenset(preprocessing.levels),
            keys=_OPTIONS,
            locate=_locate,
        )
        if reader.columns is not None:
            columns = reader.columns(path, replace(roles, features=needed or ()))
            settings = data, split
            roles = _choose_columns(path, columns, roles, settings, options.features, needed)
        elif reader.layout == "arrays":
            roles = _choose_arrays(reader.names(path, roles), roles, data, options.features)
        elif options.features is not None:
            roles = replace(roles, features=(options.features,))
        roles = roles if labelled else replace(roles, label=None)
        table = read_table(path, roles)
        base.check_features(table, roles)
        return preprocessing.apply(table, trained_on)
    except OSError as error:
        raise InputError(str(path), f"cannot be read: {error.strerror}") from None


def _locate(role: str, name: str) -> Path:
    if not Path(name).is_file():
        raise InputError(f"--{role}", f"no such file: {name}")
    return Path(name)


def _choose_arrays(
    names: Sequence[str], roles: ColumnRoles, data: Data, features: str | None
) -> ColumnRoles:
    """Roles of the arrays: by the options, then by params.yaml."""
    array = features or _one_of(names, data.features)
    label, identity = roles.label or _one_of(names, data.label), roles.id or _one_of(names, data.id)
    return replace(roles, features=None if array is None else (array,), label=label, id=identity)


def _one_of(names: Sequence[str], name: object) -> str | None:
    return name if isinstance(name, str) and name in names else None


def _choose_columns(
    path: Path,
    columns: base.Columns,
    roles: ColumnRoles,
    settings: tuple[Data, Split],
    named_features: str | None,
    trained_on: Sequence[str] | None,
) -> ColumnRoles:
    """Roles of the columns: by the options, then by model and params.yaml.

    A column that is no feature and that nobody asks for is not read: new samples may have
    nothing in it.
    """
    (data, split), names = settings, columns.names
    apart = roles_apart(path, roles)
    roles.without(apart).check_names(names, str(path), "column")
    label, identity = roles.label or _one_of(names, data.label), roles.id or _one_of(names, data.id)
    kept = (_one_of(names, name) for name in (data.split, split.group, split.order))
    others = {name for name in (label, identity, *kept) if name is not None} - {*apart.values()}
    features, source = None if trained_on is None else tuple(trained_on), "the model"
    if named_features is not None:
        features = columns.expand(name.strip() for name in named_features.split(","))
        source = "--features"
    if missing := [name for name in features or () if name not in names]:
        what = f"has no column {first_names(map(repr, missing))}, "
        what += f"{'one' if len(missing) == 1 else 'some'} of the features of {source}"
        raise InputError(str(path), what, did_you_mean(missing[0], names))
    for name in features or ():
        if name in others:
            what = f"column {name!r} is no feature: it is label, id, split, group or order"
            raise InputError(str(path), what)
    if features is None and others:
        features = columns.without(others)
    return replace(roles, features=features, label=label, id=identity)


def choose_side_inputs(
    table: Table,
    offset: Path | None,
    *,
    needs: Literal["labels", "ids", "offset"] | None,
    offset_kind: str | None,
    latent_dim: int,
    text_ids: bool,
    look_up: Callable[[NDArray[Any]], NDArray[np.float32]] | None = None,
) -> dict[str, NDArray[Any]]:
    """Take from a table what a model's offset needs beside x: at most one array, ``(n, ...)``.

    ``offset`` is an npy file of f(x), ``(n, latent_dim)``, to use instead of the computed one.
    Ids become text where the model's data had text for ids. ``look_up`` finds f(x) of ids in a file
    of the user's.

    Raises:
        InputError: naming the option that is missing.
    """
    if offset is not None:
        if not offset.is_file():
            raise InputError("--offset", f"no such file: {offset}")
        vectors, shape = open_npy(offset), (len(table.x), latent_dim)
        if table.dropped and len(vectors) == len(table.x) + table.dropped:
            vectors = vectors[table.row_numbers]
        if vectors.shape != shape:
            what = f"{offset} has shape {vectors.shape}, expected {shape}"
            raise InputError("--offset", what)
        return {"offset": vectors}
    if needs is None:
        return {}
    if needs == "offset" and look_up is not None and table.ids is not None:
        with adding("; --offset vectors.npy gives vectors of all samples instead"):
            return {"offset": look_up(table.ids)}
    if needs == "offset":
        what = "missing: the model's offset is a file of vectors for known samples"
        mend = "give those of the new ones, unscaled, a row per sample, by import numpy as np; "
        mend += (
            f"np.save('vectors.npy', v), v of shape {(len(table.x) + table.dropped, latent_dim)}"
        )
        mend += ", and --offset vectors.npy"
        mend += "; or name their ids, --id NAME, to find them in that file" if look_up else ""
        raise InputError("--offset", what, mend)
    values: NDArray[Any] | None = getattr(table, needs)
    if values is None:
        what = f"missing: the model's offset, {offset_kind}, asks for the samples' {needs}"
        option = f"--{needs.removesuffix('s')}"
        hint = (
            f"name where {table.origin} has them, {option} NAME, or a file of them, {option} y.npy"
        )
        raise InputError(option, what, hint)
    return {needs: values.astype(np.str_) if needs == "ids" and text_ids else values}
