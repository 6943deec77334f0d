from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import offset_autoencoder

# Statements of one process, each with the libraries that it and those before it load none of.
LIGHT = {
    "import offset_autoencoder as o; dir(o)": (
        "tensorflow keras mlflow numpy pandas sklearn pydantic matplotlib"
    ),
    "import offset_autoencoder.runs.code_digest as c; c.code_digest(), c.library_versions()": (
        "tensorflow keras numpy"
    ),
    """
import offset_autoencoder.stages.offsets
from offset_autoencoder.config.offset_kinds import OFFSETS
from offset_autoencoder.offsets.kind import find_kind
for kind in set(OFFSETS) - {"function", "file"}:
    find_kind("", kind)
""": (
        "tensorflow keras mlflow pandas sklearn scipy pyarrow matplotlib"
        " offset_autoencoder.offsets.function offset_autoencoder.offsets.file"
    ),
    "from offset_autoencoder.runs.load import find_run": "tensorflow keras",
    "import offset_autoencoder.stages.publish": "mlflow tensorflow keras pandas sqlalchemy",
    "o.InputError, o.load_params, o.load_prepared, o.load_table, o.apply_offset, o.load_run": (
        "tensorflow keras mlflow pandas sklearn"
    ),
}


def test_what_needs_no_heavy_library_loads_none() -> None:
    program = "import sys\nfor step in sys.argv[1:]:\n    exec(step)\n    print(*sys.modules)"
    command = [sys.executable, "-c", program, *LIGHT]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    loaded = [set(line.split()) for line in done.stdout.splitlines()]
    for (step, heavy), modules in zip(LIGHT.items(), loaded, strict=True):
        assert not modules & set(heavy.split()), step
    assert not {name for name in loaded[0] if name.startswith("offset_autoencoder.")}


@pytest.mark.parametrize("name", offset_autoencoder.__all__)
def test_every_public_name_is_there(name: str) -> None:
    value = getattr(offset_autoencoder, name)
    assert value.__name__ == name
    assert value.__doc__


def test_the_names_are_those_that_type_checkers_see() -> None:
    source = ast.parse(Path(offset_autoencoder.__file__).read_text())
    seen = {
        alias.name: node.module
        for block in source.body
        if isinstance(block, ast.If)
        for node in block.body
        if isinstance(node, ast.ImportFrom)
        for alias in node.names
    }
    homes = {
        name: f"offset_autoencoder.{home}"
        for name, home in vars(offset_autoencoder)["_HOMES"].items()
    }
    assert seen == homes
    assert sorted(seen) == sorted(offset_autoencoder.__all__) == dir(offset_autoencoder)


def test_an_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="no attribute 'load_runs'"):
        offset_autoencoder.load_runs  # noqa: B018
    with pytest.raises(ImportError, match="cannot import"):
        from offset_autoencoder import nothing_of_this_name  # noqa: F401
