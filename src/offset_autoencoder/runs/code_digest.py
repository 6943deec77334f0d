"""A digest of the code that trains: what it does, not how it is written down."""

from __future__ import annotations

import ast
import functools
import hashlib
import importlib.metadata
from collections.abc import Iterable
from pathlib import Path

_PACKAGE = Path(__file__).parent.parent

# What decides a run's weights. The rest of training/ names, keeps and finds runs.
_DECIDING = (
    "models",
    "training/added_offset.py",
    "training/batches.py",
    "training/fused",
    "training/hall.py",
    "training/helpers.py",
    "training/job.py",
    "training/population.py",
    "training/schedule.py",
    "training/stacked",
    "training/trainer.py",
)
# SciPy brings the matrix products, Numba and llvmlite compile what is between them.
_LIBRARIES = ("tensorflow", "keras", "numpy", "numba", "llvmlite", "scipy")


@functools.cache
def code_digest() -> str:
    """The SHA-256 of the code that decides a run's weights."""
    files: list[Path] = []
    for entry in _DECIDING:
        path = _PACKAGE / entry
        files += sorted(path.glob("*.py")) if path.is_dir() else [path]
    return digest_of_sources((f.relative_to(_PACKAGE).as_posix(), f.read_text()) for f in files)


@functools.cache
def library_versions() -> dict[str, str]:
    """The versions of the libraries that decide a run's weights, read without importing them."""
    return {name: importlib.metadata.version(name) for name in _LIBRARIES}


def digest_of_sources(sources: Iterable[tuple[str, str]]) -> str:
    """The SHA-256 of Python sources by name, blind to comments, docstrings and layout."""
    digest = hashlib.sha256()
    for name, text in sources:
        digest.update(f"{name}\n{_structure(ast.parse(text))}\n".encode())
    return digest.hexdigest()


def _structure(node: object) -> str:
    """A syntax tree as text that is the same for every Python version that can parse it.

    Fields that are empty or None are left out: newer versions add such fields.
    """
    if isinstance(node, list):
        return "[" + ",".join(_structure(item) for item in node) + "]"
    if not isinstance(node, ast.AST):
        return repr(node)
    fields = []
    for name in node._fields:
        value = getattr(node, name, None)
        if name == "body" and isinstance(value, list):
            value = [item for item in value if not _is_docstring(item)]
        if value is not None and value != []:
            fields.append(f"{name}={_structure(value)}")
    return f"{type(node).__name__}({','.join(sorted(fields))})"


def _is_docstring(node: ast.AST) -> bool:
    return (
        isinstance(node, ast.Expr)
        and isinstance(node.value, ast.Constant)
        and isinstance(node.value.value, str)
    )
