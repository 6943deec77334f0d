"""Small project folders in the formats of the stages before ``publish``, and what MLflow shows."""

from __future__ import annotations

import contextlib
import csv
import json
import operator
import os
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

from offset_autoencoder.config import Params, Run, format_value, load_params
from offset_autoencoder.io.files import sha256_of_json, write_npz
from offset_autoencoder.models.architecture import Architecture
from offset_autoencoder.runs.spec import RunSpec, SavedRun
from offset_autoencoder.tracking.publish import Outcome, publish

STARTED = 1_700_000_000.0
PUBLISH = ("-m", "offset_autoencoder.stages.publish")


@dataclass(frozen=True)
class Shown:
    """A run as MLflow's own client shows it."""

    id: str
    name: str
    status: str
    start: int
    end: int | None
    artifact_uri: str
    params: dict[str, str]
    metrics: dict[str, float]
    tags: dict[str, str]

    @property
    def parent(self) -> str:
        return self.tags.get("mlflow.parentRunId", "")

    @property
    def role(self) -> str:
        return self.tags.get("role", "")


@dataclass
class Project:
    """A project folder whose files a test may change and write again.

    Attributes:
        root: The folder.
        document: What params.yaml holds.
        epochs: Epochs in each run's history.
        shift: Added to every test metric.
        diverged: Labels of the runs that diverged.
        timeless: Whether times.npz is missing, as after ``dvc pull``.
    """

    root: Path
    document: dict[str, Any]
    epochs: int = 3
    shift: float = 0.0
    diverged: tuple[str, ...] = ()
    timeless: bool = False

    @property
    def params(self) -> Params:
        return load_params(self.root / "params.yaml")

    @property
    def database(self) -> Path:
        return self.root / "mlflow.db"

    @property
    def uri(self) -> str:
        """The store that its params name, or its own."""
        return str(self.document["tracking"].get("uri", f"sqlite:///{self.database}"))

    @property
    def client(self) -> Any:
        from mlflow.tracking import MlflowClient

        return MlflowClient(tracking_uri=self.uri)

    def shown(self, uri: str | None = None) -> list[Shown]:
        """Every run of the experiment that is not in MLflow's bin."""
        from mlflow.tracking import MlflowClient

        client = MlflowClient(uri) if uri else self.client
        experiment = client.get_experiment_by_name(self.document["tracking"]["experiment"])
        assert experiment is not None
        found = client.search_runs([experiment.experiment_id], max_results=1000)
        info = ("run_id", "run_name", "status", "start_time", "end_time", "artifact_uri")
        data = ("data.params", "data.metrics", "data.tags")
        fields = operator.attrgetter(*(f"info.{name}" for name in info), *data)
        return [Shown(*fields(run)) for run in found]

    def of_role(self, role: str) -> list[Shown]:
        return [run for run in self.shown() if run.role == role]

    def publish(self) -> Outcome:
        return publish(self.params)

    def stage(self, *options: str, **environment: str) -> subprocess.CompletedProcess[str]:
        """Run ``publish`` in a process of its own."""
        return subprocess.run(
            [sys.executable, *options, *PUBLISH],
            cwd=self.root,
            env={**os.environ, **environment},
            capture_output=True,
            text=True,
            check=False,
        )

    def start(self, *arguments: str) -> subprocess.Popen[str]:
        """Start ``publish``, or Python with other arguments, in a process of its own."""
        pipe = subprocess.PIPE
        return subprocess.Popen(
            [sys.executable, *(arguments or PUBLISH)],
            cwd=self.root,
            stdout=pipe,
            stderr=pipe,
            text=True,
        )

    def write(self, **changes: Any) -> Project:
        """Write all files that the stages before publish leave, with attributes changed."""
        vars(self).update(changes)
        for folder in ("models", "reports", "data"):
            shutil.rmtree(self.root / folder, ignore_errors=True)
        self.root.mkdir(parents=True, exist_ok=True)
        (self.root / "params.yaml").write_text(yaml.safe_dump(self.document, sort_keys=False))
        runs = self.params.runs
        swept = list(dict.fromkeys(key for run in runs for key, _ in run.setting.sweep))
        index: list[list[Any]] = [["model", "setting", *swept, "seed", "id", "status"]]
        report: list[list[Any]] = [["id", *index[0][:-2], "status", "mse", "mse_clean"]]
        for run in runs:
            spec = self.spec(run)
            self.write_run(self.root / "models" / "runs" / spec["id"], spec)
            values = dict(run.setting.sweep)
            cells = [format_value(values[key]) if key in values else "" for key in swept]
            place = [run.setting.model, run.setting.label, *cells, run.seed]
            index.append([*place, spec["id"], spec["status"]])
            metrics = [self.mse(run), self.mse(run) / 2]
            report.append(
                [spec["id"], *place, spec["status"]]
                + (metrics if spec["status"] == "finished" else ["", ""])
            )
        write_csv(self.root / "models" / "index.csv", index)
        write_csv(self.root / "reports" / "runs.csv", report)
        self.write_reports()
        return self

    def mse(self, run: Run) -> float:
        return 0.01 * (1 + run.seed) + run.setting.spec.stddev + self.shift

    def spec(self, run: Run) -> dict[str, Any]:
        setting = run.setting
        spec = RunSpec(
            architecture=Architecture(network=setting.network, input_dim=64),
            train=setting.train,
            offset_factor=setting.spec.rms or 1.0,
            stddev=setting.spec.stddev,
            table=sha256_of_json(self.document["offsets"][setting.spec.offset]),
            data="d" * 64,
            seed=run.seed,
            code="c" * 64,
            versions={"keras": "3"},
        )
        has_diverged = run.label in self.diverged
        saved = SavedRun(spec, "finished", self.epochs, self.epochs, None, False, 100, "numba")
        if has_diverged:
            saved = SavedRun(spec, "diverged", self.epochs, None, self.epochs, False, None)
        return saved.dump()

    def write_run(self, folder: Path, spec: dict[str, Any]) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "spec.json").write_text(json.dumps(spec))
        rows: list[list[Any]] = [["epoch", "loss", "val_loss"]]
        rows += [[epoch, 1 / epoch, 2 / epoch] for epoch in range(1, self.epochs + 1)]
        if spec["status"] == "diverged":
            rows[-1] = [self.epochs, "nan", "nan"]
        write_csv(folder / "history.csv", rows)
        if not self.timeless:
            ended = STARTED + 10.0 * np.arange(1, self.epochs + 1)
            write_npz(folder / "times.npz", {"ended": ended, "seconds": np.full(self.epochs, 0.1)})

    def write_reports(self) -> None:
        reports = self.root / "reports"
        runs = len(self.params.runs)
        tree: dict[str, Any] = {}
        for setting in self.params.settings:
            values = [self.mse(Run(setting, seed)) for seed in self.params.seeds]
            mean = float(np.mean(values))
            node = {"mse": {"mean": mean, "low": mean - 0.1, "high": mean + 0.1}}
            if setting.sweep:
                swept = " ".join(f"{key}={format_value(value)}" for key, value in setting.sweep)
                tree.setdefault(setting.model, {})[swept] = node
            else:
                tree[setting.model] = node
        (reports / "metrics.json").write_text(json.dumps(tree))
        head = "model,setting,stddev,baseline,baseline_setting,outcome,metric,change,change_low"
        change = 0.25 + self.shift
        row = "gaussian,gaussian stddev=0.1,0.1,none,none,worse"
        (reports / "comparison.csv").write_text(
            f"{head},change_high,wins,pairs,verdict\n"
            f"{row},mse,{change},0.2,0.3,1,2,worse than `none` by 0.01 (p 0.04)\n"
            f"{row},mae,0.5,0.4,0.6,1,2,not of the chosen metric\n"
        )
        (reports / "verdicts.csv").write_text(
            "model,setting,verdict\nprojection,projection rms=0.1,second encoder\n"
        )
        (reports / "plots").mkdir(exist_ok=True)
        (reports / "plots" / "curves.csv").write_text(f"epoch,runs\n1,{runs}\n")
        (reports / "plots" / "comparison.png").write_bytes(b"\x89PNG of it")
        curve = [f"gaussian stddev=0.1,gaussian,{e},{1 / e},{0.9 / e},{1.1 / e}" for e in (1, 2, 3)]
        (reports / "plots" / "learning_curves.csv").write_text(
            "setting,model,epoch,mean,low,high\n" + "\n".join(curve) + "\n"
        )
        (reports / ".gitignore").write_text("/plots\n")
        schema = {
            "source": "digits",
            "samples": {"train": 60, "validation": 20, "test": 20},
            "input_dim": 64,
            "digests": {split: {"x": split * 8} for split in ("train", "validation", "test")},
        }
        (self.root / "data" / "prepared").mkdir(parents=True)
        (self.root / "data" / "prepared" / "schema.json").write_text(json.dumps(schema))


