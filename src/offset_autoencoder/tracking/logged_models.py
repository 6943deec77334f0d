"""Models in MLflow: written by another process, logged whole, once per run, and linked to it."""

from __future__ import annotations

import contextlib
import dataclasses
import json
import sys
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from importlib.metadata import version
from pathlib import Path
from subprocess import PIPE, Popen
from typing import TYPE_CHECKING, Any

import numpy as np

from offset_autoencoder.errors import InputError
from offset_autoencoder.io.files import sha256_of_json
from offset_autoencoder.paths import CUSTOM, PREPARED
from offset_autoencoder.serving import metadata
from offset_autoencoder.serving.metadata import NAME_IN_MLFLOW, ExportOrder, ModelMetadata
from offset_autoencoder.tracking.record_types import CONTENT, CURRENT, KEY, StoredRun, run_key
from offset_autoencoder.tracking.store import all_pages

if TYPE_CHECKING:
    from mlflow.entities import LoggedModel
    from mlflow.tracking import MlflowClient

# Tags of a run: its model; the content that was logged of it, or was found not to be servable.
MODEL = "served_model"
LOGGED = "served_content_sha256"
REFUSED = "not_served_because"
RETIRED = "retired"

_READY = "READY"
_EXAMPLES = 2
# What a served model imports; its own code comes with it.
_REQUIRED = (
    *("mlflow", "tensorflow", "keras", "numpy"),
    *("pydantic", "ruamel.yaml", "scipy", "scikit-learn"),
)


class NotServable(Exception):
    """A run that cannot be served; the message says why."""


@dataclass(frozen=True)
class ServedRun:
    """A run that is to be served."""

    model: str
    run: str  # its id
    test: dict[str, float]  # its test metrics as deployed
    # The same on the validation split; empty where that is not the one of the runs compared.
    validation: dict[str, float] = field(default_factory=dict)

    @property
    def key(self) -> str:
        """Key of its record."""
        return run_key(self.model, self.run)

    @property
    def content(self) -> str:
        """The SHA-256 of what is logged of it."""
        test = {name: repr(value) for name, value in self.test.items()}
        return sha256_of_json([metadata.FORMAT, self.key, test])


@dataclass
class Exports:
    """The folders of runs that a process is writing, one after the other."""

    process: Popen[str] | None
    folders: dict[str, Path]  # by key of the run, in the order in which they are written
    stderr: Path
    errors: list[str | None] = field(default_factory=list)  # of those that are written

    def folder(self, run: ServedRun) -> Path:
        """The folder of a run, waiting until it is written.

        Raises:
            NotServable: where it could not be written.
            InputError: where the process came to an end.
        """
        position = list(self.folders).index(run.key)
        while len(self.errors) <= position:
            process = self.process
            line = process.stdout.readline() if process and process.stdout else ""
            if not line:
                lines = self.stderr.read_text(errors="replace").strip().splitlines()
                raise InputError(
                    "models to be served",
                    f"the process that writes them ended: {lines[-1] if lines else 'killed'}",
                    "'dvc repro publish' tries again",
                )
            self.errors.append(json.loads(line)["error"])
        if (error := self.errors[position]) is not None:
            raise NotServable(error)
        return self.folders[run.key]


@contextlib.contextmanager
def exporting(runs: Sequence[ServedRun], root: Path) -> Iterator[Exports]:
    """Begin to write runs as folders; they are removed, and the process ended, with the block."""
    if not runs:
        yield Exports(None, {}, Path())
        return
    command = [sys.executable, "-m", "offset_autoencoder.serving.export"]
    with (
        tempfile.TemporaryDirectory(prefix="offset-autoencoder-models-") as temporary,
        (Path(temporary) / "stderr.txt").open("w") as stderr,
        Popen(command, cwd=root, stdin=PIPE, stdout=PIPE, stderr=stderr, text=True) as process,
    ):
        # The folder's own name is the one that it has within MLflow's model.
        folders = {
            run.key: Path(temporary) / str(number) / NAME_IN_MLFLOW
            for number, run in enumerate(runs)
        }
        orders = [ExportOrder(run.run, run.model, str(folders[run.key]), run.test) for run in runs]
        assert process.stdin is not None
        try:
            with contextlib.suppress(OSError), process.stdin as stdin:
                json.dump([dataclasses.asdict(order) for order in orders], stdin)
            yield Exports(process, folders, Path(stderr.name))
        finally:
            process.kill()


