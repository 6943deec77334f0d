"""``evaluate.anomaly``: what is trained on, what is measured, and what is refused."""

from __future__ import annotations

import contextlib
import csv
import io
import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from sklearn.datasets import load_digits
from sklearn.metrics import average_precision_score, roc_auc_score

from offset_autoencoder import load_prepared, load_splits, load_table
from offset_autoencoder.config import SPLITS, load_params
from offset_autoencoder.data.prepared import load_schema
from offset_autoencoder.errors import InputError
from offset_autoencoder.offsets.kind import apply_offset
from offset_autoencoder.stages import evaluate, offsets, prepare
from offset_autoencoder.stages.check import check
from offset_autoencoder.tracking.served_models import champion_metric

Experiment = Any  # conftest's, which tests cannot import
NORMAL = [0, 1, 2, 3, 4, 5, 6, 7]
MSE = {"latent_dim": 4, "hidden": [8], "loss": "mean_squared_error", "output": "linear"}
SECTIONS: dict[str, Any] = {
    "data": {"source": "digits", "scale": "standard"},
    "seeds": [3, 0],
    "offsets": {"none": {"kind": "zero"}, "pca": {"kind": "pca"}},
    "network": MSE,
    "train": {"epochs": 3, "batch_size": 128, "learning_rate": 0.01},
    "models": {
        "none": {"offset": "none", "stddev": [0, 0.1]},
        "pca": {"offset": "pca", "rms": 0.5},
    },
    "evaluate": {"baselines": ["none"], "anomaly": {"normal": NORMAL}},
}


def prepared(experiment: Experiment, **sections: Any) -> str:
    """Prepare the project in the working folder; what was printed."""
    Path("data/raw").mkdir(parents=True, exist_ok=True)
    document = experiment.write(**{**SECTIONS, **sections})
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed):
        prepare.main()
        for name in document["offsets"]:
            offsets.main([name])
    return printed.getvalue()


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("DVC_ROOT", raising=False)
    return tmp_path


@pytest.mark.usefixtures("folder")
@pytest.mark.parametrize("scale", ["unit", "standard"])
@pytest.mark.parametrize("stratify", [True, False])
def test_training_and_validation_are_normal_and_the_test_split_has_both(
    experiment: Experiment, scale: str, stratify: bool
) -> None:
    keys: dict[str, Any] = {"data": {"source": "digits", "scale": scale}}
    keys |= {"seeds": [3, 0, 5], "split": {"stratify": stratify}}
    printed = prepared(experiment, **keys)
    digits, splits = load_digits(), load_splits()
    of_class = digits.target < 8
    held_out = set()
    for seed in (3, 0, 5):
        data = splits.of(seed)
        for name in SPLITS:
            own = data.split(name)
            np.testing.assert_array_equal(own.y, digits.target[own.ids])
        assert of_class[data.train.ids].all()
        assert of_class[data.validation.ids].all()
        share = 1 - of_class[data.test.ids].mean()
        assert share == pytest.approx(354 / 1797, abs=0.002)
        assert data.left_out is not None
        assert not of_class[data.left_out.ids].any()
        ids = np.concatenate([part.ids for part in data.parts.values()])
        np.testing.assert_array_equal(np.sort(ids), np.arange(1797))
        assert len(data.train.ids) + len(data.left_out.ids) > 1168
        raw = digits.data[data.train.ids]
        expected = raw / 16
        if scale == "standard":
            spread = raw.std(axis=0)
            expected = (raw - raw.mean(axis=0)) / np.where(spread > 0, spread, np.inf)
        np.testing.assert_allclose(data.train.x, expected, rtol=1e-5, atol=1e-6)
        held_out.add(frozenset(data.test.ids))
        sizes = load_schema(splits.folder_of(seed))
        assert sizes.samples == load_schema(splits.folder).samples
        table = load_table("data/offsets", "pca", 4, splits.key(seed))
        assert len(table.train) == len(data.train.x)
        folder = Path("data/offsets/pca")
        folder = folder if seed == 3 else folder / "splits" / str(seed)
        np.testing.assert_allclose(
            apply_offset(folder, data.test.x), table.test, rtol=1e-4, atol=1e-5
        )
    assert len(held_out) == 3
    anomalies, size = (~of_class[load_prepared().test.ids]).sum(), len(load_prepared().test.ids)
    out = load_prepared().schema.left_out
    line = f"anomalies: {anomalies} of {size} test samples; {out} more left out of train and"
    assert line in printed
    assert anomalies + out == 354


