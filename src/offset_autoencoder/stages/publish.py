"""Stage ``publish``: the MLflow store is brought in line with ``models/`` and ``reports/``."""

from __future__ import annotations

import sys

from offset_autoencoder.config import load_params
from offset_autoencoder.errors import printable, run_command
from offset_autoencoder.evaluation.metrics import check_metrics
from offset_autoencoder.tracking.publish import publish
from offset_autoencoder.tracking.served_models import publishing_models
from offset_autoencoder.tracking.store import StoreUnreachable


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


if __name__ == "__main__":
    run_command(main)