class LoggedModels:
    """The models of an MLflow experiment."""

    def __init__(self, client: MlflowClient, experiment_id: str, root: Path) -> None:
        self._client = client
        self._experiment_id = experiment_id
        self._root = root
        models = all_pages(
            lambda page: client.search_logged_models([experiment_id], page_token=page)
        )
        self._models = [model for model in models if KEY in model.tags]

    def log(self, run: ServedRun, folder: Path, stored: StoredRun) -> None:
        """Log a folder as a model of an MLflow run, if none is yet; then mark the run.

        A model that a killed publisher left half-written goes to MLflow's bin.
        """
        from mlflow.entities import LoggedModelOutput

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
        # Linked when it is whole: a link to one left half-written could not be taken back.
        outputs = self._client.get_run(stored.mlflow_id).outputs
        if model_id not in [link.model_id for link in (outputs.model_outputs if outputs else ())]:
            self._client.log_outputs(stored.mlflow_id, [LoggedModelOutput(model_id, step=0)])
        for name, value in {MODEL: model_id, REFUSED: "", LOGGED: run.content}.items():
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
        from mlflow.entities import Metric

        client, mlflow_id = self._client, stored.mlflow_id
        model = client.create_logged_model(
            self._experiment_id,
            name=run.model,
            source_run_id=mlflow_id,
            tags={
                KEY: run.key,
                CONTENT: run.content,
                CURRENT: "true",
                "run_id_sha256": run.run,
                "setting": stored.tags.get("setting", run.model),
                "seed": stored.tags.get("seed", ""),
            },
            params=dict(client.get_run(mlflow_id).data.params),
            model_type="autoencoder",
        )
        model_id = str(model.model_id)
        with tempfile.TemporaryDirectory() as temporary:
            path = Path(temporary) / "model"
            _save_mlflow_model(path, folder, self._root, model)
            client.log_model_artifacts(model_id, str(path))
        # The run's test metrics are shown with the model: the same points, as the model's own.
        histories = [client.get_metric_history(mlflow_id, name)[-1:] for name in run.test]
        metrics = [
            Metric(p.key, p.value, p.timestamp, p.step, model_id=model_id, run_id=mlflow_id)
            for points in histories
            for p in points
        ]
        client.log_batch(mlflow_id, metrics)
        self._models.append(client.finalize_logged_model(model_id, "READY"))
        return model_id


def _save_mlflow_model(path: Path, folder: Path, root: Path, model: LoggedModel) -> None:
    """Write a folder as an MLflow model of flavour pyfunc, with this package's code.

    Not by ``log_model``: that would load the model with its example, and TensorFlow, here.
    Requirements and signature are given, so that MLflow does not start another to find them.
    """
    import mlflow.pyfunc
    from mlflow.models import Model

    facts = metadata.read_metadata(folder)
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
        metadata={"inputs": _inputs(facts)},
        signature=_signature(facts),
        input_example=_example(facts, root),
        pip_requirements=[f"{name}=={version(name)}" for name in _REQUIRED],
    )


def _signature(facts: ModelMetadata) -> Any:
    """Outputs as named tensors of any number of rows, and the parameter ``offset``.

    Inputs are described in the model's metadata, :func:`_inputs`, and converted by the model
    itself: where MLflow knows their types it takes no other, float64 but no float32 and no list.
    Where the offset is computed, the parameter takes its place if given: all rows in one list.
    """
    from mlflow.models import ModelSignature
    from mlflow.types import ColSpec, ParamSchema, ParamSpec, Schema, TensorSpec

    widths = {"reconstruction": facts.input_dim, "offset": facts.latent_dim}
    widths |= {"code": facts.latent_dim} if facts.has_code else {}
    outputs: list[ColSpec | TensorSpec] = [
        TensorSpec(np.dtype("float32"), (-1, width), name) for name, width in widths.items()
    ]
    if facts.needs == "offset":
        return ModelSignature(outputs=Schema(outputs))
    offset = ParamSchema([ParamSpec("offset", "double", default=[], shape=(-1,))])
    return ModelSignature(outputs=Schema(outputs), params=offset)


def _inputs(facts: ModelMetadata) -> dict[str, str]:
    """Description of each input that the model takes, for its metadata."""
    features = f"(samples, {facts.raw_features}), real numbers in the units of the data set"
    if facts.raw_columns is not None:
        features = f"a column of each: {', '.join(facts.raw_columns)}; or {features}"
    elif facts.columns:
        features += ", or in its place a column for each feature"
    if facts.preprocessing.missing in ("mean", "median"):
        features += "; NaN where a value is missing"
    described = {"x": features}
    are_text = {"labels": isinstance((facts.classes or [0])[0], str), "ids": facts.text_ids}
    if facts.needs == "offset":
        described["offset"] = f"(samples, {facts.latent_dim}), f(x) of the samples"
    elif facts.needs is not None:
        kind = "text" if are_text[facts.needs] else "whole numbers"
        described[facts.needs] = f"(samples,), {kind}"
    return described


def _example(facts: ModelMetadata, root: Path) -> dict[str, Any]:
    """The first test samples of its seed, in the units of the data set, with their side inputs."""
    # Not needed where there is nothing to publish.
    from offset_autoencoder.data.scaling import inverse_scale
    from offset_autoencoder.data.varying import load_splits

    splits = load_splits(root / PREPARED)
    data, scale = splits.of(facts.seed), splits.scale(facts.seed)
    rows = slice(0, _EXAMPLES)
    x = inverse_scale(data.test.x[rows], scale)
    example = _raw(x, facts)
    if facts.needs == "offset":
        example["offset"] = np.zeros((len(x), facts.latent_dim))
    elif facts.needs == "labels" and data.test.y is not None:
        example["labels"] = np.asarray(facts.classes)[data.test.y[rows]]
    elif facts.needs == "ids":
        example["ids"] = data.test.ids[rows]
    return example


def _raw(x: np.ndarray[Any, Any], facts: ModelMetadata) -> dict[str, Any]:
    """Inputs of a served model of which its features ``(n, D)`` are made."""
    preprocessing, names = facts.preprocessing, facts.columns or []
    if preprocessing.kept is not None:
        raw = np.zeros((len(x), facts.raw_features))
        raw[:, preprocessing.kept] = x
        return {"x": raw}
    columns: dict[str, Any] = {}
    for column in facts.raw_columns or ():
        levels = preprocessing.levels.get(column)
        if levels is None:
            columns[column] = x[:, names.index(column)]
        else:  # those of which a feature is left
            left = [level for level in levels if f"{column}={level}" in names]
            indices = [names.index(f"{column}={level}") for level in left]
            columns[column] = np.array(left)[x[:, indices].argmax(axis=1)]
    return columns or {"x": x}
