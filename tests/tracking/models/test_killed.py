"""A publisher that is killed while it logs models: the next one mends what it left."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from tests.tracking.models.conftest import Project, run_id

pytestmark = pytest.mark.slow

_PUBLISH = """
import contextlib, sys
from pathlib import Path
import mlflow
from offset_autoencoder.tracking import served_models
from tests.tracking.models.conftest import FakeExports, Project

@contextlib.contextmanager
def exporting(wanted, root):
    yield FakeExports(wanted, Path(sys.argv[1]))

served_models.exporting = exporting
print("ready", flush=True)
Project(Path()).publish()
"""
_DELAYS = (0.02, 0.3, 0.8, 1.6)  # seconds after MLflow was imported


def test_a_publisher_that_is_killed_leaves_nothing_doubled_and_nothing_missing(
    project: Project, tmp_path: Path
) -> None:
    path = os.pathsep.join([str(Path(__file__).parents[3]), *filter(None, sys.path)])
    killed = 0
    for number, delay in enumerate(_DELAYS):
        publisher = subprocess.Popen(
            [sys.executable, "-c", _PUBLISH, str(tmp_path / f"exports_{number}")],
            cwd=project.root,
            env={**os.environ, "PYTHONPATH": path},
            stdout=subprocess.PIPE,
        )
        assert publisher.stdout is not None
        assert publisher.stdout.readline() == b"ready\n"
        try:
            publisher.wait(delay)
        except subprocess.TimeoutExpired:
            publisher.kill()
            killed += 1
        publisher.wait(60)
        publisher.stdout.close()
    assert killed >= 2
    project.publish()
    best = {"none": 1, "frozen": 0, "code": 0}
    assert project.current() == sorted(f"{name} {run_id(name, best[name])}" for name in best)
    assert [model.status for model in project.logged()] == ["READY"] * 3
    assert project.versions() == ["none*"]
    assert project.publish() == []
    client = project.client
    for model in project.logged():
        assert len(client.get_metric_history(model.source_run_id, "mse")) == 1
        outputs = client.get_run(model.source_run_id).outputs.model_outputs
        assert [output.model_id for output in outputs] == [model.model_id]
