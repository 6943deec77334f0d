"""Files under ``data/raw``: found, kept inside, and told apart by their names."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Literal

from offset_autoencoder.errors import InputError
from offset_autoencoder.paths import copy_into_clone

Format = Literal["npy", "npz", "csv", "parquet", "idx"]

_IDX = re.compile(r"\.idx$|[.-]idx\d+(-\w+)?$")
_SUFFIXES: dict[str, Format] = {
    ".npy": "npy",
    ".npz": "npz",
    ".csv": "csv",
    ".parquet": "parquet",
    ".pq": "parquet",
}
_KNOWN = (
    "known are .npy, .npz, .csv, .csv.gz, .parquet, and MNIST's idx (x.idx, x-idx3-ubyte, x.idx.gz)"
)
_LISTED = 8


def format_of(path: Path) -> Format:
    """The format that a file's name stands for.

    Raises:
        InputError: for a name that stands for none.
    """
    suffix = path.suffix.lower()
    if suffix in _SUFFIXES:
        return _SUFFIXES[suffix]
    if path.name.lower().endswith(".csv.gz"):
        return "csv"
    if _IDX.search(path.name.lower().removesuffix(".gz")):
        return "idx"
    what = f"unknown file format {suffix!r}" if suffix else "a name without a known ending"
    raise InputError(str(path), what, _KNOWN)


def locate(raw: Path, name: str, key: str) -> Path:
    """The path of a file that params.yaml names relative to ``data/raw``.

    A symbolic link inside the folder may point out of it (DVC's cache links files so); a
    name may not. What a temporary clone lacks is brought in from the project it is made of.

    Args:
        raw: The folder.
        name: The file's name in it.
        key: The key that names it, for messages: ``"data.path"``.

    Raises:
        InputError: where the name leaves the folder, or is not a file that can be read.
    """
    where = f"params.yaml: {key}"
    inside = os.path.normpath(name)
    if not name.strip() or Path(name).is_absolute() or os.pardir in Path(inside).parts[:1]:
        raise InputError(
            where, f"{name!r} is not inside {raw}", f"put the file there and name it from {raw} on"
        )
    path = raw / inside
    if not path.exists():
        copy_into_clone(raw)
    if path.is_dir():
        raise InputError(where, f"{path} is a folder, expected a file", _holds(path))
    if not path.exists():
        tracked = path.with_name(f"{path.name}.dvc").exists()
        mend = "DVC knows it: run dvc pull" if tracked else _holds(raw)
        raise InputError(where, f"there is no file {path}", mend)
    try:
        path.open("rb").close()
    except OSError as error:
        raise InputError(where, f"{path} cannot be read: {error.strerror}") from None
    return path


def _holds(folder: Path) -> str:
    found = sorted(
        path.relative_to(folder).as_posix()
        for path in (folder.rglob("*") if folder.is_dir() else ())
        if path.is_file()
        and path.suffix != ".dvc"
        and not any(p.startswith(".") for p in path.relative_to(folder).parts)
    )
    if not found:
        return f"{folder} is empty"
    more = f" and {len(found) - _LISTED} more" if len(found) > _LISTED else ""
    return f"{folder} holds {', '.join(found[:_LISTED])}{more}"
