"""Runs on a table with text and missing cells: new rows go the way that those of the set went."""

from __future__ import annotations

import contextlib
import functools
import io
import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import yaml
from sklearn.compose import make_column_transformer
from sklearn.impute import SimpleImputer
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler
from tests.serving.small_project import runs_of, untrained

from offset_autoencoder.cli.apply import apply_model
from offset_autoencoder.cli.operations import Encode, Errors, Offsets, Reconstruct
from offset_autoencoder.data.new_samples import ColumnOptions
from offset_autoencoder.data.prepared import load_prepared
from offset_autoencoder.errors import InputError
from offset_autoencoder.serving.export import save_model_folder
from offset_autoencoder.serving.inference_model import load_model_folder, open_run

NUMBERS = ["bill", "mass", "depth"]


def penguins(rows: int = 90) -> pd.DataFrame:
    rng = np.random.default_rng(3)
    table = pd.DataFrame(rng.normal(40, 9, size=(rows, 3)) * [1, 50, 0.1], columns=NUMBERS)
    table.insert(1, "species", np.array(["Adelie", "Gentoo", "Chinstrap"])[np.arange(rows) % 3])
    table.loc[rng.random(rows) < 0.1, "mass"] = np.nan
    table["note"] = "x"
    return table


def make(root: Path, missing: str, **data: Any) -> None:
    from offset_autoencoder.stages import evaluate, offsets, prepare, train

    document: dict[str, Any] = {
        "seeds": 1,
        "data": {
            "source": "file",
            "path": "x.csv",
            "categorical": "one_hot",
            "missing": missing,
            **data,
        },
        "split": {},
        "offsets": {"projection": {"kind": "random_projection"}},
        "network": {
            "latent_dim": 2,
            "hidden": [4],
            "output": "linear",
            "loss": "mean_squared_error",
        },
        "train": {"epochs": 1},
        "models": {"plain": {}, "projection": {"offset": "projection", "rms": 0.3}},
        "evaluate": {"baselines": ["plain"], "draws": 1},
        "tracking": {},
    }
    (root / "params.yaml").write_text(yaml.safe_dump(document))
    with contextlib.redirect_stdout(io.StringIO()), untrained():
        prepare.main()
        offsets.main(["projection"])
        train.main()
        evaluate.main()


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("DVC_ROOT", raising=False)
    (tmp_path / "data" / "raw").mkdir(parents=True)
    penguins().to_csv("data/raw/x.csv", index=False)
    return tmp_path


