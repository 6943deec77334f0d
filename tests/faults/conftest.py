"""Endings of commands at their boundary, and a small project to do damage to."""

from __future__ import annotations

import contextlib
import io
import os
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from tests.folders import contents
from tests.small_params import small_params

from offset_autoencoder.errors import run_command

EXAMPLES = int(os.environ.get("FAULT_EXAMPLES", "100"))
"""Malformed inputs per test; `make faults` tries more."""
LINEAR = {"latent_dim": 2, "hidden": [3], "output": "linear", "loss": "mean_squared_error"}


@dataclass(frozen=True)
class Ending:
    """Exit status of a command, and what it printed."""

    status: int
    out: str
    lines: list[str]

    @property
    def line(self) -> str:
        """The one line of an error."""
        assert self.status == 1, self
        (line,) = self.lines
        return line


def ending(command: Callable[[], None]) -> Ending:
    """End of a command, which is the right one or lines of errors, and never a traceback."""
    out, err, status = io.StringIO(), io.StringIO(), 0
    with (
        contextlib.redirect_stdout(out),
        contextlib.redirect_stderr(err),
        warnings.catch_warnings(record=True) as warned,
    ):
        warnings.simplefilter("always")
        try:
            run_command(command)
        except SystemExit as ended:
            status = int(ended.code or 0)
    lines = err.getvalue().splitlines()
    if status == 70:
        log = Path(lines[-1].partition("the traceback is in ")[2].partition(": please")[0])
        text = log.read_text()
        log.unlink()
        pytest.fail(f"{lines[-1]}\n{text}")
    assert status in (0, 1), lines
    assert not [str(w.message) for w in warned if issubclass(w.category, RuntimeWarning)]
    if status:
        assert lines
        assert all(line.startswith("error: ") and line.isprintable() for line in lines)
    assert all(line.isprintable() for line in out.getvalue().splitlines())
    return Ending(status, out.getvalue(), lines)


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A project that has its data and params, prepared; stood in."""
    root = tmp_path_factory.mktemp("faults")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(root)
        patch.delenv("DVC_ROOT", raising=False)
        patch.delenv("MLFLOW_TRACKING_URI", raising=False)
        Path("data/raw").mkdir(parents=True)
        np.save("data/raw/x.npy", features())
        write_params()
        from offset_autoencoder.stages import prepare

        assert ending(prepare.main).status == 0
        yield root


def features(samples: int = 30) -> np.ndarray:
    return np.random.default_rng(0).random((samples, 5), dtype=np.float32)


def write_params(path: str = "x.npy", **sections: Any) -> None:
    """Write params.yaml for a file of samples; sections replace those of the small params."""
    sections["data"] = {"source": "file", "path": path, **sections.get("data", {})}
    params = small_params(**{"network": LINEAR, **sections})
    Path("params.yaml").write_text(yaml.safe_dump(params, sort_keys=False))


def prepares_or_leaves_all(command: Callable[[], None]) -> Ending:
    """End of ``prepare``, after whose errors all is as it was; nothing is half-written."""
    before = contents("data/prepared")
    end = ending(command)
    if end.status:
        assert contents("data/prepared") == before
    assert list(Path("data").glob(".*")) == []
    return end
