"""What the MLflow store says of the project's runs."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from urllib.parse import urlsplit, urlunsplit

from offset_autoencoder.config.schema import Tracking
from offset_autoencoder.errors import InputError
from offset_autoencoder.tracking.location import Location, locate
from offset_autoencoder.tracking.state import Present, StoreState, read_state

# Where `offset-autoencoder ui` serves a store that is no server.
LOCAL_UI = "http://127.0.0.1:5000"


@dataclass(frozen=True)
class Published:
    """The runs in the store.

    Attributes:
        location: The store.
        experiment_id: The MLflow experiment; None where there is none.
        runs: Those that record a trained run, unfinished records last.
    """

    location: Location
    experiment_id: str | None
    runs: tuple[Present, ...]

    @property
    def ui(self) -> str:
        """Where MLflow's UI shows the store."""
        if not self.location.is_server:
            return LOCAL_UI
        parts = urlsplit(self.location.uri)
        # A login is for the client; the browser asks for it.
        return urlunsplit(parts._replace(netloc=parts.netloc.rpartition("@")[2])).rstrip("/")

    def page(self, run: Present) -> str:
        """The address of a run's page."""
        return f"{self.ui}/#/experiments/{self.experiment_id}/runs/{run.mlflow_id}"

    def of(self, run_id: str) -> list[Present]:
        """What the store holds of a run: several records where several models share it."""
        return [run for run in self.runs if run.tags.get("run_id_sha256") == run_id]


def read_published(tracking: Tracking) -> Published | None:
    """Ask the store; MLflow is imported only where neither SQL nor HTTP can tell.

    Returns:
        What it holds; None where it cannot be asked, which a line on stderr then says.
    """
    location = locate(tracking)
    try:
        state = _state(location, tracking.experiment)
    except InputError as error:
        print(f"warning: what is published is not known: {error}", file=sys.stderr)
        return None
    return Published(location, state.experiment_id, _of_runs(state.present))


def _state(location: Location, experiment: str) -> StoreState:
    state = read_state(location, experiment)
    if state is None:
        from offset_autoencoder.tracking import state_client
        from offset_autoencoder.tracking.client import explained

        with explained(location):
            state = state_client.read(location, experiment)
    return state


def _of_runs(present: Sequence[Present]) -> tuple[Present, ...]:
    # Whole ones first: they count where a killed publisher left another.
    runs = [run for run in present if "run_id_sha256" in run.tags]
    return tuple(sorted(runs, key=lambda run: not run.is_complete))
