"""Real runs, served: by ``mlflow.pyfunc.load_model`` and over HTTP, with good and bad requests."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sklearn.datasets import load_digits
from tests.serving.small_project import make_project, runs_of
from tests.tracking.servers import free_port, serving

from offset_autoencoder.config import load_params
from offset_autoencoder.data.prepared import load_prepared
from offset_autoencoder.serving.inference_model import open_run
from offset_autoencoder.tracking.publish import publish
from offset_autoencoder.tracking.served_models import publishing_models

pytestmark = pytest.mark.slow

LOADED = """
import json, sys
import mlflow
from sklearn.datasets import load_digits
import numpy as np
import pandas as pd
from scipy.sparse import csr_array
model = mlflow.pyfunc.load_model("models:/offset-autoencoder@champion")
rows = json.loads(sys.argv[1])
x = load_digits().data[rows]
found = model.predict({"x": x})
given = model.predict({"x": x}, params={"offset": found["offset"].ravel().tolist()})
forms = [
    *({"x": x.astype(kind)} for kind in ("float32", "uint8", "int64", "float16")),
    {"x": x.tolist()}, {"x": x.reshape(-1, 8, 8)}, x, x.astype("uint8"), x.tolist(), csr_array(x),
    pd.DataFrame(x), pd.DataFrame(x.astype(int), columns=[f"pixel {i}" for i in range(64)]),
    pd.DataFrame({"x": list(x)}), pd.DataFrame({"x": x.tolist()}),
]
alike = [np.array_equal(model.predict(form)["reconstruction"], found["reconstruction"])
         for form in forms]
errors = []
for bad in (x[:, 1:], np.where(x == 0, np.nan, x), x.astype(str)):
    try:
        model.predict({"x": bad})
    except mlflow.MlflowException as error:
        errors.append(error.get_http_status_code())
import offset_autoencoder
print(json.dumps({
    "mse": float(np.mean(((found["reconstruction"] - x) / 16) ** 2)),
    "same": bool((given["reconstruction"] == found["reconstruction"]).all()),
    "errors": errors,
    "alike": alike,
    "code": offset_autoencoder.__file__,
}))
"""


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    root = tmp_path_factory.mktemp("served")
    make_project(root)
    (root / "src" / "custom").mkdir(parents=True)
    (root / "src" / "custom" / "mine.py").touch()
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(root)
        for name in ("MLFLOW_TRACKING_URI", "DVC_ROOT"):
            patch.delenv(name, raising=False)
        patch.setenv("PYTHONPATH", f"{root}{os.pathsep}{os.environ.get('PYTHONPATH', '')}")
        params = load_params()
        with publishing_models(params) as models:
            publish(params)
            said = models.finish()
        assert said[0] == "models: 11 served (11 new)"
        yield root


def outside(root: Path, tmp_path: Path) -> dict[str, Any]:
    """Environment of a process that has the store and nothing else of the project."""
    environment = {**os.environ, "MLFLOW_TRACKING_URI": f"sqlite:///{root / 'mlflow.db'}"}
    environment["PYTHONPATH"] = str(root)  # for the module of the user's function
    return {"cwd": tmp_path, "env": environment}


def test_code_of_the_user_goes_with_the_model_that_needs_it(project: Path) -> None:
    (mine,) = (project / "mlartifacts").rglob("code/custom/mine.py")
    (served,) = mine.parents[2].rglob("served.json")
    assert json.loads(served.read_text())["offset_kind"] == "function"


def test_a_champion_that_is_loaded_does_what_evaluate_measured(
    project: Path, tmp_path: Path
) -> None:
    rows = load_prepared().test.ids.tolist()
    done = subprocess.run(
        [sys.executable, "-c", LOADED, json.dumps(rows)],
        **outside(project, tmp_path),
        capture_output=True,
        text=True,
        check=True,
    )
    found = json.loads(done.stdout.splitlines()[-1])
    alone = {
        name: row
        for name, row in runs_of(project, best=True).items()
        if name not in ("class_code", "interference", "table")
    }
    best = min(alone.values(), key=lambda row: float(row["mse_validation"]))
    np.testing.assert_allclose(found["mse"], float(best["mse"]), rtol=1e-5)
    assert found["same"]
    assert found["alike"] == [True] * 14
    assert found["errors"] == [400, 400, 400]
    assert found["code"].startswith(str(project / "mlartifacts"))  # its own, not the project's


@pytest.fixture(scope="module")
def server(project: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The model ``table``, whose offset has to be given, behind ``mlflow models serve``."""
    from mlflow.tracking import MlflowClient

    client = MlflowClient(f"sqlite:///{project / 'mlflow.db'}")
    experiment = client.get_experiment_by_name("offset-autoencoder")
    assert experiment is not None
    logged = client.search_logged_models([experiment.experiment_id])
    identity = next(model.model_id for model in logged if model.name == "table")
    port, place = free_port(), tmp_path_factory.mktemp("server")
    command = [sys.executable, "-m", "mlflow", "models", "serve", "--env-manager", "local"]
    command += ["-m", f"models:/{identity}", "-h", "127.0.0.1", "-p", str(port)]
    address = f"http://127.0.0.1:{port}"
    with serving(command, f"{address}/ping", place, outside(project, place)["env"]):
        yield address


