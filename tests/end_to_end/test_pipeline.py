"""The pipeline as a user runs it: real DVC, a real MLflow store, every stage in its process."""

from __future__ import annotations

import csv
import hashlib
import re
import sys
from pathlib import Path

import pytest
from tests.end_to_end.project import commit, fresh_project, published, run

PARAMS = """\
seeds: 2
data: {source: digits}
split: {}
offsets:
  none: {kind: zero}
  frozen: {kind: hash}
network: {latent_dim: 4, hidden: [8]}
train: {epochs: 3, patience: null}
models:
  none: {offset: none}
  gaussian: {offset: none, stddev: [0.1, 0.2]}
  frozen: {offset: frozen, rms: 0.1}
evaluate: {}
tracking: {live_after: null}
"""

EVERYTHING = """\
seeds: 2
data: {source: digits}
split: {}
offsets:
  none: {kind: zero}
  projection: {kind: random_projection}
  centroid: {kind: kmeans}
  reference: {kind: encoder, epochs: 3, hidden: [8]}
  worst_case: {kind: adversarial, epochs: 3, hidden: [8], steps: 3}
  signal: {kind: interference}
network: {latent_dim: 4, hidden: [8]}
train: {epochs: 2, patience: null, batch_size: 128}
models:
  none: {offset: none}
  gaussian: {offset: none, stddev: 0.1}
  centroid: {offset: centroid, rms: 0.1}
  reference: {offset: reference, rms: 0.1}
  worst_case: {offset: worst_case, rms: 0.1}
  signal: {offset: signal, rms: 0.1, stddev: 0.1}
  concatenate: {system: concatenate, offset: projection, rms: 0.1, stddev: 0.1}
  two_encoder: {system: two_encoder, rms: 0.1}
  frozen_encoder: {system: two_encoder, frozen: true, second_hidden: [5]}
  wide: {system: wide, match: two_encoder}
  ensemble: {system: ensemble, encoders: 3, combine: sum}
  vae: {system: vae, warmup: 1}
  convolutional: {kind: convolutional, filters: [4, 4]}
  mine: {system: function, function: custom.mine:build, offset: projection, rms: 0.1}
evaluate: {}
tracking: {live_after: null}
"""
MINE = """\
import keras


def build(input_dim, latent_dim, seed):
    x = keras.Input((input_dim,), name="x")
    offset = keras.Input((latent_dim,), name="offset")
    hidden = keras.layers.Dense(6, kernel_initializer=keras.initializers.GlorotUniform(seed))(x)
    normal = keras.layers.BatchNormalization()(hidden)
    code = keras.layers.Dense(
        latent_dim, kernel_initializer=keras.initializers.GlorotUniform(seed + 1), name="code"
    )(normal)
    out = keras.layers.Dense(
        input_dim, "sigmoid", kernel_initializer=keras.initializers.GlorotUniform(seed + 2)
    )(code + offset)
    return keras.Model({"x": x, "offset": offset}, out)
"""

LOADING = """\
import csv, sys
import numpy as np
sys.path.insert(0, "src")
from offset_autoencoder import load_run
from offset_autoencoder.models.backend import keras

x = {"x": np.ones((3, 64), "f"), "offset": np.ones((3, 4), "f")}
rows = [row for row in csv.DictReader(open("models/index.csv")) if row["seed"] == "1"]
for row in rows:
    run = load_run(row["id"])
    run.save("run.keras")
    again = keras.saving.load_model("run.keras", safe_mode=True)
    np.testing.assert_array_equal(again(x), run(x))
print(len(rows), "loaded")
"""

pytestmark = pytest.mark.slow


