"""Models in MLflow: logged whole, once a run, and linked to it."""

from __future__ import annotations

import tempfile
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

from offset_autoencoder.tracking.models.marks import LOGGED, MODEL_ID, REFUSED, RETIRED
from offset_autoencoder.tracking.models.wanted import Wanted
from offset_autoencoder.tracking.records import CONTENT, CURRENT, KEY
from offset_autoencoder.tracking.state import Present

if TYPE_CHECKING:
    from mlflow.entities import LoggedModel
    from mlflow.tracking import MlflowClient

_PAGE = 100
_READY = "READY"


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
        self._present = list(_search(client, experiment_id))

    def log(self, wanted: Wanted, folder: Path, run: Present) -> str:
        """Log a folder as a model of an MLflow run, if none is yet; then mark the run.

        A model that a killed publisher left half-written goes to MLflow's bin.

        Returns:
            The logged model's id.
        """
        identity = None
        for model in self._of(wanted):
            is_whole = str(model.status) == _READY and model.tags.get(CONTENT) == wanted.content
            if is_whole and identity is None and model.source_run_id == run.mlflow_id:
                identity = str(model.model_id)
                self._client.set_logged_model_tags(identity, {CURRENT: "true"})
            elif str(model.status) == _READY:
                self._retire(model)
            else:
                self._client.delete_logged_model(model.model_id)
        identity = identity or self._create(wanted, folder, run)
        for name, value in {MODEL_ID: identity, REFUSED: "", LOGGED: wanted.content}.items():
            if run.tags.get(name, "") != value:
                self._client.set_tag(run.mlflow_id, name, value)
        return identity

    def refuse(self, wanted: Wanted, reason: str, run: Present) -> None:
        """Note in a run that it cannot be served, so that it is not tried again and again."""
        self._client.set_tag(run.mlflow_id, REFUSED, reason[:5000])
        self._client.set_tag(run.mlflow_id, LOGGED, wanted.content)

    def retire(self, run: Present) -> None:
        """Tag the model of a run as no longer among those served; it stays as history."""
        for model in self._present:
            if model.source_run_id == run.mlflow_id:
                self._retire(model)
        self._client.set_tag(run.mlflow_id, LOGGED, RETIRED)

    def id_of(self, wanted: Wanted) -> str | None:
        """The logged model of a run that is served; None where there is none."""
        for model in self._of(wanted):
            if str(model.status) == _READY and model.tags.get(CURRENT) == "true":
                return str(model.model_id)
        return None

    def source_run(self, model_id: str) -> str:
        """The MLflow run of a logged model."""
        return str(self._client.get_logged_model(model_id).source_run_id)

    def _of(self, wanted: Wanted) -> list[LoggedModel]:
        alike = [model for model in self._present if model.tags.get(KEY) == wanted.key]
        return sorted(alike, key=lambda model: str(model.model_id))

    def _retire(self, model: LoggedModel) -> None:
        if model.tags.get(CURRENT) != "false":
            self._client.set_logged_model_tags(model.model_id, {CURRENT: "false"})

    def _create(self, wanted: Wanted, folder: Path, run: Present) -> str:
        from mlflow.entities import LoggedModelOutput
        from mlflow.models import Model

        from offset_autoencoder.tracking.models.mlflow_folder import save_as_mlflow_model

        client, found = self._client, self._client.get_run(run.mlflow_id)
        tags = {
            KEY: wanted.key,
            CONTENT: wanted.content,
            CURRENT: "true",
            "run_id_sha256": wanted.run,
            "setting": run.tags.get("setting", wanted.model),
            "seed": run.tags.get("seed", ""),
        }
        model = client.create_logged_model(
            self._experiment_id,
            name=wanted.model,
            source_run_id=run.mlflow_id,
            tags=tags,
            params=dict(found.data.params),
            model_type="autoencoder",
        )
        identity = str(model.model_id)
        named = Model(
            artifact_path=model.artifact_location,
            run_id=run.mlflow_id,
            model_uuid=identity,
            model_id=identity,
        )
        with tempfile.TemporaryDirectory() as place:
            path = Path(place) / "model"
            save_as_mlflow_model(path, folder, self._root, named)
            client.log_model_artifacts(identity, str(path))
        client.log_outputs(run.mlflow_id, [LoggedModelOutput(identity, step=0)])
        self._log_metrics(wanted, identity, run.mlflow_id)
        self._present.append(client.finalize_logged_model(identity, "READY"))
        return identity

    def _log_metrics(self, wanted: Wanted, identity: str, mlflow_id: str) -> None:
        """Show the run's test metrics with the model: the same points, told to be the model's."""
        from mlflow.entities import Metric

        points = [
            point
            for name in wanted.test
            for point in self._client.get_metric_history(mlflow_id, name)[-1:]
        ]
        metrics = [
            Metric(p.key, p.value, p.timestamp, p.step, model_id=identity, run_id=mlflow_id)
            for p in points
        ]
        self._client.log_batch(mlflow_id, metrics)


def _search(client: MlflowClient, experiment_id: str) -> Iterable[LoggedModel]:
    token: str | None = None
    while True:
        page = client.search_logged_models([experiment_id], max_results=_PAGE, page_token=token)
        yield from (model for model in page if KEY in model.tags)
        token = page.token
        if not token:
            return
