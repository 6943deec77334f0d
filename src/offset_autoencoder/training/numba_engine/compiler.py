"""Compilation of the loops: to vector code, once per machine, outside Python's lock.

What a process has compiled itself and what another reads back from disk may differ in how sums are
grouped, since only the former is inlined across functions. So all loops are compiled by a process
that does nothing else, and every training reads them from disk: the first one on a machine has the
same bytes as the next.
"""

from __future__ import annotations

import atexit
import contextlib
import functools
import hashlib
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, TypeVar, cast

import numba
from filelock import FileLock
from llvmlite import binding
from numba import njit
from numba.core import config as numba_config
from numba.misc import appdirs as numba_appdirs

from offset_autoencoder.errors import InputError

# Neither is typed.
_config: Any = numba_config
_appdirs: Any = numba_appdirs

_Function = TypeVar("_Function", bound=Callable[..., Any])

# Where a process that compiles for another writes.
_VARIABLE = "OFFSET_AUTOENCODER_COMPILED"
_WHOLE = "whole"

_OPTIONS: dict[str, Any] = {
    "nogil": True,
    "cache": True,
    "error_model": "numpy",
    # Sums may be regrouped and products fused; NaN and infinity keep their meaning.
    "fastmath": {"contract", "reassoc", "arcp", "nsz", "afn"},
}


def compiled(function: _Function) -> _Function:
    """Compile a function when it is first called, and keep it on disk."""
    with _own_cache():
        return cast(_Function, njit(**_OPTIONS)(function))


def inlined(function: _Function) -> _Function:
    """Compile a function that becomes part of its callers."""
    with _own_cache():
        return cast(_Function, njit(inline="always", **_OPTIONS)(function))


class _SourceDigestLocator:
    """Place of Numba's cache of a function: by what all the loops' sources say.

    Numba's own locators go by the time of the function's own file. Two clones would compile
    apart, and an edited function that is called from another file would not be compiled anew.
    """

    def __init__(self, name: str) -> None:
        self._name = name

    @classmethod
    def from_function(cls, function: Any, file: str) -> _SourceDigestLocator:
        return cls(Path(file).stem)

    def ensure_cache_path(self) -> None:
        pass  # the folder was made to find out whether it can be

    def get_cache_path(self) -> str:
        return str(_folder())

    def get_source_stamp(self) -> str:
        return _digest()

    def get_disambiguator(self) -> str:
        return self._name


def compile_ahead() -> None:
    """Have all loops compiled and on disk, by a process of their own where they are not yet.

    Raises:
        InputError: where they cannot be compiled.
    """
    folder = _folder()
    whole = folder / _WHOLE
    if whole.exists():
        return
    with FileLock(folder / "lock"):
        if whole.exists():
            return
        print("compiling the training loops, once for this machine", flush=True)
        for part in [*folder.glob("*.nbi"), *folder.glob("*.nbc")]:
            part.unlink(missing_ok=True)  # of a process that was killed at it
        source = str(Path(__file__).parents[3])
        paths = [source, *filter(None, [os.environ.get("PYTHONPATH")])]
        program = f"from {__package__}.epoch import compile_all\n"
        program += "from offset_autoencoder.errors import run_command\nrun_command(compile_all)"
        done = subprocess.run(
            [sys.executable, "-c", program],
            env={**os.environ, "PYTHONPATH": os.pathsep.join(paths), _VARIABLE: str(folder)},
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode:
            *_, reason = done.stderr.splitlines() or [f"exit status {done.returncode}"]
            what = f"cannot be compiled: {reason.removeprefix('error: ')}"
            raise InputError("the training loops", what)
        whole.touch()


@contextlib.contextmanager
def _own_cache() -> Iterator[None]:
    before = _config.CACHE_LOCATOR_CLASSES
    _config.CACHE_LOCATOR_CLASSES = f"{__name__}.{_SourceDigestLocator.__name__}"
    try:
        yield
    finally:
        _config.CACHE_LOCATOR_CLASSES = before


@functools.cache
def _digest() -> str:
    sources = sorted(Path(__file__).parent.glob("*.py"))
    compiler = [numba.__version__, sys.version, binding.get_host_cpu_name()]
    compiler.append(binding.get_host_cpu_features().flatten())
    parts = [*(source.read_bytes() for source in sources), *(part.encode() for part in compiler)]
    return hashlib.sha256(b"\0".join(parts)).hexdigest()


@functools.cache
def _folder() -> Path:
    if folder_name := os.environ.get(_VARIABLE):
        return Path(folder_name)
    folder = Path(_appdirs.user_cache_dir("offset-autoencoder")) / f"compiled-{_digest()[:16]}"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        if os.access(folder, os.W_OK):
            return folder
    except OSError:
        pass
    folder = Path(tempfile.mkdtemp(prefix="offset-autoencoder-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return folder
