"""The state of a store through MLflow's own client, for stores that nothing else can read."""

from __future__ import annotations

from offset_autoencoder.tracking.client import connect
from offset_autoencoder.tracking.location import Location
from offset_autoencoder.tracking.records import KEY
from offset_autoencoder.tracking.state import Present, StoreState

_PAGE = 1000


def read(location: Location, experiment: str) -> StoreState:
    """Read the state; arguments as of :func:`.state.read_state`."""
    client = connect(location.uri)
    found = client.get_experiment_by_name(experiment)
    if found is None:
        return StoreState()
    present: list[Present] = []
    token: str | None = None
    while True:
        page = client.search_runs(
            [found.experiment_id], f"tags.`{KEY}` LIKE '%'", max_results=_PAGE, page_token=token
        )
        present += [
            Present(run.info.run_id, run.info.status, run.info.artifact_uri or "", run.data.tags)
            for run in page
        ]
        token = page.token
        if not token:
            break
    return StoreState(found.experiment_id, found.lifecycle_stage == "deleted", tuple(present))
