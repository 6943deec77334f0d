from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from offset_autoencoder.config import SPLITS, SplitName
from offset_autoencoder.errors import InputError
from offset_autoencoder.io.files import sha256_of_array, write_npz
from offset_autoencoder.offsets.kind import stored_applier
from offset_autoencoder.offsets.table import (
    OffsetTable,
    folder_of,
    load_table,
    scale_factor,
    write_table,
)

Splits = dict[SplitName, NDArray[np.float32]]
SIZES: dict[SplitName, int] = {"train": 30, "validation": 5, "test": 7}


def tables(latent_dim: int = 4, scale: float = 3.0) -> Splits:
    generator = np.random.default_rng(0)
    return {
        split: (scale * generator.standard_normal((n, latent_dim))).astype(np.float32)
        for split, n in SIZES.items()
    }


def write(folder: Path, latent_dim: int = 4, splits: Splits | None = None) -> float:
    splits = splits or tables(latent_dim)
    info = {
        "name": "mine",
        "kind": "hash",
        "params": {"kind": "hash", "seed": 0},
        "latent_dim": latent_dim,
        "input_dim": 2,
        "data": dict.fromkeys(SPLITS, "abc"),
    }
    vectors = {split: [table] for split, table in splits.items()}
    return write_table(folder, info, SIZES, vectors, {"seed": np.array(0)})


@pytest.fixture
def table(tmp_path: Path) -> OffsetTable:
    write(tmp_path / "mine")
    return load_table(tmp_path, "mine", 4)


@pytest.mark.parametrize("swept", [False, True])
def test_written_table_is_loaded_back(tmp_path: Path, swept: bool) -> None:
    for latent_dim in (4, 8) if swept else (4,):
        write(folder_of(tmp_path, "mine", latent_dim, swept=swept), latent_dim)
    table = load_table(tmp_path, "mine", 4)
    expected = tables()
    for split in SPLITS:
        assert np.array_equal(table.split(split), expected[split])
        assert not table.split(split).flags.writeable
        assert table.digests[split] == sha256_of_array(expected[split])
    assert (table.name, table.kind, table.latent_dim) == ("mine", "hash", 4)
    if swept:
        assert load_table(tmp_path, "mine", 8).train.shape == (30, 8)


def test_rms_is_over_all_training_coordinates(tmp_path: Path) -> None:
    rms = write(tmp_path / "mine")
    squares = [float(v) ** 2 for v in tables()["train"].ravel()]
    assert rms == pytest.approx((sum(squares) / len(squares)) ** 0.5)
    assert load_table(tmp_path, "mine", 4).rms == rms


def test_the_factor_gives_the_training_split_its_rms(table: OffsetTable) -> None:
    scaled = table.train.astype(np.float64) * scale_factor(table, 0.1)
    assert np.sqrt(np.mean(scaled**2)) == pytest.approx(0.1)


def test_zero_table_cannot_be_scaled(tmp_path: Path) -> None:
    assert write(tmp_path / "mine", splits=tables(scale=0)) == 0
    table = load_table(tmp_path, "mine", 4)
    assert scale_factor(table, None) == 1
    with pytest.raises(
        InputError, match=r"^params\.yaml: offsets\.mine: is zero .* scaled to rms 0.1"
    ):
        scale_factor(table, 0.1)


@pytest.mark.parametrize("scale", [1e-42, 1e-44, 1e38])
def test_a_table_that_float32_cannot_scale_is_refused(tmp_path: Path, scale: float) -> None:
    write(tmp_path / "mine", splits=tables(scale=scale / 4))
    table = load_table(tmp_path, "mine", 4)
    assert scale_factor(table, None) == 1
    with pytest.raises(
        InputError, match=r"^params\.yaml: offsets\.mine: has rms .* cannot scale it to rms 0.1"
    ):
        scale_factor(table, 0.1)


def test_a_value_of_another_split_that_would_overflow_is_refused(tmp_path: Path) -> None:
    splits = tables(scale=1e-30)
    splits["test"][3, 2] = 1e10
    write(tmp_path / "mine", splits=splits)
    with pytest.raises(InputError, match=r"values up to 1e\+10 .* float32 cannot scale"):
        scale_factor(load_table(tmp_path, "mine", 4), 0.1)


@given(st.floats(-37, 37), st.floats(-37, 37))
def test_a_factor_that_is_given_can_be_used(exponent: float, rms_exponent: float) -> None:
    drawn = np.random.default_rng(0).standard_normal((20, 2)) * 10**exponent
    with np.errstate(over="ignore"):
        train = drawn.astype(np.float32)
    if not np.isfinite(train).all():
        return
    own = float(np.sqrt(np.mean(train.astype(np.float64) ** 2)))
    info = {"largest": float(np.abs(train).max())}
    table = OffsetTable("mine", "hash", 2, own, train, train, train, {}, info)
    rms = 10**rms_exponent
    try:
        factor = scale_factor(table, rms)
    except InputError:
        assert not -37 <= rms_exponent - exponent <= 37 or rms_exponent > 36
        return
    scaled = (train * np.float32(factor)).astype(np.float64)
    assert np.sqrt(np.mean(scaled**2)) == pytest.approx(rms, rel=1e-4)


def test_missing_table_says_what_to_run(tmp_path: Path) -> None:
    write(tmp_path / "mine")
    for name, latent_dim in (("mine", 8), ("other", 4)):
        with pytest.raises(InputError, match=rf"latent dim {latent_dim} .*offsets@{name}"):
            load_table(tmp_path, name, latent_dim)


@pytest.mark.parametrize("name", ["train.npy", "test.npy", "offset.json"])
def test_damaged_files_are_named(tmp_path: Path, name: str) -> None:
    write(tmp_path / "mine")
    file = tmp_path / "mine" / name
    file.write_bytes(file.read_bytes()[:100])
    with pytest.raises(InputError) as caught:
        load_table(tmp_path, "mine", 4)
    assert str(caught.value).startswith(str(file))


@pytest.mark.parametrize("shape", [(7, 4), (7, 5)])
def test_another_array_than_was_written_is_refused(tmp_path: Path, shape: tuple[int, int]) -> None:
    write(tmp_path / "mine")
    np.save(tmp_path / "mine" / "test.npy", np.zeros(shape, dtype=np.float32))
    remedy = r"\(run dvc repro --force --single-item offsets@mine"
    with pytest.raises(InputError, match=rf"test\.npy: is damaged: .*{remedy}\)"):
        load_table(tmp_path, "mine", 4)
    write_npz(tmp_path / "mine" / "state.npz", {"seed": np.array(1)})
    with pytest.raises(InputError, match=rf"state\.npz: is damaged: .*{remedy}, or make"):
        stored_applier(tmp_path / "mine")
