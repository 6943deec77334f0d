from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import offset_autoencoder

HEAVY = ("tensorflow", "keras", "mlflow", "numpy", "pandas", "sklearn", "pydantic", "matplotlib")


def test_importing_the_package_loads_nothing_heavy() -> None:
    program = "import sys, offset_autoencoder as o; dir(o); print(*sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    loaded = set(done.stdout.split())
    assert not loaded & set(HEAVY)
    assert {name for name in loaded if name.startswith("offset_autoencoder.")} == set()


def test_names_that_need_no_tensorflow_do_not_load_it() -> None:
    program = (
        "import sys, offset_autoencoder as o\n"
        "o.InputError, o.load_params, o.load_prepared, o.load_table, o.apply_offset, o.load_run\n"
        "print(*sys.modules)"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    assert not set(done.stdout.split()) & {"tensorflow", "keras", "mlflow", "pandas", "sklearn"}


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
