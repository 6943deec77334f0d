"""Comparisons in Python: the pipeline's runs, from arrays; errors that name the argument."""

from __future__ import annotations

import contextlib
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd
import pytest
import yaml
from filelock import FileLock

from offset_autoencoder import InputError, compare, load_params, load_results, load_splits
from offset_autoencoder.api import comparing
from offset_autoencoder.api.arguments import Arguments
from offset_autoencoder.api.results import Result
from offset_autoencoder.config import parse_params
from offset_autoencoder.stages import offsets, prepare, train
from offset_autoencoder.stages.train import identify_runs

RNG = np.random.default_rng(0)
X = RNG.random((60, 6))
MINE = RNG.normal(0, 0.1, (60, 3))
LABELS = np.tile(["a", "b", "c"], 20)
SMALL: dict[str, Any] = {
    "network": {"hidden": [4]},
    "train": {"epochs": 2, "batch_size": 16, "patience": None},
    "seeds": 2,
}


@pytest.fixture(scope="module", autouse=True)
def cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    folder = tmp_path_factory.mktemp("cache")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(comparing, "user_cache", lambda: folder)
        patch.delenv("OFFSET_AUTOENCODER_RUNS", raising=False)
        yield folder


@pytest.fixture(scope="module")
def result() -> Result:
    return compare(X, {"mine": MINE}, labels=LABELS, **SMALL)


@contextlib.contextmanager
def stopped_before(stage: Any) -> Iterator[None]:
    """A comparison that is interrupted when it comes to a stage."""

    def interrupt(*_: Any, **__: Any) -> None:
        raise KeyboardInterrupt

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(stage, "train" if stage is train else "main", interrupt)
        yield


def test_an_offset_is_compared_with_nothing_and_noise_of_its_rms(result: Result) -> None:
    level = f"{np.sqrt(np.mean(MINE**2)):.4g}"
    assert list(dict.fromkeys(result.runs["setting"])) == ["none", "gaussian", "mine"]
    rows = result.comparison.drop_duplicates(["setting", "baseline"])
    assert list(rows[["setting", "baseline"]].itertuples(index=False, name=None)) == [
        ("gaussian", "none"),
        ("mine", "none"),
        ("mine", "gaussian"),
    ]
    assert set(result.runs["status"]) == {"finished"}
    (verdict,) = result.verdicts.itertuples()
    assert "a network trained with noise" in verdict.sentence
    assert str(result).startswith("mine: inconclusive: too few seeds")
    assert f"stddev: {level}" in (result.page or "")
    assert f"rms: {level}" in (result.page or "")


def test_without_an_offset_a_result_prints_its_comparisons(result: Result) -> None:
    none = {name: result.tables[name][:0] for name in ("verdicts", "interventions")}
    bare = replace(result, tables={**result.tables, **none})
    rows = result.comparison[result.comparison["metric"] == "mse"]
    assert str(bare).splitlines() == [f"{row.setting}: {row.verdict}" for row in rows.itertuples()]


