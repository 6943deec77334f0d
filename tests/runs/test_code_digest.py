from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

import offset_autoencoder
from offset_autoencoder.runs.code_digest import (
    WEIGHT_CODE,
    code_digest,
    digest_of,
    digest_of_sources,
    library_versions,
)

SOURCE = '''
"""What it does."""

import math

RATE = 0.1


class Thing:
    """A thing."""

    size: int = 3

    def grow(self, by=1, *rest, flag=False, **more):
        """Grow."""
        if by > 2 and flag is None:
            return self.size + by  # why
        for item in rest[1:]:
            by -= item
        return {"a": [by, *rest], **more}


async def wait(x):
    x = -x @ x
    return f"{x:.2f} {x!r}" if x else None
'''


def digest(text: str, name: str = "m.py") -> str:
    return digest_of_sources([(name, text)])


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ('"""What it does."""', '"""It does something else,\n\nat length."""'),
        ('"""What it does."""', ""),
        ('    """A thing."""\n', "    # a comment\n"),
        ('        """Grow."""\n', ""),
        ("  # why", "  # because"),
        ("RATE = 0.1", "RATE   =   0.10\n\n\n"),
        ("RATE = 0.1", "RATE = (\n    0.1\n)"),
        ('{"a": [by, *rest], **more}', "{\n    'a': [\n        by, *rest,\n    ],\n    **more,\n}"),
        ("by > 2 and flag is None", "(by > 2) and (flag is None)"),
    ],
)
def test_blind_to_comments_docstrings_and_layout(old: str, new: str) -> None:
    assert old in SOURCE
    assert digest(SOURCE.replace(old, new, 1)) == digest(SOURCE)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("RATE = 0.1", "RATE = 0.2"),
        ("RATE = 0.1", "RATE = 1"),
        ("RATE = 0.1", "RATE = '0.1'"),
        ("RATE = 0.1", "RATE = None"),
        ("RATE", "rate"),
        ("import math", "import cmath"),
        ("import math", "import math as m"),
        ("by > 2", "by >= 2"),
        ("and", "or"),
        ("is None", "is not None"),
        ("is None", "is False"),
        ("self.size + by", "self.size - by"),
        ("self.size + by", "by + self.size"),
        ("rest[1:]", "rest[:1]"),
        ("rest[1:]", "rest[1]"),
        ("by=1", "by=True"),
        ("by=1, *rest", "by=1, /, *rest"),
        ("*rest, flag", "flag"),
        ("by -= item", "pass"),
        ("by -= item", "by -= item; break"),
        ("{x:.2f}", "{x:.3f}"),
        ("{x!r}", "{x!s}"),
        ("[by, *rest]", "(by, *rest)"),
        ("[by, *rest]", "[*rest, by]"),
        (', **more}\n', "}\n"),
        ("async def", "def"),
        ("if x else None", "if x else 0"),
        ("-x @ x", "~x @ x"),
        ("-x @ x", "-(x @ x)"),
        ("class Thing:", "class Thing(dict):"),
        ("class Thing:", "@final\nclass Thing:"),
        ("    size: int = 3\n", ""),
        ("        for item", "    for item"),
    ],
)  # fmt: skip
def test_sees_every_change_of_behaviour(old: str, new: str) -> None:
    assert old in SOURCE
    other = SOURCE.replace(old, new, 1)
    if "    for item" in new:
        other = SOURCE.replace("        return {", "            return {")
    assert digest(other) != digest(SOURCE)


def test_names_and_order_of_the_files_count() -> None:
    assert digest(SOURCE, "other.py") != digest(SOURCE)
    a, b = ("a.py", "x = 1"), ("b.py", "x = 2")
    assert len({digest_of_sources(each) for each in ([a, b], [b, a], [a], [b])}) == 4


def test_moving_a_line_out_of_a_function_counts() -> None:
    inside = "def f():\n    x = 1\n    y = 2\n"
    assert digest(inside) != digest(inside.replace("    y", "y"))


