"""Which runs are to be served, from params.yaml and ``reports/runs.csv`` alone."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from offset_autoencoder.config import Params
from offset_autoencoder.evaluation.metrics import METRICS, higher_is_better
from offset_autoencoder.io.files import sha256_of_json
from offset_autoencoder.paths import REPORTS
from offset_autoencoder.serving.metadata import FORMAT
from offset_autoencoder.tracking.tables import number, read_table


@dataclass(frozen=True)
class Wanted:
    """A run that is to be served.

    Attributes:
        model: The model's name.
        run: The run's id.
        test: Its test metrics as deployed.
    """

    model: str
    run: str
    test: dict[str, float]

    @property
    def key(self) -> str:
        """Says which it is, whatever was measured."""
        return f"{self.model} {self.run}"

    @property
    def content(self) -> str:
        """The SHA-256 of what is logged of it."""
        return sha256_of_json([FORMAT, self.key, {k: repr(v) for k, v in self.test.items()}])


def champion_metric(params: Params) -> str:
    """The metric by which runs are chosen: ``tracking.champion_metric``, else that of evaluate."""
    return params.tracking.champion_metric or params.evaluate.metric


def wanted_models(params: Params, root: Path) -> tuple[Wanted, ...]:
    """The runs to be served: of each model the best, or all, or none.

    The best run is the one with the best test metric of its own; of equals the first.

    Raises:
        InputError: where ``reports/runs.csv`` is missing or damaged.
    """
    if params.tracking.models == "none":
        return ()
    path = root / REPORTS / "runs.csv"
    rows = read_table(path, ("id", "model", "status", "mse"))
    found: dict[tuple[str, str], Wanted] = {}
    for position, row in enumerate(rows, start=1):
        if row["status"] != "finished" or row["model"] not in params.models:
            continue
        test = {
            metric: number(path, position, metric, row[metric])
            for metric in METRICS
            if row.get(metric)
        }
        found.setdefault((row["model"], row["id"]), Wanted(row["model"], row["id"], test))
    if params.tracking.models == "all":
        return tuple(found.values())
    by_model: dict[str, list[Wanted]] = {}
    for one in found.values():
        by_model.setdefault(one.model, []).append(one)
    chosen = (best(group, champion_metric(params)) for group in by_model.values())
    return tuple(one for one in chosen if one is not None)


def best(candidates: Iterable[Wanted], metric: str) -> Wanted | None:
    """The one with the best value of a metric; None where none has a finite one."""
    known = [one for one in candidates if math.isfinite(one.test.get(metric, math.nan))]
    if not known:
        return None
    sign = -1.0 if higher_is_better(metric) else 1.0
    return min(known, key=lambda one: sign * one.test[metric])
