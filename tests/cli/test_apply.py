"""``reconstruct``, ``encode`` and ``offsets``, with models that were trained for it."""

from __future__ import annotations

import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import yaml
from tests.cli.conftest import FEATURES

from offset_autoencoder.cli import apply as module
from offset_autoencoder.io import arrays
from offset_autoencoder.io.files import write_npz
from offset_autoencoder.serving.inference_model import open_run
from offset_autoencoder.serving.metadata import write_metadata
from offset_autoencoder.stages import offsets
from offset_autoencoder.tracking.record_types import StoreState

MSE = re.compile(r"mse (\S+) of the scaled values")


@pytest.fixture
def run_of(runs: pd.DataFrame) -> Callable[[str], str]:
    """The first digits of the id of a model's first run."""
    return lambda model: str(runs[runs["model"] == model]["id"].iloc[0])[:16]


@pytest.fixture
def apply(command: Any, run_of: Callable[[str], str]) -> Callable[..., Any]:
    """Run a command, which succeeds, with a model's first run."""

    def call(name: str, model: str, *arguments: str | Path) -> Any:
        result = command(name, run_of(model), *arguments)
        assert result.exit_code == 0, result.stderr
        return result

    return call


@pytest.fixture
def samples_csv(test_samples: pd.DataFrame, tmp_path: Path) -> Path:
    """The test samples without labels, their columns in another order."""
    path = tmp_path / "new.csv"
    test_samples[[*reversed(FEATURES), "name"]].to_csv(path, index=False)
    return path


def table_of(trained: Path, offset: str) -> Any:
    return np.load(trained / "data" / "offsets" / offset / "test.npy")


@pytest.mark.parametrize("model", ["plain", "projection", "known", "wide"])
def test_reconstructions_have_the_error_that_evaluate_measured(
    model: str,
    apply: Any,
    runs: pd.DataFrame,
    samples_csv: Path,
    test_samples: pd.DataFrame,
    trained: Path,
    tmp_path: Path,
) -> None:
    output = tmp_path / "out.csv"
    found = MSE.search(apply("reconstruct", model, samples_csv, output).stdout)
    measured = runs[runs["model"] == model]["mse"].iloc[0]
    assert found is not None
    assert float(found[1]) == pytest.approx(measured, rel=1e-5)
    # In the units of the file: scaled by hand, they have that error.
    table = pd.read_csv(output)
    assert list(table.columns) == ["id", *FEATURES]
    assert list(table["id"]) == list(test_samples["name"])
    with np.load(trained / "data" / "prepared" / "scale.npz") as scale:
        difference = (table[FEATURES] - test_samples[FEATURES]).to_numpy() * scale["factor"]
    assert np.square(difference).mean() == pytest.approx(measured, rel=1e-4)


def test_scaled_samples_stay_scaled(
    apply: Any, runs: pd.DataFrame, trained: Path, tmp_path: Path
) -> None:
    source, output = trained / "data" / "prepared" / "test" / "x.npy", tmp_path / "out.npy"
    apply("reconstruct", "projection", source, output, "--scaled")
    measured = runs[runs["model"] == "projection"]["mse"].iloc[0]
    error = np.square(np.load(output) - np.load(source).astype(np.float64)).mean()
    assert error == pytest.approx(measured, rel=1e-5)


def test_offsets_are_those_of_the_tables(
    apply: Any, samples_csv: Path, trained: Path, tmp_path: Path
) -> None:
    output = tmp_path / "out.parquet"
    apply("offsets", "projection", samples_csv, output)
    table = pd.read_parquet(output)
    assert list(table.columns) == ["id", "offset_0", "offset_1", "offset_2"]
    expected = table_of(trained, "projection")
    np.testing.assert_allclose(table.iloc[:, 1:], expected, rtol=1e-5, atol=1e-7)
    apply("offsets", "known", samples_csv, tmp_path / "k.npy")
    np.testing.assert_array_equal(np.load(tmp_path / "k.npy"), table_of(trained, "known"))


def test_labels_are_taken_where_the_offset_goes_by_them(
    command: Any,
    apply: Any,
    run_of: Any,
    samples_csv: Path,
    test_samples: pd.DataFrame,
    trained: Path,
    tmp_path: Path,
) -> None:
    output, renamed = tmp_path / "out.npy", tmp_path / "renamed.csv"
    result = command("offsets", run_of("kinds"), samples_csv, output)
    assert result.stderr.startswith("error: --label: missing: the model's offset, class_code, asks")
    test_samples.rename(columns={"kind": "animal"}).to_csv(renamed, index=False)
    apply("offsets", "kinds", renamed, output, "--label", "animal")
    np.testing.assert_array_equal(np.load(output), table_of(trained, "kinds"))
    apply("encode", "kinds", samples_csv, tmp_path / "c.npy")  # the code depends on x alone
    result = command("offsets", run_of("wide"), samples_csv, tmp_path / "o.npy")
    assert "adds no offset that is computed beforehand" in result.stderr


