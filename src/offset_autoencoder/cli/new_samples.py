"""New samples from a file, read as ``prepare`` reads those of ``data/raw``."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Sequence
from pathlib import Path

from offset_autoencoder.cli.chosen_columns import Named, choose_columns
from offset_autoencoder.data.npz import check_length, read_npz_table
from offset_autoencoder.data.raw_files import Format, format_of
from offset_autoencoder.data.sources import read_array
from offset_autoencoder.data.table import Roles, Table
from offset_autoencoder.data.validation import as_ids, as_labels, check_features
from offset_autoencoder.errors import InputError
from offset_autoencoder.io.temp_arrays import row_major

_KEY = re.compile(r"(params\.yaml: )?\bdata\.(features|label|id)\b(\[\d+\])?")


def check_input(path: Path) -> Format:
    """The format of a file of samples.

    Raises:
        InputError: where there is no such file, or none can read it.
    """
    if path.is_dir():
        raise InputError(str(path), "is a folder, expected a file")
    if not path.exists():
        raise InputError(str(path), "no such file")
    return format_of(path)


def read_new(
    path: Path, named: Named, *, labelled: bool, trained_on: Sequence[str] | None = None
) -> Table:
    """Read samples, and ids and labels where they are named or known by params.yaml.

    Of a csv or parquet file the features are, failing ``named.features``, the columns that the
    model was trained on, in their order, wherever they stand; failing these too, all columns that
    play no other part.

    Args:
        path: The file.
        named: What the command line says of it.
        labelled: Whether the labels are needed; they are not looked at otherwise.
        trained_on: The names of the features that the model was trained on, where it knows them.

    Raises:
        InputError: where the file, a column or an array is missing or damaged, and where a value
            is no finite number.
    """
    try:
        table = _read(check_input(path), path, named, labelled, trained_on)
        check_features(table)
        return dataclasses.replace(
            table,
            labels=None if table.labels is None else as_labels(table, table.labels),
            ids=None if table.ids is None else as_ids(table, table.ids),
        )
    except InputError as error:
        # The readers speak of the keys of params.yaml.
        mend = error.hint and _as_options(error.hint)
        raise InputError(_as_options(error.where), _as_options(error.what), mend) from None
    except OSError as error:
        raise InputError(str(path), f"cannot be read: {error.strerror}") from None


def _as_options(words: str) -> str:
    return _KEY.sub(r"--\2", words)


def _read(
    kind: Format, path: Path, named: Named, labelled: bool, trained_on: Sequence[str] | None
) -> Table:
    if not labelled:
        named = dataclasses.replace(named, label=None)
    if kind in ("npy", "idx"):
        return _with_files(path, named)
    if kind == "npz":
        features = None if named.features is None else (named.features,)
        return read_npz_table(path, Roles(features, named.label, named.id))
    roles = choose_columns(path, named, trained_on, labelled=labelled)
    if kind == "csv":
        from offset_autoencoder.data.csv_file import read_csv_table

        return read_csv_table(path, roles)
    from offset_autoencoder.data.parquet import read_parquet_table

    return read_parquet_table(path, roles)


def _with_files(path: Path, named: Named) -> Table:
    if named.features is not None:
        raise InputError("--features", f"{path} holds one array: there is nothing to name")
    x = row_major(read_array(path, "samples"))
    values = {}
    for option, name in (("label", named.label), ("id", named.id)):
        if name is not None:
            if not Path(name).is_file():
                raise InputError(f"--{option}", f"no such file: {name}")
            values[option] = read_array(Path(name), "samples")
            check_length(values[option], x, name, option)
    return Table(x=x, origin=str(path), labels=values.get("label"), ids=values.get("id"))
