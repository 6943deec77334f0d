"""Digest of the code that decides weights: what it does, not how it is written down."""

from __future__ import annotations

import ast
import functools
import hashlib
import importlib.metadata
from collections.abc import Iterable
from pathlib import Path

_PACKAGE = Path(__file__).parent.parent

WEIGHT_CODE = (
    "config.registries",
    "config.systems",
    "models.architecture",
    "models.autoencoder",
    "models.backend",
    "models.graph",
    "models.initializers",
    "models.layers",
    "models.nested",
    "models.network_kinds",
    "models.systems",
    "training.batches",
    "training.engine",
    "training.jax_engine",
    "training.keras_engine",
    "training.numba_engine",
    "training.programs",
    "training.stacks",
    "training.state",
)
"""Modules and packages that decide a run's weights.

These are the records of losses, optimizers, engines and systems, the model's layers and their
initial weights, the batches, the arithmetic of the engines, and the rule by which a run stops.
Whatever only schedules, keeps, finds or reports runs is not among them, so that an edit of it
trains no run again.
"""
# SciPy brings the matrix products, Numba and llvmlite compile what is between them.
_LIBRARIES = ("tensorflow", "keras", "numpy", "numba", "llvmlite", "scipy")


@functools.cache
def code_digest() -> str:
    """SHA-256 of the code that decides a run's weights."""
    return digest_of(WEIGHT_CODE)


def digest_of(modules: Iterable[str]) -> str:
    """SHA-256 of modules and packages, by their dotted names within this package."""
    files: list[Path] = []
    for module in modules:
        path = _PACKAGE / module.replace(".", "/")
        files += sorted(path.glob("*.py")) if path.is_dir() else [path.with_suffix(".py")]
    return digest_of_sources((f.relative_to(_PACKAGE).as_posix(), f.read_text()) for f in files)


@functools.cache
def library_versions() -> dict[str, str]:
    """Versions of the libraries that decide a run's weights, read without importing them."""
    return {name: importlib.metadata.version(name) for name in _LIBRARIES}


def digest_of_sources(sources: Iterable[tuple[str, str]]) -> str:
    """SHA-256 of Python sources by name, blind to comments, docstrings and layout."""
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
    for name, value in ast.iter_fields(node):
        if name == "body" and isinstance(value, list):
            value = [item for item in value if not _is_docstring(item)]
        if value is not None and value != []:
            fields.append(f"{name}={_structure(value)}")
    return f"{type(node).__name__}({','.join(sorted(fields))})"


def _is_docstring(node: ast.AST) -> bool:
    return isinstance(node, ast.Expr) and isinstance(getattr(node.value, "value", None), str)
