"""Python of docs/python.md, README and tutorial runs in turn, with fewer seeds and epochs."""

from __future__ import annotations

import re
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import offset_autoencoder
from offset_autoencoder.api import comparing

ROOT = Path(__file__).parents[2]


@pytest.fixture
def execute(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., dict[str, Any]]:
    """Execute all Python of these pages, with these names at first; the names at the end."""
    compare = offset_autoencoder.compare
    few: dict[str, Any] = {"train": {"epochs": 2, "batch_size": 128}, "seeds": 2}
    monkeypatch.setattr(
        offset_autoencoder, "compare", lambda *a, **k: compare(*a, **k | few), raising=False
    )
    monkeypatch.setattr(comparing, "user_cache", lambda: tmp_path / "cache")
    monkeypatch.delenv("OFFSET_AUTOENCODER_RUNS", raising=False)
    monkeypatch.chdir(tmp_path)

    def run(*pages: str, **names: Any) -> dict[str, Any]:
        for page in pages:
            for block in re.findall(r"```python\n(.*?)```", (ROOT / page).read_text(), re.DOTALL):
                with warnings.catch_warnings():
                    warnings.simplefilter("ignore", DeprecationWarning)  # Keras's, of NumPy 2
                    exec(compile(block.replace("epochs=20", "epochs=2"), page, "exec"), names)
        return names

    return run


def test_every_block_runs(
    execute: Callable[..., dict[str, Any]], capsys: pytest.CaptureFixture[str]
) -> None:
    rng = np.random.default_rng(0)
    start = {"x": 3 * rng.random((500, 8)), "y": rng.integers(0, 4, 500)}
    names = execute("README.md", "docs/python.md", vectors=rng.normal(0, 0.1, (500, 3)), **start)
    output = capsys.readouterr().out
    assert "offsets['mine']: has 9 vectors, x has 500 samples (give one per sample" in output
    assert "one model: its figures alone" in output
    assert Path("report.html").stat().st_size > 500_000
    verdict = names["found"].verdicts.iloc[0]
    assert verdict["seeds"] == 5
    assert names["found"].note == ""
    error = np.mean((names["reconstruction"] - names["x_new"]) ** 2)
    assert 0 < error < np.var(names["x_new"]) * 2
    assert names["ours"].count_params() == 8 * 32 + 32 + 32 * 3 + 3 + 3 * 32 + 32 + 32 * 8 + 8


def test_the_tutorial_runs_and_shows_what_it_says(
    execute: Callable[..., dict[str, Any]], capsys: pytest.CaptureFixture[str]
) -> None:
    names = execute("docs/tutorial.md")
    settings = {"none", "linear", "random", "gaussian stddev=0.1", "gaussian stddev=0.0998"}
    assert set(names["result"].runs["setting"]) == settings
    assert list(names["table"]["baseline"]) == ["none"] * 4 + ["gaussian"] * 2
    assert "linear: " in capsys.readouterr().out
    assert Path("report.html").stat().st_size > 500_000
