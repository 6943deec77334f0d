"""A project's reports and an MLflow store that holds its runs, as ``publish`` leaves them."""

from __future__ import annotations

import contextlib
import csv
import shutil
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from tests.prepared_data import digests, write_prepared

from offset_autoencoder.config import Params, load_params
from offset_autoencoder.data.prepared import PreparedData, PreparedSplit, Schema
from offset_autoencoder.io.files import sha256_of_json, write_json, write_npz
from offset_autoencoder.offsets.table import INFO, STATE
from offset_autoencoder.serving.metadata import FORMAT, ModelMetadata, write_metadata
from offset_autoencoder.tracking import served_models
from offset_autoencoder.tracking.logged_models import Exports, NotServable, ServedRun

EXPERIMENT = "trial"
REGISTERED = "offset-autoencoder"
KIND = {"none": "zero", "frozen": "hash", "code": "class_code"}

DOCUMENT: dict[str, Any] = {
    "seeds": 2,
    "data": {"source": "digits"},
    "split": {},
    "offsets": {name: {"kind": kind} for name, kind in KIND.items()},
    "network": {"latent_dim": 2, "hidden": [3]},
    "train": {"epochs": 1},
    "models": {name: {"offset": name} for name in KIND},
    "evaluate": {"baselines": ["none"]},
    "tracking": {"experiment": EXPERIMENT},
}

ERRORS: dict[tuple[str, int], float | None] = {
    ("none", 0): 0.5,
    ("none", 1): 0.4,
    ("frozen", 0): 0.6,
    ("frozen", 1): 0.7,
    ("code", 0): 0.1,
    ("code", 1): None,
}


def run_id(model: str, seed: int) -> str:
    return sha256_of_json([model, seed])


@dataclass
class Project:
    """A project whose reports a test may change.

    Attributes:
        root: The folder.
        mse: Test error by model and seed; None where the run diverged.
        validation: Validation error of the runs for which it is not the test error.
        tracking: What ``tracking:`` says beside the experiment's name.
        samples: What the test samples are made of.
    """

    root: Path
    mse: dict[tuple[str, int], float | None] = field(default_factory=ERRORS.copy)
    validation: dict[tuple[str, int], float] = field(default_factory=dict)
    tracking: dict[str, Any] = field(default_factory=dict)
    samples: float = 0.5

    @property
    def params(self) -> Params:
        return load_params(self.root / "params.yaml")

    @property
    def client(self) -> Any:
        from mlflow.tracking import MlflowClient

        return MlflowClient(self.tracking.get("uri", f"sqlite:///{self.root / 'mlflow.db'}"))

    @property
    def experiment_id(self) -> str:
        return str(self.client.get_experiment_by_name(EXPERIMENT).experiment_id)

    def write(self, **changes: Any) -> Project:
        """Write all with attributes changed; publish the runs that the store lacks."""
        vars(self).update(changes)
        document = {**DOCUMENT, "tracking": {"experiment": EXPERIMENT, **self.tracking}}
        (self.root / "params.yaml").write_text(yaml.safe_dump(document))
        (self.root / "reports").mkdir(exist_ok=True)
        columns = ["mse", "psnr", "mse_validation", "psnr_validation"]
        rows: list[list[Any]] = [["id", "model", "seed", "status", *columns]]
        for (model, seed), mse in self.mse.items():
            values: list[Any] = [""] * 4
            if mse is not None:
                validation = self.validation.get((model, seed), mse)
                values = [mse, -mse, validation, -validation]
            status = "diverged" if mse is None else "finished"
            rows.append([run_id(model, seed), model, seed, status, *values])
        with (self.root / "reports" / "runs.csv").open("w", newline="") as stream:
            csv.writer(stream).writerows(rows)
        shutil.rmtree(self.root / "data", ignore_errors=True)
        split = PreparedSplit(
            np.full((4, 3), self.samples, np.float32), np.array([0, 1, 0, 1]), np.arange(4)
        )
        schema = Schema(
            source="digits",
            samples={"train": 4, "validation": 4, "test": 4},
            input_dim=3,
            columns=None,
            image_shape=None,
            scale={"kind": "none"},
            range=None,
            classes=[7, 9],
            ids="rows",
            digests=dict.fromkeys(("train", "validation", "test"), digests(split)),
        )
        write_prepared(
            self.root / "data" / "prepared",
            PreparedData(split, split, split, schema),
            latent_dims={},
        )
        self._publish_runs()
        return self

    def _publish_runs(self) -> None:
        client = self.client
        found = client.get_experiment_by_name(EXPERIMENT)
        experiment = (
            found.experiment_id if found else client.create_experiment(EXPERIMENT, self._artifacts)
        )
        present = {run.data.tags["record_key"] for run in client.search_runs([experiment])}
        wanted = {"experiment": {"role": "experiment"}} | {
            f"{model} {run_id(model, seed)}": {
                "role": "run",
                "model": model,
                "seed": str(seed),
                "setting": model,
                "run_id_sha256": run_id(model, seed),
            }
            for (model, seed), mse in self.mse.items()
        }
        for key, tags in wanted.items():
            if key not in present:
                common = {"record_key": key, "content_sha256": "c", "current": "true"}
                run = client.create_run(experiment, tags={**tags, **common})
                client.log_param(run.info.run_id, "model", tags.get("model", ""))
                for name in ("mse", "psnr"):
                    client.log_metric(run.info.run_id, name, 0.25, timestamp=1000, step=0)
                client.set_terminated(run.info.run_id)

    @property
    def _artifacts(self) -> str | None:
        """Location of artifacts; None: the server says."""
        return None if "uri" in self.tracking else (self.root / "mlartifacts").as_uri()

    def publish(self) -> list[str]:
        """Publish the models; the lines that it says."""
        with served_models.publishing_models(self.params, self.root) as publication:
            return publication.finish()

    def logged(self) -> list[Any]:
        """The logged models."""
        return list(self.client.search_logged_models([self.experiment_id]))

    def current(self) -> list[str]:
        """The records whose models are ready and current, sorted."""
        return sorted(
            model.tags["record_key"]
            for model in self.logged()
            if model.status == "READY" and model.tags["current"] == "true"
        )

    def versions(self) -> list[str]:
        """The records of the registered versions, the oldest first; the champion's has a star."""
        client = self.client
        versions = client.search_model_versions(f"name = '{REGISTERED}'")
        if not versions:
            return []
        champion = client.get_model_version_by_alias(REGISTERED, "champion").version
        return [
            version.tags["record_key"].split()[0] + "*" * (version.version == champion)
            for version in sorted(versions, key=lambda version: int(version.version))
        ]


