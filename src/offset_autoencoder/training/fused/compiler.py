"""How the loops are compiled: to vector code, once a machine, outside Python's lock."""

from __future__ import annotations

import atexit
import contextlib
import functools
import hashlib
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, TypeVar, cast

from numba import njit
from numba.core import config as numba_config
from numba.misc import appdirs as numba_appdirs

# Neither is typed.
_config: Any = numba_config
_appdirs: Any = numba_appdirs

_Function = TypeVar("_Function", bound=Callable[..., Any])

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
    """The same of one that becomes part of what calls it."""
    with _own_cache():
        return cast(_Function, njit(inline="always", **_OPTIONS)(function))


class SourceDigestLocator:
    """Where Numba keeps what it compiled of a function: by what all the loops' sources say.

    Numba's own locators go by the time of the function's own file. Two clones would compile
    apart, and an edited function that is called from another file would not be compiled anew.
    """

    def __init__(self, name: str) -> None:
        self._name = name

    @classmethod
    def from_function(cls, function: Any, file: str) -> SourceDigestLocator:
        """The locator of a function in a file."""
        return cls(Path(file).stem)

    def ensure_cache_path(self) -> None:
        """Nothing to do: the folder was made to find out whether it can be."""

    def get_cache_path(self) -> str:
        """The folder."""
        return str(_folder())

    def get_source_stamp(self) -> str:
        """What tells one state of the sources from another."""
        return _digest()

    def get_disambiguator(self) -> str:
        """What tells functions of one name apart."""
        return self._name


@contextlib.contextmanager
def _own_cache() -> Iterator[None]:
    before = _config.CACHE_LOCATOR_CLASSES
    _config.CACHE_LOCATOR_CLASSES = f"{__name__}.{SourceDigestLocator.__name__}"
    try:
        yield
    finally:
        _config.CACHE_LOCATOR_CLASSES = before


@functools.cache
def _digest() -> str:
    sources = sorted(Path(__file__).parent.glob("*.py"))
    return hashlib.sha256(b"".join(source.read_bytes() for source in sources)).hexdigest()


@functools.cache
def _folder() -> Path:
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
