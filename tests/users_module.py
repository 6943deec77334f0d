"""A module of a user's own, for tests of what is named as ``module:function``."""

from __future__ import annotations

import contextlib
import itertools
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from textwrap import dedent

import pytest


@contextlib.contextmanager
def users_module(folder: Path, name: str, source: str) -> Iterator[str]:
    """Write a module that can be imported by its name within the block."""
    (folder / f"{name}.py").write_text(source)
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(folder))
        yield name
    sys.modules.pop(name, None)


_numbers = itertools.count()


@contextlib.contextmanager
def users_modules(folder: Path, head: str) -> Iterator[Callable[[str], str]]:
    """Within the block, write a module below these lines; its name is new to this process."""
    with contextlib.ExitStack() as stack:

        def write(source: str) -> str:
            name = f"users_module_{next(_numbers)}"
            return stack.enter_context(users_module(folder, name, head + dedent(source)))

        yield write