class FakeExports(Exports):
    """Folders that are there at once, without a network; models named here are not servable."""

    refused: tuple[str, ...] = ()

    def __init__(self, wanted: Sequence[ServedRun], place: Path) -> None:
        super().__init__(None, {one.key: place / one.model / "model" for one in wanted}, place)

    def folder(self, wanted: ServedRun) -> Path:
        folder = self.folders[wanted.key]
        if wanted.model in self.refused:
            raise NotServable("its network cannot be saved")
        kind = KIND[wanted.model]
        facts: dict[str, Any] = {
            **dict.fromkeys(("function", "columns", "image_shape")),
            "format": FORMAT,
            "run": wanted.run,
            "model": wanted.model,
            "system": "additive",
            "seed": 0,
            "input_dim": 3,
            "latent_dim": 2,
            "offset_kind": kind,
            "offset_factor": 1.0,
            "scale": "none",
            "classes": [7, 9],
            "text_ids": False,
            "has_code": True,
            "test_samples_sha256": "",
            "test": wanted.test,
        }
        write_metadata(folder, ModelMetadata(**facts))
        write_npz(folder / "scale.npz", {"shift": np.zeros(1), "factor": np.ones(1)})
        info = dict.fromkeys(("name", "params", "rms", "largest", "digests", "data"))
        write_json(
            folder / "offset" / INFO, {**info, "kind": kind, "latent_dim": 2, "input_dim": 3}
        )
        write_npz(folder / "offset" / STATE, {"latent_dim": np.array(2)})
        return folder


@pytest.fixture(scope="session")
def store_with_runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project whose runs are published, which takes seconds to make."""
    root = tmp_path_factory.mktemp("models") / "project"
    root.mkdir()
    return Project(root).write().root


@pytest.fixture
def project(
    store_with_runs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Project]:
    """Stand in a project whose runs are published, and whose exports take no TensorFlow."""
    root = tmp_path / "project"
    shutil.copytree(store_with_runs, root)
    monkeypatch.chdir(root)

    @contextlib.contextmanager
    def exporting(wanted: Sequence[ServedRun], root: Path) -> Iterator[FakeExports]:
        place = tmp_path / "exports"
        yield FakeExports(wanted, place)
        shutil.rmtree(place, ignore_errors=True)

    monkeypatch.setattr(served_models, "exporting", exporting)
    import mlflow

    before = mlflow.get_tracking_uri()
    yield Project(root)
    mlflow.set_tracking_uri(before)


@pytest.fixture
def refuse(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Let exports of these models fail."""
    return lambda *models: monkeypatch.setattr(FakeExports, "refused", models)
