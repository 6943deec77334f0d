"""Models in MLflow: written by another process, logged whole, once per run, and linked to it."""

from __future__ import annotations

import contextlib
import dataclasses
import json
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from offset_autoencoder.data.prepared import load_prepared, load_scale
from offset_autoencoder.data.scaling import inverse_scale
from offset_autoencoder.errors import InputError
from offset_autoencoder.paths import CUSTOM, PREPARED
from offset_autoencoder.serving.metadata import (
    NAME_IN_MLFLOW,
    ExportOrder,
    ModelMetadata,
    read_metadata,
)
from offset_autoencoder.tracking.record_types import CONTENT, CURRENT, KEY
from offset_autoencoder.tracking.serving_diff import (
    LOGGED,
    MODEL_ID,
    REFUSED,
    RETIRED,
    ServedRun,
)
from offset_autoencoder.tracking.store import StoredRun

if TYPE_CHECKING:
    from mlflow.entities import LoggedModel
    from mlflow.tracking import MlflowClient

_PAGE = 100
_READY = "READY"
_EXAMPLES = 2
# What a served model imports; its own code comes with it.
_REQUIRED = (
    *("mlflow", "tensorflow", "keras", "numpy"),
    *("pydantic", "ruamel.yaml", "scipy", "scikit-learn"),
)


class NotServable(Exception):
    """A run that cannot be served; the message says why."""


class Exports:
    """The folders of runs that a process is writing, one after the other.

    Args:
        process: ``offset_autoencoder.serving.export``; None where nothing is written.
        folders: By key of the run, in the order in which they are written.
        stderr: The process's error output.
    """

    def __init__(
        self, process: subprocess.Popen[str] | None, folders: dict[str, Path], stderr: Path
    ) -> None:
        self._process = process
        self._folders = folders
        self._stderr = stderr
        self._unread = list(folders)
        self._errors: dict[str, str | None] = {}

    def holds(self, run: ServedRun) -> bool:
        """True if the run is among those being written."""
        return run.key in self._folders

    def folder(self, run: ServedRun) -> Path:
        """The folder of a run, waiting until it is written.

        Raises:
            NotServable: where it could not be written.
            InputError: where the process came to an end.
        """
        while run.key in self._unread:
            process = self._process
            line = process.stdout.readline() if process and process.stdout else ""
            if not line:
                lines = self._stderr.read_text(errors="replace").strip().splitlines()
                raise InputError(
                    "models to be served",
                    f"the process that writes them ended: {lines[-1] if lines else 'killed'}",
                    "'dvc repro publish' tries again",
                )
            self._errors[self._unread.pop(0)] = json.loads(line)["error"]
        error = self._errors[run.key]
        if error is not None:
            raise NotServable(error)
        return self._folders[run.key]


@contextlib.contextmanager
def exporting(runs: Sequence[ServedRun], root: Path) -> Iterator[Exports]:
    """Begin to write runs as folders; they are removed, and the process ended, with the block.

    Args:
        runs: The runs; none starts no process.
        root: The project's folder.
    """
    if not runs:
        yield Exports(None, {}, Path())
        return
    with tempfile.TemporaryDirectory(prefix="offset-autoencoder-models-") as place:
        # The folder's own name is the one that it has within MLflow's model.
        folders = {
            run.key: Path(place) / str(number) / NAME_IN_MLFLOW for number, run in enumerate(runs)
        }
        orders = [ExportOrder(run.run, run.model, str(folders[run.key]), run.test) for run in runs]
        stderr = Path(place) / "stderr.txt"
        with stderr.open("w") as stream:
            process = subprocess.Popen(
                [sys.executable, "-m", "offset_autoencoder.serving.export"],
                cwd=root,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=stream,
                text=True,
            )
        try:
            if process.stdin is not None:
                with contextlib.suppress(OSError), process.stdin as stdin:
                    json.dump([dataclasses.asdict(order) for order in orders], stdin)
            yield Exports(process, folders, stderr)
        finally:
            process.kill()
            process.wait()
            if process.stdout is not None:
                process.stdout.close()


