"""The same through ``mlflow server``, which keeps the artifacts."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.tracking.models.conftest import Project, run_id
from tests.tracking.servers import Server

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    place = tmp_path_factory.mktemp("server")
    made = Server(f"sqlite:///{place / 'mlflow.db'}", place)
    made.start()
    yield made.uri
    made.stop()


def test_models_are_logged_registered_and_fetched_through_a_server(
    project: Project, server: str, tmp_path: Path
) -> None:
    import mlflow

    from offset_autoencoder.serving.inference_model import load_model_folder

    said = project.write(tracking={"uri": server}).publish()
    assert said[-1].endswith("version 1: none, chosen by validation mse 0.4; test mse 0.4")
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
    facts = load_model_folder(place).metadata
    assert (facts.run, facts.test) == (run_id("none", 1), {"mse": 0.4, "psnr": -0.4})
    assert (
        project.write(mse={("none", 0): 0.3}).publish()[0] == "models: 1 served (1 new, 3 retired)"
    )
    assert project.versions() == ["none", "none*"]
