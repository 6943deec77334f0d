"""``check`` refuses what ``prepare`` and the offsets refuse, and leaves nothing behind."""

from __future__ import annotations

import contextlib
import io
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from tests.cli.conftest import DOCUMENT, frame, write_project

from offset_autoencoder.errors import InputError
from offset_autoencoder.io import arrays
from offset_autoencoder.stages import prepare
from offset_autoencoder.stages.check import check

DATA = DOCUMENT["data"]
NETWORK = DOCUMENT["network"]
DISTRIBUTIONS = {"loss": "categorical_crossentropy", "output": "softmax"}


def said_by_prepare() -> list[str]:
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed):
        prepare.main()
    return printed.getvalue().splitlines()


@pytest.mark.parametrize(
    "sections",
    [
        {},
        {"data": {"source": "digits"}, "offsets": {}, "models": {"plain": {}}},
        {"data": DATA | {"scale": "minmax"}},
    ],
)
def test_it_says_of_the_data_what_prepare_says(
    sections: dict[str, Any], project: Path, command: Any
) -> None:
    write_project(project, **sections)
    before = set(project.rglob("*"))
    result = command("check")
    assert result.exit_code == 0, result.stderr
    quick = command("check", "--quick")
    assert set(project.rglob("*")) == before
    *before_it, line, last = result.stdout.splitlines()
    assert quick.stdout.splitlines() == [*before_it, last]
    assert line.startswith("training: about ")
    first, data, *_ = result.stdout.splitlines()
    assert first.startswith("params.yaml: ")
    assert data.partition(": ")[2] == said_by_prepare()[0].partition(": ")[2]


def test_it_warns_of_samples_in_two_splits(project: Path, command: Any) -> None:
    table = frame()
    table.iloc[1:30, 1:] = table.iloc[0, 1:].to_numpy()
    table.to_csv("data/raw/mine.csv", index=False)
    said = command("check").stdout.splitlines()
    assert said[2].startswith("warning: samples that also stand in an earlier split")
    assert said[2] == said_by_prepare()[1]


@pytest.mark.parametrize(
    ("cell", "sections"),
    [
        ((7, "f3", np.nan), {}),
        ((slice(None), "f2", 4.0), {"data": DATA | {"constant": "error"}}),
        ((5, "name", "s002"), {}),
        ((9, "f5", 1e300), {"data": DATA | {"scale": "none"}}),
        (None, {"sedes": 2}),
        (None, {"data": DATA | {"path": "yours.csv"}}),
        (None, {"data": {k: v for k, v in DATA.items() if k != "label"}}),
        (None, {"network": NETWORK | {"loss": "binary_crossentropy", "output": "sigmoid"}}),
        (None, {"network": NETWORK | {"loss": "categorical_crossentropy"}}),
        (None, {"network": NETWORK | DISTRIBUTIONS}),
        (None, {"offsets": DOCUMENT["offsets"] | {"pca": {"kind": "pca", "latent_dim": 9}}}),
        (None, {"evaluate": {"baselines": ["plain"], "metric": "psnr"}}),
    ],
)
def test_it_refuses_what_prepare_refuses(
    cell: Any, sections: dict[str, Any], project: Path
) -> None:
    write_project(project, **sections)
    table = frame()
    if cell is not None:
        row, column, value = cell
        table.loc[row, column] = value
    table.to_csv("data/raw/mine.csv", index=False)
    before = set(project.rglob("*"))
    with pytest.raises(InputError) as checked:
        check()
    assert set(project.rglob("*")) == before
    with pytest.raises(InputError) as prepared:
        prepare.main()
    assert str(checked.value) == str(prepared.value)


