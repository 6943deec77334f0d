"""A model applied to a file, chunk by chunk; see :mod:`.operations`."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from offset_autoencoder.cli.operations import Operation
from offset_autoencoder.config import Params, load_params
from offset_autoencoder.config.schema import Tracking
from offset_autoencoder.data import new_samples
from offset_autoencoder.data.preprocessing import Preprocessing
from offset_autoencoder.data.scaling import UNSCALED, Clipping, apply_scale
from offset_autoencoder.data.varying import load_splits
from offset_autoencoder.errors import InputError, adding, first_names, printable
from offset_autoencoder.io.arrays import ConcatenatedRows, blocks, chunks
from offset_autoencoder.io.files import atomic_write, npy_writer
from offset_autoencoder.paths import MODELS, PARAMS, PREPARED, run_store
from offset_autoencoder.reporting.terminal import progress
from offset_autoencoder.runs.load import find_run
from offset_autoencoder.serving import inference_model
from offset_autoencoder.serving.inference_model import InferenceModel
from offset_autoencoder.serving.metadata import METADATA, ModelMetadata
from offset_autoencoder.tracking.champion import champion_alias, validation_samples
from offset_autoencoder.tracking.store import (
    CHAMPION,
    MLFLOW_ENVIRONMENT,
    locate,
    read_state,
    server_error,
)

Array = NDArray[np.float32]
Append = Callable[[Array, slice], None]
"""Writes the next rows, ``(k, columns)``, and takes which of all rows they are."""

_SUFFIXES = (".npy", ".csv", ".parquet")
_SCHEME = "models:/"


def apply_model(
    make: Callable[[InferenceModel, bool], Operation],
    name: str,
    source: Path,
    output: Path,
    column_options: new_samples.ColumnOptions,
    *,
    offset: Path | None = None,
    is_scaled: bool = False,
    force: bool = False,
) -> None:
    """Apply a model, as :func:`open_model` takes it, to a file; print what was written.

    ``make`` gives the operation with the model, to which ``is_scaled`` is handed: the samples are
    then as in ``data/prepared``, and the result likewise. ``offset`` is a file of f(x) to use
    instead of the computed one; with ``force`` an output that exists is overwritten.

    Raises:
        InputError: where the output must not be written, the model or the samples cannot be read,
            or do not go together.
    """
    new_samples.check_input(source)
    check_output(output, source, force=force)
    with open_model(name) as model:
        facts, operation = model.metadata, make(model, is_scaled)
        preprocessing = Preprocessing() if is_scaled else facts.preprocessing
        needs = operation.needs
        table = new_samples.read_new_samples(
            source,
            column_options,
            labelled=needs == "labels",
            trained_on=facts.columns,
            preprocessing=preprocessing,
        )
        x = ConcatenatedRows((table.x,))
        if x.shape[1] != facts.input_dim:
            what = f"its samples have {x.shape[1]} features, the model takes {facts.input_dim}"
            raise InputError(table.origin, what)
        facts.check_axes(table.origin, table.x.shape[1:])
        table = replace(table, columns=facts.feature_names(table.columns))
        columns = operation.columns(table.columns or [f"x_{i}" for i in range(facts.input_dim)])
        lead = {} if table.ids is None else {"id": table.ids}
        if not lead and preprocessing.missing == "drop":  # rows may be left out
            lead = {"row": table.row_numbers}
        side_inputs = new_samples.choose_side_inputs(
            table,
            offset,
            needs=needs,
            offset_kind=facts.offset_kind,
            latent_dim=facts.latent_dim,
            text_ids=facts.text_ids,
            look_up=model.look_up,
        )
        clipping = Clipping(UNSCALED if is_scaled else model.scale)
        with (
            _output_file(output, columns, len(x), lead) as append,
            progress(operation.progress, len(x), float(len(x))) as report,
        ):
            for start, chunk in chunks(x, len(columns)):
                values = []
                for first, block in blocks(chunk):
                    rows = slice(start + first, start + first + len(block))
                    clipping.count(block, rows.start)
                    scaled = apply_scale(block, *clipping.scale)
                    inputs: dict[str, Any] = {"is_scaled": True, "first_row": rows.start}
                    inputs |= {key: np.asarray(column[rows]) for key, column in side_inputs.items()}
                    values.append(operation.values(scaled, inputs))
                append(np.concatenate(values), slice(start, rows.stop))
                report(float(rows.stop), rows.stop)
    line = f"{output}: {len(x)} × {len(columns)}{operation.summary(len(x))}"
    notes = [*table.notes]
    if table.dropped and output.suffix.lower() == ".npy":
        notes.append(
            "npy has no room for the numbers of the rows that are left: csv and parquet do"
        )
    print("\n".join([*(printable(f"note: {source}: {note}") for note in notes), line]))
    if clipping.values:
        text = f"warning: {clipping.text(len(x), table.location)}"
        print(printable(text), file=sys.stderr)


@contextlib.contextmanager
def open_model(name: str) -> Iterator[InferenceModel]:
    """Open a model, to be used within the block.

    ``name`` is a run's id, the first digits of it or its folder; a saved model's folder;
    ``models:/NAME/VERSION``, ``models:/NAME@ALIAS`` or ``models:/ID``; or ``champion``.

    Raises:
        InputError: where there is no such model, or it cannot be applied.
    """
    if name == CHAMPION:
        name = champion_address(load_params(PARAMS))
    if name.startswith(_SCHEME):
        with tempfile.TemporaryDirectory(prefix="offset-autoencoder-") as folder:
            model = inference_model.load_model_folder(download_model(name, Path(folder)))
            clause = _of_former_data(name, model.metadata)
            with adding(clause and f"; {clause}"):
                yield model
            if clause:
                print(printable(f"note: {clause}"), file=sys.stderr)
    elif any(
        (Path(name) / place / METADATA).is_file() for place in (".", inference_model.IN_MLFLOW)
    ):
        yield inference_model.load_model_folder(name)
    else:
        run = find_run(name, MODELS, run_store())
        # The project of a run is this one or, failing that, the one around its folder.
        folders = (Path(), *run.resolve().parents[1:3])
        project = next((folder for folder in folders if (folder / PREPARED).is_dir()), None)
        if project is None:
            what = "is a run: scale and offset are in its project"
            what += ", which is neither here nor around it"
            mend = "name it in the project's folder, or take a model that MLflow serves"
            raise InputError(f"model {name}", what, f"{mend}: models:/NAME@ALIAS")
        yield inference_model.open_run(run, project)


def _of_former_data(address: str, facts: ModelMetadata) -> str:
    """Clause on the latest champion where it is of other data than the project's; ``""`` else.

    Whoever names the alias of a data set knows whose champion it is.
    """
    try:
        tracking = load_params(PARAMS).tracking
        champion = f"{_SCHEME}{tracking.registered_model}@{CHAMPION}"
        if tracking.registered_model is None or address != champion:
            return ""
        splits = load_splits(PREPARED)
        schema = splits.schema(facts.seed) if splits.has(facts.seed) else None
        if schema is not None and schema.digests["test"]["x"] == facts.test_samples_sha256:
            return ""
        champions = read_state(locate(tracking), tracking).champions
    except InputError:  # the model needs none of these
        return ""
    version = champions.get(CHAMPION)
    what = f"version {version}{_whose(champions, version)}" if version else "a model"
    columns = first_names(facts.raw_columns or facts.columns or [f"{facts.raw_features} features"])
    what = f"{address} is {what} of other data than {PREPARED} holds, with {columns}"
    return f"{what} (run {facts.run[:12]}): {CHAMPION!r} stands for that of the present data"


def _whose(champions: Mapping[str, str], version: str) -> str:
    """The data sets' own aliases of a version: ``" (champion-digits-3fa9c1e2)"``."""
    names = [alias for alias, other in champions.items() if other == version and alias != CHAMPION]
    return f" ({first_names(names)})" if names else ""