@pytest.mark.usefixtures("folder")
def test_the_test_split_is_that_without_anomalies(experiment: Experiment) -> None:
    prepared(experiment)
    before = {seed: load_splits().of(seed).test.ids for seed in (3, 0)}
    prepared(experiment, evaluate={"baselines": ["none"]})
    for seed, ids in before.items():
        np.testing.assert_array_equal(load_splits().of(seed).test.ids, ids)
    assert load_prepared().left_out is None


@pytest.mark.usefixtures("folder")
@pytest.mark.parametrize("vary", [True, False])
@pytest.mark.parametrize("by", ["row", "id"])
def test_a_table_of_the_users_own_keeps_to_its_samples(
    experiment: Experiment, vary: bool, by: str
) -> None:
    Path("data/raw").mkdir(parents=True)
    vectors = np.arange(1797, dtype=np.float32)[:, np.newaxis] + np.arange(4) / 10
    order = np.random.default_rng(0).permutation(1797) if by == "id" else np.arange(1797)
    np.savez("data/raw/own.npz", ids=order, offsets=vectors[order].astype(np.float32))
    own = {"kind": "file", "path": "own.npz", "array": "offsets"}
    kinds = {"own": own | ({"id": "ids"} if by == "id" else {})}
    models = {"own": {"offset": "own"}}
    keys = {"offsets": kinds, "models": models, "split": {"vary": vary}}
    prepared(experiment, **keys, evaluate={"anomaly": {"normal": NORMAL}})
    splits = load_splits()
    for seed in (3, 0):
        table, data = load_table("data/offsets", "own", 4, splits.key(seed)), splits.of(seed)
        for name in SPLITS:
            np.testing.assert_allclose(table.split(name)[:, 0], data.split(name).ids)


TABLE: dict[str, Any] = {"source": "file", "path": "x.csv", "scale": "none"}


def write_table(kinds: list[Any]) -> None:
    Path("data/raw").mkdir(parents=True, exist_ok=True)
    x = np.random.default_rng(0).normal(size=(len(kinds), 6))
    frame = pd.DataFrame(x, columns=[f"f{i}" for i in range(6)])
    frame.assign(kind=kinds).to_csv("data/raw/x.csv", index=False)


@pytest.mark.usefixtures("folder")
def test_the_label_may_stand_with_the_classes(experiment: Experiment) -> None:
    write_table(["ok", "ok", "ok", "bad"] * 30)
    anomaly = {"label": "kind", "normal": "ok"}
    prepared(experiment, data=TABLE, evaluate={"anomaly": anomaly, "baselines": ["none"]})
    data = load_prepared()
    assert data.schema.classes == ["bad", "ok"]
    assert data.schema.input_dim == 6
    assert set(np.asarray(data.train.y)) == {1}
    # A few anomalies of their own are enough without stratification by class.
    write_table([*(["ok"] * 100), *range(20)])
    keys = {"evaluate": {"anomaly": anomaly, "baselines": ["none"]}, "split": {"stratify": False}}
    prepared(experiment, data=TABLE, **keys)
    assert load_prepared().schema.left_out == 16


