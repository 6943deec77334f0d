from __future__ import annotations

import sys
from functools import partial
from pathlib import Path

import pytest
from benchmarks.clone import environment
from benchmarks.spent import in_turns, run
from benchmarks.startup import by_package

TOLD = """\
import time: self [us] | cumulative | imported package
import time:       300 |        300 |   json.decoder
import time:       200 |        500 | json
warning: something else
import time:      1000 |       1000 |     numpy._core
import time:      2000 |       3000 |   numpy
"""


def test_packages_have_what_their_own_modules_took() -> None:
    assert by_package(TOLD) == pytest.approx({"standard library": 5e-4, "numpy": 3e-3})


def test_a_process_is_charged_what_its_children_take(tmp_path: Path) -> None:
    work = "import time; end = time.process_time() + 0.3\nwhile time.process_time() < end: pass"
    parent = f"import subprocess, sys; subprocess.run([sys.executable, '-c', {work!r}])"
    spent = run([sys.executable, "-c", parent], tmp_path, environment())
    assert 0.3 <= spent.cpu <= spent.wall * 2


def test_what_fails_says_why(tmp_path: Path) -> None:
    with pytest.raises(RuntimeError, match="no such luck"):
        run([sys.executable, "-c", "raise SystemExit('no such luck')"], tmp_path, environment())


def test_every_case_comes_first_in_turn() -> None:
    called: list[str] = []
    found = in_turns({name: partial(called.append, name) for name in "abc"}, 3)
    assert "".join(called) == "abcbcacab"
    assert {name: len(each) for name, each in found.items()} == {"a": 3, "b": 3, "c": 3}
