"""Every block of docs/python.md runs, one after the other, with fewer seeds and epochs."""

from __future__ import annotations

import re
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import offset_autoencoder
from offset_autoencoder.api import comparing

PAGE = (Path(__file__).parents[2] / "docs" / "python.md").read_text()
BLOCKS = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)


def test_every_block_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    compare = offset_autoencoder.compare
    few: dict[str, Any] = {"train": {"epochs": 2, "batch_size": 128}, "seeds": 2}
    monkeypatch.setattr(
        offset_autoencoder, "compare", lambda *a, **k: compare(*a, **k | few), raising=False
    )
    monkeypatch.setattr(comparing, "user_cache", lambda: tmp_path / "cache")
    monkeypatch.delenv("OFFSET_AUTOENCODER_RUNS", raising=False)
    monkeypatch.chdir(tmp_path)
    rng = np.random.default_rng(0)
    names: dict[str, Any] = {"x": 3 * rng.random((500, 8)), "y": rng.integers(0, 4, 500)}
    names["vectors"] = rng.normal(0, 0.1, (500, 3))
    for block in BLOCKS:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)  # Keras's, of NumPy 2
            exec(compile(block.replace("epochs=20", "epochs=2"), "docs/python.md", "exec"), names)
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


def test_the_readme_has_its_first_lines() -> None:
    readme = (Path(__file__).parents[2] / "README.md").read_text()
    assert "(docs/python.md)" in readme
    assert "from offset_autoencoder import compare" in readme