def test_its_runs_are_those_of_the_pipeline(
    result: Result, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    level = float(f"{np.sqrt(np.mean(MINE**2)):.4g}")
    raw = tmp_path / "data" / "raw"
    raw.mkdir(parents=True)
    for name, array in (("x", X), ("labels", LABELS), ("mine", MINE)):
        np.save(raw / f"{name}.npy", array)
    document = {
        "data": {"source": "file", "path": "x.npy", "label": "labels.npy"},
        "split": {},
        "offsets": {"none": {"kind": "zero"}, "mine": {"kind": "file", "path": "mine.npy"}},
        "models": {
            "none": {"offset": "none"},
            "gaussian": {"offset": "none", "stddev": level},
            "mine": {"offset": "mine", "rms": level},
        },
        **SMALL,
        "network": {"hidden": [4], "latent_dim": 3},
        "evaluate": {},
        "tracking": {},
    }
    Path("params.yaml").write_text(yaml.safe_dump(document, sort_keys=False))
    prepare.main()
    for name in document["offsets"]:
        offsets.main([name])
    ids = [run.id for run in identify_runs(load_params(), load_splits())]
    assert ids == list(result.runs["id"])


def test_nothing_is_trained_twice(
    result: Result, cache: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    again = compare(X, MINE, labels=list(LABELS), **SMALL)
    assert "runs: 6 (0 trained, 6 reused)" in capsys.readouterr().out
    pd.testing.assert_series_equal(again.runs["mse"], result.runs["mse"])
    assert {path.name for path in (cache / "runs").iterdir()} >= set(result.runs["id"])


def test_a_run_is_loaded_from_the_run_store(result: Result) -> None:
    run = result.runs["id"].iloc[-1]
    model = result.load_run(run[:12])
    assert set(model.input) == {"x", "offset"}
    with pytest.raises(InputError, match=r"no run of .* has an id"):
        result.load_run("0" * 64)


def test_the_folder_becomes_a_project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OFFSET_AUTOENCODER_RUNS", str(tmp_path / "runs"))
    folder = tmp_path / "mine"
    made = compare(X, MINE, labels=LABELS, folder=folder, **SMALL)
    assert {path.name for path in (tmp_path / "runs").glob("[!.]*")} == set(made.runs["id"])
    assert not (folder / ".runs").exists()
    loaded = load_results(folder / "reports")
    pd.testing.assert_frame_equal(loaded.comparison, made.comparison)
    assert loaded.page == made.page
    assert loaded.load_run(made.runs["id"].iloc[0])
    monkeypatch.chdir(folder)
    assert list(load_params().models) == ["none", "gaussian", "offset"]
    with pytest.raises(InputError, match=r"holds no verdicts\.csv \(load_results\('.*reports'\)"):
        load_results(folder)
    Path("params.yaml").write_text("seeds: 3\n")
    with pytest.raises(InputError, match=r"folder: .* of another origin, whose params\.yaml"):
        compare(X, MINE, folder=folder)


def test_two_comparisons_do_not_write_into_one_folder(tmp_path: Path) -> None:
    with (
        FileLock(tmp_path / comparing._LOCK),
        pytest.raises(InputError, match=r"folder: another comparison is at work in '"),
    ):
        compare(X, MINE, folder=tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == [comparing._LOCK]


@pytest.mark.parametrize("place", ["file", "file/below"])
def test_a_folder_that_cannot_be_made_is_one_line(tmp_path: Path, place: str) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match=rf"folder: '.*/{place}' cannot be written to: .*name ano"):
        compare(X, MINE, folder=tmp_path / place)


@pytest.mark.parametrize("name", ["epochs", "latent_dim", "metric", "stratify", "scale"])
def test_a_key_of_a_section_is_no_argument_and_the_line_says_where_it_goes(name: str) -> None:
    section = {"epochs": "train", "latent_dim": "network", "metric": "evaluate"}
    section |= {"stratify": "split", "scale": "data"}
    with pytest.raises(InputError, match=rf"write {section[name]}=\{{'{name}': \.\.\.\}}"):
        compare(X, MINE, **dict[str, Any]({name: 1}))


def test_an_interrupted_comparison_keeps_its_runs_and_leaves_no_folder(
    result: Result, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    with stopped_before(train), pytest.raises(KeyboardInterrupt):
        compare(X, MINE, labels=LABELS, **SMALL | {"seeds": 3})
    assert list(tmp_path.iterdir()) == []


def test_the_page_stands_by_itself(result: Result, tmp_path: Path) -> None:
    result.save(tmp_path / "report.html")
    text = (tmp_path / "report.html").read_text()
    assert text == result.page
    assert "http://" not in text.partition("<script")[0]
    shown = result._repr_html_()
    assert shown.startswith("<iframe srcdoc=")
    assert 'sandbox="allow-scripts"' in shown


def test_a_notebook_displays_the_page_and_a_script_opens_the_browser(
    result: Result, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    opened: list[Any] = []
    monkeypatch.setattr("webbrowser.open", opened.append)
    result.show()
    path = Path(capsys.readouterr().out.strip())
    assert opened == [path.as_uri()]
    assert path.read_text() == result.page

    class ZMQInteractiveShell:  # by whose name Rich knows a notebook
        pass

    shown: list[Any] = []
    display = SimpleNamespace(display=shown.append)
    monkeypatch.setattr("builtins.get_ipython", ZMQInteractiveShell, raising=False)
    monkeypatch.setitem(sys.modules, "IPython", SimpleNamespace(display=display))
    result.show()
    assert shown == [result]
    assert len(opened) == 1


FRAME = pd.DataFrame(X, columns=list("abcdef"), index=[f"s{i:02}" for i in range(60)])


@pytest.mark.parametrize(
    ("x", "vectors", "options"),
    [
        (FRAME, pd.DataFrame(MINE, index=FRAME.index).sample(frac=1, random_state=1), {}),
        (FRAME, MINE, {"labels": pd.Series(LABELS, FRAME.index)}),
        (FRAME.assign(id=range(60)), MINE[::-1], {"ids": "id"}),
        (pd.DataFrame(X), pd.DataFrame(MINE).sample(frac=1, random_state=1), {}),
        (X, lambda x: x[:, :3], {"ids": np.arange(60)[::-1].copy()}),
        (X - 0.5, MINE, {"seeds": np.int64(3)}),
        (
            {"train": FRAME[:40], "test": FRAME[40:]},
            pd.DataFrame(MINE, index=FRAME.index).sample(frac=1, random_state=1),
            {},
        ),
        (
            {"train": X[:40], "test": X[40:]},
            {"train": MINE[:40], "test": MINE[40:]},
            {"labels": {"train": LABELS[:40], "test": LABELS[40:]}},
        ),
        (X, MINE, {"split": np.repeat(["train", "validation", "test"], 20)}),
        (X, MINE, {"split": {"group": np.repeat(range(20), 3)}}),
    ],
    ids=lambda value: type(value).__name__ if not isinstance(value, dict) else "-".join(value),
)
def test_arrays_and_frames_go_through_to_the_training(
    x: Any, vectors: Any, options: dict[str, Any], tmp_path: Path
) -> None:
    order = None
    with stopped_before(train), pytest.raises(KeyboardInterrupt):
        compare(x, {"mine": vectors}, folder=tmp_path / "f", **options)
    table = np.load(tmp_path / "f" / "data" / "offsets" / "mine" / "train.npy")
    if isinstance(x, dict) and isinstance(x["train"], pd.DataFrame):
        x = pd.concat([*x.values()])
    whole = np.concatenate([*x.values()]) if isinstance(x, dict) else np.asarray(x)[:, :6]
    prepared = np.load(tmp_path / "f" / "data" / "prepared" / "train" / "ids.npy")
    own = vectors(whole) if callable(vectors) else vectors
    own = np.concatenate([*own.values()]) if isinstance(own, dict) else own
    rows = np.arange(60)
    if isinstance(x, pd.DataFrame) and options.get("ids") is None:
        order = pd.Series(rows, index=x.index)
    elif options.get("ids") is not None:
        of_x = x[options["ids"]] if isinstance(options["ids"], str) else options["ids"]
        order = pd.Series(rows, index=np.asarray(of_x))
    chosen = rows[prepared] if order is None else order.loc[prepared].to_numpy()
    if isinstance(own, pd.DataFrame):
        assert isinstance(x, pd.DataFrame)
        own = own.loc[x.index].to_numpy()
    np.testing.assert_allclose(table, own[chosen], rtol=1e-6)


WRONG: dict[str, tuple[dict[str, Any], str]] = {
    "rows": ({"offsets": {"mine": MINE[:9]}}, r"offsets\['mine'\]: has 9 vectors, x has 60 samp"),
    "nan": ({"offsets": {"mine": MINE * np.nan}}, r"offsets\['mine'\]: row 0, column 0 is nan"),
    "text": ({"offsets": {"mine": "abc"}}, r"offsets\['mine'\]: must hold real numbers"),
    "line": ({"offsets": MINE[:, 0]}, r"offsets\['offset'\]: must have shape \(samples, L\)"),
    "widths": ({"offsets": {"a": MINE, "b": X}}, r"offsets: have vectors of several lengths"),
    "name": ({"offsets": {"m v": MINE}}, r"offsets\['m v'\]: a name is a letter"),
    "taken": (
        {"offsets": {"none": MINE}},
        r"offsets\['none'\]: is the name of the model with ",
    ),
    "raises": ({"offsets": {"f": lambda x: 1 / 0}}, r"offsets\['f'\]: raised ZeroDivisionError"),
    "kind": (
        {"offsets": {"k": {"kind": "pcaa"}}},
        r"offsets\['k'\]\['kind'\]: unknown kind 'p",
    ),
    "file": (
        {"offsets": {"k": {"kind": "file", "path": "x.npy"}}},
        r"offsets\['k'\]\['path'\]: the",
    ),
    "key": ({"network": {"hiden": 3}}, r"network\['hiden'\]: unknown key \(did you mean 'hidden'"),
    "callable": ({"network": {"activation": np.tanh}}, r"network\['activation'\]: must be a name"),
    "mapping": ({"train": [3]}, r"train: must be a mapping of keys, got \[3\]"),
    "value": ({"train": {"epochs": 0}}, r"train\['epochs'\]: should be greater than or equal to 1"),
    "sweep": (
        {"models": {"a": {"offset": "offset", "rms": [0.1, -1]}}},
        r"models\['a'\]\['rms'\]\[1\]: should be greater than 0, got -1",
    ),
    "none": ({"offsets": None}, "offsets: names none, and no models are given"),
    "seeds": ({"seeds": "three"}, "seeds: should be a valid integer"),
    "labels": ({"labels": LABELS[:5]}, "labels: has 5 values, x has 60 samples"),
    "index": (
        {"x": FRAME, "labels": pd.Series(LABELS)},
        r"labels: its index is not that of x \(labels\.loc\[x\.index\]",
    ),
    "x": ({"x": X[:, 0]}, r"x: must be a DataFrame or an array of numbers \(samples, features\)"),
    "built in": (
        {"x": "digit"},
        r"x: there is no built-in data set 'digit' \(did you mean 'digi",
    ),
    "split": ({"x": {"train": X, "tset": X}}, r"x: there is no split 'tset' \(did you mean 'test'"),
    "path": ({"data": {"path": "x.npy"}}, r"data\['path'\]: x is the data"),
}


@pytest.mark.parametrize("name", WRONG)
def test_a_wrong_argument_is_named(name: str) -> None:
    given, message = WRONG[name]
    values: dict[str, Any] = {"x": X, "offsets": MINE, "seeds": 2} | given
    columns = {key: values.get(key) for key in ("labels", "ids", "split")}
    keys = ("seeds", "data", "network", "train", "models", "evaluate")
    arguments = Arguments(Path("/nowhere"))
    sections = {key: values.get(key) for key in keys}
    named = comparing.by_name(values["offsets"])
    with pytest.raises(InputError, match=f"^{message}"), arguments.named():
        parse_params(arguments.document(values["x"], named, columns, sections))


def test_a_file_of_a_kind_is_one_of_the_working_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    np.save("v.npy", MINE)
    kind = {"kind": "file", "path": "v.npy"}
    with stopped_before(train), pytest.raises(KeyboardInterrupt):
        compare(X, {"mine": kind}, network={"latent_dim": 3}, folder="f")
    assert load_params(Path("f/params.yaml")).settings[-1].spec.rms == 0.1
    assert Path("f/data/raw/offsets/mine.npy").read_bytes() == Path("v.npy").read_bytes()


def test_a_built_in_data_set_goes_by_its_name() -> None:
    columns = dict.fromkeys(("labels", "ids", "split"))
    sections: dict[str, Any] = dict.fromkeys(("data", "network", "train", "models", "evaluate"))
    document = Arguments(Path()).document(
        "digits", {"mine": {"kind": "pca"}}, columns, {"seeds": 3, **sections}
    )
    assert document["data"] == {"source": "digits"}
    assert document["models"]["mine"] == {"offset": "mine", "rms": 0.1}
    assert parse_params(document).latent_dims("mine") == (16,)


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("seed", r"^seed: is no argument of compare \(did you mean 'seeds'"),
        ("lables", r"^lables: is no argument of compare \(did you mean 'labels'"),
        ("epochs", r"^epochs: is no argument of compare \(write train={'epochs': ...}"),
        ("zzz", r"^zzz: is no argument of compare \(known are .* and 7 more"),
    ],
)
def test_an_argument_that_there_is_not_is_refused_by_name(name: str, said: str) -> None:
    unknown: dict[str, Any] = {name: 3}
    with pytest.raises(InputError, match=said):
        compare(X, MINE, **unknown)


def test_vectors_that_are_all_zero_are_said_to_be(capsys: pytest.CaptureFixture[str]) -> None:
    with stopped_before(train), pytest.raises(KeyboardInterrupt):
        compare(X, {"mine": MINE * 0, "other": MINE})
    (line,) = [text for text in capsys.readouterr().out.splitlines() if "warning" in text]
    assert line.startswith("warning: the vectors of offset mine are all zero on the training split")


def test_what_the_stages_refuse_is_named_too() -> None:
    holes = np.where(X > 0.99, np.nan, X)
    row = int(np.argmax(np.isnan(holes).any(axis=1)))
    with pytest.raises(InputError, match=f"^x, row {row}, column . is not|^x, row {row}, column"):
        compare(holes, MINE)
    with pytest.raises(InputError, match=r"^x, row 1: id 7 stands twice: it is that of x, row 0"):
        compare(X, MINE, ids=np.full(60, 7))
    with pytest.raises(InputError, match=r"^split: marks every sample train: none is left to test"):
        compare(X, MINE, split=["train"] * len(X))
    frame = pd.DataFrame(MINE[:50])
    with pytest.raises(InputError, match=r"^offsets\['mine'\]: has no vector for 10 samples"):
        compare(X, {"mine": frame})
    with pytest.raises(InputError, match=r"^offsets\['offset'\]: holds vectors of 3 columns"):
        compare(X, MINE, network={"latent_dim": 2})
