"""``errors``: the error of each sample of a file, and the thresholds of the validation split."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from tests.cli.conftest import FEATURES

from offset_autoencoder.data.varying import load_splits
from offset_autoencoder.io import arrays
from offset_autoencoder.serving.export import save_model_folder
from offset_autoencoder.serving.inference_model import load_model_folder, open_run

PERCENTILES = {"90": "0.9", "95": "0.95", "99": "0.99"}


@pytest.fixture
def samples(test_samples: pd.DataFrame, tmp_path: Path) -> Path:
    """The test samples, two of them far from all others."""
    far = test_samples.copy()
    far.loc[far.index[[3, 7]], FEATURES] *= 30
    path = tmp_path / "new.csv"
    far[[*reversed(FEATURES), "name", "kind"]].to_csv(path, index=False)
    return path


@pytest.fixture
def measure(command: Any, samples: Path, tmp_path: Path) -> Any:
    """Run ``errors``, which succeeds; what it printed, and the table that it wrote."""

    def run(model: str, *options: str | Path, suffix: str = ".csv") -> tuple[list[str], Any]:
        output = tmp_path / f"out{suffix}"
        result = command("errors", model, samples, output, "--force", *options)
        assert result.exit_code == 0, result.stderr
        read = {".csv": pd.read_csv, ".parquet": pd.read_parquet, ".npy": np.load}[suffix]
        return result.stdout.splitlines(), read(output)

    return run


def first(runs: pd.DataFrame, model: str) -> Any:
    return runs[runs["model"] == model].iloc[0]


@pytest.mark.parametrize("model", ["plain", "projection", "known", "wide"])
def test_errors_are_those_of_the_reports(
    model: str, measure: Any, runs: pd.DataFrame, trained: Path, test_samples: pd.DataFrame
) -> None:
    run = first(runs, model)
    printed, table = measure(run["id"])
    assert list(table.columns) == ["id", "mse", "above_percentile"]
    assert list(table["id"]) == list(test_samples["name"])
    reported = pd.read_parquet(trained / "reports" / "errors" / "test.parquet")
    own = reported[reported["seed"] == run["seed"]].set_index("id")[run["setting"]]
    near = ~np.isin(np.arange(len(table)), [3, 7])
    np.testing.assert_allclose(table["mse"][near], own[table["id"][near]], rtol=1e-4)
    thresholds = pd.read_csv(trained / "reports" / "errors" / "thresholds.csv").set_index("id")
    bounds = thresholds.loc[run["id"]]
    expected = np.zeros(len(table))
    for percentile, quantile in PERCENTILES.items():
        above = table["mse"] > bounds[f"quantile_{quantile}"]
        expected[above] = float(percentile)
        assert (
            f"{percentile} % {bounds[f'quantile_{quantile}']:.4g} ({above.sum()} above)"
            in (printed[1])
        )
    np.testing.assert_array_equal(table["above_percentile"], expected)
    assert table["above_percentile"][3] == table["above_percentile"][7] == 99
    mean = f"mean mse {table['mse'].mean():.3g}"
    assert mean[:-1] in printed[0]


def test_the_error_of_a_sample_is_the_mean_over_its_features(
    measure: Any, runs: pd.DataFrame
) -> None:
    run = first(runs, "projection")["id"]
    for metric in ("mse", "mae"):
        _, table = measure(run, "--per-feature", "--metric", metric, suffix=".parquet")
        lead = ["id", *dict.fromkeys([metric, "mse"]), "above_percentile"]
        assert list(table.columns) == [*lead, *(f"error_{name}" for name in FEATURES)]
        of_features = table[[f"error_{name}" for name in FEATURES]]
        np.testing.assert_allclose(of_features.mean(axis=1), table[metric], rtol=1e-5)
    model = open_run(run)
    x = np.random.default_rng(0).normal(size=(5, 6))
    scaled = model._scaled(x, {})
    squares = np.square(model.reconstruct(scaled, is_scaled=True) - scaled)
    np.testing.assert_allclose(model.errors(x, per_feature=True), squares, rtol=1e-4)
    np.testing.assert_allclose(model.errors(x), squares.mean(axis=1), rtol=1e-4)


def test_a_threshold_of_ones_own(measure: Any, runs: pd.DataFrame) -> None:
    printed, array = measure(first(runs, "plain")["id"], "--threshold", "2", suffix=".npy")
    assert array.shape == (24, 2)
    np.testing.assert_array_equal(array[:, 1], array[:, 0] > 2)
    assert printed[1] == f"above 2: {int(array[:, 1].sum())} of 24"
    assert array[[3, 7], 1].tolist() == [1, 1]


def test_chunk_by_chunk_it_is_the_same(
    measure: Any, runs: pd.DataFrame, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = first(runs, "projection")["id"]
    said, whole = measure(run)
    monkeypatch.setattr(arrays, "CHUNK_VALUES", 5 * len(FEATURES))
    again, pieces = measure(run)
    assert again[1] == said[1]
    pd.testing.assert_frame_equal(pieces, whole, rtol=1e-5)


def test_labels_and_offsets_are_given_as_to_reconstruct(
    measure: Any, command: Any, runs: pd.DataFrame, samples: Path, tmp_path: Path
) -> None:
    run = first(runs, "kinds")["id"]
    _, own = measure(run)
    pd.read_csv(samples).drop(columns="kind").to_csv(tmp_path / "bare.csv", index=False)
    result = command("errors", run, tmp_path / "bare.csv", tmp_path / "no.csv")
    assert result.exit_code == 1
    assert result.stderr.startswith("error: --label: missing: the model's offset, class_code")
    np.save(tmp_path / "zeros.npy", np.zeros((24, 3), np.float32))
    _, without = measure(run, "--offset", tmp_path / "zeros.npy")
    assert not np.allclose(own["mse"], without["mse"], rtol=1e-3)


def test_a_saved_model_brings_its_thresholds(
    measure: Any, runs: pd.DataFrame, tmp_path: Path
) -> None:
    run = first(runs, "projection")["id"]
    said, expected = measure(run)
    save_model_folder(tmp_path / "saved", open_run(run))
    printed, table = measure(tmp_path / "saved")
    assert printed[1] == said[1]
    pd.testing.assert_frame_equal(table, expected, rtol=1e-5)
    model = load_model_folder(tmp_path / "saved")
    assert set(model.thresholds) == {"mse", "mae"}  # its output is linear, and x beyond [0, 1]
    errors = model.split_errors(load_splits().of(0), "validation", None)["mae"]
    assert model.thresholds["mae"]["0.95"] == pytest.approx(np.quantile(errors, 0.95), rel=1e-5)
    document = (tmp_path / "saved" / "served.json").read_text()
    assert '"thresholds"' in document
    older = model.metadata.model_copy(update={"thresholds": {}})
    from offset_autoencoder.serving.metadata import write_metadata

    write_metadata(tmp_path / "saved", older)
    printed, table = measure(tmp_path / "saved")
    assert printed[1].startswith("no thresholds: the model brings none in mse (--threshold)")
    assert list(table.columns) == ["id", "mse"]


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--metric", "psnr"], "--metric: 'psnr' is no error of a sample (known are"),
        (["--metric", "mean"], "--metric: 'mean' is no error of a sample"),
        (["--metric", "binary_crossentropy"], "binary_crossentropy is no error of these samples"),
        (["--threshold", "nan"], "--threshold: must be finite"),
        (["--threshold", "much"], "--threshold"),
    ],
)
def test_bad_input_is_one_line(
    options: list[str], said: str, command: Any, runs: pd.DataFrame, samples: Path, tmp_path: Path
) -> None:
    result = command("errors", first(runs, "plain")["id"], samples, tmp_path / "o.csv", *options)
    assert result.exit_code == 1
    (line,) = result.stderr.splitlines()
    assert said in line
    assert not (tmp_path / "o.csv").exists()
