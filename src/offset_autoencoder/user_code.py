"""User code named in params.yaml: import, errors with file and line, digest."""

from __future__ import annotations

import contextlib
import hashlib
import importlib
import os
import sys
import sysconfig
import threading
import traceback
from collections.abc import Iterator
from pathlib import Path
from typing import Any, TextIO

from offset_autoencoder.errors import (
    InputError,
    did_you_mean,
    message_of,
    native_messages_held,
)
from offset_autoencoder.paths import CUSTOM, copy_into_clone

BACKEND = "OFFSET_AUTOENCODER_KERAS_BACKEND"
"""Set to ``jax`` before Keras is imported, in the process that trains with the engine ``jax``."""
_LOCK = threading.Lock()
_KEPT: list[tuple[Path, TextIO]] = []  # working folder and output, once for each block within


def keras_backend() -> str:
    """Keras's backend in this process: TensorFlow, but where it was started to train on JAX."""
    return os.environ.get(BACKEND, "tensorflow")


def find_target(where: str, name: str) -> Any:
    """Import as :func:`find_attribute`, and instantiate a class that has ``fit`` and ``apply``.

    Raises:
        InputError: as :func:`find_attribute`, or where it cannot be called.
    """
    target = find_attribute(where, name)
    methods = [method for method in ("fit", "apply") if hasattr(target, method)]
    if len(methods) == 1:
        missing = {"fit": "apply", "apply": "fit"}[methods[0]]
        raise InputError(where, f"{name} has {methods[0]} but no {missing}: an offset needs both")
    if methods and isinstance(target, type):
        with blame_user_code(where, name):
            return target()
    if not methods and not callable(target):
        what = f"{name} is a {type(target).__name__}: neither a function nor an object with fit "
        raise InputError(where, f"{what}and apply")
    return target


def find_attribute(where: str, name: str) -> Any:
    """Import ``module:attribute``, ``"custom.mine:f"``; the attribute may be dotted.

    Raises:
        InputError: at ``where``: the module is not found or raises when it is imported, or has no
            such attribute.
    """
    module_name, _, attribute = name.partition(":")
    target: Any = _import(where, module_name)
    with blame_user_code(where, name):  # a module or a class may compute its attributes
        for part in attribute.split("."):
            if not hasattr(target, part):
                public = [word for word in dir(target) if not word.startswith("_")]
                raise InputError(
                    where, f"{module_name} has no {attribute!r}", did_you_mean(part, public)
                )
            target = getattr(target, part)
    return target


@contextlib.contextmanager
def blame_user_code(where: str, name: str) -> Iterator[None]:
    """Turn every exception of user code, ``SystemExit`` included, into an :class:`InputError`.

    What it prints goes to the standard error, as the standard output is the command's own. A
    working folder that it changes is put back: the project's files are named from there.

    Raises:
        InputError: with the exception's type and message, and the last line of user code in
            its traceback.
    """
    try:
        with _folder_and_output_kept():
            yield
    except (InputError, KeyboardInterrupt):
        raise
    # SystemExit, too: sys.exit(0) in there would end the stage as if it were done.
    except BaseException as error:
        raised = f"{type(error).__name__}: {message_of(error)}{_user_line(error)}"
        raise InputError(where, f"{name} raised {raised}") from error


@contextlib.contextmanager
def _folder_and_output_kept() -> Iterator[None]:
    """Block in which several threads may be at once, though both are those of the process."""
    with _LOCK:
        _KEPT.append(_KEPT[0] if _KEPT else (Path.cwd(), sys.stdout))
        sys.stdout = sys.stderr
    try:
        yield
    finally:
        with _LOCK:
            folder, output = _KEPT.pop()
            if not _KEPT:
                sys.stdout = output
            os.chdir(folder)


def digest_of_user_code(where: str, name: str) -> str:
    """SHA-256 of the user code behind ``module:attribute``.

    It covers the module's source, or all of ``src/custom`` for a module in there. A module that
    is built into Python has none: its code goes with Python's version.

    Raises:
        InputError: where the module cannot be found.
    """
    module = _import(where, name.partition(":")[0])
    source = getattr(module, "__file__", None)
    files = [Path(source)] if source else []
    if module.__name__.split(".")[0] == CUSTOM.name:
        folder = Path(importlib.import_module("custom").__path__[0])
        files = sorted(path for path in folder.rglob("*.py") if path.is_file())
    digest = hashlib.sha256()
    for file in files:
        digest.update(f"{file.name}\n".encode() + file.read_bytes())
    return digest.hexdigest()


def _import(where: str, module_name: str) -> Any:
    if module_name.partition(".")[0] == CUSTOM.name:
        copy_into_clone(CUSTOM)
    # It may import Keras before the project does.
    os.environ["KERAS_BACKEND"] = keras_backend()
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    is_first = "tensorflow" not in sys.modules
    held = native_messages_held(drops_logs_alone=True) if is_first else contextlib.nullcontext()
    importlib.invalidate_caches()  # a module written a moment ago is found
    try:
        with held, blame_user_code(where, f"importing {module_name}"):
            return importlib.import_module(module_name)
    except InputError as error:
        cause = error.__cause__
        missing = cause.name if isinstance(cause, ModuleNotFoundError) else None
        if missing is None or not f"{module_name}.".startswith(f"{missing}."):
            raise
    what = f"there is no module {module_name!r}: looked for {module_name.replace('.', '/')}.py on "
    what += "the path of imports (your own modules go in src/custom, as custom.NAME)"
    raise InputError(where, what, _near_custom_module(module_name)) from None


def _near_custom_module(module_name: str) -> str | None:
    with contextlib.suppress(ImportError, AttributeError):
        folders = importlib.import_module("custom").__path__
        files = [file for folder in folders for file in Path(folder).glob("*.py")]
        modules = [f"custom.{file.stem}" for file in files if file.stem != "__init__"]
        return did_you_mean(module_name, modules) if modules else None
    return None


def _user_line(error: BaseException) -> str:
    """Clause that names the last frame outside libraries, the one that the user can fix."""
    if isinstance(error, SyntaxError):
        return f", at {_relative(error.filename)}:{error.lineno}" if error.filename else ""
    libraries = (str(Path(__file__).parent), sysconfig.get_path("stdlib"), "<")
    frames = [
        frame
        for frame in traceback.extract_tb(error.__traceback__)
        if not frame.filename.startswith(libraries)
        and not {"site-packages", "dist-packages"} & set(Path(frame.filename).parts)
    ]
    return f", at {_relative(frames[-1].filename)}:{frames[-1].lineno}" if frames else ""


def _relative(filename: str | None) -> str:
    path = os.path.relpath(str(filename))
    return str(filename) if path.startswith("..") else path
