"""Bring the models of the MLflow store in line with the project's best runs."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path

from offset_autoencoder.config import Params
from offset_autoencoder.errors import InputError
from offset_autoencoder.io.files import read_json
from offset_autoencoder.paths import PREPARED, project_root
from offset_autoencoder.serving.metadata import needs_of_kind
from offset_autoencoder.tracking.location import Location, locate
from offset_autoencoder.tracking.models.champion import Contest, contest, decide
from offset_autoencoder.tracking.models.exported import Exports, NotServable, exporting
from offset_autoencoder.tracking.models.logged import LoggedModels
from offset_autoencoder.tracking.models.marks import DECIDED, DECISION, Standing, standing
from offset_autoencoder.tracking.models.wanted import Wanted, champion_metric, wanted_models
from offset_autoencoder.tracking.publish import locked
from offset_autoencoder.tracking.state import StoreState, read_state


class ModelPublication:
    """The publication of the models, between its beginning and its end.

    Args:
        params: The project's params.
        root: The project's folder.
        wanted: The runs to be served; None leaves the models as they are.
        exports: Those of them that are being written.
    """

    def __init__(
        self, params: Params, root: Path, wanted: tuple[Wanted, ...] | None, exports: Exports
    ) -> None:
        self._params = params
        self._root = root
        self._wanted = wanted
        self._exports = exports

    def finish(self) -> list[str]:
        """Log what is new, and decide on the champion; the runs have to be published before.

        Returns:
            A line for each thing that was done or could not be, none where nothing was new.

        Raises:
            InputError: where the store cannot be reached, or the runs cannot be written.
        """
        params, wanted = self._params, self._wanted
        if wanted is None:
            return []
        location, name = locate(params.tracking), params.tracking.experiment
        state = _state(location, name)
        if self._is_nothing(standing(wanted, state)):
            return []
        with locked(location):
            state = _state(location, name)
            stands = standing(wanted, state)
            if self._is_nothing(stands) or state.experiment_id is None:
                return []
            return self._write(location, state.experiment_id, wanted, stands)

    def _is_nothing(self, stands: Standing) -> bool:
        if stands.to_log or stands.to_retire:
            return False
        contest, parent = self._contest(stands.servable), stands.parent
        return contest is None or parent is None or parent.tags.get(DECIDED) == contest.content

    def _contest(self, servable: tuple[Wanted, ...]) -> Contest | None:
        name = self._params.tracking.registered_model
        if name is None or not servable:
            return None
        kinds = {key: offset.kind for key, offset in self._params.offsets.items()}
        alone = frozenset(
            setting.model
            for setting in self._params.settings
            if needs_of_kind(kinds.get(setting.spec.offset or "")) is None
        )
        path = self._root / PREPARED / "schema.json"
        try:
            samples = str(read_json(path)["digests"]["test"]["x"])
        except (KeyError, TypeError):
            raise InputError(str(path), "has no digests", "run dvc repro prepare") from None
        return contest(name, champion_metric(self._params), samples, servable, alone)

    def _write(
        self,
        location: Location,
        experiment_id: str,
        wanted: tuple[Wanted, ...],
        stands: Standing,
    ) -> list[str]:
        from offset_autoencoder.tracking.client import connect, explained
        from offset_autoencoder.tracking.turns import turn
        from offset_autoencoder.tracking.write_ahead import write_back

        os.environ.setdefault("MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR", "false")
        with contextlib.ExitStack() as stack:
            client = connect(location.uri)
            stack.enter_context(explained(location))
            stack.callback(write_back, location.database)
            if location.database is None:
                stack.enter_context(turn(client, experiment_id))
                stands = standing(wanted, _state(location, self._params.tracking.experiment))
            import mlflow

            # The registry looks a logged model up in MLflow's global store.
            mlflow.set_tracking_uri(location.uri)
            models = LoggedModels(client, experiment_id, self._root)
            exports = self._exports
            if not all(exports.holds(one) for one, _ in stands.to_log):
                others = [one for one, _ in stands.to_log]
                exports = stack.enter_context(exporting(others, self._root))
            servable, said = _log(models, stands, exports)
            contest, parent = self._contest(servable), stands.parent
            if contest is None or parent is None or parent.tags.get(DECIDED) == contest.content:
                return said
            model_id = None if contest.candidate is None else models.id_of(contest.candidate)
            if model_id is not None:
                line = decide(client, contest, model_id, models.source_run(model_id))
                client.set_tag(parent.mlflow_id, DECISION, line)
                said.append(line)
            client.set_tag(parent.mlflow_id, DECIDED, contest.content)
            return said


def _log(
    models: LoggedModels, stands: Standing, exports: Exports
) -> tuple[tuple[Wanted, ...], list[str]]:
    """Log what is new and retire what is no longer wanted; all that is served, and what to say."""
    new, refused = [], []
    for one, run in stands.to_log:
        try:
            models.log(one, exports.folder(one), run)
        except NotServable as error:
            models.refuse(one, str(error), run)
            refused.append(f"not served: {error}")
        else:
            new.append(one)
    for run in stands.to_retire:
        models.retire(run)
    servable = (*stands.servable, *new)
    if not new and not stands.to_retire:
        return servable, refused
    retired = f", {len(stands.to_retire)} retired" if stands.to_retire else ""
    return servable, [f"models: {len(servable)} served ({len(new)} new{retired})", *refused]


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
    wanted = wanted_models(params, root) if is_workspace else None
    location = locate(params.tracking)
    state = read_state(location, params.tracking.experiment) if wanted else None
    to_export = standing(wanted, state).to_export if wanted and state is not None else ()
    with contextlib.ExitStack() as stack:
        exports = (
            stack.enter_context(exporting(to_export, root)) if to_export else Exports.nothing()
        )
        yield ModelPublication(params, root, wanted, exports)


def _state(location: Location, name: str) -> StoreState:
    state = read_state(location, name)
    if state is not None:
        return state
    from offset_autoencoder.tracking import state_client
    from offset_autoencoder.tracking.client import explained

    with explained(location):
        return state_client.read(location, name)
