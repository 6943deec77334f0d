from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tests.prepared_data import prepared_of, write_prepared

from offset_autoencoder.config import SPLITS, SplitName
from offset_autoencoder.data.prepared import PreparedData, PreparedSplit, load_prepared
from offset_autoencoder.errors import InputError
from offset_autoencoder.offsets.kind import apply_offset
from offset_autoencoder.offsets.table import load_table
from offset_autoencoder.stages import prepare
from offset_autoencoder.stages.offsets import main

SIZES: dict[SplitName, int] = {"train": 20, "validation": 4, "test": 6}
PARAMS = """
seeds: 2
data: {{source: digits}}
split: {{}}
offsets:
  none: {{kind: zero}}
  mine: {offset}
network: {{latent_dim: {latent_dim}}}
train: {{}}
models:
  none: {{offset: none}}
  mine: {{offset: mine}}
evaluate: {{baselines: [none]}}
tracking: {{}}
"""


def project(
    folder: Path, offset: str, latent_dims: tuple[int, ...] = (4,), *, labelled: bool = True
) -> PreparedData:
    """A project with two offsets, and its data as ``prepare`` leaves it."""
    generator = np.random.default_rng(0)
    splits = {
        split: PreparedSplit(
            x=generator.random((n, 6), dtype=np.float32),
            y=np.arange(n) % 3 if labelled else None,
            ids=np.array([f"{split}-{row}" for row in range(n)]),
        )
        for split, n in SIZES.items()
    }
    data = prepared_of(splits, classes=[0, 1, 2] if labelled else None, ids="given")
    dims = {"none": latent_dims, "mine": latent_dims}
    write_prepared(folder / "data" / "prepared", data, dims)
    params = PARAMS.format(offset=offset, latent_dim=list(latent_dims))
    (folder / "params.yaml").write_text(params)
    (folder / "data" / "raw").mkdir(exist_ok=True)
    return data


@pytest.fixture(autouse=True)
def _in_project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


OFFSETS = Path("data/offsets")


def test_table_is_row_aligned_with_the_data_and_named_by_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    data = project(tmp_path, "{kind: hash}")
    main(["mine"])
    table = load_table(OFFSETS, "mine", 4)
    for split in SPLITS:
        assert len(table.split(split)) == SIZES[split]
        x = np.asarray(data.split(split).x)
        assert np.array_equal(table.split(split), apply_offset(OFFSETS / "mine", x))
    assert table.info["data"] == {s: data.schema.digests[s]["x"] for s in SPLITS}
    assert table.info["params"] == {"kind": "hash", "seed": 0}
    assert capsys.readouterr().out == f"offset mine: hash, latent dim 4, rms {table.rms:#.3g}\n"
    assert [path.name for path in OFFSETS.iterdir()] == ["mine"]