def test_filled_and_one_hot(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    make(root, "median", exclude=["note"], scale="standard")
    run, table = runs_of(root)["projection"]["id"], penguins()
    save_model_folder(root / "served", open_run(run))
    numbers = make_pipeline(SimpleImputer(strategy="median"), StandardScaler())
    kinds = make_pipeline(OneHotEncoder(sparse_output=False), StandardScaler())
    reference = make_column_transformer((numbers, NUMBERS), (kinds, ["species"]))
    reference.fit(table.loc[load_prepared().train.ids])
    new = penguins().sample(n=40, random_state=0)[["species", *reversed(NUMBERS)]]
    new.to_csv("new.csv", index=False)
    new.to_parquet("new.parquet")
    expected = reference.transform(new)[:, [0, 3, 4, 5, 1, 2]]  # as the columns stand in the file
    for model in (open_run(run), load_model_folder(root / "served")):
        assert model.metadata.raw_columns == ("bill", "species", "mass", "depth")
        x = model.features_of(new)
        assert np.isnan(x).any()
        found = model.reconstruct(x)
        scaled = model.reconstruct(expected, is_scaled=True)
        np.testing.assert_allclose(found, model.inverse_scale(scaled), rtol=1e-4, atol=1e-4)
        # An offset by content is that of the filled sample.
        np.testing.assert_allclose(
            model.offset(x), model.offset(expected, is_scaled=True), atol=1e-5
        )
    for suffix in ("csv", "parquet"):
        output = root / f"out.{suffix}"
        apply_model(
            Reconstruct, str(root / "served"), root / f"new.{suffix}", output, ColumnOptions()
        )
        written = getattr(pd, f"read_{suffix}")(output)
        assert list(written.columns) == [
            *("bill", "species=Adelie", "species=Chinstrap", "species=Gentoo", "mass", "depth")
        ]
        np.testing.assert_allclose(written, found, rtol=1e-5, atol=1e-4)
    capsys.readouterr()
    new.assign(species="Emperor").to_csv("odd.csv", index=False)
    apply_model(Encode, run, root / "odd.csv", root / "odd.npy", ColumnOptions())
    assert (
        "column 'species' has levels that no sample of the data set has" in capsys.readouterr().out
    )
    none = model.features_of(new.assign(species="Emperor"))
    np.testing.assert_allclose(np.load("odd.npy"), model.encode(none), atol=1e-6)
    new.drop(columns="mass").to_csv("odd.csv", index=False)
    with pytest.raises(InputError, match=r"odd\.csv: has no column 'mass', one of the features of"):
        apply_model(Encode, run, root / "odd.csv", root / "o.npy", ColumnOptions())


def test_the_served_model_takes_columns(root: Path) -> None:
    from offset_autoencoder.tracking import logged_models
    from offset_autoencoder.tracking.served_model import Predictor

    make(root, "mean", exclude=["note"])
    model = open_run(runs_of(root)["plain"]["id"])
    described = logged_models._inputs(model.metadata)["x"]
    assert described.startswith("a column of each: bill, species, mass, depth; or (samples, 6), ")
    served: Any = Predictor()
    served.applied = model
    example = logged_models._example(model.metadata, root)
    lists: dict[str, Any] = {
        "bill": [39.0, None],
        "species": ["Gentoo", "new"],
        "mass": [2e3, 2e3],
        "depth": [4, 4.5],
    }
    requests: list[Any] = [example, lists, pd.DataFrame(lists), {"x": model.features_of(lists)}]
    for given in requests:
        found = served.predict(None, given)
        expected = model.apply(given["x"] if "x" in given else model.features_of(given))
        np.testing.assert_array_equal(found["reconstruction"], expected["reconstruction"])
        assert np.isfinite(found["reconstruction"]).all()
    test = penguins().loc[load_prepared().test.ids[:2]]
    assert example["species"].tolist() == test["species"].tolist()
    np.testing.assert_allclose(example["bill"], test["bill"], rtol=1e-5)


def test_incomplete_rows_are_left_out(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    make(root, "drop")
    model, table = open_run(runs_of(root)["plain"]["id"]), penguins()
    table.to_csv("new.csv", index=False)
    apply_model(
        Reconstruct, model.metadata.run, root / "new.csv", root / "new.npy", ColumnOptions()
    )
    rows = table.index[table["mass"].isna()].tolist()
    note = f"note: {root}/new.csv: rows with a missing cell, left out (data.missing: drop): "
    printed = capsys.readouterr().out
    assert note + ", ".join(map(str, rows[:8])) in printed
    assert "npy has no room for the numbers of the rows that are left" in printed
    complete = table.dropna()
    for suffix in ("csv", "parquet"):
        getattr(table, f"to_{suffix}")(f"new.{suffix}")
        apply_model(
            Errors,
            model.metadata.run,
            root / f"new.{suffix}",
            root / f"e.{suffix}",
            ColumnOptions(),
        )
        written = getattr(pd, f"read_{suffix}")(f"e.{suffix}")
        assert written["row"].tolist() == complete.index.tolist()
    expected = model.reconstruct(model.features_of(complete))
    np.testing.assert_allclose(np.load("new.npy"), expected, rtol=1e-5, atol=1e-3)
    with pytest.raises(InputError, match="x: row 0, column 4 is nan"):
        model.reconstruct(model.features_of(table[table["mass"].isna()]))


def test_features_that_are_left_of_an_array(root: Path) -> None:
    x = np.random.default_rng(0).random((40, 5))
    x[:, [1, 3]] = [7, 8]
    np.save("data/raw/x.npy", x)
    make(root, "error", path="x.npy", categorical="error", constant="drop", clip=True)
    run = runs_of(root)["projection"]["id"]
    save_model_folder(root / "served", open_run(run))
    for model in (open_run(run), load_model_folder(root / "served")):
        assert model.metadata.raw_features == 5
        found = model.reconstruct(x)
        assert found.shape == (40, 3)
        np.testing.assert_array_equal(found, model.reconstruct(x[:, [0, 2, 4]]))
        np.testing.assert_array_equal(model.reconstruct(x + 9), model.reconstruct(x * 0 + x.max()))
    apply_model(Reconstruct, run, root / "data/raw/x.npy", root / "o.npy", ColumnOptions())
    np.testing.assert_allclose(np.load("o.npy"), found, rtol=1e-6)
    document = json.loads((root / "served" / "served.json").read_text())
    assert document["preprocessing"]["kept"] == [0, 2, 4]


def test_values_that_are_clipped_are_counted(
    root: Path, capsys: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    penguins().fillna(2000).to_csv("data/raw/x.csv", index=False)
    make(root, "error", exclude=["note"])  # clipped, as it is a table
    run = runs_of(root)["projection"]["id"]
    save_model_folder(root / "served", open_run(run))
    inside = penguins().fillna(2000).iloc[load_prepared().train.ids].reset_index(drop=True)
    for new, count in ((inside, 0), (inside.copy(), 2)):
        new.loc[range(1, 1 + count), "bill"] = 1e6
        for suffix in ("csv", "parquet"):
            getattr(new, f"to_{suffix}")(f"new.{suffix}")
            for operation in (Encode, Errors, Offsets, Reconstruct):
                paths = root / f"new.{suffix}", root / "out.csv"
                capsys.readouterr()
                apply_model(operation, run, *paths, ColumnOptions(), force=True)
                said = capsys.readouterr().err.splitlines()
                assert len(said) == (count > 0)
                for line in said:
                    assert line.startswith(f"warning: 2 values in 2 of {len(new)} samples are clip")
                    assert f"new.{suffix}, row 1" in line
                    assert "column 'bill', 1e+06 beyond the range" in line
        for model in (open_run(run), load_model_folder(root / "served")):
            caplog.clear()
            model.errors(model.features_of(new))
            assert len(caplog.messages) == (count > 0)
            if count:
                assert "furthest is x, row 1, column 'bill', 1e+06 beyond" in caplog.messages[0]


@pytest.mark.parametrize("suffix", ["npy", "csv"])
def test_values_of_a_series_are_named_by_step_and_channel(root: Path, suffix: str) -> None:
    x = np.random.default_rng(0).random((40, 5, 2))
    np.save("data/raw/x.npy", x)
    np.savetxt("data/raw/x.csv", x.reshape(40, 10), delimiter=",")
    keys: dict[str, Any] = {"header": False} if suffix == "csv" else {"channels": "last"}
    keys |= {"path": f"x.{suffix}", "sequence_shape": [5, 2], "scale": "minmax", "clip": True}
    make(root, "error", categorical="error", **keys)
    run = runs_of(root)["plain"]["id"]
    save_model_folder(root / "served", open_run(run))
    for name in (run, str(root / "served")):
        make_errors = functools.partial(Errors, per_feature=True)
        source = root / "data" / "raw" / f"x.{suffix}"
        apply_model(make_errors, name, source, root / "e.csv", ColumnOptions(), force=True)
        errors = pd.read_csv("e.csv").filter(like="error_")
        pairs = [(step, channel) for step in range(5) for channel in range(2)]
        assert list(errors) == [f"error_step_{step}_channel_{channel}" for step, channel in pairs]
        expected = open_run(run).errors(x, per_feature=True)
        np.testing.assert_allclose(errors, expected, rtol=1e-4, atol=1e-7)
