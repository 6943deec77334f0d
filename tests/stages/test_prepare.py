import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import yaml
from tests.folders import contents
from tests.small_params import small_params

from offset_autoencoder.data.prepared import load_prepared, load_scale
from offset_autoencoder.data.scaling import apply_scale
from offset_autoencoder.data.varying import load_splits
from offset_autoencoder.errors import InputError
from offset_autoencoder.stages.prepare import main

MSE = {"loss": "mean_squared_error", "output": "linear"}


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "data" / "raw").mkdir(parents=True)
    return tmp_path


def params(**sections: Any) -> None:
    given = {"network": {"latent_dim": 2}, "offsets": {"none": {"kind": "zero"}}, **sections}
    Path("params.yaml").write_text(yaml.safe_dump(small_params(**given)))


def file(**keys: Any) -> dict[str, Any]:
    return {"source": "file", "scale": "none", **keys}


def frame(samples: int = 60) -> pd.DataFrame:
    rng = np.random.default_rng(0)
    table = pd.DataFrame(rng.normal(size=(samples, 3)) * [1, 5, 0.1], columns=["u", "v", "w"])
    table["kind"] = np.array(["cat", "dog", "emu"])[np.arange(samples) % 3]
    table["name"] = [f"s{i:03}" for i in range(samples)]
    return table


def refused(project: Path, message: str) -> None:
    with pytest.raises(InputError, match=message):
        main()
    assert not (project / "data" / "prepared").exists()
    assert [path.name for path in (project / "data").iterdir()] == ["raw"]


