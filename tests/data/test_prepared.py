import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from tests.prepared_data import digests, prepared_of, write_prepared

from offset_autoencoder.data.prepared import PreparedData, PreparedSplit, load_prepared, load_scale
from offset_autoencoder.errors import InputError
from offset_autoencoder.io import files


@pytest.fixture
def data() -> PreparedData:
    rng = np.random.default_rng(0)
    sizes = {"train": 6, "validation": 2, "test": 3}
    splits = {
        name: PreparedSplit(
            x=rng.random((n, 4), dtype=np.float32),
            y=np.arange(n, dtype=np.int64),
            ids=np.array([f"{name}-{i}" for i in range(n)]),
        )
        for name, n in sizes.items()
    }
    return prepared_of(
        splits,
        source="x.csv",
        image_shape=[2, 2],
        scale={"kind": "unit", "divisor": 2.0},
        range=[0.0, 1.0],
        classes=["a", "b", "c", "d", "e", "f"],
        ids="given",
    )


def write(folder: Path, data: PreparedData) -> None:
    write_prepared(folder, data, {"a": (2, 8)}, np.full(1, 0.5))


def test_what_is_written_is_loaded(tmp_path: Path, data: PreparedData) -> None:
    write(tmp_path / "p", data)
    loaded = load_prepared(tmp_path / "p")
    assert loaded.schema == data.schema
    assert isinstance(loaded.train.x, np.memmap)
    for name in ("train", "validation", "test"):
        ours, theirs = data.split(name), loaded.split(name)
        np.testing.assert_array_equal(theirs.x, ours.x)
        np.testing.assert_array_equal(theirs.ids, ours.ids)
        assert digests(theirs) == data.schema.digests[name]
    scale = load_scale(tmp_path / "p")
    assert (scale.shift.tolist(), scale.factor.tolist(), scale.fill) == ([0], [0.5], None)
    assert json.loads((tmp_path / "p" / "latent_dims.json").read_text()) == {"a": [2, 8]}


def test_without_labels_there_is_no_y(tmp_path: Path, data: PreparedData) -> None:
    write(tmp_path / "p", data)
    bare = {name: replace(data.split(name), y=None) for name in ("train", "validation", "test")}
    write(tmp_path / "p", PreparedData(**bare, schema=replace(data.schema, classes=None)))
    assert not list((tmp_path / "p").rglob("y.npy"))
    assert load_prepared(tmp_path / "p").train.y is None


def test_a_write_that_fails_leaves_the_old_folder(
    tmp_path: Path, data: PreparedData, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(tmp_path / "p", data)
    before = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}

    def fail(*_: object) -> None:
        raise OSError("disk full")

    monkeypatch.setattr(files, "write_json", fail)
    with pytest.raises(OSError, match="disk full"):
        write(tmp_path / "p", replace(data, train=data.test))
    assert {p: p.read_bytes() for p in tmp_path.rglob("*") if p.is_file()} == before


def test_missing_and_damaged_folders(tmp_path: Path, data: PreparedData) -> None:
    with pytest.raises(InputError, match=r"schema\.json: no such file"):
        load_prepared(tmp_path)
    write(tmp_path / "p", data)
    np.save(tmp_path / "p" / "test" / "x.npy", np.ones((3, 5), np.float32))
    with pytest.raises(InputError, match=r"x\.npy: is damaged: .*\(run dvc repro --force prepare"):
        load_prepared(tmp_path / "p")
    (tmp_path / "p" / "test" / "x.npy").unlink()
    with pytest.raises(InputError, match=r"x\.npy: no such file"):
        load_prepared(tmp_path / "p")
    (tmp_path / "p" / "schema.json").write_text('{"source": "x"}')
    with pytest.raises(InputError, match="is not a schema"):
        load_prepared(tmp_path / "p")


@pytest.mark.parametrize("name", ["train/x.npy", "validation/y.npy", "test/ids.npy", "scale.npz"])
def test_another_array_of_the_same_shape_is_refused(
    tmp_path: Path, data: PreparedData, name: str
) -> None:
    write(tmp_path / "p", data)
    write_prepared(
        tmp_path / "other",
        prepared_of(
            {
                name: replace(
                    part, x=part.x + 1, y=np.zeros(len(part.x), np.int64), ids=part.ids[::-1]
                )
                for name, part in data.parts.items()
            },
            **{key: getattr(data.schema, key) for key in ("classes", "ids")},
        ),
        {},
    )
    shutil.copyfile(tmp_path / "other" / name, tmp_path / "p" / name)
    with pytest.raises(InputError, match=rf"{name}: is damaged: .*\(run dvc repro --force prepare"):
        load_scale(tmp_path / "p", load_prepared(tmp_path / "p").schema)


def test_an_array_is_compared_once_as_long_as_it_is_untouched(
    tmp_path: Path, data: PreparedData, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(tmp_path / "p", data)
    load_prepared(tmp_path / "p")
    with monkeypatch.context() as patch:
        patch.setattr(files, "sha256_of_array", None)
        load_prepared(tmp_path / "p")
    path = tmp_path / "p" / "train" / "x.npy"
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)
    with pytest.raises(InputError, match="is damaged"):
        load_prepared(tmp_path / "p")
