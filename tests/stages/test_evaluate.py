from __future__ import annotations

import contextlib
import csv
import io
import json
import pickle
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd
import pytest

from offset_autoencoder import load_params, load_prepared, load_run, load_splits, load_table
from offset_autoencoder.config import SPLITS
from offset_autoencoder.config.schema import Evaluate
from offset_autoencoder.data.prepared import PreparedSplit
from offset_autoencoder.errors import InputError
from offset_autoencoder.evaluation import metrics, run_evaluation
from offset_autoencoder.evaluation.examples import Reconstructions, codes, reconstructions
from offset_autoencoder.reporting.wording import full_label
from offset_autoencoder.runs.load import load_finished_run, open_model
from offset_autoencoder.stages import evaluate

Experiment = Any  # conftest's, which tests cannot import
LINEAR = {"loss": "mean_squared_error", "output": "linear"}
MODELS: dict[str, Any] = {
    "linear": {"offset": "frozen", "rms": 0.2, **LINEAR, "learning_rate": [0.01, 1e30]},
    "none": {"offset": "none"},
    "noise": {"offset": "none", "stddev": [0, 0.2]},  # at 0 the very runs of none
    "both": {"offset": "frozen", "rms": 0.5, "stddev": 0.1},
}
FILES = [
    "comparison.csv",
    "errors/test.parquet",
    "errors/thresholds.csv",
    "index.html",
    "interventions.csv",
    "metrics.json",
    "plots/codes.csv",
    "plots/comparison.csv",
    "plots/comparison.png",
    "plots/interventions.csv",
    "plots/interventions.png",
    "plots/learning_curves.csv",
    "plots/learning_curves.png",
    "plots/offset_scales.csv",
    "plots/offset_scales.png",
    "plots/probes.png",
    "plots/reconstructions.png",
    "plots/robustness.csv",
    "plots/robustness.png",
    "plots/settings.csv",
    "plots/test_metric.png",
    "probes.csv",
    "runs.csv",
    "tuned.csv",
    "verdicts.csv",
]
METRICS = ["mse", "mae", "binary_crossentropy", "psnr", "explained_variance"]
SUFFIXES = ("", "_as_trained", "_clean", "_validation")


@pytest.fixture(scope="module")
def evaluated(
    experiment: Experiment, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Path, list[str]]:
    """A project, trained and evaluated once, and what the evaluation printed."""
    folder = tmp_path_factory.mktemp("evaluated")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.delenv("DVC_ROOT", raising=False)
        patch.setenv("COLUMNS", "80")
        experiment.prepare(models=MODELS)
        experiment.train()
        return folder, experiment.evaluate()