def test_digits(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    params(network={"latent_dim": 16})
    main()
    prepared, outlook = capsys.readouterr().out.splitlines()
    assert prepared == (
        "prepared: digits, 1797 × 64, train 1168 / validation 270 / test 359, 10 classes"
    )
    assert outlook.endswith(
        "no difference can be significant at 95 % confidence; 6 are the fewest that can show one, "
        "and 5 for a verdict on an offset"
    )
    from sklearn.datasets import load_digits

    digits = load_digits()
    data = load_prepared()
    for split in (data.train, data.validation, data.test):
        np.testing.assert_array_equal(split.x, (digits.data[split.ids] / 16).astype(np.float32))
        np.testing.assert_array_equal(np.asarray(split.y), digits.target[split.ids])
        assert split.x.flags.c_contiguous
    assert data.schema.range == [0, 1]
    assert data.schema.image_shape == [8, 8]
    assert data.schema.scale == {"kind": "unit", "divisor": 16}
    assert json.loads(Path("data/prepared/latent_dims.json").read_text()) == {"none": [16]}
    first = contents(project / "data" / "prepared")
    main()
    assert contents(project / "data" / "prepared") == first


def test_the_order_of_the_file_does_not_matter_with_ids(project: Path) -> None:
    table = frame()
    for scale in ("standard", "minmax", "unit"):
        params(data=file(path="x.csv", label="kind", id="name", scale=scale), network=MSE)
        table.to_csv("data/raw/x.csv", index=False)
        main()
        first = contents(Path("data/prepared"))
        table.sample(frac=1, random_state=1).to_csv("data/raw/x.csv", index=False)
        main()
        assert contents(Path("data/prepared")) == first
    assert load_prepared().schema.ids == "given"


def test_ids_labels_and_scale_of_a_file(project: Path) -> None:
    table = frame()
    table.to_parquet("data/raw/x.parquet")
    keys = {"path": "x.parquet", "label": "kind", "id": "name"}
    params(data=file(scale="standard", **keys), network=MSE)
    main()
    data = load_prepared()
    assert data.schema.classes == ["cat", "dog", "emu"]
    assert data.schema.source == "x.parquet"
    by_name = table.set_index("name")
    train = by_name.loc[data.train.ids, ["u", "v", "w"]].to_numpy()
    scale = load_scale()
    np.testing.assert_allclose(scale.shift, train.mean(axis=0))
    np.testing.assert_allclose(scale.factor, 1 / train.std(axis=0))
    for split in (data.train, data.validation, data.test):
        raw_x = by_name.loc[split.ids, ["u", "v", "w"]].to_numpy()
        expected = (raw_x - train.mean(axis=0)) / train.std(axis=0)
        np.testing.assert_allclose(split.x, expected, rtol=1e-5, atol=1e-6)
        np.testing.assert_array_equal(apply_scale(raw_x, *scale), split.x)
        kinds = np.array(data.schema.classes)[split.y]
        np.testing.assert_array_equal(kinds, by_name.loc[split.ids, "kind"])
    assert data.schema.range is None


def test_range_is_none_where_another_split_leaves_it(project: Path) -> None:
    x = np.linspace(0, 1, 40).reshape(20, 2)
    splits = np.array(["train"] * 14 + ["validation"] * 3 + ["test"] * 3)
    np.savez("data/raw/x.npz", x=x, part=splits)
    params(data=file(path="x.npz", split="part", scale="minmax"), network=MSE)
    main()
    data = load_prepared()
    assert data.schema.range is None
    assert data.train.x.max() == 1
    assert data.test.x.max() > 1
    assert data.schema.samples == {"train": 14, "validation": 3, "test": 3}
    params(data=file(path="x.npz", split="part", scale="minmax"))
    with pytest.raises(
        InputError,
        match=r"x\.npz, row 14, column 0: .* in the validation split, .*minmax, is outside \[0, 1\]"
        r".*binary_crossentropy of model none.*set data\.clip: true, or data\.scale: unit, or "
        r"network\.loss: mean_sq",
    ):
        main()
    assert load_prepared().schema == data.schema  # the old folder stands
    params(data=file(path="x.npz", split="part", scale="unit"))
    main()
    assert load_prepared().schema.range == [0, 1]


def test_unlabelled(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    np.save("data/raw/x.npy", np.random.default_rng(0).random((30, 5)))
    params(data=file(path="x.npy"))
    main()
    assert capsys.readouterr().out.splitlines()[0].endswith("no labels")
    assert load_prepared().train.y is None


@pytest.mark.parametrize("scale", ["none", "unit", "standard"])
def test_values_that_binary_crossentropy_cannot_take(project: Path, scale: str) -> None:
    table = frame()
    table.loc[:, "u"] = np.where(np.arange(60) % 2, -0.5, 0.25)
    table.to_csv("data/raw/x.csv", index=False)
    models = {"a": {"offset": "none", **MSE}, "b": {"offset": "none", "stddev": [0.1, 0.2]}}
    params(data=file(path="x.csv", features=["u"], id="name", scale=scale), models=models)
    refused(
        project,
        r"x\.csv, row \d+ \(line \d+\), column 'u': .* in the train split of seed 0, .* outside "
        r"\[0, 1\], "
        r"which loss: binary_crossentropy of model b stddev=0\.1 needs; in all \d+ values are: "
        r"\d+ in train, \d+ in validation, \d+ in test, of column 'u' "
        r"\(set data\.scale: minmax with data\.clip: true, "
        r"or network\.loss: mean_squared_error with output: linear\)",
    )
    params(data=file(path="x.csv", features=["u"], id="name", scale="minmax", clip=True))
    main()


def test_the_divisor_of_unit_is_that_of_all_samples(project: Path) -> None:
    splits = np.array(["train"] * 14 + ["validation"] * 3 + ["test"] * 3)
    np.savez("data/raw/x.npz", x=np.linspace(0, 9, 40).reshape(20, 2), part=splits)
    params(data=file(path="x.npz", split="part", scale="unit"))
    main()
    assert load_prepared().schema.scale == {"kind": "unit", "divisor": 9}
    assert load_prepared().test.x.max() == 1
    params(data=file(path="x.npz", split="part", scale="unit", clip=True))
    main()
    assert load_prepared().test.x.max() == load_prepared().train.x.max() < 1


def test_rows_that_categorical_crossentropy_cannot_take(project: Path) -> None:
    x = np.random.default_rng(0).dirichlet(np.ones(4), size=40)
    network = {"latent_dim": 2, "loss": "categorical_crossentropy", "output": "softmax"}
    params(data=file(path="x.npy"), network=network)
    np.save("data/raw/x.npy", x)
    main()
    assert load_prepared().schema.samples["train"] == 26
    x[0] *= 1.01
    np.save("data/raw/x.npy", x)
    with pytest.raises(
        InputError, match=r"x\.npy, row 0: sums to 1\.01 in the \w+ split of seed 0, not to 1"
    ):
        main()
    x[0] = [-0.1, 0.6, 0.3, 0.2]
    np.save("data/raw/x.npy", x)
    with pytest.raises(InputError, match=r"x\.npy, row 0, column 0: -0\.1 .* is not a probability"):
        main()


@pytest.mark.parametrize(
    ("sections", "message"),
    [
        (
            {"models": {"a": {}, "w": {"system": "wide", "match": "a", "hidden": [9]}}},
            r"models\.w\.match: .* hidden is \[32\] there, \[9\] here",
        ),
        (
            {"models": {"own": {"system": "function", "function": "math:sqr"}}},
            r"models\.own\.function: math has no 'sqr'",
        ),
    ],
)
def test_mistakes_that_need_no_training_are_found(
    project: Path, sections: dict[str, Any], message: str
) -> None:
    params(**{"models": {"a": {}}, **sections})
    refused(project, rf"^params\.yaml: {message}")


def test_a_convolution_needs_images(project: Path) -> None:
    np.save("data/raw/x.npy", np.random.default_rng(0).random((30, 6)))
    models = {"none": {"kind": "convolutional", "filters": [2]}}
    params(data=file(path="x.npy"), models=models)
    refused(project, r"params\.yaml: models\.none: network\.kind: convolutional needs samples that")
    params(data=file(path="x.npy", image_shape=[2, 3]), models=models)
    main()


def test_windows_of_a_series_and_misplaced_channels(
    project: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rng = np.random.default_rng(0)
    np.save("data/raw/series.npy", rng.random((30, 12, 1)))
    np.save("data/raw/first.npy", rng.random((30, 3, 8, 8)))
    series = {"none": {"kind": "recurrent"}}
    for models in (None, series):
        params(data=file(path="series.npy"), **({"models": models} if models else {}))
        main()
        schema = load_prepared().schema
        assert (schema.image_shape, schema.sequence_shape) == (None, [12, 1])
    assert "warning" not in capsys.readouterr().out
    pictures = {"none": {"kind": "convolutional", "filters": [2]}}
    params(data=file(path="first.npy"), models=pictures, network={"latent_dim": 1})
    main()
    _, channels, one_bit, _ = capsys.readouterr().out.splitlines()
    assert channels.startswith("warning: samples of shape (3, 8, 8) are read as 3 × 8 pixels of 8")
    assert one_bit.startswith("warning: latent_dim: 1 with normalize: unit leaves a code of 1 or")
    params(data=file(path="first.npy", channels="first"), models=pictures)
    main()
    assert "warning" not in capsys.readouterr().out
    assert load_prepared().schema.channels_first


def test_models_with_unequal_budgets_are_a_warning(
    project: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    models = {"none": {"learning_rate": [0.1, 0.2]}, "other": {"hidden": [[3], [4]]}}
    evaluate = {"baselines": ["none"], "select": ["train.learning_rate"]}
    params(models=models, evaluate=evaluate)
    main()
    _, warning, _ = capsys.readouterr().out.splitlines()
    assert warning == (
        "warning: unequal budgets: evaluate.select takes the best setting out of 1 of `other`; "
        "2 of `none`"
    )
    params(models=models, evaluate=evaluate | {"select": []})
    main()
    assert "warning" not in capsys.readouterr().out


@pytest.mark.parametrize("key", [("evaluate", "metric"), ("tracking", "champion_metric")])
def test_an_unknown_metric_is_named(project: Path, key: tuple[str, str]) -> None:
    section, name = key
    params(**{section: {name: "rmse"}})
    with pytest.raises(InputError, match=rf"{section}\.{name}: unknown value 'rmse' .*'mse'"):
        main()
    assert not Path("data/prepared").exists()


@pytest.mark.parametrize(
    ("scale", "metric", "output", "message"),
    [
        ("none", "psnr", "linear", "psnr needs data of known range, and data.scale: none"),
        ("standard", "psnr", "linear", "psnr needs data of known range, and data.scale: standard"),
        ("standard", "binary_crossentropy", "linear", "values from -"),
        ("unit", "binary_crossentropy", "linear", "every model has output: linear"),
        ("unit", "binary_crossentropy", "sigmoid", None),
        ("unit", "psnr", "linear", None),
        ("standard", "mse", "linear", None),
    ],
)
def test_a_metric_that_no_run_can_have(
    project: Path, scale: str, metric: str, output: str, message: str | None
) -> None:
    params(
        data={"source": "digits", "scale": scale},
        network={**MSE, "output": [output, "linear"]} if output != "linear" else MSE,
        evaluate={"metric": metric},
    )
    if message is None:
        main()
    else:
        refused(project, rf"^params\.yaml: evaluate\.metric: .*{re.escape(message)}")


def test_mistakes_in_params_are_found_first(project: Path) -> None:
    params(data=file(path="nope.csv"), train={"epohcs": 3})
    refused(project, r"train\.epohcs: unknown key \(did you mean 'epochs'")


def test_constant_features(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    x = np.random.default_rng(0).random((30, 5))
    x[:, 3] = 7
    np.save("data/raw/x.npy", x)
    params(data=file(path="x.npy", scale="standard", constant="error"), network=MSE)
    refused(project, r"data\.scale: standard: column 3 is 7 in every training sample")
    pd.DataFrame(x, columns=list("abcde")).to_csv("data/raw/x.csv", index=False)
    params(data=file(path="x.csv", scale="standard"), network=MSE)
    main()
    assert np.all(load_prepared().test.x[:, 3] == 0)
    assert ", 1 constant feature set to 0 (column 'd')\n" in capsys.readouterr().out
    params(data=file(path="x.csv", scale="standard", constant="drop"), network=MSE)
    main()
    assert load_prepared().schema.columns == ["a", "b", "c", "e"]
    lines = capsys.readouterr().out.splitlines()
    assert lines[1] == (
        "1 of 5 features are constant over the training split of a seed and left out: column 'd'"
    )
    params(data={"source": "digits", "scale": "standard"}, network=MSE)
    main()
    data = load_prepared()
    constant = np.ptp(data.train.x, axis=0) == 0
    assert data.schema.scale == {"kind": "standard", "constant_features": constant.sum()}
    assert np.all(data.test.x[:, constant] == 0)
    assert f", {constant.sum()} constant features set to 0\n" in capsys.readouterr().out
    params(data={"source": "digits", "scale": "standard"}, network=MSE, seeds=5)
    main()
    own = [int(load_splits().schema(s).scale["constant_features"]) for s in range(5)]
    assert (min(own), max(own)) == (3, 4)
    counts = "3 to 4 constant features set to 0, each of 5 seeds with a split of its own\n"
    assert counts in capsys.readouterr().out


def test_a_few_columns_that_carry_the_variance_are_a_warning(
    project: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    from sklearn.datasets import load_breast_cancer

    table = load_breast_cancer(as_frame=True).data
    table.to_csv("data/raw/x.csv", index=False)
    params(data=file(path="x.csv", scale="unit"))
    main()
    _, warning, _ = capsys.readouterr().out.splitlines()
    assert warning.startswith("warning: under data.scale: unit 2 of 30 features carry 99")
    assert "(column 'worst area' 7" in warning
    assert "set data.scale: standard with network.loss: mean_squared_error and " in warning
    for data, network in (
        ({"scale": "standard"}, MSE),
        ({"scale": "minmax", "clip": True}, {}),
        ({"scale": None}, {}),
    ):
        params(data=file(path="x.csv", **data), network={"latent_dim": 2, **network})
        main()
        assert "warning" not in capsys.readouterr().out
    np.save("data/raw/x.npy", np.random.default_rng(0).random((60, 4, 4)) * [1, 1, 1, 99])
    params(data=file(path="x.npy", scale="unit"))
    main()
    assert "warning" not in capsys.readouterr().out


def test_the_default_scale_of_tables_and_of_arrays(
    project: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    frame().drop(columns=["kind", "name"]).to_csv("data/raw/x.csv", index=False)
    params(data={"source": "file", "path": "x.csv"}, seeds=4)
    main()
    assert load_prepared().schema.scale == {"kind": "minmax"}
    assert [load_splits().schema(seed).range for seed in range(4)] == [[0, 1]] * 4
    clipped = (
        r"values clipped to the range of the training split: up to \d+ of 27 in validation, up"
    )
    assert re.search(clipped, capsys.readouterr().out)
    params(data={"source": "file", "path": "x.csv", "clip": False}, seeds=4)
    with pytest.raises(InputError, match=r"scale: minmax, is outside .*set data\.clip: true"):
        main()
    np.save("data/raw/x.npy", np.random.default_rng(0).random((30, 5)) * 3)
    params(data={"source": "file", "path": "x.npy"})
    main()
    assert load_prepared().schema.scale["kind"] == "unit"
    assert "clipped" not in capsys.readouterr().out


def test_all_that_is_wrong_is_said_at_once(project: Path) -> None:
    table = frame().drop(columns=["kind", "name"])
    table.to_csv("data/raw/x.csv", index=False)
    offsets = {
        "none": {"kind": "zero"},
        "labels": {"kind": "class_code"},
        "pca": {"kind": "pca"},
        "mine": {"kind": "file", "path": "nope.npy"},
    }
    params(data=file(path="x.csv", scale="none"), offsets=offsets, network={"latent_dim": 4})
    with pytest.raises(InputError) as caught:
        main()
    lines = str(caught.value).splitlines()
    for line, expected in zip(
        lines,
        (
            r"^params\.yaml: offsets\.labels: kind class_code needs labels",
            r"^params\.yaml: offsets\.mine\.path: there is no file",
            r"^params\.yaml: offsets\.pca: pca of .* with 3 features has at most 3 components",
            r"^data/raw/x\.csv, row .* is outside \[0, 1\]",
        ),
        strict=True,
    ):
        assert re.match(expected, line)
    assert not Path("data/prepared").exists()


def penguins() -> pd.DataFrame:
    """A table as people have it: text, missing cells of each, a column of ids."""
    rng = np.random.default_rng(3)
    table = pd.DataFrame(rng.normal(40, 9, size=(80, 3)), columns=["bill", "depth", "mass"])
    table.insert(0, "species", np.array(["Adelie", "Gentoo", "Chinstrap"])[np.arange(80) % 3])
    table["sex"] = np.array(["male", "female"])[rng.integers(2, size=80)]
    table.loc[[3, 40], ["bill", "depth"]] = np.nan
    table.loc[[3, 8, 9, 47], "sex"] = None
    return table


@pytest.mark.parametrize("suffix", ["csv", "parquet"])
def test_missing_and_categorical_cells(
    project: Path, suffix: str, capsys: pytest.CaptureFixture[str]
) -> None:
    table, path = penguins(), f"data/raw/x.{suffix}"
    getattr(table, f"to_{suffix}")(
        path, **({} if suffix == "parquet" else {"na_rep": "NA", "index": False})
    )
    own = {"path": Path(path).name, "scale": None}
    params(data=file(**own))
    refused(
        project,
        r"row 0.*, column 'species': 'Adelie' is not a finite number; in all: column 'species' "
        r"holds text, 3 levels: 'Adelie', 'Chinstrap', 'Gentoo'; column 'bill' has 2 missing cells"
        r", rows 3, 40; column 'depth' .*; column 'sex' holds text, 2 levels: 'female', 'male' and "
        r"has 4 missing cells, rows 3, 8, 9 and 1 more \(set data\.missing: drop, mean or median "
        r"and data\.categorical: one_hot, or .*data\.exclude: \[species, bill, depth, sex\]",
    )
    params(data=file(**own, categorical="one_hot", missing="drop"))
    main()
    data = load_prepared()
    assert data.schema.columns == [
        *("species=Adelie", "species=Chinstrap", "species=Gentoo"),
        *("bill", "depth", "mass", "sex=female", "sex=male"),
    ]
    assert data.schema.dropped == 5
    assert "5 of 80 rows have a missing cell and are left out\n" in capsys.readouterr().out
    kept = table.dropna()
    ids = np.concatenate([data.split(name).ids for name in ("train", "validation", "test")])
    assert sorted(ids) == list(kept.index)  # rows keep their numbers
    train = kept.loc[data.train.ids]
    np.testing.assert_array_equal(data.train.x[:, 2], train["species"] == "Gentoo")
    spread = train["bill"].max() - train["bill"].min()
    expected = (train["bill"] - train["bill"].min()) / spread
    np.testing.assert_allclose(data.train.x[:, 3], expected, atol=1e-6)
    params(data=file(**own, exclude=["species", "sex"], missing="median"), seeds=3)
    main()
    assert load_prepared().schema.columns == ["bill", "depth", "mass"]
    for seed in range(3):
        train = table.loc[load_splits().of(seed).train.ids]
        fill = load_scale(load_splits().folder_of(seed)).fill
        np.testing.assert_allclose(np.asarray(fill), train[["bill", "depth", "mass"]].median())
    params(data=file(**own, categorical="one_hot", missing="mean"), network={"latent_dim": 2})
    main()
    data = load_prepared()
    sexes = table.loc[data.train.ids, "sex"]
    share = (sexes.dropna() == "male").mean()
    np.testing.assert_allclose(data.train.x[:, -1], (sexes == "male") + share * sexes.isna())


def test_missing_values_of_arrays(project: Path) -> None:
    x = np.random.default_rng(0).random((40, 4))
    x[3, 2] = x[5, 0] = x[5, 1] = np.nan
    np.savez("data/raw/x.npz", x=x)
    params(data=file(path="x.npz"))
    refused(
        project,
        r"x\.npz, row 3, column 2: nan is not a finite number; in all: column 0 has 1 missing "
        r"cell, row 5; .*; column 2 has 1 missing cell, row 3 \(set data\.missing: drop, mean or",
    )
    params(data=file(path="x.npz", missing="drop"))
    main()
    assert sum(load_prepared().schema.samples.values()) == 38
    params(data=file(path="x.npz", missing="mean"))
    main()
    assert sum(load_prepared().schema.samples.values()) == 40
    x[0, 0] = np.inf
    np.savez("data/raw/x.npz", x=x)
    with pytest.raises(InputError, match=r"row 0, column 0: inf is not a finite number \(fix or"):
        main()
    params(data=file(path="x.npz", exclude=["a"]))
    with pytest.raises(
        InputError, match=r"data\.exclude: names columns, and .*x\.npz holds arrays"
    ):
        main()


def test_samples_in_more_than_one_split_are_counted(
    project: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    x = np.random.default_rng(0).random((30, 5))
    x[[20, 21, 26, 27, 28]] = x[[0, 1, 1, 0, 22]]
    x[23], x[3] = 0.0, -0.0
    splits = np.array(["train"] * 20 + ["validation"] * 5 + ["test"] * 5)
    np.savez("data/raw/x.npz", x=x, part=splits)
    params(data=file(path="x.npz", split="part"))
    main()
    assert capsys.readouterr().out.splitlines()[1] == (
        "warning: samples that also stand in an earlier split: 3 of 5 in validation, 3 of 5 in test"
    )


def test_a_store_that_mlflow_cannot_open_is_found_first(
    project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    params(tracking={"uri": "foo://x"})
    refused(project, r"params\.yaml: tracking\.uri: MLflow knows no store of the scheme 'foo'")
    params()
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "./mlruns")
    refused(project, r"MLFLOW_TRACKING_URI: './mlruns' names a folder, which MLflow 3 no longer")
    params(tracking={"uri": "sqlite:///mlflow.db"})  # goes before the environment
    main()


def test_a_temporary_clone_reads_the_projects_own_files(
    project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    np.save("data/raw/x.npy", np.random.default_rng(0).random((30, 5)))
    clone = project / "clone"
    (clone / "data" / "raw").mkdir(parents=True)
    monkeypatch.setenv("DVC_ROOT", str(project))
    monkeypatch.chdir(clone)
    params(data=file(path="x.npy"))
    main()
    assert load_prepared().schema.samples["train"] == 19
    assert Path("data/raw/x.npy").samefile(project / "data" / "raw" / "x.npy")


@pytest.mark.slow
def test_neither_tensorflow_nor_mlflow_is_imported(project: Path) -> None:
    params()
    code = (
        "import sys; from offset_autoencoder.stages.prepare import main; main(); "
        "sys.exit(bool({'tensorflow', 'mlflow', 'keras'} & set(sys.modules)))"
    )
    subprocess.run([sys.executable, "-c", code], check=True, capture_output=True)


@pytest.mark.parametrize("suffix", ["csv", "parquet", "npz"])
def test_text_that_hardly_tells_categories_or_differs_in_blanks_alone(
    project: Path, suffix: str, capsys: pytest.CaptureFixture[str]
) -> None:
    table = frame(40).drop(columns="name")
    table["note"] = [f"seen at {i % 30}" for i in range(40)]
    table["sex"] = np.array(["male", "Male", "female"])[np.arange(40) % 3]
    table["day"] = np.array(["Mon", "mon ", "Tue", "Wed", "Thu"])[np.arange(40) % 5]
    table["kind"] = np.array(["cat", "Cat", "cat ", "dog"])[np.arange(40) % 4]
    keys: dict[str, Any] = {"path": f"x.{suffix}", "label": "kind", "scale": "minmax", "clip": True}
    if suffix == "npz":
        kinds, days = (np.array(table[name].tolist()) for name in ("kind", "day"))
        np.savez("data/raw/x.npz", x=table[["u", "v", "w"]].to_numpy(), kind=kinds, day=days)
    else:
        keys["categorical"] = "one_hot"
        options = {"index": False} if suffix == "csv" else {}
        getattr(table, f"to_{suffix}")(f"data/raw/x.{suffix}", **options)
    params(data=file(**keys), split={"group": "day", "stratify": False}, network={"latent_dim": 2})
    main()
    said = [line for line in capsys.readouterr().out.splitlines() if "warning" in line]
    many = [line for line in said if "levels in 40 rows" in line]
    alike = " that differ in blanks or capitals alone are not the same: "
    assert any(
        line.startswith(f"warning: labels{alike}'Cat' and 'cat' and 'cat ':") for line in said
    )
    assert any(f"groups (split.group){alike}'Mon' and 'mon ':" in line for line in said)
    if suffix == "npz":
        assert not many
        return
    (line,) = many
    assert line.startswith("warning: column 'note' has 30 levels in 40 rows, each a feature of few")
    assert line.endswith("set data.exclude: [note]")
    assert any(f"levels of column 'sex'{alike}'Male' and 'male':" in line for line in said)
    assert load_prepared().schema.input_dim == 3 + 30 + 3  # nothing is refused
    mended = table.assign(kind=table["kind"].str.strip().str.lower())
    for column in ("day", "sex"):
        mended[column] = mended[column].str.strip().str.lower()
    getattr(mended, f"to_{suffix}")(f"data/raw/x.{suffix}", **options)
    params(
        data=file(**keys, exclude=["note"]),
        split={"group": "day", "stratify": False},
        network={"latent_dim": 2},
    )
    main()
    said = capsys.readouterr().out.splitlines()
    assert not [line for line in said if "levels in" in line or alike in line]


def test_rare_classes_are_named_together_with_what_differs_in_blanks_alone(project: Path) -> None:
    table = frame(40).drop(columns="name")
    table["kind"] = ["cat", "dog"] * 19 + ["Dog ", "bird"]
    table.to_csv("data/raw/x.csv", index=False)
    params(data=file(path="x.csv", label="kind", categorical="one_hot"), network={"latent_dim": 2})
    rare = r"class 'Dog ' has 1 sample, class 'bird' has 1 sample, cutting .* at least 3 of each"
    with pytest.raises(InputError, match=rf"{rare} class; labels that differ .*'Dog ' and 'dog'"):
        main()