def champion_address(params: Params) -> str:
    """Address of the champion of the project's data: ``"models:/NAME@champion-digits-3fa9c1e2"``.

    In a project without ``data/prepared`` it is ``"models:/NAME@champion"``, that of the data
    which was published last.

    Raises:
        InputError: where the project registers no model, or its data have no champion.
    """
    tracking = params.tracking
    if tracking.registered_model is None:
        where = f"{PARAMS}: tracking.registered_model"
        raise InputError(where, "is null: there is no champion", "name one")
    alias, location = CHAMPION, locate(tracking)
    if PREPARED.is_dir():
        alias = champion_alias(validation_samples(Path(), params.seeds[0]))
        # A server that lacks it says so when it is asked for the model.
        known = {} if location.is_server else read_state(location, tracking).champions
        if known and alias not in known:
            others = [
                f"{name} (version {version})" for name, version in known.items() if name != CHAMPION
            ]
            what = f"{PREPARED} has none yet, which would be {alias} of {tracking.registered_model}"
            what += f"; there are {first_names(others)}" if others else ""
            raise InputError(CHAMPION, what, "dvc repro publishes it")
    return f"{_SCHEME}{tracking.registered_model}@{alias}"


def download_model(address: str, folder: Path) -> Path:
    """Download a registered model by ``mlflow artifacts download``.

    MLflow takes seconds to import, and TensorFlow after it: they need not share a process.

    Returns:
        The folder, of the model then.

    Raises:
        InputError: where the store has no such model, or does not answer.
    """
    if not address.removeprefix(_SCHEME).strip("/@"):
        expected = f"{_SCHEME}NAME/VERSION or {_SCHEME}NAME@{CHAMPION}"
        raise InputError(address, f"names no model, expected {expected}")
    location = locate(load_params(PARAMS).tracking if PARAMS.exists() else Tracking())
    if location.database is not None and not location.database.exists():
        raise InputError(address, f"there is no MLflow store {location.safe_uri}", "run dvc repro")
    command = [sys.executable, "-m", "mlflow", "artifacts", "download"]
    done = subprocess.run(
        [*command, "--artifact-uri", address, "--dst-path", str(folder)],
        env={**MLFLOW_ENVIRONMENT, **os.environ, "MLFLOW_TRACKING_URI": location.uri},
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        reason = _reason(done.stderr)
        wrong = server_error(address, reason, "run the command again when it answers")
        reason = reason.replace(location.uri.rstrip("/"), location.safe_uri.rstrip("/"))
        reason, mend = (wrong.what, wrong.hint) if wrong else (reason, None)
        raise InputError(address, f"{location.safe_uri} does not give it: {reason}", mend)
    return folder


def _reason(traceback: str) -> str:
    """Last line of a traceback, without the name of its class."""
    lines = [line for line in traceback.splitlines() if line.strip()] or ["no reason given"]
    name, colon, reason = lines[-1].partition(": ")
    is_error = colon and name.rpartition(".")[2].endswith(("Exception", "Error"))
    return reason if is_error else lines[-1]


def check_output(output: Path, source: Path, *, force: bool) -> None:
    """Refuse an output that cannot be written, or that would destroy something.

    Raises:
        InputError: for an unknown suffix, a folder that is missing, the input itself, a folder
            of that name, and a file that exists, except with ``force``.
    """
    if output.suffix.lower() not in _SUFFIXES:
        known = f"known are {', '.join(_SUFFIXES)}"
        raise InputError(str(output), f"unknown suffix {output.suffix!r}", known)
    if output.is_dir():
        raise InputError(str(output), "is a folder, expected the name of a file")
    if not output.parent.is_dir():
        raise InputError(str(output), f"there is no folder {output.parent}", "make it first")
    if output.exists():
        if source.exists() and output.samefile(source):
            raise InputError(str(output), "is the input, too", "give the output another name")
        if not force:
            raise InputError(str(output), "exists already", "--force writes over it")


@contextlib.contextmanager
def _output_file(
    output: Path, columns: Sequence[str], rows: int, lead: Mapping[str, NDArray[Any]]
) -> Iterator[Append]:
    """Write float32 rows; the file appears at ``output`` when the block ends without an error.

    ``lead`` is the first column, ``(rows,)``, by its name, if there is one; npy has no room for it,
    nor for names of columns.
    """
    if output.suffix.lower() == ".npy":
        with npy_writer(output, (rows, len(columns))) as writer:
            yield lambda block, _: writer.append(block)
    else:
        with _table_writer(output, columns, lead) as append:
            yield append


@contextlib.contextmanager
def _table_writer(
    output: Path, columns: Sequence[str], lead: Mapping[str, NDArray[Any]]
) -> Iterator[Append]:
    import pyarrow as pa
    from pyarrow import csv
    from pyarrow import parquet as pq

    firsts = {
        # A feature may have that name already.
        name if name not in columns else f"{name}_of_sample": pa.array(values)
        for name, values in lead.items()
    }
    fields = [pa.field(name, values.type) for name, values in firsts.items()]
    schema = pa.schema([*fields, *(pa.field(name, pa.float32()) for name in columns)])
    is_csv = output.suffix.lower() == ".csv"
    with (
        atomic_write(output) as stream,
        csv.CSVWriter(stream, schema) if is_csv else pq.ParquetWriter(stream, schema) as writer,
    ):

        def append(block: Array, rows: slice) -> None:
            arrays = [values[rows] for values in firsts.values()]
            arrays += [pa.array(column) for column in np.ascontiguousarray(block.T)]
            writer.write_table(pa.table(arrays, schema=schema))

        yield append