@pytest.mark.usefixtures("folder")
def test_one_seed_may_leave_anomalies_out_and_another_test_all_of_them(
    experiment: Experiment,
) -> None:
    # One in each of two groups, which are kept whole: the test split has one of them, or both.
    write_table([*["ok"] * 80, *["bad", *["ok"] * 9] * 2])
    frame = pd.read_csv("data/raw/x.csv").assign(group=np.arange(100) // 10)
    frame.to_csv("data/raw/x.csv", index=False)
    keys: dict[str, Any] = {
        "data": {**TABLE, "label": "kind"},
        "evaluate": {"anomaly": {"normal": ["ok"]}, "baselines": ["none"]},
        "split": {"group": "group", "stratify": False, "test": 0.5},
    }
    of_size: dict[int, int] = {}
    for seed in range(12):
        with contextlib.suppress(InputError):  # its test split has none
            prepared(experiment, **keys, seeds=[seed])
            of_size[load_prepared().schema.left_out] = seed
    assert of_size.keys() == {0, 1}
    for order in ([of_size[0], of_size[1]], [of_size[1], of_size[0]]):
        prepared(experiment, **keys, seeds=order)
        for size, seed in of_size.items():
            data = load_splits().of(seed)
            assert data.schema.left_out == size
            ids = np.concatenate([part.ids for part in data.parts.values()])
            np.testing.assert_array_equal(np.sort(ids), np.arange(100))
            for part in data.parts.values():
                np.testing.assert_allclose(part.x, frame.iloc[part.ids, :6], rtol=1e-6)


@pytest.mark.usefixtures("folder")
def test_splits_that_the_data_bring_are_kept(experiment: Experiment) -> None:
    Path("data/raw").mkdir(parents=True)
    parts = np.array(["train"] * 60 + ["test"] * 20)
    label = np.where(np.arange(80) % 4, "ok", "bad")
    label[:60] = "ok"  # nothing is left out
    x = np.random.default_rng(0).normal(size=(80, 6))
    np.savez("data/raw/x.npz", x=x, label=label, split=parts)
    data = {**TABLE, "path": "x.npz", "features": "x", "label": "label", "split": "split"}
    evaluated = {"anomaly": {"normal": ["ok"]}, "baselines": ["none"]}
    printed = prepared(experiment, data=data, evaluate=evaluated)
    assert "anomalies: 5 of 20 test samples; 0 more left out" in printed
    assert load_prepared().left_out is None
    assert load_prepared().test.ids.tolist() == list(range(60, 80))


@pytest.mark.usefixtures("folder")
@pytest.mark.parametrize(
    ("anomaly", "data", "message"),
    [
        ({"normal": [0, 11]}, {}, r"evaluate\.anomaly\.normal\[1\]: no sample is of the class 11"),
        ({"normal": list(range(10))}, {}, r"anomaly\.normal: names all 10 classes: there is no"),
        ({"normal": []}, {}, r"params\.yaml: evaluate\.anomaly\.normal: list should have at least"),
        ({"normal": [1, 1]}, {}, r"evaluate\.anomaly\.normal: names each value once, got 1 twice"),
        ({}, {}, r"params\.yaml: evaluate\.anomaly\.normal: is missing"),
        ({"nromal": [1]}, {}, r"evaluate\.anomaly\.nromal: unknown key \(did you mean 'normal'"),
        ({"normal": [1], "error": "mes"}, {}, r"anomaly\.error: 'mes' is no error .*'mse'"),
        ({"normal": [1], "error": "psnr"}, {}, r"anomaly\.error: 'psnr' is no error of a sample"),
        ({"normal": [1], "label": "y"}, {}, r"anomaly\.label: goes with data\.source: file"),
        ({"normal": ["ok"]}, TABLE, r"anomaly: needs labels that are classes.*anomaly\.label\)"),
        (
            {"normal": ["ok"], "label": "kind"},
            {**TABLE, "label": "f0"},
            r"anomaly\.label: is 'kind', data\.label is 'f0': samples have one label",
        ),
        (
            {"normal": ["ok"], "label": "one"},
            TABLE,
            r"anomaly: the data have one class alone, 'ok': there is no anomaly",
        ),
    ],
)
def test_bad_input_is_one_line(
    experiment: Experiment, anomaly: dict[str, Any], data: dict[str, Any], message: str
) -> None:
    write_table(["ok", "ok", "bad"] * 30)
    frame = pd.read_csv("data/raw/x.csv")
    frame.assign(one="ok").to_csv("data/raw/x.csv", index=False)
    if data:
        data = {**data, "features": [f"f{i}" for i in range(1, 6)]}
    keys = {"data": data or {"source": "digits"}, "evaluate": {"anomaly": anomaly}}
    with pytest.raises(InputError, match=message):
        prepared(experiment, **keys)
    assert not Path("data/prepared").exists()


@pytest.mark.usefixtures("folder")
def test_metrics_of_detection_ask_for_normal_classes_and_select_no_champion(
    experiment: Experiment,
) -> None:
    with pytest.raises(InputError, match=r"metric: auroc needs to know what is normal \(name the"):
        prepared(experiment, evaluate={"metric": "auroc", "baselines": ["none"]})
    with pytest.raises(InputError, match=r"champion_metric: auroc is not known on the validation"):
        prepared(experiment, tracking={"champion_metric": "auroc"})
    experiment.write(
        **{**SECTIONS, "evaluate": {"metric": "auroc", "anomaly": {"normal": [1], "error": "mae"}}}
    )
    assert champion_metric(load_params()) == "mae"


@pytest.mark.usefixtures("folder")
def test_an_offset_that_is_given_the_labels_is_named(experiment: Experiment) -> None:
    kinds = {"code": {"kind": "class_code"}, "none": {"kind": "zero"}}
    models = {"none": {"offset": "none"}, "told": {"offset": "code"}}
    printed = prepared(experiment, offsets=kinds, models=models)
    assert "warning: told is given the labels, by which anomalies are told apart" in printed


@pytest.fixture(scope="module")
def evaluated(experiment: Experiment, tmp_path_factory: pytest.TempPathFactory) -> Any:
    root = tmp_path_factory.mktemp("anomaly")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(root)
        patch.delenv("DVC_ROOT", raising=False)
        patch.setenv("COLUMNS", "100")
        evaluate_keys = {
            "baselines": ["none"],
            "metric": "auroc",
            "select": ["stddev"],
            "anomaly": {"normal": NORMAL, "error": "mae"},
        }
        prepared(experiment, evaluate=evaluate_keys)
        experiment.train()
        return root, experiment.evaluate()


def rows(path: str) -> list[dict[str, str]]:
    with Path(path).open(newline="") as stream:
        return list(csv.DictReader(stream))


def test_metrics_are_those_of_the_errors_of_the_samples(
    evaluated: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(evaluated[0])
    errors, digits = pd.read_parquet("reports/errors/test.parquet"), load_digits()
    assert list(errors.columns[:4]) == ["seed", "id", "label", "anomaly"]
    np.testing.assert_array_equal(errors["anomaly"], digits.target[errors["id"]] >= 8)
    for row in rows("reports/runs.csv"):
        own = errors[errors["seed"] == int(row["seed"])]
        scores = own["anomaly"], own[row["setting"]]
        assert float(row["auroc"]) == pytest.approx(roc_auc_score(*scores), abs=1e-9)
        precision = average_precision_score(*scores)
        assert float(row["average_precision"]) == pytest.approx(precision, abs=1e-9)
        assert own[row["setting"]].mean() == pytest.approx(float(row["mae"]), rel=1e-5)
        assert "auroc_validation" not in row
        assert row["auroc_as_trained"] != row["auroc"] or "stddev=0.1" not in row["setting"]


def test_they_are_compared_like_other_metrics(
    evaluated: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    root, printed = evaluated
    monkeypatch.chdir(root)
    runs = pd.read_csv("reports/runs.csv")
    tree = json.loads(Path("reports/metrics.json").read_text())
    mean = runs[runs["setting"] == "pca"]["auroc"].mean()
    assert tree["pca"]["auroc"]["mean"] == pytest.approx(mean)
    assert tree["pca"]["auroc"]["low"] < mean < tree["pca"]["auroc"]["high"]
    assert "two_way_low" not in tree["pca"]["auroc"]
    compared = pd.read_csv("reports/comparison.csv")
    kept = compared[(compared["setting"] == "pca") & (compared["metric"] == "auroc")]
    by_setting = runs.pivot(index="seed", columns="setting", values="auroc")
    for _, row in kept.iterrows():
        own, other = by_setting["pca"], by_setting[row["baseline_setting"]]
        assert row["difference"] == pytest.approx((own - other).mean())
        assert row["change"] == pytest.approx(((1 - own) / (1 - other) - 1).mean())
        assert row["wins"] == (own > other).sum()
    assert {"average_precision", "auroc_as_trained"} <= set(compared["metric"])
    # What has no anomalies is measured in the error that tells.
    gaps = pd.read_csv("reports/probes.csv")
    assert set(gaps["generalization_gap_metric"]) == {"mae"}
    assert "offset_accuracy_mean" not in gaps
    tuned = rows("reports/tuned.csv")
    by_seed = runs[runs["model"] == "none"].pivot(
        index="seed", columns="stddev", values="mae_validation"
    )
    picks = by_seed.idxmin(axis=1).value_counts()
    label = "tuned" if len(picks) > 1 else f"{picks.index[0]:g}"
    own = [row for row in tuned if row["model"] == "none"]
    assert {row["setting"] for row in own} == {f"none stddev={label}"}
    for stddev, seeds in picks.items() if len(picks) > 1 else ():
        assert f"stddev={stddev:g} ({seeds})" in own[0]["picked"]
    page = Path("reports/index.html").read_text()
    assert "AUROC on the test split" in page
    assert "anomalies above" in page
    lines = [line.strip() for line in printed]
    assert any(line.startswith("anomalies of the test split, told by") for line in lines)


def test_thresholds_are_quantiles_of_normal_samples(
    evaluated: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(evaluated[0])
    params = load_params()
    thresholds = rows("reports/errors/thresholds.csv")
    assert len(thresholds) == len(params.runs)
    assert {row["metric"] for row in thresholds} == {"mae"}
    means = pd.read_csv("reports/runs.csv").set_index(["setting", "seed"])["mae_validation"]
    for row in thresholds:
        bounds = [float(row[f"quantile_{q}"]) for q in ("0.9", "0.95", "0.99")]
        assert means[row["setting"], int(row["seed"])] < bounds[0] <= bounds[1] <= bounds[2]


def test_a_design_counts_no_anomaly_among_what_could_be_trained_on(
    evaluated: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(evaluated[0])
    data = load_prepared()
    anomalies = evaluate.anomalies_of(data, load_params().evaluate)
    assert anomalies is not None
    size = data.schema.samples
    design = evaluate.design_of([data.schema], anomalies=int(anomalies.sum()))
    assert design.overlap == size["test"] / size["train"]
    others = size["validation"] + (~anomalies).sum()
    assert design.training_overlap == size["train"] / others


@pytest.mark.usefixtures("folder")
@pytest.mark.parametrize("command", ["prepare", "check"])
@pytest.mark.parametrize("clip", [None, True, False])
def test_clipping_hides_anomalies(
    experiment: Experiment, command: str, clip: bool | None, capsys: pytest.CaptureFixture[str]
) -> None:
    write_table(["ok", "ok", "ok", "bad"] * 30)
    data = {**TABLE, "label": "kind", "scale": None, "clip": clip}
    evaluated = {"anomaly": {"normal": ["ok"]}, "baselines": ["none"]}
    if command == "prepare":
        printed = prepared(experiment, data=data, evaluate=evaluated)
    else:
        experiment.write(**{**SECTIONS, "data": data, "evaluate": evaluated})
        check()
        printed = capsys.readouterr().out
    hides = "warning: data.clip brings values beyond the range of the training split to its end"
    assert (hides in printed) == (clip is not False)  # the default of tables clips


def test_the_page_says_what_chance_is_and_which_samples_are_anomalies(
    evaluated: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(evaluated[0])
    page = Path("reports/index.html").read_text()
    share = 100 * pd.read_parquet("reports/errors/test.parquet")["anomaly"].mean()
    assert f"the share of anomalies among the test samples, {share:.0f} %" in page
    # One sample of each class is pictured, by class: the last two of ten are anomalies.
    assert "Anomalies: 9, 10, counted from the left." in page
