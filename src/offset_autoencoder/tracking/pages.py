"""Pages of MLflow's UI: their addresses, and the view in which the project's settings are shown.

MLflow keeps a view that its user saves as a tag of the experiment, and so is this one: a table of
the settings alone, best first, and charts that begin with the test metric. Its page is asked for
the part of the UI that is for trained models: by default it opens that for language models.
"""

from __future__ import annotations

import json
from typing import Any
from urllib.parse import urlsplit, urlunsplit

from offset_autoencoder.config.schema import Evaluate
from offset_autoencoder.evaluation.metrics import METRICS
from offset_autoencoder.tracking.record_types import (
    AGAINST,
    BEST_LOSS,
    CHANGE,
    CURRENT,
    DIFFERENCE,
    INTERVAL,
    OFFSET_USE,
    ROLE,
    TEST,
    VIEW,
    StoreState,
)
from offset_autoencoder.tracking.store import Location

HOST, PORT = "127.0.0.1", 5000
"""Where ``offset-autoencoder ui`` serves a store that is no server."""

NAME = "mlflow.localhost"
"""This machine, by a name that browsers know without asking; Safari does not.

MLflow opens an assistant, which takes a quarter of the screen, on pages of 127.0.0.1 and localhost.
"""

_VIEW = VIEW.rpartition(".")[2]
_FOR_TRAINED_MODELS = "workflowType=machine_learning"
# Widths of columns in pixels: what stands in them is seen whole.
_WIDTHS = {INTERVAL: 165, OFFSET_USE: 140, DIFFERENCE: 170, AGAINST: 115}
# Columns that are always there, with what is left of the second.
_FIXED, _FIXED_WIDTHS = ("attributes.`Run Name`", "runDateAndNestInfo"), (190, 48)
_SECTION = {"columns": 2, "cardHeight": 480}
_MOST_RUNS_IN_A_CHART = 100


def ui_address(location: Location) -> str:
    """Address of the MLflow UI that shows a store: the server's, or that of one served here."""
    if not location.is_server:
        return f"http://{HOST}:{PORT}"
    parts = urlsplit(location.uri)
    # A login is for the client; the browser asks for it.
    return urlunsplit(parts._replace(netloc=parts.netloc.rpartition("@")[2])).rstrip("/")


def run_page(ui: str, experiment_id: str | None, mlflow_id: str) -> str:
    """Address of an MLflow run's page."""
    return f"{ui}/#/experiments/{experiment_id}/runs/{mlflow_id}?{_FOR_TRAINED_MODELS}"


def results_page(ui: str, state: StoreState) -> str:
    """Address of the settings of a store's experiment.

    It is that of the runs while a first training shows them, and of the UI where there are none.
    """
    if state.experiment_id is None:
        return ui
    view = f"&viewStateShareKey={_VIEW}&compareRunsMode=TABLE" if state.view else ""
    return f"{ui}/#/experiments/{state.experiment_id}/runs?{_FOR_TRAINED_MODELS}{view}"


def settings_view(evaluate: Evaluate) -> str:
    """The view of the settings as MLflow keeps it, the same for the same section ``evaluate:``.

    MLflow nests runs, and leaves the nested ones without columns, unless they are sorted by a
    metric or filtered.
    """
    metric, baselines = TEST.format(evaluate.metric), evaluate.baselines
    tags = [(INTERVAL, ""), *((name, one) for one in baselines for name in (DIFFERENCE, AGAINST))]
    tags.insert(3, (OFFSET_USE, ""))  # after the first baseline, in sight at 1280 pixels
    widths = {_column("tags", name.format(one)): _WIDTHS[name] for name, one in tags}
    columns = [_column("metrics", metric), *widths]
    charts = [
        *(_chart(name) for name in (metric, *(CHANGE.format(one) for one in baselines))),
        _chart(BEST_LOSS, "LINE"),
        # MLflow would add a chart of each other metric.
        *(
            _chart(name) | {"deleted": True}
            for name in (f"{metric}_low", f"{metric}_high", "seeds", "diverged")
        ),
    ]
    section = {"uuid": _VIEW, "name": "Model metrics", "display": True, "isReordered": True}
    section |= _SECTION
    state = {
        "searchFilter": f"tags.{ROLE} = 'setting' AND tags.{CURRENT} = 'true'",
        "orderByKey": _column("metrics", metric),
        "orderByAsc": not METRICS[evaluate.metric].higher_is_better,
        "selectedColumns": columns,
        "columnOrder": [*_FIXED, *columns],
        "columnWidths": {**dict(zip(_FIXED, _FIXED_WIDTHS, strict=True)), **widths},
        "runsHiddenMode": "SHOW_ALL",
        "compareRunCharts": charts,
        "compareRunSections": [section],
        "isAccordionReordered": True,
    }
    return json.dumps({"name": "Results by setting", "createdAt": 0, "state": json.dumps(state)})


def _column(kind: str, name: str) -> str:
    return f"{kind}.`{name}`"


def _chart(metric: str, kind: str = "BAR") -> dict[str, Any]:
    return {
        "type": kind,
        "uuid": f"{_VIEW}-{metric}",
        "metricSectionId": _VIEW,
        "metricKey": metric,
        "runsCountToCompare": _MOST_RUNS_IN_A_CHART,
        "deleted": False,
        "isGenerated": False,
    }
