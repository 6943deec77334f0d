"""npy files, memory-mapped and never unpickled."""

from __future__ import annotations

from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from offset_autoencoder.errors import InputError

_MAGIC = b"\x93NUMPY"
PICKLE = b"\x80"
"""The first byte of every pickle since protocol 2."""
PICKLED = "holds pickled Python objects, which are never loaded: they could run code"
PLAIN = "save plain numbers or text: np.save(path, np.asarray(values, dtype=...))"


def open_npy(path: Path) -> NDArray[Any]:
    """Memory-map an npy file for reading.

    Returns:
        The array, of any shape and dtype but object.

    Raises:
        InputError: where the file is missing, truncated, not npy, or holds pickled objects.
    """
    try:
        with path.open("rb") as stream:
            magic = stream.read(len(_MAGIC))
        if magic[:1] == PICKLE:
            raise InputError(str(path), PICKLED, PLAIN)
        if len(magic) == len(_MAGIC) and magic != _MAGIC:
            raise InputError(str(path), "is not an npy file", "write it with np.save")
        array: NDArray[Any] = np.load(path, mmap_mode="r", allow_pickle=False)
    except FileNotFoundError:
        raise InputError(str(path), "no such file", "run the stage that makes it") from None
    except (ValueError, OSError, EOFError, SyntaxError) as error:
        if "Python objects" in str(error):
            raise InputError(str(path), PICKLED, PLAIN) from None
        raise InputError(
            str(path), f"is damaged or truncated: {error}", "write or copy it again"
        ) from None
    return array


def read_header(stream: IO[bytes]) -> tuple[tuple[int, ...], bool, np.dtype[Any]]:
    """Shape, whether in Fortran order, and dtype of the npy that begins here.

    The stream then stands at the first value.

    Raises:
        ValueError: where no npy begins here, or one of pickled objects.
    """
    version = np.lib.format.read_magic(stream)
    read = (
        np.lib.format.read_array_header_1_0
        if version == (1, 0)
        else np.lib.format.read_array_header_2_0
    )
    shape, fortran, dtype = read(stream)
    if dtype.hasobject:
        raise ValueError("Object arrays are never loaded")
    return shape, fortran, dtype
