"""The state of an MLflow server, through its REST interface."""

from __future__ import annotations

import base64
import http.client
import json
import os
import urllib.error
import urllib.request
from typing import Any
from urllib.parse import quote, urlsplit

from offset_autoencoder.errors import InputError
from offset_autoencoder.tracking.location import Location
from offset_autoencoder.tracking.records import KEY
from offset_autoencoder.tracking.state import Present, StoreState

_TIMEOUT_SECONDS = 15
_PAGE = 1000
# Ways to log in that MLflow itself has to see to.
_LEFT_TO_MLFLOW = (
    "MLFLOW_TRACKING_AUTH",
    "MLFLOW_TRACKING_AWS_SIGV4",
    "MLFLOW_TRACKING_INSECURE_TLS",
    "MLFLOW_TRACKING_SERVER_CERT_PATH",
    "MLFLOW_TRACKING_CLIENT_CERT_PATH",
    "MLFLOW_WORKSPACE",
)


class _LogInElsewhere(Exception):
    """The server wants a login that only MLflow's own client knows how to give."""


def read(location: Location, experiment: str) -> StoreState | None:
    """Read the state of a store.

    Honours ``MLFLOW_TRACKING_TOKEN``, ``MLFLOW_TRACKING_USERNAME`` and
    ``MLFLOW_TRACKING_PASSWORD``.

    Args:
        location: The server.
        experiment: The MLflow experiment's name.

    Returns:
        The state; None where it takes MLflow's own client to log in.

    Raises:
        InputError: where the server cannot be reached or is no MLflow server.
    """
    if urlsplit(location.uri).username or any(os.environ.get(name) for name in _LEFT_TO_MLFLOW):
        return None
    try:
        return _read(location, experiment)
    except _LogInElsewhere:
        return None


def _read(location: Location, experiment: str) -> StoreState:
    found = _call(location, f"experiments/get-by-name?experiment_name={quote(experiment, safe='')}")
    if found is None:
        return StoreState()
    present: list[Present] = []
    try:
        identity = str(found["experiment"]["experiment_id"])
        is_deleted = found["experiment"]["lifecycle_stage"] == "deleted"
        request = {
            "experiment_ids": [identity],
            "filter": f"tags.`{KEY}` LIKE '%'",
            "run_view_type": "ACTIVE_ONLY",
            "max_results": _PAGE,
        }
        while True:
            page = _call(location, "runs/search", request) or {}
            present += [_present(run) for run in page.get("runs", [])]
            if not page.get("next_page_token"):
                return StoreState(identity, is_deleted, tuple(present))
            request["page_token"] = page["next_page_token"]
    except (KeyError, TypeError, AttributeError):
        raise _strange(location, "an answer of another shape") from None


def _present(run: Any) -> Present:
    info = run["info"]
    tags = {tag["key"]: tag.get("value", "") for tag in run["data"].get("tags", [])}
    return Present(info["run_id"], info["status"], info.get("artifact_uri", ""), tags)


def _call(location: Location, what: str, body: dict[str, Any] | None = None) -> Any:
    """The answer to one call, or None where what it asks for does not exist."""
    request = urllib.request.Request(
        f"{location.uri.rstrip('/')}/api/2.0/mlflow/{what}",
        data=None if body is None else json.dumps(body).encode(),
        headers={"Content-Type": "application/json", **_login()},
    )
    try:
        with urllib.request.urlopen(request, timeout=_TIMEOUT_SECONDS) as answer:
            return json.load(answer)
    except urllib.error.HTTPError as error:
        if error.code in (401, 403):
            raise _LogInElsewhere from None
        if error.code == 404 and b"RESOURCE_DOES_NOT_EXIST" in error.read():
            return None
        raise _strange(location, f"HTTP status {error.code}") from None
    except (ValueError, http.client.HTTPException):
        raise _strange(location, "something that is not JSON") from None
    except OSError as error:
        reason = getattr(error, "reason", error)
        raise InputError(
            f"MLflow server {location.shown}",
            f"cannot be reached: {reason}",
            "nothing else is lost: 'dvc repro' publishes once the server answers",
        ) from None


def _strange(location: Location, got: str) -> InputError:
    return InputError(
        f"MLflow server {location.shown}",
        f"expected an MLflow server, got {got}",
        "check tracking.uri and MLFLOW_TRACKING_URI; 'dvc repro' publishes later",
    )


def _login() -> dict[str, str]:
    user, password = (
        os.environ.get(f"MLFLOW_TRACKING_{name}") for name in ("USERNAME", "PASSWORD")
    )
    if user and password:
        pair = base64.b64encode(f"{user}:{password}".encode()).decode()
        return {"Authorization": f"Basic {pair}"}
    token = os.environ.get("MLFLOW_TRACKING_TOKEN")
    return {"Authorization": f"Bearer {token}"} if token else {}