def test_vectors_of_a_file_are_found_by_the_ids_of_samples(
    command: Any,
    apply: Any,
    run_of: Any,
    samples_csv: Path,
    trained: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    run, expected = run_of("projection"), table_of(trained, "projection")
    project = tmp_path / "project"
    shutil.copytree(trained, project)
    monkeypatch.chdir(project)
    # The vectors that the run was trained with, as a file of the user's.
    folders = [project / "data" / kind for kind in ("prepared", "offsets/projection")]
    parts = [
        pd.DataFrame(np.load(folders[1] / f"{split}.npy")).assign(
            sample=np.load(folders[0] / split / "ids.npy")
        )
        for split in ("test", "train", "validation")
    ]
    pd.concat(parts).to_csv("data/raw/vectors.csv", index=False)
    params = yaml.safe_load(Path("params.yaml").read_text())
    params["offsets"]["projection"] = {"kind": "file", "path": "vectors.csv", "id": "sample"}
    Path("params.yaml").write_text(yaml.safe_dump(params, sort_keys=False))
    offsets.main(["projection"])
    output, unnamed, unlisted = (tmp_path / name for name in ("o.npy", "unnamed.csv", "more.csv"))
    apply("offsets", "projection", samples_csv, output)
    np.testing.assert_array_equal(np.load(output), expected)
    samples = pd.read_csv(samples_csv)
    x, ids = samples[FEATURES].to_numpy(), samples["name"].to_numpy(str)
    model = open_run(run)
    np.testing.assert_array_equal(model.offset(x[5:8], ids=ids[5:8]), expected[5:8])
    samples.drop(columns="name").to_csv(unnamed, index=False)
    result = command("reconstruct", run, unnamed, tmp_path / "r.npy")
    assert result.stderr.startswith("error: --offset: missing: the model's offset is a file of")
    assert "--id NAME, to find them in that file" in result.stderr
    samples["name"] = ["new", *ids[1:]]
    samples.to_csv(unlisted, index=False)
    result = command("reconstruct", run, unlisted, tmp_path / "r.npy")
    assert "vectors.csv: has no vector for 1 sample of the input: id 'new'" in result.stderr
    # Until the file has it.
    with Path("data/raw/vectors.csv").open("a") as file:
        file.write("0.5,1,2,new\n")
    apply("offsets", "projection", unlisted, output, "--force")
    np.testing.assert_array_equal(np.load(output), [[0.5, 1, 2], *expected[1:]])


def test_an_offset_of_ones_own_takes_the_place_of_the_computed_one(
    command: Any, apply: Any, run_of: Any, samples_csv: Path, trained: Path, tmp_path: Path
) -> None:
    def reconstruct(name: str, *options: str | Path) -> Any:
        apply("reconstruct", "projection", samples_csv, tmp_path / name, *options)
        return np.load(tmp_path / name)

    table = trained / "data" / "offsets" / "projection" / "test.npy"
    computed = reconstruct("computed.npy")
    np.testing.assert_allclose(reconstruct("same.npy", "--offset", table), computed, rtol=1e-4)
    np.save(tmp_path / "other.npy", np.flip(np.load(table), axis=0))
    other = reconstruct("flipped.npy", "--offset", tmp_path / "other.npy")
    assert not np.allclose(other, computed, rtol=1e-3)
    arguments = (run_of("projection"), samples_csv, tmp_path / "no.npy")
    result = command("reconstruct", *arguments, "--offset", table.with_name("train.npy"))
    assert "expected (24, 3)" in result.stderr


def test_codes_are_of_unit_length(apply: Any, samples_csv: Path, tmp_path: Path) -> None:
    result = apply("encode", "projection", samples_csv, tmp_path / "code.npy")
    assert result.stdout == f"{tmp_path / 'code.npy'}: 24 × 3\n"
    code = np.load(tmp_path / "code.npy")
    np.testing.assert_allclose(np.linalg.norm(code, axis=1), 1, rtol=1e-5)


@pytest.mark.parametrize("suffix", [".npy", ".csv", ".parquet"])
def test_chunk_by_chunk_it_writes_the_same(
    suffix: str, apply: Any, samples_csv: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole, pieces = tmp_path / f"whole{suffix}", tmp_path / f"pieces{suffix}"
    said = apply("reconstruct", "projection", samples_csv, whole).stdout
    monkeypatch.setattr(arrays, "CHUNK_VALUES", 5 * len(FEATURES))
    result = apply("reconstruct", "projection", samples_csv, pieces)
    assert result.stdout.partition(": ")[2] == said.partition(": ")[2]
    read = {".npy": lambda path: pd.DataFrame(np.load(path)), ".csv": pd.read_csv}.get(
        suffix, pd.read_parquet
    )
    pd.testing.assert_frame_equal(read(pieces), read(whole), rtol=1e-5)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["{run}", "narrow.npy", "o.npy"], "its samples have 5 features, the model takes 6"),
        (["{run}", "nan.csv", "o.npy"], "nan.csv, row 2 (line 4), column 'f3'"),
        (["{run}", "text.csv", "o.npy"], "column 'f1': 'many' is not a finite number"),
        (["{run}", "lacks.csv", "o.npy"], "lacks.csv: has no column 'f0'"),
        (["{run}", "none.csv", "o.npy"], "none.csv: no such file"),
        (["{run}", "notes.rtf", "o.npy"], "notes.rtf: unknown file format '.rtf'"),
        (["{run}", "new.csv", "o.txt"], "o.txt: unknown suffix '.txt'"),
        (["{run}", "new.csv", "nowhere/o.npy"], "there is no folder"),
        (["{run}", "new.csv", "old.npy"], "old.npy: exists already (--force writes over it)"),
        (["{run}", "new.csv", "new.csv"], "new.csv: is the input, too"),
        (["{run}", "new.csv", "new.csv", "--force"], "new.csv: is the input, too"),
        (["xyz", "new.csv", "o.npy"], "no run of models or .runs has an id that begins so"),
        (["{run}", "new.csv", "o.npy", "--features", "f0,f9"], "has no column 'f9'"),
        (["{run}", "new.csv", "o.npy", "--id", "nam"], "--id: "),
        (["models:/m@champion", "new.csv", "o.npy"], "there is no MLflow store"),
    ],
)
def test_bad_input_is_one_line_and_writes_nothing(
    arguments: list[str], said: str, command: Any, run_of: Any, samples_csv: Path
) -> None:
    folder = samples_csv.parent
    table = pd.read_csv(samples_csv)
    np.save(folder / "narrow.npy", table[FEATURES[1:]])
    table.assign(f3=table["f3"].where(table.index != 2)).to_csv(folder / "nan.csv", index=False)
    table.assign(f1="many").to_csv(folder / "text.csv", index=False)
    table.drop(columns="f0").to_csv(folder / "lacks.csv", index=False)
    (folder / "notes.rtf").write_text("notes")
    np.save(folder / "old.npy", np.zeros(3))
    before = {path: path.read_bytes() for path in folder.iterdir()}
    model, source, output, *options = arguments
    model = model.format(run=run_of("projection"))
    result = command("reconstruct", model, folder / source, folder / output, *options)
    assert result.exit_code == 1
    (line,) = result.stderr.splitlines()
    assert line.startswith("error: ")
    assert said in line
    assert {path: path.read_bytes() for path in folder.iterdir()} == before