class LoggedModels:
    """The models of an MLflow experiment.

    Args:
        client: The store.
        experiment_id: The MLflow experiment's id.
        root: The project's folder.
    """

    def __init__(self, client: MlflowClient, experiment_id: str, root: Path) -> None:
        self._client = client
        self._experiment_id = experiment_id
        self._root = root
        self._models = list(_search(client, experiment_id))

    def log(self, run: ServedRun, folder: Path, stored: StoredRun) -> None:
        """Log a folder as a model of an MLflow run, if none is yet; then mark the run.

        A model that a killed publisher left half-written goes to MLflow's bin.
        """
        model_id = None
        for model in self._of(run):
            is_whole = str(model.status) == _READY and model.tags.get(CONTENT) == run.content
            if is_whole and model_id is None and model.source_run_id == stored.mlflow_id:
                model_id = str(model.model_id)
                self._client.set_logged_model_tags(model_id, {CURRENT: "true"})
            elif str(model.status) == _READY:
                self._retire(model)
            else:
                self._client.delete_logged_model(model.model_id)
        model_id = model_id or self._create(run, folder, stored)
        for name, value in {MODEL_ID: model_id, REFUSED: "", LOGGED: run.content}.items():
            if stored.tags.get(name, "") != value:
                self._client.set_tag(stored.mlflow_id, name, value)

    def refuse(self, run: ServedRun, reason: str, stored: StoredRun) -> None:
        """Note in a run that it cannot be served, so that it is not tried again and again."""
        self._client.set_tag(stored.mlflow_id, REFUSED, reason[:5000])
        self._client.set_tag(stored.mlflow_id, LOGGED, run.content)

    def retire(self, stored: StoredRun) -> None:
        """Tag the model of a run as no longer among those served; it stays as history."""
        for model in self._models:
            if model.source_run_id == stored.mlflow_id:
                self._retire(model)
        self._client.set_tag(stored.mlflow_id, LOGGED, RETIRED)

    def current(self, run: ServedRun) -> LoggedModel | None:
        """The logged model of a run that is served; None where there is none."""
        for model in self._of(run):
            if str(model.status) == _READY and model.tags.get(CURRENT) == "true":
                return model
        return None

    def _of(self, run: ServedRun) -> list[LoggedModel]:
        alike = [model for model in self._models if model.tags.get(KEY) == run.key]
        return sorted(alike, key=lambda model: str(model.model_id))

    def _retire(self, model: LoggedModel) -> None:
        if model.tags.get(CURRENT) != "false":
            self._client.set_logged_model_tags(model.model_id, {CURRENT: "false"})

    def _create(self, run: ServedRun, folder: Path, stored: StoredRun) -> str:
        from mlflow.entities import LoggedModelOutput

        client = self._client
        tags = {
            KEY: run.key,
            CONTENT: run.content,
            CURRENT: "true",
            "run_id_sha256": run.run,
            "setting": stored.tags.get("setting", run.model),
            "seed": stored.tags.get("seed", ""),
        }
        model = client.create_logged_model(
            self._experiment_id,
            name=run.model,
            source_run_id=stored.mlflow_id,
            tags=tags,
            params=dict(client.get_run(stored.mlflow_id).data.params),
            model_type="autoencoder",
        )
        model_id = str(model.model_id)
        with tempfile.TemporaryDirectory() as place:
            path = Path(place) / "model"
            save_mlflow_model(path, folder, self._root, model)
            client.log_model_artifacts(model_id, str(path))
        client.log_outputs(stored.mlflow_id, [LoggedModelOutput(model_id, step=0)])
        self._log_metrics(run, model_id, stored.mlflow_id)
        self._models.append(client.finalize_logged_model(model_id, "READY"))
        return model_id

    def _log_metrics(self, run: ServedRun, model_id: str, mlflow_id: str) -> None:
        """Show the run's test metrics with the model: the same points, as the model's own."""
        from mlflow.entities import Metric

        points = [
            point
            for name in run.test
            for point in self._client.get_metric_history(mlflow_id, name)[-1:]
        ]
        metrics = [
            Metric(p.key, p.value, p.timestamp, p.step, model_id=model_id, run_id=mlflow_id)
            for p in points
        ]
        self._client.log_batch(mlflow_id, metrics)