@pytest.mark.parametrize(
    ("offset", "said"),
    [
        ({"kind": "file", "path": "vectors.npy"}, "the data has ids of its own"),
        ({"kind": "file", "path": "vectors.csv", "id": "nope"}, "no column 'nope'"),
        ({"kind": "file", "path": "few.csv", "id": "name"}, "has no vector for 1 sample"),
        ({"kind": "file", "path": "none.npy"}, "there is no file data/raw/none.npy"),
        ({"kind": "function", "function": "custom.nope:nope"}, "offsets.mine.function"),
    ],
)
def test_it_refuses_vectors_and_functions_that_the_offsets_would(
    offset: dict[str, Any], said: str, project: Path, command: Any
) -> None:
    raw = project / "data" / "raw"
    vectors = frame()[["name"]].assign(a=0.0, b=1.0, c=2.0)
    np.save(raw / "vectors.npy", vectors[["a", "b", "c"]].to_numpy())
    vectors.to_csv(raw / "vectors.csv", index=False)
    vectors[:-1].to_csv(raw / "few.csv", index=False)
    good = {"kind": "file", "path": "vectors.csv", "id": "name"}
    models = {"plain": {}, "mine": {"offset": "mine"}}
    write_project(project, offsets={"mine": good}, models=models)
    result = command("check")
    assert result.exit_code == 0
    assert "all zero" not in result.stdout
    vectors.assign(b=0.0, c=0.0).to_csv(raw / "vectors.csv", index=False)
    result = command("check")
    assert result.exit_code == 0
    assert "warning: the vectors of offset mine are all zero on the training" in result.stdout
    write_project(project, offsets={"mine": offset}, models=models)
    result = command("check")
    assert result.exit_code == 1
    (line,) = result.stderr.splitlines()
    assert said in line


def test_chunk_by_chunk_it_finds_the_same(
    project: Path, command: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = command("check").stdout
    assert "params.yaml: 5 models, 6 settings, 2 seeds, 12 runs\n" in whole
    monkeypatch.setattr(arrays, "CHUNK_VALUES", 20)
    assert command("check").stdout == whole
    write_project(
        project,
        data=DATA | {"scale": "none"},
        network=NETWORK | {"loss": "binary_crossentropy", "output": "sigmoid"},
    )
    result = command("check")
    assert "is outside [0, 1]" in result.stderr
    with pytest.raises(InputError) as prepared:
        prepare.main()
    assert result.stderr == f"error: {prepared.value}\n"


def test_it_opens_a_saved_encoder(project: Path, command: Any) -> None:
    from offset_autoencoder.models.backend import keras

    features = len([name for name in frame().columns if name.startswith("f")])
    x = keras.Input((features,))
    encoder = keras.Sequential([keras.layers.Dense(2)], name="encoder")
    keras.Model(x, keras.layers.Dense(features)(encoder(x))).save("data/raw/own.keras")
    for layer, latent_dim, expected in (
        ("encoder", 2, None),
        ("decoder", 2, "offsets.own.layer: no layer 'decoder'"),
        ("encoder", 3, f"'encoder' of data/raw/own.keras maps (n, {features}) to (n, 2), needed"),
    ):
        own = {"kind": "encoder", "path": "own.keras", "layer": layer}
        models = {"plain": {}, "own": {"offset": "own"}}
        network = {**NETWORK, "latent_dim": latent_dim}
        write_project(project, offsets={"own": own}, models=models, network=network)
        result = command("check")
        assert result.exit_code == (expected is not None), result.stderr
        if expected is not None:
            assert expected in result.stderr
            assert len(result.stderr.strip().splitlines()) == 1


def test_it_estimates_no_time_of_what_it_cannot_time(project: Path, command: Any) -> None:
    features = {f"f{i}": np.random.default_rng(i).random(9000) for i in range(60)}
    pd.DataFrame(features).to_csv("data/raw/long.csv", index=False)
    data = {"source": "file", "path": "long.csv"}
    limited = {"none": {"offset": "none", "memory_limit": "1 MB"}}
    both = limited | {"whole": {"offset": "none"}}
    of_limited = "runs on JAX or on more data than train.memory_limit"
    for models, said in (
        (limited, f"training: no time is estimated for {of_limited}"),
        (both, f"training, without 2 {of_limited}: about "),
    ):
        none = {"none": {"kind": "zero"}}
        write_project(project, data=data, offsets=none, models=models, evaluate={})
        result = command("check")
        assert result.exit_code == 0, result.stderr
        assert result.stdout.splitlines()[-2].startswith(said)