def test_swept_latent_dims_have_a_folder_each(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    project(tmp_path, "{kind: class_code, code: one_hot}", (3, 5))
    main(["mine"])
    assert sorted(path.name for path in (OFFSETS / "mine").iterdir()) == [
        "latent_dim_3",
        "latent_dim_5",
    ]
    assert load_table(OFFSETS, "mine", 5).test.shape == (6, 5)
    assert capsys.readouterr().out == (
        "offset mine: class_code, latent dims 3, 5, rms 0.577, 0.447\n"
    )


def test_no_longer_swept_leaves_no_folder_behind(tmp_path: Path) -> None:
    project(tmp_path, "{kind: hash}", (3, 5))
    main(["mine"])
    project(tmp_path, "{kind: hash}", (3,))
    main(["mine"])
    assert sorted(path.name for path in (OFFSETS / "mine").iterdir()) == [
        "offset.json",
        "state.npz",
        "test.npy",
        "train.npy",
        "validation.npy",
    ]


@pytest.mark.parametrize(
    ("offset", "labelled", "expected"),
    [
        ("{kind: class_code}", False, "params.yaml: offsets.mine: kind class_code needs labels"),
        ("{kind: pca}", True, "params.yaml: offsets.mine: pca of 20 training samples"),
        ("{kind: file, path: a.npy}", True, "params.yaml: offsets.mine: the data has ids"),
        ("{kind: file, path: a.npy, id: b.npy}", True, "params.yaml: offsets.mine.path: there is"),
        (
            "{kind: function, function: 'custom.absent:f'}",
            True,
            "params.yaml: offsets.mine.function: there is no module 'custom.absent'",
        ),
    ],
)
def test_offsets_that_cannot_be_had_write_nothing(
    tmp_path: Path, offset: str, labelled: bool, expected: str
) -> None:
    project(tmp_path, offset, (4, 8), labelled=labelled)
    with pytest.raises(InputError) as caught:
        main(["mine"])
    assert str(caught.value).startswith(expected)
    assert not OFFSETS.exists() or not list(OFFSETS.iterdir())


def test_unknown_name_names_the_nearest(tmp_path: Path) -> None:
    project(tmp_path, "{kind: hash}")
    with pytest.raises(InputError, match=r"params.yaml: offsets: .*'mime'.*'mine'"):
        main(["mime"])


def test_missing_data_say_what_to_run(tmp_path: Path) -> None:
    project(tmp_path, "{kind: hash}")
    Path("data/prepared/schema.json").unlink()
    with pytest.raises(InputError, match=r"schema.json: no such file"):
        main(["mine"])


@pytest.mark.parametrize("content", ["{}", "[]", '{"mine": []}', '{"other": [4]}', "3"])
def test_damaged_list_of_latent_dims_is_refused(tmp_path: Path, content: str) -> None:
    project(tmp_path, "{kind: hash}")
    Path("data/prepared/latent_dims.json").write_text(content)
    with pytest.raises(InputError, match=r"latent_dims.json: names no latent dim for 'mine'"):
        main(["mine"])


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "offset_autoencoder.stages.offsets", *arguments],
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": "src"},
    )


def test_own_function_in_a_process_of_its_own(tmp_path: Path) -> None:
    project(tmp_path, "{kind: function, function: 'own.mine:f'}")
    (tmp_path / "src" / "own").mkdir(parents=True)
    module = tmp_path / "src" / "own" / "mine.py"
    module.write_text("def f(x, latent_dim, rng):\n    return x[:, :latent_dim]\n")
    done = run("mine")
    assert (done.returncode, done.stderr) == (0, "")
    data = load_prepared()
    assert np.array_equal(load_table(OFFSETS, "mine", 4).train, data.train.x[:, :4])

    before = (OFFSETS / "mine" / "offset.json").read_bytes()
    module.write_text("def f(x, latent_dim, rng):\n    return x[:, :latent_dim] / missing\n")
    done = run("mine")
    assert done.returncode == 1
    assert done.stderr == (
        "error: params.yaml: offsets.mine.function: own.mine:f raised NameError: "
        "name 'missing' is not defined, at src/own/mine.py:2\n"
    )
    assert (OFFSETS / "mine" / "offset.json").read_bytes() == before


def test_kinds_that_learn_say_from_how_many_splits(
    experiment: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    Path("data/raw").mkdir(parents=True)
    np.save("data/raw/v.npy", np.zeros((1797, 4)))
    kinds = {
        "none": {"kind": "zero"},
        "hash": {"kind": "hash"},
        "code": {"kind": "class_code"},
        "file": {"kind": "file", "path": "v.npy"},
        "pca": {"kind": "pca"},
        "projection": {"kind": "random_projection"},
    }
    models = {name: {"offset": name} for name in kinds}
    for seeds in (2, 1):
        experiment.write(offsets=kinds, models=models, seeds=seeds)
        prepare.main()
        for name in kinds:
            capsys.readouterr()
            main([name])
            learns = seeds > 1 and name in ("pca", "projection")
            assert (", fitted on 2 splits" in capsys.readouterr().out) == learns
