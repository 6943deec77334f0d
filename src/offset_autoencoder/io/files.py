"""Atomic writes of files and folders, JSON and npz, SHA-256 digests."""

from __future__ import annotations

import contextlib
import functools
import glob
import hashlib
import io
import json
import os
import shutil
import stat
import tempfile
import time
import zipfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from offset_autoencoder.errors import InputError, is_of_disk, message_of, writing
from offset_autoencoder.io.arrays import bytes_in_memory, release

PICKLE = b"\x80"
"""First byte of every pickle since protocol 2."""
PICKLED = "holds pickled Python objects, which are never loaded: they could run code"
PLAIN = "save plain numbers or text: np.save(path, np.asarray(values, dtype=...))"
NPY_MAGIC = b"\x93NUMPY"

A_DAY = 86_400.0
"""Seconds after which what a process writes under a hidden name is taken for a killed one's."""

_FLOAT32 = np.dtype(np.float32).str
_ZIP_EPOCH = (1980, 1, 1, 0, 0, 0)
_SPECIAL = {
    stat.S_IFIFO: "a fifo",
    stat.S_IFSOCK: "a socket",
    stat.S_IFCHR: "a device",
    stat.S_IFBLK: "a device",
    stat.S_IFDIR: "a folder",
}


@contextlib.contextmanager
def atomic_write(path: Path) -> Iterator[IO[bytes]]:
    """Open a file for writing that appears at ``path`` only if the block ends without an error."""
    prefix = f".{path.name}."
    with writing(path, path.parent / prefix):
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(prefix=prefix, suffix=".tmp", dir=path.parent)
        temporary = Path(name)
        try:
            with os.fdopen(handle, "wb") as stream:
                yield stream
            temporary.chmod(0o644)
            temporary.replace(path)
        except BaseException:
            with contextlib.suppress(OSError):  # what comes first is to be heard
                temporary.unlink(missing_ok=True)
            raise


@contextlib.contextmanager
def replace_folder(folder: Path) -> Iterator[Path]:
    """Build a folder that takes the place of another, whole or not at all.

    Yields an empty folder to write to; it becomes ``folder`` if the block ends without an error.
    """
    with writing(folder, folder.parent / f".{folder.name}."):
        folder.parent.mkdir(parents=True, exist_ok=True)
        _remove_leftovers(folder)
        with tempfile.TemporaryDirectory(
            prefix=f".{folder.name}.", dir=folder.parent, ignore_cleanup_errors=True
        ) as temporary:
            new, old = Path(temporary, "new"), Path(temporary, "old")
            new.mkdir()
            yield new
            if folder.exists():
                folder.replace(old)
            try:
                new.replace(folder)
            except BaseException:
                if old.exists():
                    old.replace(folder)
                raise


def _remove_leftovers(folder: Path) -> None:
    """Remove what killed processes left of a folder that they were building.

    What is younger than a day may be another process's, at work.
    """
    for path in folder.parent.glob(f".{glob.escape(folder.name)}.{'[a-z0-9_]' * 8}"):
        with contextlib.suppress(OSError):
            parts = [*path.iterdir()]
            youngest = max(entry.stat().st_mtime for entry in (path, *parts))
            if {part.name for part in parts} <= {"new", "old"} and time.time() - youngest > A_DAY:
                shutil.rmtree(path)


def write_text(path: Path, text: str) -> None:
    """Write UTF-8 text atomically."""
    with atomic_write(path) as stream:
        stream.write(text.encode())


def write_json(path: Path, value: Any) -> None:
    """Write JSON atomically: indented, in the order given, refusing NaN (which is not JSON)."""
    write_text(path, json.dumps(value, indent=2, ensure_ascii=False, allow_nan=False) + "\n")


def read_json(path: Path) -> Any:
    """Read JSON.

    Raises:
        InputError: where the file is missing, cannot be read or is not JSON.
    """
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise InputError(str(path), "no such file", "run the stage that makes it") from None
    except OSError as error:
        raise InputError(str(path), f"cannot be read: {error.strerror}") from None
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise InputError(str(path), f"is not JSON: {error}") from None


def special_file(path: Path) -> str | None:
    """Kind of a path that is no regular file, ``"a fifo"``, else None: to open it may hang."""
    try:
        return _SPECIAL.get(stat.S_IFMT(path.stat().st_mode))
    except (FileNotFoundError, NotADirectoryError, ValueError):
        return None


@contextlib.contextmanager
def reading(path: Path, what: str, hint: str = "write or copy it again") -> Iterator[None]:
    """Turn whatever a library raises when it reads a damaged file into one error.

    That is what it comes upon there: ValueError, KeyError, struct.error, tokenize.TokenError, ...
    Errors of the disk and of memory pass.

    Raises:
        InputError: ``what`` with the library's reason; or that there is no such file.
    """
    try:
        yield
    except InputError:
        raise
    except FileNotFoundError:
        raise InputError(str(path), "no such file", "run the stage that makes it") from None
    except Exception as error:
        if is_of_disk(error):
            raise
        reason = message_of(error) or type(error).__name__
        if "Python objects" in reason:
            raise InputError(str(path), PICKLED, PLAIN) from None
        raise InputError(str(path), f"{what}: {reason}", hint) from None


def write_npy(path: Path, array: NDArray[Any]) -> None:
    """Write one array in C order, so that it can be memory-mapped."""
    with atomic_write(path) as stream:
        np.lib.format.write_array(stream, np.asarray(array, order="C"), allow_pickle=False)