def write_csv(path: Path, rows: list[list[Any]]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", newline="") as stream:
        csv.writer(stream, lineterminator="\n").writerows(rows)


@pytest.fixture(autouse=True)
def own_environment(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """No store, root or login of the caller's reaches a test, nor one test's the next."""
    before = dict(os.environ)
    for name in list(os.environ):
        if name.startswith(("MLFLOW_", "DVC_")):
            monkeypatch.delenv(name)
    monkeypatch.setenv("MLFLOW_DISABLE_TELEMETRY", "true")
    yield
    for name in set(os.environ) - set(before):
        os.environ.pop(name, None)  # monkeypatch would put it back


@pytest.fixture(scope="session")
def empty_store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store with MLflow's tables and nothing in them, which take seconds to make."""
    from offset_autoencoder.config.schema import Tracking
    from offset_autoencoder.tracking.store import create_database, locate

    database = tmp_path_factory.mktemp("store") / "mlflow.db"
    create_database(locate(Tracking(uri=f"sqlite:///{database}")))
    return database


def document() -> dict[str, Any]:
    """Params of two models and two seeds, which make six runs."""
    return {
        "seeds": 2,
        "data": {"source": "digits"},
        "split": {},
        "offsets": {"none": {"kind": "zero"}, "frozen": {"kind": "hash", "seed": 7}},
        "network": {"latent_dim": 4, "hidden": [8]},
        "train": {"epochs": 3, "learning_rate": 0.001},
        "models": {
            "none": {"offset": "none"},
            "gaussian": {"offset": "none", "stddev": [0.1, 0.2]},
        },
        "evaluate": {"baselines": ["none"]},
        "tracking": {"experiment": "trial", "models": "none"},
    }


Make = Callable[..., Project]


@pytest.fixture
def make_project(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest
) -> Make:
    """Write a project, and stand in it."""

    def make(name: str = "project", *, has_store: bool = True, **changes: Any) -> Project:
        project = Project(tmp_path / name, document(), **changes).write()
        if has_store:
            shutil.copyfile(request.getfixturevalue("empty_store"), project.database)
        monkeypatch.chdir(project.root)
        return project

    return make


@pytest.fixture(scope="session")
def published(empty_store: Path, tmp_path_factory: pytest.TempPathFactory) -> Project:
    """A project that was published, for tests that only look."""
    project = Project(tmp_path_factory.mktemp("published") / "project", document()).write()
    shutil.copyfile(empty_store, project.database)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(project.root)
        for name in ("MLFLOW_TRACKING_URI", "DVC_ROOT"):
            patch.delenv(name, raising=False)
        project.publish()
    return project


@pytest.fixture
def project(published: Project, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Project:
    """A copy of it, for tests that go on from there; stand in it."""
    root, old = tmp_path / "project", published.root
    shutil.copytree(old, root)
    monkeypatch.chdir(root)
    with contextlib.closing(sqlite3.connect(root / "mlflow.db")) as connection, connection:
        for table, column in (("experiments", "artifact_location"), ("runs", "artifact_uri")):
            connection.execute(
                f"UPDATE {table} SET {column} = replace({column}, ?, ?)",
                (old.as_uri(), root.as_uri()),
            )
    return Project(root, document())
