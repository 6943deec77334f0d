"""An npy file written a block of rows at a time, its digest computed on the way."""

from __future__ import annotations

import contextlib
import hashlib
from collections.abc import Iterator
from pathlib import Path
from typing import IO

import numpy as np
from numpy.typing import NDArray

from offset_autoencoder.files import atomic_write


class NpyWriter:
    """Takes the rows of one float32 array, in order.

    Args:
        stream: Where to.
        shape: ``(n, columns)`` of the whole.
    """

    def __init__(self, stream: IO[bytes], shape: tuple[int, int]) -> None:
        dtype = np.dtype(np.float32)
        header = {
            "descr": np.lib.format.dtype_to_descr(dtype),
            "fortran_order": False,
            "shape": shape,
        }
        np.lib.format.write_array_header_1_0(stream, header)
        self.shape = shape
        self.rows = 0
        self._stream = stream
        # As in files.sha256_of_array.
        self._digest = hashlib.sha256(f"{dtype.str}{shape}".encode())

    def append(self, block: NDArray[np.float32]) -> None:
        """Write the next rows, ``(rows, columns)``."""
        assert block.dtype == np.float32, block.dtype
        assert block.shape[1:] == self.shape[1:], block.shape
        if block.size:
            content = np.ascontiguousarray(block).data
            self._stream.write(content)
            self._digest.update(content)
        self.rows += len(block)

    @property
    def digest(self) -> str:
        """What :func:`.files.sha256_of_array` says of the rows so far, if they are all."""
        return self._digest.hexdigest()


@contextlib.contextmanager
def npy_writer(path: Path, shape: tuple[int, int]) -> Iterator[NpyWriter]:
    """Write an npy file of a float32 array; it stands at ``path`` when all rows have come.

    The bytes are those of :func:`.files.write_npy`.
    """
    with atomic_write(path) as stream:
        writer = NpyWriter(stream, shape)
        yield writer
        assert writer.rows == shape[0], (writer.rows, shape)
