"""Publication of the best runs as models that MLflow serves, the best of all as champion.

The models are written by another process (TensorFlow's), logged and registered here. What was
done is noted in tags of the MLflow runs, so that nothing to do is found out like that of runs.
"""

from __future__ import annotations

import contextlib
import math
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from offset_autoencoder.config import Params
from offset_autoencoder.data.varying import load_splits
from offset_autoencoder.evaluation.metrics import METRICS, VALIDATION, badness, error_metric
from offset_autoencoder.io.tables import read_csv
from offset_autoencoder.paths import PREPARED, REPORTS, project_root
from offset_autoencoder.tracking import logged_models, store
from offset_autoencoder.tracking.champion import ChampionSelection, validation_samples
from offset_autoencoder.tracking.logged_models import Exports, LoggedModels, ServedRun, exporting
from offset_autoencoder.tracking.record_types import StoredRun, StoreState
from offset_autoencoder.tracking.store import Location

# Tags of the experiment's MLflow run: what was decided on, and the decision.
_DECIDED = "champion_sha256"
_DECISION = "champion"


@contextlib.contextmanager
def publishing_models(params: Params, root: Path = Path()) -> Iterator[ModelPublication]:
    """Begin to publish the models: what is new is written by a process beside what is done within.

    In a temporary clone of DVC's nothing is served: its runs become current when the experiment
    is applied.

    Raises:
        InputError: where a report is missing or damaged, or the store cannot be read.
    """
    is_workspace = root.resolve() == project_root()
    runs = runs_to_serve(params, root) if is_workspace else None
    to_export: list[ServedRun] = []
    if runs:
        state = store.read_state(store.locate(params.tracking), params.tracking)
        diff = _serving_diff(runs, state)
        to_export = [*(run for run, _ in diff.to_log), *diff.missing]
    with exporting(to_export, root) as exports:
        yield ModelPublication(params, root, runs, exports)


def runs_to_serve(params: Params, root: Path) -> tuple[ServedRun, ...]:
    """The runs to be served: of each model the best, or all, or none.

    The best run is the one with the best metric of its own on the validation split; of equals the
    first. Where each seed has a split of its own it is the first seed's: only runs of one seed are
    measured on the same samples.

    Raises:
        InputError: where ``reports/runs.csv`` is missing or damaged.
    """
    if params.tracking.models == "none":
        return ()
    runs = _finished_runs(params, root)
    if params.tracking.models == "all":
        return tuple(run for of_model in runs.values() for run in of_model)
    best = (_best_run(of_model, champion_metric(params)) for of_model in runs.values())
    return tuple(run for run in best if run is not None)


def _finished_runs(params: Params, root: Path) -> dict[str, list[ServedRun]]:
    """Those of each model of ``reports/runs.csv``, each once; of one that only diverged none."""
    runs: dict[str, dict[str, ServedRun]] = {}
    columns = ("id", "model", "seed", "status", "mse", f"mse{VALIDATION}")
    first_seed = _first_seed(root)
    for row in read_csv(root / REPORTS / "runs.csv", columns):
        if row["model"] not in params.models:
            continue
        of_model = runs.setdefault(row["model"], {})
        if row["status"] == "finished":
            test, validation = (
                {
                    metric: row.number(f"{metric}{suffix}")
                    for metric in METRICS
                    if row.get(f"{metric}{suffix}")
                }
                for suffix in ("", VALIDATION)
            )
            is_comparable = first_seed in (None, int(row["seed"]))
            run = ServedRun(row["model"], row["id"], test, validation if is_comparable else {})
            of_model.setdefault(run.key, run)
    return {model: list(of_model.values()) for model, of_model in runs.items()}


def _first_seed(root: Path) -> int | None:
    """The seed whose runs compare; None: those of all do, as there is one split."""
    return next(iter(load_splits(root / PREPARED).seeds), None)


def champion_metric(params: Params) -> str:
    """The metric by which runs are chosen: ``tracking.champion_metric``, else that of evaluate.

    The validation split has no anomalies: where that of evaluate is one of their detection, the
    error that tells is taken.
    """
    return params.tracking.champion_metric or error_metric(params.evaluate)


def _best_run(candidates: Iterable[ServedRun], metric: str) -> ServedRun | None:
    """The one with the best value of a metric by validation; None where none has a finite one."""

    def by_validation(run: ServedRun) -> float:
        return badness(metric, run.validation.get(metric, math.nan))

    best = min(candidates, key=by_validation, default=None)
    return None if best is None or math.isinf(by_validation(best)) else best


class _ServingDiff(NamedTuple):
    """Difference between the runs that are to be served and the store."""

    to_log: list[tuple[ServedRun, StoredRun]]
    missing: list[ServedRun]  # those whose MLflow runs are not in the store yet
    to_retire: list[StoredRun]
    served: list[ServedRun]
    parent: StoredRun | None  # the experiment's current MLflow run
    champions: Mapping[str, str]  # by alias the version, if its model is there


