"""What the tags of the MLflow runs say of the models that were logged of them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from offset_autoencoder.tracking.models.wanted import Wanted
from offset_autoencoder.tracking.records import ROLE
from offset_autoencoder.tracking.state import Present, StoreState

# Of a run: the content that was logged of it (or was found not to be servable), and the model.
LOGGED = "served_content_sha256"
MODEL_ID = "served_model"
REFUSED = "not_served_because"
RETIRED = "retired"
# Of the experiment's parent run: what was decided on, and the decision.
DECIDED = "champion_sha256"
DECISION = "champion"


@dataclass(frozen=True)
class Standing:
    """How the store stands to the runs that are to be served.

    Attributes:
        to_log: Those of which no model is logged yet, with their MLflow runs.
        missing: Those whose MLflow runs are not in the store yet.
        to_retire: MLflow runs whose models are no longer among the best.
        servable: Those that are logged already.
        parent: The experiment's current parent run.
    """

    to_log: tuple[tuple[Wanted, Present], ...]
    missing: tuple[Wanted, ...]
    to_retire: tuple[Present, ...]
    servable: tuple[Wanted, ...]
    parent: Present | None

    @property
    def to_export(self) -> tuple[Wanted, ...]:
        """All that have to be written."""
        return (*(one for one, _ in self.to_log), *self.missing)


def standing(wanted: Sequence[Wanted], state: StoreState) -> Standing:
    """Compare what is wanted with the tags of the MLflow runs."""
    to_log, missing, servable = [], [], []
    mine = {}
    for one in wanted:
        present = _find(one, state.present)
        if present is None:
            missing.append(one)
            continue
        mine[present.mlflow_id] = present
        if present.tags.get(LOGGED) != one.content:
            to_log.append((one, present))
        elif REFUSED not in present.tags or not present.tags[REFUSED]:
            servable.append(one)
    to_retire = [
        present
        for present in state.present
        if present.tags.get(LOGGED, RETIRED) != RETIRED and present.mlflow_id not in mine
    ]
    parents = [p for p in state.present if p.tags.get(ROLE) == "experiment" and p.is_current]
    return Standing(
        tuple(to_log),
        tuple(missing),
        tuple(to_retire),
        tuple(servable),
        parents[0] if len(parents) == 1 else None,
    )


def _find(wanted: Wanted, present: Iterable[Present]) -> Present | None:
    alike = [
        run
        for run in present
        if run.tags.get(ROLE) == "run"
        and run.tags.get("run_id_sha256") == wanted.run
        and run.tags.get("model") == wanted.model
        and run.is_complete
    ]
    return min(alike, key=lambda run: (not run.is_current, run.mlflow_id), default=None)
