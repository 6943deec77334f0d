"""The cache of compiled loops, over processes, clones and edits."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import offset_autoencoder

SOURCES = Path(offset_autoencoder.__file__).parent
PROGRAM = """
import json
import numpy as np
from offset_autoencoder.training.fused.losses import loss_and_gradient as loop

x, y = np.full((2, 9), 0.25, np.float32), np.zeros((2, 9), np.float32)
loss = loop(0, x, y, np.empty_like(y), np.empty(9, np.float32), len(x))
hits, misses = (sum(count.values()) for count in (loop.stats.cache_hits, loop.stats.cache_misses))
print(json.dumps({"loss": loss, "hits": hits, "misses": misses, "folder": loop.stats.cache_path}))
"""
Clone = Callable[[str], Path]


@pytest.fixture
def clone(tmp_path: Path) -> Clone:
    """A copy of the compiled loops, as another clone of the project has it."""

    def clone(name: str) -> Path:
        package = tmp_path / name / "offset_autoencoder"
        shutil.copytree(
            SOURCES / "training" / "fused",
            package / "training" / "fused",
            ignore=shutil.ignore_patterns("__pycache__"),
        )
        for part in (".", "training"):
            shutil.copy(SOURCES / part / "__init__.py", package / part)
        return package

    return clone


def run(package: Path, cache: Path) -> dict[str, Any]:
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM],
        env={**os.environ, "PYTHONPATH": str(package.parent), "XDG_CACHE_HOME": str(cache)},
        capture_output=True,
        text=True,
        check=True,
    )
    return dict(json.loads(done.stdout))


@pytest.mark.skipif(sys.platform != "linux", reason="XDG_CACHE_HOME says where the cache is")
def test_compiles_once_a_machine_and_anew_for_an_edited_source(
    clone: Clone, tmp_path: Path
) -> None:
    cache = tmp_path / "cache"
    first, other = clone("first"), clone("other")
    compiled = run(first, cache)
    assert (compiled["hits"], compiled["misses"]) == (0, 1)
    assert compiled["loss"] == pytest.approx(2 * 0.693147, rel=1e-5)
    (folder,) = (cache / "offset-autoencoder").iterdir()
    assert compiled["folder"] == str(folder)
    files = {path: path.stat().st_mtime_ns for path in folder.iterdir()}

    assert run(other, cache) == {**compiled, "hits": 1, "misses": 0}
    assert {path: path.stat().st_mtime_ns for path in folder.iterdir()} == files

    # Of a function that is called from another file, which stays as it is.
    source = other / "training" / "fused" / "elementwise.py"
    text = source.read_text()
    assert text.count("return series * _bits_as_float(") == 1
    source.write_text(text.replace("return series * ", "return _HALF * series * "))
    edited = run(other, cache)
    assert (edited["hits"], edited["misses"]) == (0, 1)
    assert edited["folder"] != compiled["folder"]
    assert edited["loss"] == pytest.approx(2 * 0.405465, rel=1e-5)  # log 1.5
    assert run(first, cache) == {**compiled, "hits": 1, "misses": 0}


def test_a_cache_that_cannot_be_written_is_no_error(clone: Clone, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("where the cache's folder would have to be")
    done = run(clone("first"), tmp_path / "file" / "cache")
    assert done["loss"] == pytest.approx(2 * 0.693147, rel=1e-5)
    assert str(tmp_path) not in done["folder"]
    assert not Path(done["folder"]).exists()