def open_npy(path: Path) -> NDArray[Any]:
    """Memory-map an npy file, of any shape and dtype but object, for reading.

    Raises:
        InputError: where the file is missing, truncated, not npy, or holds pickled objects.
    """
    with reading(path, "is damaged or truncated"):
        with path.open("rb") as stream:
            magic = stream.read(len(NPY_MAGIC))
        if magic[:1] == PICKLE:
            raise InputError(str(path), PICKLED, PLAIN)
        if len(magic) == len(NPY_MAGIC) and magic != NPY_MAGIC:
            raise InputError(str(path), "is not an npy file", "write it with np.save")
        array: NDArray[Any] = np.load(path, mmap_mode="r", allow_pickle=False)
        return array


def check_digest(path: Path, digest: str | None, expected: str | None, remedy: str | None) -> None:
    """Refuse a file with another digest than was noted (None: none was) when it was written.

    Raises:
        InputError: naming the file and the command that makes it anew.
    """
    if expected not in (None, digest):
        raise InputError(str(path), "is damaged: its content is not what was written", remedy)


def check_file(path: Path, expected: str | None, remedy: str | None) -> None:
    """Refuse a file whose bytes are not those that were written, as :func:`check_digest` does."""
    if expected is not None:
        try:
            check_digest(path, sha256_of_file(path), expected, remedy)
        except FileNotFoundError:
            raise InputError(str(path), "no such file", remedy) from None
        except OSError as error:
            raise InputError(str(path), f"cannot be read: {error.strerror}", remedy) from None


def open_checked(path: Path, expected: str | None, remedy: str) -> NDArray[Any]:
    """Memory-map an npy file, and compare it with its digest, once per process and state of it.

    Raises:
        InputError: as :func:`open_npy` and :func:`check_digest`, with the remedy.
    """
    try:
        array = open_npy(path)
    except InputError as error:
        raise InputError(error.where, error.what, remedy) from None
    status = path.stat()
    state = (path.absolute(), status.st_ino, status.st_size, status.st_mtime_ns)
    if expected is not None:
        check_digest(path, _digest_in_state(*state), expected, remedy)
    return array


@functools.cache
def _digest_in_state(path: Path, inode: int, size: int, modified: int) -> str:
    return sha256_of_array(open_npy(path))


class NpyWriter:
    """Writer of one float32 array ``(n, columns)``, block by block."""

    def __init__(self, stream: IO[bytes], shape: tuple[int, int]) -> None:
        self.shape, self.rows, self._stream = shape, 0, stream
        header = {"descr": _FLOAT32, "fortran_order": False, "shape": shape}
        np.lib.format.write_array_header_1_0(stream, header)
        self._digest = float32_digest(shape)

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
        """Digest of the rows so far: once all are written, :func:`sha256_of_array`."""
        return self._digest.hexdigest()


@contextlib.contextmanager
def npy_writer(path: Path, shape: tuple[int, int]) -> Iterator[NpyWriter]:
    """Write a float32 npy file block by block; it appears at ``path`` once all rows are written.

    The bytes are those of :func:`write_npy`.
    """
    with atomic_write(path) as stream:
        writer = NpyWriter(stream, shape)
        yield writer
        assert writer.rows == shape[0], (writer.rows, shape)


def write_npz(path: Path, arrays: Mapping[str, NDArray[Any]]) -> None:
    """Write named arrays as an uncompressed npz whose bytes depend on the arrays alone.

    ``numpy.savez`` stamps each member with the time of writing; here every member carries
    the zip format's first day, so that equal arrays give equal files.
    """
    with atomic_write(path) as stream, zipfile.ZipFile(stream, "w", zipfile.ZIP_STORED) as archive:
        for name, array in arrays.items():
            member = zipfile.ZipInfo(f"{name}.npy", date_time=_ZIP_EPOCH)
            with archive.open(member, "w", force_zip64=True) as entry:
                np.lib.format.write_array(entry, np.asarray(array, order="C"), allow_pickle=False)


def read_npz(
    path: Path, expected: str | None = None, remedy: str | None = None
) -> dict[str, NDArray[Any]]:
    """Read every array of an npz, never unpickling; ``expected`` is its SHA-256, where it is known.

    Raises:
        InputError: where the file is missing, damaged, or holds pickled objects.
    """
    check_file(path, expected, remedy)
    # Of np.load's archive each member is read in many small pieces.
    with reading(path, "is not a readable npz"), zipfile.ZipFile(path) as archive:
        return {
            name.removesuffix(".npy"): np.lib.format.read_array(
                io.BytesIO(archive.read(name)), allow_pickle=False
            )
            for name in archive.namelist()
        }


def sha256_of_file(path: Path) -> str:
    """SHA-256 of a file's bytes, read in blocks."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def sha256_of_array(array: NDArray[Any]) -> str:
    """SHA-256 of an array's dtype, shape and C-order bytes; equal arrays, equal digests.

    Of a mapped array a piece at a time is in memory.
    """
    contiguous = np.ascontiguousarray(array)
    digest = hashlib.sha256(f"{contiguous.dtype.str}{contiguous.shape}".encode())
    content = contiguous.reshape(-1).view(np.uint8) if contiguous.nbytes else np.empty(0, np.uint8)
    for start in range(0, len(content), bytes_in_memory()):
        piece = content[start : start + bytes_in_memory()]
        digest.update(piece.data)
        release(piece)
    return digest.hexdigest()


def float32_digest(shape: tuple[int, int]) -> hashlib._Hash:
    """Digest of a float32 array ``(n, columns)`` to be given its rows, in C order, block by block.

    Once all are given it is :func:`sha256_of_array`.
    """
    return hashlib.sha256(f"{_FLOAT32}{shape}".encode())


def sha256_of_json(value: Any) -> str:
    """SHA-256 of a value's canonical JSON: sorted keys, no white space, no NaN."""
    text = json.dumps(value, sort_keys=True, separators=(",", ":"), allow_nan=False)
    return hashlib.sha256(text.encode()).hexdigest()