def test_the_digest_is_the_same_in_every_process() -> None:
    program = "from offset_autoencoder.runs.code_digest import code_digest as c; print(c())"
    for seed in ("1", "2"):
        done = subprocess.run(
            [sys.executable, "-c", program],
            capture_output=True,
            text=True,
            check=True,
            env={**os.environ, "PYTHONHASHSEED": seed},
        )
        assert done.stdout.strip() == code_digest()


def test_versions_are_those_that_are_installed() -> None:
    import numpy as np

    assert library_versions()["numpy"] == np.__version__


# What the trainer also imports, and why it decides nothing about a run's weights. What the rest of
# config/ reads and resolves decides by what it says, and that stands in the id.
DECIDES_NOTHING = {
    "cores",
    "errors",  # messages
    "io",  # a docstring
    "io.arrays",  # tells the system what will be read
    "io.files",  # how results are written
    "io.tables",  # how results are written
    "models",  # a docstring
    "models.resolve",  # resolves what stands in the id
    "paths",  # names of folders
    "runs",  # a docstring
    "runs.code_digest",  # names a run
    "runs.files",  # writes results
    "runs.spec",  # names a run
    "training",  # a docstring
    "training.pool",  # when and where a run trains
    "training.ray_arrays",  # sends what runs train on
    "training.ray_connection",  # finds the cluster
    "training.ray_executor",  # where a run trains
    "training.ray_worker",  # where a run trains
    "training.schedule",  # groups runs and writes results
    "user_code",  # finds the user's own, whose digest stands in the id
}
READ_INTO_THE_ID = (
    "anomaly",
    "data_schema",
    "document",
    "offset_kinds",
    "params",
    "schema",
    "values",
)
PACKAGE = Path(offset_autoencoder.__file__).parent
LAZY = re.compile(r'"(offset_autoencoder[\w.]+):\w+"')


def deciding_files(package: Path = PACKAGE) -> set[str]:
    paths = [package / name.replace(".", "/") for name in WEIGHT_CODE]
    files = [sorted(p.glob("*.py")) if p.is_dir() else [p.with_suffix(".py")] for p in paths]
    return {file.relative_to(package).as_posix() for group in files for file in group}


def test_covers_all_that_the_trainer_imports(import_graph: Any) -> None:
    config = [name for name in import_graph.files if ".config" in name]
    lazy = {
        name for module in config for name in LAZY.findall(import_graph.files[module].read_text())
    }
    assert "offset_autoencoder.training.numba_engine.engine" in lazy
    reached = {
        name.removeprefix("offset_autoencoder.")
        for name in import_graph.reached("offset_autoencoder.training.schedule", *lazy)
        if name in import_graph.files
    }
    names = {name.removesuffix(".py").removesuffix("/__init__") for name in deciding_files()}
    deciding = {name.replace("/", ".") for name in names}
    others = {name for name in reached if name.startswith("config")} - deciding
    assert reached - others == deciding | DECIDES_NOTHING
    assert others == {"config", *(f"config.{name}" for name in READ_INTO_THE_ID)}


def test_an_edit_changes_ids_where_it_decides_weights_and_nowhere_else(after_edit: Any) -> None:
    def digest() -> str:
        return digest_of(WEIGHT_CODE)

    deciding, before = deciding_files(), digest()
    changing = {name for name in deciding if after_edit(name, digest) != before}
    assert changing == deciding
    assert {
        "config/registries.py",  # the scale of a loss, which engine trains
        "config/systems.py",  # what a system draws
        "models/layers.py",  # what a layer computes
        "training/batches.py",  # order and noise
        "training/keras_engine.py",  # arithmetic
        "training/programs.py",
        "training/numba_engine/kernels.py",
        "training/state.py",  # the rule by which a run stops
    } <= changing
    others: dict[str, str] = {}
    for path in sorted(PACKAGE.rglob("*.py")):
        name = path.relative_to(PACKAGE).as_posix()
        if name not in deciding and not name.endswith("__init__.py"):
            others.setdefault(name.partition("/")[0], name)  # one file of each other package
    scheduling = ["training/pool.py", "training/schedule.py", "runs/store.py", "runs/files.py"]
    assert {"tracking", "reporting", "evaluation", "cli", "data", "io"} <= others.keys()
    for name in [*others.values(), *scheduling]:
        assert after_edit(name, digest) == before, name