def ask(server: str, body: Any) -> tuple[int, Any]:
    request = urllib.request.Request(
        f"{server}/invocations", json.dumps(body).encode(), {"Content-Type": "application/json"}
    )
    try:
        with urllib.request.urlopen(request) as answer:
            return answer.status, json.load(answer)
    except urllib.error.HTTPError as error:
        return error.code, json.load(error)["message"]


def test_a_server_answers_as_the_run_does_and_says_what_is_wrong(
    project: Path, server: str
) -> None:
    x = load_digits().data[:3]
    vectors = np.load(project / "data" / "raw" / "vectors.npy")[:3]
    inputs = {"x": x.tolist(), "offset": vectors.tolist()}
    status, answer = ask(server, {"inputs": inputs})
    assert status == 200
    expected = open_run(runs_of(project, best=True)["table"]["id"], project).apply(
        x, offset=vectors
    )
    for name, values in answer["predictions"].items():
        np.testing.assert_allclose(values, expected[name], rtol=1e-4, atol=1e-5)
    rows = [[*pixels, vector] for pixels, vector in zip(inputs["x"], inputs["offset"], strict=True)]
    columns = [*(f"f{i}" for i in range(64)), "offset"]
    pairs = list(zip(*inputs.values(), strict=True))
    for body in (
        {"inputs": {"x": x.astype(int).tolist(), "offset": vectors.tolist()}},
        {"instances": [{"x": x[i].tolist(), "offset": vectors[i].tolist()} for i in range(3)]},
        {"dataframe_split": {"columns": ["x", "offset"], "data": pairs}},
        {"dataframe_split": {"columns": columns, "data": rows}},
    ):
        status, again = ask(server, body)
        assert (status, again) == (200, answer)
    nan = [[float("nan")] * 64] * 3
    for bad, said in (
        ({"x": inputs["x"]}, "offset: missing (its offset is a table of known samples"),
        ({**inputs, "x": x[:, :63].tolist()}, "x: has shape (3, 63), expected (samples, 64)"),
        ({**inputs, "offset": vectors[:2].tolist()}, "offset: has shape (2, 4), expected (3, 4)"),
        ({**inputs, "x": nan}, "x: row 0, column 0 is nan, a finite number is expected"),
        ({**inputs, "x": [["a"] * 64] * 3}, "x: must hold real numbers, its dtype is <U1"),
        ({**inputs, "x": [[1.0], [1.0, 2.0]]}, "inhomogeneous shape"),
    ):
        status, message = ask(server, {"inputs": bad})
        assert (status, said in message) == (400, True), message
