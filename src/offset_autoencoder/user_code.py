"""The user's own code: found by name, and blamed by file and line for what it raises."""

from __future__ import annotations

import contextlib
import hashlib
import importlib
import os
import sysconfig
import traceback
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from offset_autoencoder.errors import InputError, did_you_mean
from offset_autoencoder.paths import CUSTOM, bring_in


def find_target(where: str, name: str) -> Any:
    """What ``module:attribute`` names, an instance of it where it is a class with ``fit``.

    Args:
        where: The place that errors name.
        name: ``"custom.mine:f"``; the attribute may be dotted.

    Raises:
        InputError: as :func:`find_attribute`, or where it is nothing to call.
    """
    target = find_attribute(where, name)
    halves = [half for half in ("fit", "apply") if hasattr(target, half)]
    if len(halves) == 1:
        other = {"fit": "apply", "apply": "fit"}[halves[0]]
        raise InputError(where, f"{name} has {halves[0]} but no {other}: an offset needs both")
    if halves and isinstance(target, type):
        with blame_user_code(where, name):
            return target()
    if not halves and not callable(target):
        raise InputError(
            where,
            f"{name} is a {type(target).__name__}: neither a function nor an object with fit and "
            "apply",
        )
    return target


def find_attribute(where: str, name: str) -> Any:
    """What ``module:attribute`` names.

    Args:
        where: The place that errors name.
        name: ``"custom.mine:f"``; the attribute may be dotted.

    Raises:
        InputError: where the module is not found or raises when it is imported, or has no such
            attribute.
    """
    module_name, _, attribute = name.partition(":")
    target: Any = _import(where, module_name)
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
    """Turn whatever the user's code raises, ``SystemExit`` included, into one line.

    Raises:
        InputError: with the exception's type and message, and the last of the user's own lines
            that it passed through.
    """
    try:
        yield
    except (InputError, KeyboardInterrupt):
        raise
    # SystemExit, too: sys.exit(0) in there would end the stage as if it were done.
    except BaseException as error:
        message = " ".join(str(error).split())
        raise InputError(
            where, f"{name} raised {type(error).__name__}: {message}{_user_line(error)}"
        ) from error


def digest_of_user_code(where: str, name: str) -> str:
    """The SHA-256 of the user's code that ``module:attribute`` stands in.

    That is the module's source, or all of ``src/custom`` where the module stands there.

    Raises:
        InputError: where the module cannot be found.
    """
    module = _import(where, name.partition(":")[0])
    source = Path(str(module.__file__))
    files = [source]
    if module.__name__.split(".")[0] == CUSTOM.name:
        files = sorted(Path(importlib.import_module("custom").__path__[0]).rglob("*.py"))
    digest = hashlib.sha256()
    for file in files:
        digest.update(f"{file.name}\n".encode() + file.read_bytes())
    return digest.hexdigest()


def _import(where: str, module_name: str) -> Any:
    if module_name.partition(".")[0] == CUSTOM.name:
        bring_in(CUSTOM)
    importlib.invalidate_caches()  # a module written a moment ago is found
    try:
        with blame_user_code(where, f"importing {module_name}"):
            return importlib.import_module(module_name)
    except InputError as error:
        cause = error.__cause__
        missing = cause.name if isinstance(cause, ModuleNotFoundError) else None
        if missing is None or not f"{module_name}.".startswith(f"{missing}."):
            raise
    raise InputError(
        where,
        f"there is no module {module_name!r}: looked for {module_name.replace('.', '/')}.py on "
        "the path of imports (your own modules go in src/custom, as custom.NAME)",
        _near_custom_module(module_name),
    ) from None


def _near_custom_module(module_name: str) -> str | None:
    with contextlib.suppress(ImportError, AttributeError):
        folders = importlib.import_module("custom").__path__
        files = [file for folder in folders for file in Path(folder).glob("*.py")]
        modules = [f"custom.{file.stem}" for file in files if file.stem != "__init__"]
        return did_you_mean(module_name, modules) if modules else None
    return None


def _user_line(error: BaseException) -> str:
    """Where it happened: the last frame outside libraries, which the user can mend."""
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