def _serving_diff(runs: Iterable[ServedRun], state: StoreState) -> _ServingDiff:
    """Compare the runs to be served with the tags of the MLflow runs."""
    experiments = [r for r in state.runs if r.record_id[0] == "experiment" and r.is_current]
    parent = experiments[0] if len(experiments) == 1 else None
    diff = _ServingDiff([], [], [], [], parent, state.champions)
    holders: dict[tuple[str | None, ...], StoredRun] = {}
    for stored in sorted(state.runs, key=lambda one: (not one.is_current, one.mlflow_id)):
        if stored.record_id[0] == "run" and stored.is_complete:
            identity = (stored.tags.get("model"), stored.tags.get("run_id_sha256"))
            holders.setdefault(identity, stored)
    ours = set()
    for run in runs:
        holder = holders.get((run.model, run.run))
        if holder is None:
            diff.missing.append(run)
            continue
        ours.add(holder.mlflow_id)
        is_refused = bool(holder.tags.get(logged_models.REFUSED))
        is_there = is_refused or holder.tags.get(logged_models.MODEL) in state.models
        if not is_there or holder.tags.get(logged_models.LOGGED) != run.content:
            diff.to_log.append((run, holder))
        elif not is_refused:
            diff.served.append(run)
    diff.to_retire.extend(
        stored
        for stored in state.runs
        if stored.tags.get(logged_models.LOGGED) not in (None, logged_models.RETIRED)
        and stored.mlflow_id not in ours
    )
    return diff


@dataclass(frozen=True)
class ModelPublication:
    """The publication of the models, between its beginning and its end."""

    params: Params
    root: Path
    runs: tuple[ServedRun, ...] | None  # to be served; None leaves the models as they are
    exports: Exports

    def finish(self) -> list[str]:
        """Log what is new, and decide on the champion; the runs have to be published before.

        Gives a line for each thing that was done or could not be, and for each model without a run
        to serve; else none where nothing was new.

        Raises:
            InputError: where the store cannot be reached, or the runs cannot be written.
        """
        location = store.locate(self.params.tracking)
        if self.runs is None:
            return []
        missing = self._without_run(self.runs)
        if self._is_nothing(self._compare(location)[1]):
            return missing
        with store.publisher_lock(location):
            experiment_id, diff = self._compare(location)
            if experiment_id is None or self._is_nothing(diff):
                return missing
            with store.explained(location):
                try:
                    lines = self._write(location, experiment_id, diff)
                finally:
                    store.write_back(location)
                self._compare(location)  # which keeps the state for the next publication
                return [*lines, *missing]

    def _without_run(self, runs: Iterable[ServedRun]) -> list[str]:
        """A line on the models of which no run can be served."""
        served, choice = {run.model for run in runs}, self.params.tracking.models
        if choice == "none":
            return []
        names = [model for model in _finished_runs(self.params, self.root) if model not in served]
        if not names:
            return []
        which, seed = "no run finished", _first_seed(self.root)
        if choice == "best":
            of_seed = (
                "" if seed is None else f" of seed {seed}, the first, whose runs alone compare,"
            )
            which = f"no run{of_seed} has a {champion_metric(self.params)} by validation"
        return [f"not served: {', '.join(names)}: {which}"]

    def _compare(self, location: Location) -> tuple[str | None, _ServingDiff]:
        state = store.read_state(location, self.params.tracking)
        return state.experiment_id, _serving_diff(self.runs or (), state)

    def _is_nothing(self, diff: _ServingDiff) -> bool:
        return not (diff.to_log or diff.to_retire or self._undecided(diff))

    def _undecided(self, diff: _ServingDiff) -> ChampionSelection | None:
        """The selection among the models that are logged, unless it is decided already."""
        name, metric = self.params.tracking.registered_model, champion_metric(self.params)
        if name is None or not diff.served or diff.parent is None:
            return None
        needs_only_x = {
            setting.model
            for setting in self.params.settings
            if setting.spec.offset is None or self.params.offsets[setting.spec.offset].needs is None
        }
        samples = validation_samples(self.root, self.params.seeds[0])
        candidate = _best_run([run for run in diff.served if run.model in needs_only_x], metric)
        selection = ChampionSelection(name, metric, samples, candidate)
        is_decided = diff.parent.tags.get(_DECIDED) == selection.content
        is_in_place = candidate is None or selection.is_in_place(diff.champions)
        return None if is_decided and is_in_place else selection

    def _write(self, location: Location, experiment_id: str, diff: _ServingDiff) -> list[str]:
        client = store.connect(location.uri)
        import mlflow

        # The registry looks a logged model up in MLflow's global store.
        mlflow.set_tracking_uri(location.uri)
        models = LoggedModels(client, experiment_id, self.root)
        lines = self._log(models, diff)
        selection, parent = self._undecided(diff), diff.parent
        if selection is None or parent is None:
            return lines
        model = models.current(selection.candidate) if selection.candidate else None
        if selection.candidate and model:
            line = selection.decide(client, selection.candidate, model)
            client.set_tag(parent.mlflow_id, _DECISION, line)
            lines.append(line)
        client.set_tag(parent.mlflow_id, _DECIDED, selection.content)
        return lines

    def _log(self, models: LoggedModels, diff: _ServingDiff) -> list[str]:
        """Log what is new, which is then served, and retire what is no longer wanted."""
        to_log = [run for run, _ in diff.to_log]
        before, refused = len(diff.served), []
        is_begun = {run.key for run in to_log} <= self.exports.folders.keys()
        begun = contextlib.nullcontext(self.exports)
        with begun if is_begun else exporting(to_log, self.root) as exports:
            for run, stored in diff.to_log:
                try:
                    models.log(run, exports.folder(run), stored)
                except logged_models.NotServable as error:
                    models.refuse(run, str(error), stored)
                    refused.append(f"not served: {error}")
                else:
                    diff.served.append(run)
        for stored in diff.to_retire:
            models.retire(stored)
        new = len(diff.served) - before
        if not new and not diff.to_retire:
            return refused
        retired = f", {len(diff.to_retire)} retired" if diff.to_retire else ""
        return [f"models: {len(diff.served)} served ({new} new{retired})", *refused]