def save_mlflow_model(path: Path, folder: Path, root: Path, model: LoggedModel) -> None:
    """Write a folder as an MLflow model of flavour pyfunc, with this package's code.

    Not by ``log_model``: that would load the model with its example, and TensorFlow, here.
    Requirements and signature are given, so that MLflow does not start another to find them.

    Args:
        path: Where to.
        folder: The served model's folder.
        root: The project's folder, whose test samples are the example.
        model: The logged model that it is written for.
    """
    import mlflow.pyfunc
    from mlflow.models import Model

    facts = read_metadata(folder)
    package, custom = Path(__file__).parents[1], root / CUSTOM
    mlflow.pyfunc.save_model(
        path,
        python_model=str(Path(__file__).with_name("served_model.py")),
        artifacts={NAME_IN_MLFLOW: str(folder)},
        code_paths=[str(package), *([str(custom)] if facts.user_code and custom.is_dir() else [])],
        mlflow_model=Model(
            artifact_path=model.artifact_location,
            run_id=model.source_run_id,
            model_uuid=model.model_id,
            model_id=model.model_id,
        ),
        signature=_signature(facts),
        input_example=_example(facts, root),
        pip_requirements=[f"{name}=={version(name)}" for name in _REQUIRED],
    )


def _signature(facts: ModelMetadata) -> Any:
    """Named tensors, any number of rows: ``x`` and what its offset needs beside it.

    x is float64, in which every number that a data set holds is exact: of a sample that was
    rounded, an offset by content would be another. Where the offset is computed, the parameter
    ``offset`` takes its place if given: all rows in one list.
    """
    from mlflow.models import ModelSignature
    from mlflow.types import ColSpec, ParamSchema, ParamSpec, Schema, TensorSpec

    def tensor(name: str, dtype: str, *shape: int) -> TensorSpec:
        return TensorSpec(np.dtype(dtype), (-1, *shape), name)

    inputs: list[ColSpec | TensorSpec] = [tensor("x", "float64", facts.input_dim)]
    if facts.needs == "offset":
        inputs.append(tensor("offset", "float64", facts.latent_dim))
    elif facts.needs == "labels":
        is_text = isinstance((facts.classes or [0])[0], str)
        inputs.append(tensor("labels", "str" if is_text else "int64"))
    elif facts.needs == "ids":
        inputs.append(tensor("ids", "str" if facts.text_ids else "int64"))
    outputs: list[ColSpec | TensorSpec] = [
        tensor("reconstruction", "float32", facts.input_dim),
        tensor("offset", "float32", facts.latent_dim),
    ]
    if facts.has_code:
        outputs.append(tensor("code", "float32", facts.latent_dim))
    if facts.needs == "offset":
        return ModelSignature(Schema(inputs), Schema(outputs))
    offset = ParamSchema([ParamSpec("offset", "double", default=[], shape=(-1,))])
    return ModelSignature(Schema(inputs), Schema(outputs), offset)


def _example(facts: ModelMetadata, root: Path) -> dict[str, Any]:
    """The first test samples, in the units of the data set, with their side inputs."""
    data = load_prepared(root / PREPARED)
    rows = slice(0, _EXAMPLES)
    example: dict[str, Any] = {"x": inverse_scale(data.test.x[rows], load_scale(root / PREPARED))}
    if facts.needs == "offset":
        example["offset"] = np.zeros((len(example["x"]), facts.latent_dim))
    elif facts.needs == "labels" and data.test.y is not None:
        example["labels"] = np.asarray(facts.classes)[data.test.y[rows]]
    elif facts.needs == "ids":
        example["ids"] = data.test.ids[rows]
    return example


def _search(client: MlflowClient, experiment_id: str) -> Iterable[LoggedModel]:
    token: str | None = None
    while True:
        page = client.search_logged_models([experiment_id], max_results=_PAGE, page_token=token)
        yield from (model for model in page if KEY in model.tags)
        token = page.token
        if not token:
            return
