"""Stage ``publish``: the MLflow store is brought in line with ``models/`` and ``reports/``."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

from offset_autoencoder.config import load_params
from offset_autoencoder.errors import first_names, named, printable, run_command
from offset_autoencoder.evaluation.metrics import check_metrics
from offset_autoencoder.io.tables import read_csv
from offset_autoencoder.paths import REPORTS
from offset_autoencoder.tracking.publish import publish
from offset_autoencoder.tracking.served_models import publishing_models
from offset_autoencoder.tracking.store import StoreUnreachable

_NAMED = 6


def main() -> None:
    """Publish what the stages before made, and say in one line what was new.

    A server that cannot be reached costs a warning: DVC runs this stage every time.

    Raises:
        InputError: where a metric is unknown, a file is missing or damaged, or the store refuses.
    """
    params = load_params()
    check_metrics(params)  # a change under tracking: reruns no other stage that would check it
    try:
        with publishing_models(params) as models:
            print(printable(publish(params).summary))
            for line in models.finish():
                print(printable(line))
    except StoreUnreachable as error:
        print(printable(f"warning: {error}"), file=sys.stderr)
    for line in answer(REPORTS, params.evaluate.metric):
        print(printable(line))


def answer(reports: Path, metric: str) -> Iterator[str]:
    """Lines of the report: what each offset is, what is better than the first baseline, the page.

    Raises:
        InputError: where a table of the report is missing or damaged.
    """
    words: dict[str, list[str]] = {}
    for row in read_csv(reports / "verdicts.csv"):
        words.setdefault(row["verdict"], []).append(row["setting"])
    for word, settings in words.items():
        yield f"{word}: {first_names(settings, _NAMED)}"
    rows = [row for row in read_csv(reports / "comparison.csv") if row["metric"] == metric]
    first = next((row["baseline_setting"] for row in rows), "")
    for outcome in ("better", "worse"):
        settings = [
            row["setting"]
            for row in rows
            if row["baseline_setting"] == first and row.get("outcome") == outcome
        ]
        if settings:
            yield f"{outcome} than {named(first)} by {metric}: {first_names(settings, _NAMED)}"
    yield f"the report: {reports / 'index.html'}; every run: offset-autoencoder ui"


if __name__ == "__main__":
    run_command(main)
