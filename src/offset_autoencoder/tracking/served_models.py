"""Publication of the best runs as models that MLflow serves, the best of all as champion.

The models are written by another process (TensorFlow's), logged and registered here. What was
done is noted in tags of the MLflow runs, so that nothing to do is found out like that of runs.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path

from offset_autoencoder.config import Params
from offset_autoencoder.errors import InputError
from offset_autoencoder.io.files import read_json
from offset_autoencoder.paths import PREPARED, project_root
from offset_autoencoder.tracking.champion import ChampionSelection
from offset_autoencoder.tracking.location import locate, publisher_lock
from offset_autoencoder.tracking.logged_models import (
    Exports,
    LoggedModels,
    NotServable,
    exporting,
)
from offset_autoencoder.tracking.serving_diff import (
    DECIDED,
    DECISION,
    ServedRun,
    ServingDiff,
    best_run,
    champion_metric,
    runs_to_serve,
    serving_diff,
)
from offset_autoencoder.tracking.store import connect, explained, read_state, write_back


class ModelPublication:
    """The publication of the models, between its beginning and its end.

    Args:
        params: The project's params.
        root: The project's folder.
        runs: The runs to be served; None leaves the models as they are.
        exports: Those of them that are being written.
    """

    def __init__(
        self, params: Params, root: Path, runs: tuple[ServedRun, ...] | None, exports: Exports
    ) -> None:
        self._params = params
        self._root = root
        self._runs = runs
        self._exports = exports
        self._location = locate(params.tracking)

    def finish(self) -> list[str]:
        """Log what is new, and decide on the champion; the runs have to be published before.

        Returns:
            A line for each thing that was done or could not be, none where nothing was new.

        Raises:
            InputError: where the store cannot be reached, or the runs cannot be written.
        """
        if self._runs is None or self._is_nothing(self._compare(self._runs)[1]):
            return []
        with publisher_lock(self._location):
            experiment_id, diff = self._compare(self._runs)
            if experiment_id is None or self._is_nothing(diff):
                return []
            with explained(self._location):
                try:
                    lines = self._write(experiment_id, diff)
                finally:
                    write_back(self._location)
                self._compare(self._runs)  # which keeps the state for the next publication
                return lines

    def _compare(self, runs: tuple[ServedRun, ...]) -> tuple[str | None, ServingDiff]:
        state = read_state(self._location, self._params.tracking.experiment)
        return state.experiment_id, serving_diff(runs, state)

    def _is_nothing(self, diff: ServingDiff) -> bool:
        if diff.to_log or diff.to_retire:
            return False
        return self._is_decided(self._selection(diff.served), diff)

    def _is_decided(self, selection: ChampionSelection | None, diff: ServingDiff) -> bool:
        parent = diff.parent
        return selection is None or parent is None or parent.tags.get(DECIDED) == selection.content

    def _selection(self, served: tuple[ServedRun, ...]) -> ChampionSelection | None:
        """The selection among the models that are logged, of those that need nothing but x."""
        name, metric = self._params.tracking.registered_model, champion_metric(self._params)
        if name is None or not served:
            return None
        needs_only_x = {
            setting.model
            for setting in self._params.settings
            if setting.spec.offset is None
            or self._params.offsets[setting.spec.offset].needs is None
        }
        path = self._root / PREPARED / "schema.json"
        try:
            samples = str(read_json(path)["digests"]["test"]["x"])
        except (KeyError, TypeError):
            raise InputError(str(path), "has no digests", "run dvc repro prepare") from None
        candidates = [run for run in served if run.model in needs_only_x]
        return ChampionSelection(name, metric, samples, best_run(candidates, metric))

    def _write(self, experiment_id: str, diff: ServingDiff) -> list[str]:
        client = connect(self._location.uri)
        import mlflow

        # The registry looks a logged model up in MLflow's global store.
        mlflow.set_tracking_uri(self._location.uri)
        models = LoggedModels(client, experiment_id, self._root)
        with contextlib.ExitStack() as stack:
            exports = self._exports
            if not all(exports.holds(run) for run, _ in diff.to_log):
                others = [run for run, _ in diff.to_log]
                exports = stack.enter_context(exporting(others, self._root))
            served, lines = _log(models, diff, exports)
        selection, parent = self._selection(served), diff.parent
        if selection is None or parent is None or self._is_decided(selection, diff):
            return lines
        model = models.current(selection.candidate) if selection.candidate else None
        if model is not None:
            line = selection.decide(client, str(model.model_id), str(model.source_run_id))
            client.set_tag(parent.mlflow_id, DECISION, line)
            lines.append(line)
        client.set_tag(parent.mlflow_id, DECIDED, selection.content)
        return lines


def _log(
    models: LoggedModels, diff: ServingDiff, exports: Exports
) -> tuple[tuple[ServedRun, ...], list[str]]:
    """Log what is new and retire what is no longer wanted; all that is served, and the lines."""
    new, refused = [], []
    for run, stored in diff.to_log:
        try:
            models.log(run, exports.folder(run), stored)
        except NotServable as error:
            models.refuse(run, str(error), stored)
            refused.append(f"not served: {error}")
        else:
            new.append(run)
    for stored in diff.to_retire:
        models.retire(stored)
    served = (*diff.served, *new)
    if not new and not diff.to_retire:
        return served, refused
    retired = f", {len(diff.to_retire)} retired" if diff.to_retire else ""
    return served, [f"models: {len(served)} served ({len(new)} new{retired})", *refused]


@contextlib.contextmanager
def publishing_models(params: Params, root: Path = Path()) -> Iterator[ModelPublication]:
    """Begin to publish the models: what is new is written by a process beside what is done within.

    In a temporary clone of DVC's nothing is served: its runs become current when the experiment
    is applied.

    Args:
        params: The project's params.
        root: The project's folder.

    Raises:
        InputError: where a report is missing or damaged, or the store cannot be read.
    """
    is_workspace = root.resolve() == project_root()
    runs = runs_to_serve(params, root) if is_workspace else None
    to_export: tuple[ServedRun, ...] = ()
    if runs:
        state = read_state(locate(params.tracking), params.tracking.experiment)
        to_export = serving_diff(runs, state).to_export
    with exporting(to_export, root) as exports:
        yield ModelPublication(params, root, runs, exports)
