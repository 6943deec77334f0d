"""A model of MLflow's registry, fetched by MLflow itself in a process of its own."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from offset_autoencoder.config import load_params
from offset_autoencoder.config.schema import Tracking
from offset_autoencoder.errors import InputError
from offset_autoencoder.paths import PARAMS
from offset_autoencoder.tracking.location import locate

SCHEME = "models:/"
CHAMPION = "champion"


def address_of_champion(tracking: Tracking) -> str:
    """Where the registry keeps the project's champion: ``"models:/offset-autoencoder@champion"``.

    Raises:
        InputError: where the project registers no model.
    """
    if tracking.registered_model is None:
        raise InputError(
            f"{PARAMS}: tracking.registered_model", "is null: there is no champion", "name one"
        )
    return f"{SCHEME}{tracking.registered_model}@{CHAMPION}"


def fetch(address: str, folder: Path) -> Path:
    """Download a model.

    MLflow takes seconds to import, and TensorFlow after it: they need not share a process.

    Args:
        address: ``models:/NAME/VERSION``, ``models:/NAME@ALIAS`` or ``models:/ID``.
        folder: Where to; an empty folder.

    Returns:
        The folder of the model.

    Raises:
        InputError: where the store has no such model, or does not answer.
    """
    if not address.removeprefix(SCHEME).strip("/@"):
        expected = f"{SCHEME}NAME/VERSION or {SCHEME}NAME@{CHAMPION}"
        raise InputError(address, f"names no model, expected {expected}")
    location = locate(load_params(PARAMS).tracking if PARAMS.exists() else Tracking())
    if location.database is not None and not location.database.exists():
        raise InputError(address, f"there is no MLflow store {location.shown}", "run dvc repro")
    command = [sys.executable, "-m", "mlflow", "artifacts", "download"]
    done = subprocess.run(
        [*command, "--artifact-uri", address, "--dst-path", str(folder)],
        env={
            "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "3",
            **os.environ,
            "MLFLOW_TRACKING_URI": location.uri,
            "MLFLOW_DISABLE_TELEMETRY": "true",
            "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false",
        },
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        reason = _reason(done.stderr).replace(location.uri.rstrip("/"), location.shown.rstrip("/"))
        raise InputError(address, f"{location.shown} does not give it: {reason}")
    return folder


def _reason(printed: str) -> str:
    """The last line of a traceback, without the name of its class."""
    lines = [line for line in printed.splitlines() if line.strip()] or ["no reason given"]
    name, colon, said = lines[-1].partition(": ")
    return said if colon and name.rpartition(".")[2].endswith(("Exception", "Error")) else lines[-1]
