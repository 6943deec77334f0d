from __future__ import annotations

import subprocess
import sys

import pytest

from offset_autoencoder.config.offset_kinds import OFFSETS
from offset_autoencoder.errors import InputError
from offset_autoencoder.offsets.registry import KINDS, find_kind


def test_every_kind_of_the_params_has_a_module() -> None:
    assert set(OFFSETS) == set(KINDS)
    for name in KINDS:
        kind = find_kind("offsets.mine", name)
        assert callable(kind.fit)
        assert callable(kind.apply)


def test_unknown_kind_names_the_nearest() -> None:
    with pytest.raises(InputError, match=r"offsets.mine: unknown kind 'hsh' .*'hash'"):
        find_kind("offsets.mine", "hsh")


def test_stage_starts_without_heavy_libraries_and_other_kinds() -> None:
    program = """
import sys
import offset_autoencoder.stages.offsets
from offset_autoencoder.offsets.registry import find_kind
from offset_autoencoder.offsets.registry import KINDS
for kind in set(KINDS) - {"function", "file"}:
    find_kind("", kind)
heavy = {"tensorflow", "keras", "mlflow", "pandas", "sklearn", "scipy", "pyarrow", "matplotlib"}
print(sorted(heavy & set(sys.modules)))
print([m for m in ("function", "file") if f"offset_autoencoder.offsets.{m}" in sys.modules])
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert done.stdout.splitlines() == ["[]", "[]"], done.stderr
