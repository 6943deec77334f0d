"""The same through ``mlflow server``, which keeps the artifacts."""

from __future__ import annotations

import contextlib
import os
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.tracking.models.conftest import Project, run_id

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    place = tmp_path_factory.mktemp("server")
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    with (place / "log.txt").open("w") as log:
        process = subprocess.Popen(
            [
                *(sys.executable, "-m", "mlflow", "server", "--host", "127.0.0.1"),
                *("--port", str(port), "--workers", "1"),
                *("--backend-store-uri", f"sqlite:///{place / 'mlflow.db'}"),
                *("--artifacts-destination", (place / "artifacts").as_uri()),
            ],
            cwd=place,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
    try:
        address = f"http://127.0.0.1:{port}"
        for _ in range(240):
            assert process.poll() is None, (place / "log.txt").read_text()
            with contextlib.suppress(OSError), urllib.request.urlopen(f"{address}/health"):
                break
            time.sleep(0.5)
        yield address
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, 15)
        process.wait(30)


def test_models_are_logged_registered_and_fetched_through_a_server(
    project: Project, server: str, tmp_path: Path
) -> None:
    import mlflow

    from offset_autoencoder.serving.folder import load_model_folder

    project.tracking = {"uri": server}
    said = project.write().publish()
    assert said[-1] == "champion of offset-autoencoder is version 1: none, mse 0.4"
    assert project.publish() == []
    assert project.versions() == ["none*"]
    assert len(project.current()) == 3
    client = project.client
    for model in project.logged():
        assert len(client.get_metric_history(model.source_run_id, "mse")) == 1
    mlflow.set_tracking_uri(server)
    place = mlflow.artifacts.download_artifacts(
        "models:/offset-autoencoder@champion", dst_path=str(tmp_path / "fetched")
    )
    facts = load_model_folder(place).facts
    assert (facts.run, facts.test) == (run_id("none", 1), {"mse": 0.4, "psnr": -0.4})
    project.mse = {("none", 0): 0.3}
    project.write()
    assert project.publish()[0] == "models: 1 served (1 new, 3 retired)"
    assert project.versions() == ["none", "none*"]