def test_a_runs_folder_is_applied_from_anywhere_with_its_own_project(
    command: Any,
    run_of: Any,
    samples_csv: Path,
    trained: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    (run,) = (trained / "models" / "runs").glob(f"{run_of('projection')}*")
    assert command("reconstruct", run, samples_csv, tmp_path / "here.npy").exit_code == 0
    monkeypatch.chdir(tmp_path)
    result = command("reconstruct", run, samples_csv, tmp_path / "there.npy")
    assert result.exit_code == 0, result.stderr
    np.testing.assert_array_equal(np.load("there.npy"), np.load("here.npy"))
    shutil.copytree(run, tmp_path / "alone")
    result = command("reconstruct", "alone", samples_csv, tmp_path / "no.npy")
    assert result.exit_code == 1
    (line,) = result.stderr.splitlines()
    assert "in its project, which is neither here nor around it" in line


def test_what_fails_half_way_leaves_the_old_output(
    command: Any,
    run_of: Any,
    test_samples: pd.DataFrame,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(arrays, "CHUNK_VALUES", 5 * len(FEATURES))
    x = test_samples[FEATURES].to_numpy(copy=True)
    x[20, 4] = 1e300
    np.save(tmp_path / "x.npy", x)
    (tmp_path / "out.csv").write_text("kept")
    arguments = ("reconstruct", run_of("projection"), tmp_path / "x.npy", tmp_path / "out.csv")
    result = command(*arguments, "--force")
    assert result.exit_code == 1
    assert "row 20, column 4" in result.stderr
    assert (tmp_path / "out.csv").read_text() == "kept"
    assert {path.name for path in tmp_path.iterdir()} == {"x.npy", "out.csv"}
    x[20, 4] = 1.0
    np.save(tmp_path / "x.npy", x)
    assert command(*arguments, "--force").exit_code == 0
    assert list(pd.read_csv(tmp_path / "out.csv").columns) == [f"x_{i}" for i in range(6)]


def test_a_champion_of_former_data_is_said_to_be(
    command: Any,
    run_of: Any,
    test_samples: pd.DataFrame,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    model, folder = open_run(run_of("plain")), tmp_path / "served"
    folder.mkdir()
    write_npz(folder / "scale.npz", model.scale.stored)
    monkeypatch.setattr(module, "download_model", lambda *_: folder)
    of_mnist = {"champion": "3", "champion-mnist-0123abcd": "3"}
    monkeypatch.setattr(module, "read_state", lambda *_: StoreState(champions=of_mnist))
    test_samples.drop(columns="f0").to_csv(tmp_path / "lacks.csv", index=False)
    clauses, notes = [], []
    address = "models:/offset-autoencoder@champion"
    for digest in (model.metadata.test_samples_sha256, "0" * 64):
        facts = model.metadata.model_copy(update={"test_samples_sha256": digest})
        write_metadata(folder, facts)
        result = command("encode", address, tmp_path / "lacks.csv", tmp_path / "o.npy")
        assert result.exit_code == 1
        (line,) = result.stderr.splitlines()
        before, _, clause = line.partition("; models:/offset-autoencoder@champion is ")
        assert "lacks.csv: has no column 'f0'" in before
        clauses.append(clause)
        capsys.readouterr()
        with module.open_model(address):  # which answers
            pass
        notes.append(capsys.readouterr().err)
    assert clauses[0] == notes[0] == ""
    said = notes[1].removeprefix("note: models:/offset-autoencoder@champion is ").rstrip()
    assert said
    assert clauses[1].startswith(said)
    whose = "version 3 (champion-mnist-0123abcd) of other data than data/prepared holds, with f0, "
    assert clauses[1].startswith(whose)
    run = run_of("plain")[:12]
    assert f"(run {run}): 'champion' stands for that of the present data" in clauses[1]
    with module.open_model(f"{address}-mnist-0123abcd"):  # its name says whose it is
        assert capsys.readouterr().err == ""
    assert capsys.readouterr().err == ""


@pytest.mark.slow
def test_a_saved_folder_and_the_registry_give_the_same_as_the_run(
    command: Any,
    apply: Any,
    run_of: Any,
    samples_csv: Path,
    trained: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    from mlflow.tracking import MlflowClient

    from offset_autoencoder.serving.export import save_model_folder

    outputs = [tmp_path / f"{name}.npy" for name in ("run", "folder", "champion", "version")]
    apply("reconstruct", "projection", samples_csv, outputs[0])
    folder = tmp_path / "logged" / "artifacts" / "model"
    folder.parent.mkdir(parents=True)
    save_model_folder(folder, open_run(run_of("projection")))
    store = f"sqlite:///{tmp_path}/mlflow.db"
    client = MlflowClient(tracking_uri=store)
    client.create_registered_model("offset-autoencoder")
    version = client.create_model_version("offset-autoencoder", (tmp_path / "logged").as_uri())
    client.set_registered_model_alias("offset-autoencoder", "champion", version.version)
    # Neither needs the project.
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", store)
    assert command("reconstruct", folder, samples_csv, outputs[1]).exit_code == 0
    address = "models:/offset-autoencoder@champion"
    result = command("reconstruct", address, samples_csv, outputs[2])
    assert result.exit_code == 0, result.stderr
    assert command("encode", "models:/offset-autoencoder/1", samples_csv, outputs[3]).exit_code == 0
    found = [np.load(output) for output in outputs]
    np.testing.assert_array_equal(found[1], found[0])
    np.testing.assert_array_equal(found[2], found[0])
    assert found[3].shape == (24, 3)
    result = command("encode", "models:/offset-autoencoder/2", samples_csv, tmp_path / "no.npy")
    assert result.exit_code == 1
    (line,) = result.stderr.splitlines()
    assert "Model Version (name=offset-autoencoder, version=2) not found" in line
