"""What a command makes of samples, written a chunk at a time as npy, csv or parquet."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from offset_autoencoder.data.npy_writer import npy_writer
from offset_autoencoder.errors import InputError
from offset_autoencoder.files import atomic_write

Append = Callable[[NDArray[np.float32], slice], None]
"""Takes the next rows, ``(k, columns)``, and which of all rows they are."""

_SUFFIXES = (".npy", ".csv", ".parquet")


@dataclass(frozen=True)
class Layout:
    """What is written.

    Attributes:
        columns: Their names; npy has none.
        rows: How many there are in all.
        ids: ``(rows,)`` written as the first column, ``id``, or None; npy has no room for them.
    """

    columns: Sequence[str]
    rows: int
    ids: NDArray[Any] | None = None


def check_output(output: Path, source: Path, *, force: bool) -> None:
    """Refuse an output that cannot be written, or that would destroy something.

    Raises:
        InputError: for an unknown suffix, a folder that is missing, the input itself, a folder
            in the file's place, and a file that is there already, but for ``force``.
    """
    if output.suffix.lower() not in _SUFFIXES:
        raise InputError(
            str(output), f"unknown suffix {output.suffix!r}", f"known are {', '.join(_SUFFIXES)}"
        )
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
def output_file(output: Path, layout: Layout) -> Iterator[Append]:
    """Write float32 rows; the file stands at ``output`` when the block ends without an error.

    Args:
        output: Where to; its suffix says what is written.
        layout: What is written.

    Raises:
        InputError: where the disk is full, or the file may not be written.
    """
    write = _write_npy if output.suffix.lower() == ".npy" else _write_columns
    try:
        with write(output, layout) as append:
            yield append
    except OSError as error:
        raise InputError(str(output), f"cannot be written: {error.strerror or error}") from None


@contextlib.contextmanager
def _write_npy(output: Path, layout: Layout) -> Iterator[Append]:
    with npy_writer(output, (layout.rows, len(layout.columns))) as writer:
        yield lambda block, rows: writer.append(block)


@contextlib.contextmanager
def _write_columns(output: Path, layout: Layout) -> Iterator[Append]:
    import pyarrow as pa
    from pyarrow import csv
    from pyarrow import parquet as pq

    ids = None if layout.ids is None else pa.array(layout.ids)
    # A feature may have that name already.
    id_name = "id" if "id" not in layout.columns else "id_of_sample"
    schema = pa.schema(
        ([] if ids is None else [pa.field(id_name, ids.type)])
        + [pa.field(name, pa.float32()) for name in layout.columns]
    )
    with atomic_write(output) as stream:
        is_csv = output.suffix.lower() == ".csv"
        writer = csv.CSVWriter(stream, schema) if is_csv else pq.ParquetWriter(stream, schema)

        def append(block: NDArray[np.float32], rows: slice) -> None:
            columns = [pa.array(column) for column in np.ascontiguousarray(block.T)]
            first = [] if ids is None else [ids[rows]]
            writer.write_table(pa.table([*first, *columns], schema=schema))

        with writer:
            yield append