@pytest.fixture
def project(
    evaluated: tuple[Path, list[str]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Path:
    """A copy of that project, as the working folder."""
    folder = tmp_path / "project"
    shutil.copytree(evaluated[0], folder)
    monkeypatch.chdir(folder)
    monkeypatch.delenv("DVC_ROOT", raising=False)
    return folder


def table(path: str) -> list[dict[str, str]]:
    with Path(path).open(newline="") as stream:
        return list(csv.DictReader(stream))


def test_every_report_is_there(project: Path, experiment: Experiment) -> None:
    assert list(experiment.contents("reports")) == FILES


def test_every_run_is_a_row_with_every_metric_that_applies(project: Path) -> None:
    rows, index = table("reports/runs.csv"), table("models/index.csv")
    columns = [f"{name}{suffix}" for name in METRICS for suffix in SUFFIXES]
    columns.append("trainable_parameters")
    named = ["id", "model", "setting", "learning_rate", "stddev", "rms", "seed", "engine", "status"]
    assert list(rows[0]) == [*named, *columns]
    for row, indexed in zip(rows, index, strict=True):
        for key in (name for name in named if indexed.get(name)):  # a value that is swept
            same = row[key] == indexed[key]
            assert same or float(row[key]) == float(indexed[key]), key
        there = [column for column in columns if row[column]]
        if row["status"] == "diverged":
            assert there == []
        elif row["model"] == "linear":
            assert there == [c for c in columns if not c.startswith("binary_crossentropy")]
        else:
            assert there == columns
    assert [row["status"] for row in rows].count("diverged") == 2


@pytest.mark.parametrize("label", ["linear learning_rate=0.01", "none", "noise stddev=0.2", "both"])
def test_the_numbers_are_those_of_the_loaded_run(project: Path, label: str) -> None:
    run = next(run for run in load_params().runs if run.setting.label == label and run.seed == 1)
    row = table("reports/runs.csv")[load_params().runs.index(run)]
    spec = json.loads((Path("models/runs") / row["id"] / "spec.json").read_text())
    vectors = load_table(Path("data/offsets"), str(run.setting.spec.offset), 4, run.seed)
    x = np.asarray(load_splits().of(run.seed).test.x)
    own = np.asarray(vectors.test) * np.float32(spec["offset_factor"])
    draws = np.random.default_rng(np.random.SeedSequence(0, spawn_key=(1,)))
    noise = draws.standard_normal(own.shape, dtype=np.float32)
    stddev = np.float32(run.setting.spec.stddev)
    if run.setting.spec.rms:
        train = np.asarray(vectors.train, np.float64) * spec["offset_factor"]
        assert np.sqrt((train**2).mean()) == pytest.approx(run.setting.spec.rms)
    model = open_model(Path("models/runs") / row["id"], scales_offset=False)
    for suffix, added in (("", own), ("_as_trained", own + stddev * noise), ("_clean", 0 * own)):
        out = np.asarray(model.predict({"x": x, "offset": added}, verbose=0), np.float64)
        error = ((out - x) ** 2).mean()
        assert float(row[f"mse{suffix}"]) == pytest.approx(error, rel=1e-5)
        assert float(row[f"mae{suffix}"]) == pytest.approx(abs(out - x).mean(), rel=1e-5)
        assert float(row[f"psnr{suffix}"]) == pytest.approx(10 * np.log10(1 / error), rel=1e-5)
        share = 1 - error / x.astype(np.float64).var(axis=0).mean()
        assert float(row[f"explained_variance{suffix}"]) == pytest.approx(share, rel=1e-4)
    x = np.asarray(load_splits().of(run.seed).validation.x)
    own = np.asarray(vectors.validation) * np.float32(spec["offset_factor"])
    out = np.asarray(model.predict({"x": x, "offset": own}, verbose=0), np.float64)
    assert float(row["mse_validation"]) == pytest.approx(((out - x) ** 2).mean(), rel=1e-5)


def test_settings_are_summarised_over_their_finished_runs(project: Path) -> None:
    tree = json.loads(Path("reports/metrics.json").read_text())
    assert {model: list(tree[model]) for model in ("linear", "noise")} == {
        "linear": ["learning_rate=0.01", "learning_rate=1e+30"],
        "noise": ["stddev=0", "stddev=0.2"],
    }
    values = [float(row["mae"]) for row in table("reports/runs.csv") if row["model"] == "both"]
    assert tree["both"]["mae"]["mean"] == pytest.approx(np.mean(values))
    assert tree["linear"]["learning_rate=1e+30"] == {"diverged": 2}
    assert tree["none"]["mse"] == tree["noise"]["stddev=0"]["mse"]


def test_settings_that_share_their_runs_are_both_shown(project: Path) -> None:
    curves = table("reports/plots/learning_curves.csv")
    assert list(dict.fromkeys(row["setting"] for row in curves)) == [
        "linear learning_rate=0.01",
        "none",
        "noise stddev=0",
        "noise stddev=0.2",
        "both",
    ]
    none, noise = (
        [row["mean"] for row in curves if row["setting"] == label]
        for label in ("none", "noise stddev=0")
    )
    assert none == noise


def test_errors_of_test_samples_are_those_of_each_seeds_split(project: Path) -> None:
    errors = pd.read_parquet("reports/errors/test.parquet")
    assert list(errors.columns[:3]) == ["seed", "id", "label"]
    assert list(errors.columns[3:]) == [setting.label for setting in load_params().settings]
    rows = {(row["setting"], row["seed"]): row for row in table("reports/runs.csv")}
    for seed, own in errors.groupby("seed", sort=False):
        data = load_splits().of(int(str(seed))).test
        np.testing.assert_array_equal(own["id"], data.ids)
        np.testing.assert_array_equal(own["label"], data.y)  # digits are their own index
        for label in errors.columns[3:]:
            row = rows[label, str(seed)]
            if row["status"] == "diverged":
                assert own[label].isna().all()
            else:
                assert own[label].mean() == pytest.approx(float(row["mse"]), rel=1e-5)
    thresholds = table("reports/errors/thresholds.csv")
    assert [row["id"] for row in thresholds] == [
        row["id"] for row in rows.values() if row["status"] == "finished"
    ]
    row = next(row for row in thresholds if (row["model"], row["seed"]) == ("none", "1"))
    x = np.asarray(load_splits().of(1).validation.x)
    output = np.asarray(load_run(row["id"])({"x": x, "offset": np.zeros((len(x), 4))}))
    expected = np.quantile(np.mean((output - x) ** 2, axis=1), [0.9, 0.95, 0.99])
    found = [float(row[f"quantile_{q}"]) for q in ("0.9", "0.95", "0.99")]
    assert row["metric"] == "mse"
    assert found == pytest.approx(expected.tolist(), rel=1e-4)


def test_a_curve_is_the_mean_of_its_runs(project: Path) -> None:
    last = [row for row in table("reports/plots/learning_curves.csv") if row["setting"] == "both"]
    histories = [
        min(float(row["val_loss"]) for row in table(f"models/runs/{run['id']}/history.csv"))
        for run in table("models/index.csv")
        if run["model"] == "both"
    ]
    assert float(last[-1]["mean"]) == pytest.approx(np.mean(histories))


def test_the_table_is_printed(evaluated: tuple[Path, list[str]]) -> None:
    printed = evaluated[1]
    assert "mean squared error on the test split" in printed[0]
    for label in ("none", "noise stddev=0", "noise stddev=0.2", "both"):
        assert any(line.strip().startswith(label) for line in printed), label
    assert "diverged: `linear learning_rate=1e+30`, 2 of 2 runs" in printed
    assert max(map(len, printed)) <= 80


def test_a_second_evaluation_is_the_same_bytes(
    project: Path, experiment: Experiment, evaluated: tuple[Path, list[str]]
) -> None:
    before = experiment.contents("reports")
    shutil.rmtree("reports")
    experiment.evaluate()
    assert experiment.contents("reports") == before


def trained(runs: Any) -> dict[str, Any]:
    return {run_id: (run, load_finished_run(Path("models"), run_id)) for run_id, run in runs}


def first_runs(runs: Any) -> Any:
    first: dict[str, Any] = {}
    for run_id, run in runs:
        first.setdefault(run.setting.label, (run_id, run))
    return list(first.values())


def pictured(data: Any, runs: Any) -> Reconstructions | None:
    names = [(full_label(run.setting), run_id) for run_id, run in runs]
    return reconstructions(data, trained(runs), names, evaluate.offsets_of(data))


def test_the_pictures_show_each_class_once_by_the_first_seed(project: Path) -> None:
    data, params = load_prepared(), load_params()
    pairs = zip(table("models/index.csv"), params.runs, strict=True)
    chosen = [(row["id"], run) for row, run in pairs if run.setting.label in ("none", "both")]
    shared = [(i, run) for i, run in chosen if run.setting.label == "none"]
    noise = next(run for run in params.runs if run.setting.label == "noise stddev=0")
    first = first_runs([*chosen, (shared[0][0], noise)])
    images = pictured(data, first)
    assert images is not None
    assert images.data_range == (0.0, 1.0)
    assert [label for label, _ in images.rows] == ["none", "both rms=0.5", "noise stddev=0"]
    assert images.originals.shape == (10, 8, 8)
    rows = [
        int(np.flatnonzero((data.test.x == original.ravel()).all(axis=1))[0])
        for original in images.originals
    ]
    assert data.test.y is not None
    assert sorted(data.test.y[rows]) == list(range(10))
    offset = load_table(Path("data/offsets"), "frozen", 4)
    as_they_came = np.asarray(offset.test)[rows]
    expected = load_run(chosen[2][0])({"x": data.test.x[rows], "offset": as_they_came})
    np.testing.assert_allclose(
        images.rows[1][1].reshape(10, 64), np.asarray(expected), rtol=1e-4, atol=1e-6
    )
    np.testing.assert_array_equal(images.rows[0][1], images.rows[2][1])
    names = [(run.setting.label, run_id) for run_id, run in first]
    points = codes(data, trained(first), names, evaluate.offsets_of(data))
    assert {point.setting for point in points} == {run.setting.label for _, run in first}


def test_samples_that_are_no_images_are_shown_as_they_are(project: Path) -> None:
    params = load_params()
    data = load_prepared()
    rows = replace(data.schema, image_shape=None, sequence_shape=None)
    series = replace(data.schema, image_shape=None, sequence_shape=[8, 8])
    data = replace(data, schema=rows)
    pairs = zip(table("models/index.csv"), params.runs, strict=True)
    first = first_runs([(row["id"], run) for row, run in pairs if run.setting.label == "none"])
    shown = pictured(data, first)
    assert shown is not None
    assert shown.originals.shape == (5, 64)
    assert [(name, row.shape) for name, row in shown.rows] == [("none", (5, 64))]
    own = shown.originals.reshape(5, 8, 8)
    for channels_first, expected in ((False, own), (True, own.transpose(0, 2, 1))):
        schema = replace(series, channels_first=channels_first)
        lines = pictured(replace(data, schema=schema), first)
        assert lines is not None
        assert (lines.originals.shape, lines.are_series) == ((5, 8, 8), True)
        np.testing.assert_array_equal(lines.originals, expected)


def test_where_labels_are_few_more_samples_of_each_are_shown(project: Path) -> None:
    data = load_prepared()
    assert data.test.y is not None
    few = replace(data, test=replace(data.test, y=data.test.y % 2))
    pairs = zip(table("models/index.csv"), load_params().runs, strict=True)
    first = first_runs([(row["id"], run) for row, run in pairs if run.setting.label == "none"])
    shown = pictured(few, first)
    assert shown is not None
    x = np.asarray(data.test.x).reshape(-1, 8, 8)
    rows = [int(np.flatnonzero((x == each).all(axis=(1, 2)))[0]) for each in shown.originals]
    assert len(set(rows)) == 10
    assert sorted(few.test.y[rows[:2]]) == [0, 1]  # type: ignore[index]
    assert sorted(rows[2:]) == rows[2:]


def test_no_run_finished_no_pictures(project: Path) -> None:
    assert pictured(load_prepared(), []) is None


def stale_seeds(experiment: Experiment) -> None:
    experiment.write(models=MODELS, seeds=3)


def stale_value(experiment: Experiment) -> None:
    experiment.write(models={**MODELS, "noise": {"offset": "none", "stddev": [0, 0.3]}})


def stale_name(experiment: Experiment) -> None:
    experiment.write(models={**MODELS, "more": {"offset": "none"}})


def no_index(experiment: Experiment) -> None:
    Path("models/index.csv").unlink()


def no_table(experiment: Experiment) -> None:
    shutil.rmtree("data/offsets/frozen")


def no_weights(experiment: Experiment) -> None:
    next(Path("models/runs").glob("*/weights.npz")).unlink()


def damaged_weights(experiment: Experiment) -> None:
    next(Path("models/runs").glob("*/weights.npz")).write_bytes(b"PK")


def no_history(experiment: Experiment) -> None:
    (Path("models/runs") / table("models/index.csv")[-1]["id"] / "history.csv").unlink()


@pytest.mark.parametrize(
    ("spoil", "expected"),
    [
        (stale_seeds, r"index\.csv: its runs are not those of params\.yaml \(run dvc repro\)"),
        (stale_value, r"index\.csv: its runs are not those of params\.yaml"),
        (stale_name, r"index\.csv: its runs are not those of params\.yaml"),
        (no_index, r"index\.csv: no such file \(run dvc repro\)"),
        (no_table, "no table of offset 'frozen'"),
        (no_weights, r"weights\.npz: no such file"),
        (damaged_weights, r"weights\.npz: is damaged: .*\(run dvc repro --force --single-item"),
        (no_history, r"history\.csv: no such file"),
    ],
)
def test_what_does_not_fit_is_one_line_and_leaves_the_reports(
    project: Path,
    experiment: Experiment,
    spoil: Callable[[Any], None],
    expected: str,
) -> None:
    before = experiment.contents("reports")
    spoil(experiment)
    with contextlib.redirect_stdout(io.StringIO()), pytest.raises(InputError, match=expected):
        evaluate.main()
    assert experiment.contents("reports") == before


def test_a_metric_that_no_run_has_is_one_line(
    project: Path, experiment: Experiment, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = experiment.contents("reports")
    experiment.write(
        models=MODELS, evaluate={"baselines": ["none"], "metric": "binary_crossentropy"}
    )
    evaluate_all = evaluate.evaluate_all

    def only_mse(*arguments: Any) -> Any:
        return {
            run_id: replace(item, metrics={"mse": item.metrics["mse"]})
            for run_id, item in evaluate_all(*arguments).items()
        }

    monkeypatch.setattr(evaluate, "evaluate_all", only_mse)
    with pytest.raises(InputError, match=r"params\.yaml: evaluate\.metric: binary_crossentropy is"):
        evaluate.main()
    assert experiment.contents("reports") == before


def test_a_metric_of_images_is_given_their_shape(
    project: Path, experiment: Experiment, monkeypatch: pytest.MonkeyPatch
) -> None:
    def corner(x: Any, reconstruction: Any, domain: metrics.Domain) -> float:
        error = np.abs(reconstruction - x)
        return float(error.reshape(-1, *(domain.image_shape or ()))[:, 0, 0].mean())

    of_images = metrics.Metric(
        "corner", "corner", corner, applies=lambda d: d.image_shape == (8, 8)
    )
    monkeypatch.setitem(metrics.METRICS, "corner", of_images)
    experiment.evaluate()
    finished = [row for row in table("reports/runs.csv") if row["status"] == "finished"]
    assert finished
    assert all(0 <= float(row["corner"]) < 1 for row in finished if row["model"] != "linear")


@pytest.fixture
def opened(monkeypatch: pytest.MonkeyPatch) -> list[bool]:
    """Of each run that evaluations open from now on, whether all of it is measured."""
    opened: list[bool] = []
    evaluate_open_run = run_evaluation.evaluate_open_run

    def noting(samples: Any, section: Any, run: Any, kept: Any = None) -> Any:
        opened.append(kept is None)
        return evaluate_open_run(samples, section, run, kept)

    monkeypatch.setattr(run_evaluation, "evaluate_open_run", noting)
    return opened


def contents_without_kept(experiment: Experiment) -> dict[str, bytes]:
    """The reports of an evaluation that finds none kept."""
    shutil.rmtree(".runs/.evaluations")
    experiment.evaluate()
    contents: dict[str, bytes] = experiment.contents("reports")
    return contents


def test_what_was_measured_is_not_measured_again(
    project: Path, experiment: Experiment, opened: list[bool]
) -> None:
    before = experiment.contents("reports")
    experiment.evaluate()
    assert opened == []
    assert experiment.contents("reports") == before
    margin = {"baselines": ["none"], "margin": 0.2}
    experiment.write(models=MODELS, evaluate=margin)  # measures no run
    experiment.evaluate()
    assert opened == []
    experiment.write(models=MODELS, evaluate={**margin, "draws": 2})
    experiment.evaluate()
    assert opened
    assert all(opened)


def test_of_a_model_that_is_added_renamed_or_removed_only_what_is_new_is_measured(
    project: Path, experiment: Experiment, opened: list[bool]
) -> None:
    seeds = len({row["seed"] for row in table("models/index.csv")})
    added = {**MODELS, "added": {"offset": "frozen", "rms": 0.2}}
    renamed = {("new_name" if name == "both" else name): keys for name, keys in added.items()}
    without = {name: keys for name, keys in renamed.items() if name != "none"}
    # Of the two controls of an offset that is added, what its vectors do to them is new.
    for models, whole, parts in [(added, seeds, 2 * seeds), (renamed, 0, 0), (without, 0, 0)]:
        opened.clear()
        experiment.write(models=models, evaluate={"baselines": [next(iter(models))]})
        experiment.train()
        experiment.evaluate()
        assert (opened.count(True), opened.count(False)) == (whole, parts), list(models)
        found = experiment.contents("reports")
        assert found == contents_without_kept(experiment)


def test_kept_evaluations_that_are_damaged_or_cannot_be_written_are_measured_again(
    project: Path, experiment: Experiment, opened: list[bool]
) -> None:
    before, (first, second, *_) = (
        experiment.contents("reports"),
        sorted(Path(".runs/.evaluations").iterdir()),
    )
    first.write_bytes(first.read_bytes()[:-100])
    second.write_bytes(pickle.dumps({}))
    experiment.evaluate()
    assert opened == [True, True]
    assert experiment.contents("reports") == before
    shutil.rmtree(".runs/.evaluations")
    Path(".runs/.evaluations").write_text("no folder")
    experiment.evaluate()
    assert experiment.contents("reports") == before


def test_all_diverged_is_still_reported(project: Path, experiment: Experiment) -> None:
    experiment.write(
        models={"linear": {**MODELS["linear"], "learning_rate": 1e30}},
        evaluate={"baselines": []},
    )
    with experiment.without_training():
        experiment.train()
    assert "diverged: `linear`, 2 of 2 runs" in experiment.evaluate()
    assert json.loads(Path("reports/metrics.json").read_text()) == {"linear": {"diverged": 2}}
    assert [row["status"] for row in table("reports/runs.csv")] == ["diverged", "diverged"]
    pictures = {path.name for path in Path("reports/plots").glob("*.png")}
    assert "learning_curves.png" not in pictures
    assert "reconstructions.png" not in pictures


@pytest.mark.parametrize("beyond", SPLITS)
def test_cross_entropy_needs_the_values_of_every_split_in_the_unit_interval(beyond: str) -> None:
    """Where one split serves all seeds, which of its parts is wider is luck."""
    parts = {
        name: PreparedSplit(np.full((4, 2), 0.5 + (name == beyond), np.float32), None, np.arange(4))
        for name in SPLITS
    }
    schema = SimpleNamespace(classes=None, range=None, image_shape=None)
    data: Any = SimpleNamespace(split=parts.__getitem__, test=parts["test"], schema=schema)
    splits: Any = SimpleNamespace(value_range=None)
    samples = evaluate.samples_of(data, splits, Evaluate())
    assert not samples.domain.in_unit_interval
