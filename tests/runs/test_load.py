from __future__ import annotations

import dataclasses
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from offset_autoencoder.errors import InputError
from offset_autoencoder.io.files import read_json, read_npz, write_json, write_npz
from offset_autoencoder.models.backend import keras
from offset_autoencoder.runs.files import TrainedRun, write_run
from offset_autoencoder.runs.load import find_run, load_run, open_model
from offset_autoencoder.runs.spec import IdentifiedRun

X = np.random.default_rng(0).random((5, 6), dtype=np.float32)
OFFSET = np.random.default_rng(1).normal(size=(5, 3)).astype(np.float32)


def relu(x: Any) -> Any:
    return np.maximum(x, 0)


def reconstruct(w: list[Any], offset: Any) -> Any:
    """The equation, by hand, for one hidden layer."""
    w = [value.astype(np.float64) for value in w]
    code = relu(X @ w[0] + w[1]) @ w[2] + w[3]
    code /= np.linalg.norm(code, axis=1, keepdims=True)
    return 1 / (1 + np.exp(-(relu((code + offset) @ w[4] + w[5]) @ w[6] + w[7])))


@pytest.fixture(scope="module")
def runs(make_runs: Callable[..., list[IdentifiedRun]]) -> list[IdentifiedRun]:
    return make_runs()


@pytest.fixture
def trained(make_trained: Callable[..., tuple[TrainedRun, list[str]]]) -> TrainedRun:
    return make_trained()[0]


@pytest.fixture
def models(
    tmp_path: Path,
    runs: list[IdentifiedRun],
    make_trained: Callable[..., tuple[TrainedRun, list[str]]],
) -> Path:
    """A ``models/`` with all the runs, the last one diverged; all have the same weights."""
    for run in runs:
        trained, names = make_trained(diverged=run is runs[-1])
        write_run(tmp_path / "models" / "runs" / run.id, run.spec, trained, names)
    return tmp_path / "models"


def test_computes_what_the_run_learned(
    models: Path, runs: list[IdentifiedRun], trained: TrainedRun
) -> None:
    model = load_run(runs[0].id, models)
    assert isinstance(model, keras.Model)
    assert {tensor.name for tensor in model.inputs} == {"x", "offset"}
    for value, expected in zip(model.get_weights(), trained.weights or [], strict=True):
        np.testing.assert_array_equal(value, expected)
    output = np.asarray(model({"x": X, "offset": OFFSET}))
    np.testing.assert_allclose(output, reconstruct(trained.weights or [], OFFSET), rtol=1e-4)


@pytest.mark.parametrize("how", ["id", "prefix", "folder", "folder as text"])
def test_a_run_is_found_by_id_prefix_or_folder(
    models: Path, runs: list[IdentifiedRun], how: str
) -> None:
    folder = models / "runs" / runs[0].id
    names: dict[str, str | Path] = {
        "id": runs[0].id,
        "prefix": runs[0].id[:12],
        "folder": folder,
        "folder as text": str(folder),
    }
    assert find_run(names[how], models) == folder


def test_a_run_is_found_in_the_project_by_default(
    models: Path, runs: list[IdentifiedRun], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(models.parent)
    assert load_run(runs[0].id[:20]).count_params() == 4 * 7 + 3 * 5 + 4 * 4 + 6 * 5


def test_a_name_that_fits_no_run_or_several_is_one_line(
    models: Path, runs: list[IdentifiedRun], tmp_path: Path
) -> None:
    for name in ("", "xyz", "*", "**", "[", f"{runs[0].id}0", tmp_path / "absent", "../runs"):
        with pytest.raises(InputError, match=r"no run of .*models has an id that begins so"):
            load_run(name, models)
    with pytest.raises(InputError, match=r"no run of .* has an id"):
        load_run(runs[0].id, tmp_path / "no models")
    first = runs[0].id
    (models / "runs" / f"{first[:20]}0").mkdir()
    shutil.copy(models / "runs" / first / "spec.json", models / "runs" / f"{first[:20]}0")
    several = f"2 runs have an id that begins so: {first[:12]}, {first[:12]} .give more digits"
    with pytest.raises(InputError, match=several):
        find_run(first[:12], models)


def test_a_run_is_found_in_the_store_too(
    models: Path, runs: list[IdentifiedRun], tmp_path: Path
) -> None:
    store = tmp_path / ".runs"
    shutil.copytree(models / "runs" / runs[0].id, store / runs[0].id)
    assert find_run(runs[0].id, models, store) == models / "runs" / runs[0].id
    shutil.rmtree(models)
    assert find_run(runs[0].id, models, store) == store / runs[0].id
    with pytest.raises(InputError, match=r"no run of .*models or \.runs has an id"):
        find_run(runs[1].id, models, store)


def test_a_run_that_diverged_cannot_be_loaded(models: Path, runs: list[IdentifiedRun]) -> None:
    with pytest.raises(InputError, match="the run diverged: it has no weights"):
        load_run(runs[-1].id, models)


def test_damaged_weights_are_one_line(models: Path, runs: list[IdentifiedRun]) -> None:
    path = models / "runs" / runs[0].id / "weights.npz"
    document = read_json(path.with_name("spec.json"))
    del document["digests"], document["sha256"]  # as of a run that was trained before there were
    write_json(path.with_name("spec.json"), document)
    weights = read_npz(path)
    first = next(iter(weights))
    wrong: list[dict[str, Any]] = [
        {name: value for name, value in weights.items() if name != first},
        {**weights, "more": np.zeros(3, np.float32)},
        {**weights, first: weights[first].T},
    ]
    for arrays in wrong:
        write_npz(path, arrays)
        with pytest.raises(InputError, match="its weights do not fit the network"):
            load_run(runs[0].id, models)
    path.unlink()
    with pytest.raises(InputError, match=r"weights\.npz: no such file"):
        load_run(runs[0].id, models)


def test_the_factor_of_the_offset_is_in_the_model(
    models: Path, runs: list[IdentifiedRun], trained: TrainedRun, tmp_path: Path
) -> None:
    spec = dataclasses.replace(runs[0].spec, offset_factor=4.0)
    names = list(read_npz(models / "runs" / runs[0].id / "weights.npz"))
    write_run(models / "runs" / spec.id, spec, trained, names)
    model = load_run(spec.id, models)
    expected = reconstruct(trained.weights or [], 4 * OFFSET)
    output = np.asarray(model({"x": X, "offset": OFFSET}))
    np.testing.assert_allclose(output, expected, rtol=1e-4)
    model.save(tmp_path / "run.keras")
    again = keras.saving.load_model(tmp_path / "run.keras", safe_mode=True)
    np.testing.assert_array_equal(again({"x": X, "offset": OFFSET}), output)
    added = open_model(models / "runs" / spec.id, scales_offset=False)
    np.testing.assert_allclose(added({"x": X, "offset": 4 * OFFSET}), output, rtol=1e-5)


def test_noise_is_active_in_training_only(
    models: Path, runs: list[IdentifiedRun], trained: TrainedRun
) -> None:
    noisy = next(run for run in runs if run.run.setting.spec.stddev == 0.2)
    model = load_run(noisy.id, models)
    inputs = {"x": X, "offset": OFFSET}
    still = np.asarray(model(inputs))
    np.testing.assert_allclose(still, reconstruct(trained.weights or [], OFFSET), rtol=1e-4)
    assert not np.allclose(np.asarray(model(inputs, training=True)), still, atol=1e-3)
    assert model.get_layer("noise").stddev == pytest.approx(0.2)
