"""A module of a user's own, for tests of what is named as ``module:function``."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest


@contextlib.contextmanager
def users_module(folder: Path, name: str, source: str) -> Iterator[str]:
    """Write a module that can be imported by its name within the block."""
    (folder / f"{name}.py").write_text(source)
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(folder))
        yield name
    sys.modules.pop(name, None)