def digests(folder: Path) -> dict[str, str]:
    """The SHA-256 of everything that DVC tracks of the outputs."""
    outputs = [folder / "data" / "prepared", folder / "data" / "offsets", folder / "models"]
    outputs += [folder / "reports"]
    files = [f for output in outputs for f in sorted(output.rglob("*")) if f.is_file()]
    return {
        str(file.relative_to(folder)): hashlib.sha256(file.read_bytes()).hexdigest()
        for file in files
        if file.name != "times.npz"
    }


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project after its first ``dvc repro``."""
    folder = fresh_project(tmp_path_factory.mktemp("end_to_end") / "project", PARAMS)
    output = run(folder, "dvc", "repro")
    assert "runs: 8 (8 trained, 0 reused)" in output
    assert "published: 8 runs (8 new)" in output
    assert len(published(folder)) == 8
    assert {status for _, status in published(folder)} == {"FINISHED"}
    commit(folder)
    return folder


def test_from_scratch_again_is_the_same_to_the_byte(project: Path, tmp_path: Path) -> None:
    other = fresh_project(tmp_path / "other", PARAMS)
    assert "8 trained" in run(other, "dvc", "repro", "evaluate")
    assert digests(other) == digests(project)


def test_only_what_is_new_trains_and_old_params_train_nothing(project: Path) -> None:
    before, params = digests(project), project / "params.yaml"
    params.write_text(PARAMS.replace("stddev: [0.1, 0.2]", "stddev: [0.1, 0.2, 0.3]"))
    output = run(project, "dvc", "repro")
    assert "runs: 10 (2 trained, 8 reused)" in output
    assert "(2 new" in output
    params.write_text(PARAMS)
    output = run(project, "dvc", "repro")
    assert "trained, " not in output or "(0 trained, 8 reused)" in output
    assert digests(project) == before
    assert len(published(project)) == 10


def test_a_store_that_was_deleted_comes_back_without_training(project: Path) -> None:
    (project / "mlflow.db").unlink()
    output = run(project, "dvc", "repro")
    assert re.findall("Running stage '(.*)'", output) == ["publish"]
    assert len(published(project)) == 8


def test_an_experiment_with_a_swept_value_trains_the_new_runs(project: Path) -> None:
    output = run(project, "dvc", "exp", "run", "-S", "models.gaussian.stddev=[0.1,0.4]")
    assert "runs: 8 (2 trained, 6 reused)" in output
    run(project, "git", "checkout", "--quiet", ".")
    run(project, "dvc", "checkout")


def test_a_typing_error_stops_at_the_first_stage(tmp_path: Path) -> None:
    folder = fresh_project(tmp_path / "typo", PARAMS.replace("epochs:", "epoch:"))
    output = run(folder, "dvc", "repro", fails=True)
    assert "error: params.yaml: train.epoch: unknown key (did you mean 'epochs'?)" in output
    assert "Traceback" not in output
    assert not (folder / "data" / "prepared").exists()


def test_every_system_and_kind_goes_through_every_stage(tmp_path: Path) -> None:
    folder = fresh_project(tmp_path / "everything", EVERYTHING)
    (folder / "src" / "custom" / "mine.py").write_text(MINE)
    output = run(folder, "dvc", "repro")
    assert "runs: 28 (28 trained, 0 reused)" in output
    assert "published: 28 runs (28 new)" in output
    assert "Traceback" not in output
    with (folder / "reports" / "runs.csv").open(newline="") as stream:
        rows = list(csv.DictReader(stream))
    assert {row["status"] for row in rows} == {"finished"}
    assert all(float(row["mse"]) > 0 for row in rows)
    parameters = {row["model"]: int(row["trainable_parameters"]) for row in rows}
    assert abs(parameters["wide"] / parameters["two_encoder"] - 1) <= 0.01
    assert all(float(row["elbo"]) < 0 for row in rows if row["model"] == "vae")
    with (folder / "reports" / "verdicts.csv").open(newline="") as stream:
        judged = {row["model"] for row in csv.DictReader(stream)}
    added = {"centroid", "reference", "worst_case", "signal", "concatenate", "mine"}
    assert judged == added | {"two_encoder", "frozen_encoder"}
    assert "14 loaded" in run(folder, sys.executable, "-c", LOADING)


def test_plots_and_metrics_are_shown(project: Path, tmp_path: Path) -> None:
    assert "none.mse.mean" in run(project, "dvc", "metrics", "show")
    run(project, "dvc", "plots", "show", "--out", str(tmp_path / "plots"))
    page = (tmp_path / "plots" / "index.html").read_text()
    for title in (
        "Best validation loss",
        "against each baseline",
        "Test metric of each",
        "exchanged on unseen and on training samples",
        "Gaussian noise on top of the code",
        "scaled at test time",
    ):
        assert title in page
