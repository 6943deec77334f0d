"""``runs``: the runs of ``models/`` and of the store, as a table or as JSON."""

from __future__ import annotations

import dataclasses
import json
import sys
from collections.abc import Sequence
from typing import Any

from rich.text import Text

from offset_autoencoder.cli.listed_runs import ListedRun, list_runs, read_measured
from offset_autoencoder.cli.published import Published, read_published
from offset_autoencoder.config import format_value, load_params
from offset_autoencoder.config.params import Params
from offset_autoencoder.errors import InputError, did_you_mean
from offset_autoencoder.paths import MODELS, PARAMS
from offset_autoencoder.reporting.terminal import Column, print_table, report_console
from offset_autoencoder.training.run_store import IndexedRun, read_index

_DIGITS = 12
_YES_OR_NO: dict[bool | None, str | Text] = {
    True: "yes",
    False: Text("no", style="yellow"),
    None: "?",
}


def print_runs(models: Sequence[str], *, only_current: bool, as_json: bool) -> None:
    """Print the runs, and on stderr what ``dvc repro`` would change of them.

    Args:
        models: The models whose runs are wanted; none stands for all.
        only_current: Whether to leave out what the store alone holds.
        as_json: Whether to print a JSON list.

    Raises:
        InputError: where there are no runs yet, a file is damaged, or a model has none.
    """
    params = load_params(PARAMS)
    metric = params.evaluate.metric
    index = read_index(MODELS)
    published = read_published(params.tracking)
    listed = list_runs(index, read_measured(metric), published)
    for model in models:
        known = dict.fromkeys(run.model for run in listed)
        if model not in known:
            raise InputError("--model", f"no run of a model {model!r}", did_you_mean(model, known))
    wanted = [
        run
        for run in listed
        if (not models or run.model in models) and (run.current or not only_current)
    ]
    if as_json:
        print(json.dumps([_as_json(run, metric) for run in wanted], indent=2, allow_nan=False))
    else:
        _print_table(wanted, metric, published)
    if not _is_of(params, index):
        print(
            f"note: {MODELS} is not that of {PARAMS} as it is now: run dvc repro", file=sys.stderr
        )


def _as_json(run: ListedRun, metric: str) -> dict[str, Any]:
    fields = dataclasses.asdict(run)
    return {("test_" + metric if key == "metric" else key): fields[key] for key in fields}


def _print_table(runs: Sequence[ListedRun], metric: str, published: Published | None) -> None:
    console = report_console()
    swept = list(dict.fromkeys(key for run in runs for key in run.sweep))
    columns = {
        "model": Column("model", [Text(run.model, style="bold") for run in runs], right=False),
        **{key: Column(key, [run.sweep.get(key, "") for run in runs]) for key in swept},
        "seed": Column("seed", [str(run.seed) for run in runs]),
        "id": Column("id", [run.id[:_DIGITS] for run in runs], right=False),
        "status": Column("status", [_status(run) for run in runs], right=False),
        metric: Column(
            f"test {metric}",
            ["" if run.metric is None else f"{run.metric:.4g}" for run in runs],
        ),
        "published": Column("published", [_YES_OR_NO[run.published] for run in runs], right=False),
    }
    if not all(run.current for run in runs):
        cells: list[str | Text] = ["yes" if run.current else "no" for run in runs]
        columns["current"] = Column("current", cells, right=False)
    counted = f"{len(runs)} run{'s' * (len(runs) != 1)}"
    store = f", published to {published.location.shown}" if published else ""
    print_table(
        console,
        counted + store,
        list(columns.values()),
        [column for key, column in columns.items() if key != "status"],
    )


def _status(run: ListedRun) -> Text:
    return Text(run.status, style="" if run.status == "finished" else "red")


def _is_of(params: Params, index: Sequence[IndexedRun]) -> bool:
    have = [(run.model, tuple(run.sweep.items()), run.seed) for run in index]
    want = [
        (
            run.setting.model,
            tuple((key, format_value(value)) for key, value in run.setting.sweep),
            run.seed,
        )
        for run in params.runs
    ]
    return have == want
