"""A small project, trained and evaluated, whose data set is a table with labels and ids."""

from __future__ import annotations

import contextlib
import io
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import yaml
from typer.testing import CliRunner, Result

from offset_autoencoder.cli.app import app

FEATURES = [f"f{i}" for i in range(6)]
DOCUMENT: dict[str, Any] = {
    "seeds": 2,
    "data": {
        "source": "file",
        "path": "mine.csv",
        "label": "kind",
        "id": "name",
        "scale": "standard",
    },
    "split": {},
    "offsets": {
        "projection": {"kind": "random_projection"},
        "kinds": {"kind": "class_code"},
        "known": {"kind": "interference"},
    },
    "network": {"latent_dim": 3, "hidden": [4], "output": "linear", "loss": "mean_squared_error"},
    "train": {"epochs": 2, "batch_size": 32},
    "models": {
        "plain": {"stddev": [0.1, 0.2]},
        "projection": {"offset": "projection", "rms": 0.3},
        "kinds": {"offset": "kinds", "rms": 0.3},
        "known": {"offset": "known", "rms": 0.3},
        "wide": {"system": "wide", "match": "projection"},
    },
    "evaluate": {"baselines": ["plain"]},
    "tracking": {"experiment": "trial"},
}


def frame(samples: int = 120) -> pd.DataFrame:
    """The data set: no two columns of one size, so that exchanging them would tell."""
    rng = np.random.default_rng(0)
    size = 10.0 ** np.arange(len(FEATURES))
    table = pd.DataFrame(rng.normal(size=(samples, len(FEATURES))) * size, columns=FEATURES)
    table.insert(0, "name", [f"s{i:03}" for i in range(samples)])
    table["kind"] = np.array(["cat", "dog", "emu"])[np.arange(samples) % 3]
    return table


@pytest.fixture(autouse=True)
def own_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """No store or root of the caller's reaches a test."""
    for name in list(os.environ):
        if name.startswith(("MLFLOW_", "DVC_")):
            monkeypatch.delenv(name)
    monkeypatch.setenv("COLUMNS", "200")


@pytest.fixture
def command() -> Any:
    """Run ``offset-autoencoder`` with these arguments in this process."""

    def run(*arguments: str | Path) -> Result:
        result = CliRunner().invoke(app, list(map(str, arguments)), prog_name="offset-autoencoder")
        if isinstance(result.exception, Exception):
            raise result.exception
        return result

    return run


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project that has its data and params, and nothing else; stood in."""
    write_project(tmp_path)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def write_project(root: Path, **sections: Any) -> None:
    (root / "data" / "raw").mkdir(parents=True, exist_ok=True)
    frame().to_csv(root / "data" / "raw" / "mine.csv", index=False)
    (root / "params.yaml").write_text(yaml.safe_dump({**DOCUMENT, **sections}, sort_keys=False))


@pytest.fixture(scope="session")
def trained_once(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project with every stage but ``publish`` done."""
    from offset_autoencoder.stages import evaluate, offsets, prepare, train

    root = tmp_path_factory.mktemp("trained")
    write_project(root)
    with pytest.MonkeyPatch.context() as patch, contextlib.redirect_stdout(io.StringIO()):
        patch.chdir(root)
        patch.delenv("DVC_ROOT", raising=False)
        prepare.main()
        for name in DOCUMENT["offsets"]:
            offsets.main([name])
        train.main()
        evaluate.main()
    return root


@pytest.fixture
def trained(trained_once: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """That project as the working folder; the test must leave it as it was."""
    monkeypatch.chdir(trained_once)
    before = set(trained_once.rglob("*"))
    yield trained_once
    assert set(trained_once.rglob("*")) == before


@pytest.fixture
def runs(trained: Path) -> pd.DataFrame:
    """``reports/runs.csv``, whole."""
    return pd.read_csv(trained / "reports" / "runs.csv")


@pytest.fixture
def test_samples(trained: Path) -> pd.DataFrame:
    """The rows of the test split as they stand in the source."""
    ids = np.load(trained / "data" / "prepared" / "test" / "ids.npy")
    return frame().set_index("name").loc[ids].reset_index()
