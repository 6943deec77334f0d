"""Bytes on their way from a file that cannot be mapped to an array that can.

They are kept in memory while they are few, else in a file without a name, which is gone with
the process that made it, however that ends.
"""

from __future__ import annotations

import math
import tempfile
from typing import IO, Any, Literal

import numpy as np
from numpy.typing import NDArray

from offset_autoencoder import paths
from offset_autoencoder.data import chunks


def bytes_in_memory() -> int:
    """How many bytes of an array are kept in memory; a larger one goes to disk."""
    return 4 * chunks.CHUNK_VALUES


def nameless_file() -> IO[bytes]:
    """A file to write and read whose space is free again when nothing uses it any more.

    It lies beside ``data/raw``, on the disk that the results go to; elsewhere than in a project,
    where the system puts temporary files.
    """
    return tempfile.TemporaryFile(dir=_folder())


def mapped(
    file: IO[bytes], dtype: np.dtype[Any], shape: tuple[int, ...], order: Literal["C", "F"] = "C"
) -> NDArray[Any]:
    """What such a file holds as an array, read-only; the file itself is closed."""
    with file:
        file.flush()
        return np.memmap(file, dtype, "r", 0, shape, order)


class Spool:
    """What is written one after the other, to be taken as one array."""

    def __init__(self) -> None:
        self._file = tempfile.SpooledTemporaryFile(  # noqa: SIM115
            max_size=bytes_in_memory(), dir=_folder()
        )
        self._size = 0

    def write(self, values: bytes | NDArray[Any]) -> None:
        """Write bytes, or an array's values in C order."""
        content = values if isinstance(values, bytes) else np.ascontiguousarray(values).tobytes()
        self._size += self._file.write(content)

    def __len__(self) -> int:
        return self._size

    def array(
        self,
        dtype: np.dtype[Any],
        shape: tuple[int, ...],
        order: Literal["C", "F"] = "C",
    ) -> NDArray[Any]:
        """What was written as an array, read-only, mapped where it is on disk.

        Args:
            dtype: Of the values.
            shape: Of the array.
            order: Whether rows (C) or columns (F) were written.
        """
        if self._size > bytes_in_memory():
            return mapped(self._file, dtype, shape, order)
        self._file.seek(0)
        values = np.frombuffer(self._file.read(), dtype=dtype, count=math.prod(shape))
        return values.reshape(shape, order=order)


def _folder() -> str | None:
    folder = paths.RAW.parent
    return str(folder) if folder.is_dir() else None
