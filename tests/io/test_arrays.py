"""Matrices gone through in chunks, put in order and turned over, must read as if in memory."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from offset_autoencoder.io import arrays
from offset_autoencoder.io.arrays import (
    ConcatenatedRows,
    RowSubset,
    release,
    reorder,
    row_major,
    take,
)
from offset_autoencoder.io.files import npy_writer, sha256_of_array, write_npy


@pytest.fixture
def tiny(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(arrays, "CHUNK_VALUES", 20)


def on_disk(path: Path, array: NDArray[Any], mode: Any = "r") -> NDArray[Any]:
    np.save(path, array)
    return np.load(path, mmap_mode=mode)


def test_chunks_are_all_rows_in_order(tmp_path: Path, tiny: None) -> None:
    x = np.arange(33.0).reshape(11, 3)
    for matrix in (
        x,
        on_disk(tmp_path / "x.npy", x),
        RowSubset(ConcatenatedRows((x,)), np.arange(11)),
    ):
        found = list(arrays.chunks(matrix))
        assert [start for start, _ in found] == [0, 6]
        np.testing.assert_array_equal(np.concatenate([chunk for _, chunk in found]), x)
    assert [len(chunk) for _, chunk in arrays.chunks(x, 10)] == [2, 2, 2, 2, 2, 1]
    assert len(list(arrays.chunks(np.zeros((3, 50))))) == 3  # a row is never cut


@pytest.mark.parametrize("mode", ["r", "c"])
def test_rows_are_taken_in_the_order_asked_for(tmp_path: Path, tiny: None, mode: str) -> None:
    x = np.random.default_rng(0).random((60, 2, 3))
    mapped = on_disk(tmp_path / "x.npy", x, mode)
    some = np.random.default_rng(1).permutation(60)
    for rows in ([], [59], [3, 3, 40, 0], some.tolist(), [58, 59, 1]):
        indices = np.array(rows, dtype=np.int64)
        np.testing.assert_array_equal(take(mapped, indices), x[indices])


def test_what_is_given_back_can_be_read_again(tmp_path: Path) -> None:
    x = np.arange(5000.0).reshape(-1, 5)
    mapped = on_disk(tmp_path / "x.npy", x)
    part = mapped[100:300]
    release(part)
    np.testing.assert_array_equal(part, x[100:300])
    np.testing.assert_array_equal(mapped, x)


def test_changes_that_stand_in_memory_alone_are_not_given_back(tmp_path: Path) -> None:
    mapped = on_disk(tmp_path / "x.npy", np.zeros((1000, 5)), "c")
    mapped[7] = 1
    view = mapped[:]
    view.flags.writeable = False
    release(view)
    assert (mapped[7] == 1).all()


parts_of_one_width = st.lists(
    st.tuples(st.integers(1, 6), st.sampled_from([">i2", "<f4", "u1", "f8", "longdouble"])),
    min_size=1,
    max_size=4,
)


@settings(max_examples=60, deadline=None)
@given(parts_of_one_width, st.data())
def test_concatenated_tables_read_as_their_concatenation(
    parts: list[tuple[int, str]], data: st.DataObject
) -> None:
    rng = np.random.default_rng(0)
    arrays = tuple((rng.random((n, 2, 3)) * 100).astype(dtype) for n, dtype in parts)
    whole = np.concatenate([array.reshape(len(array), 6) for array in arrays])
    x = ConcatenatedRows(arrays)
    assert (x.shape, len(x)) == (whole.shape, len(whole))
    assert x.dtype.isnative
    assert x.dtype.itemsize <= 8
    start = data.draw(st.integers(0, len(whole)))
    some = slice(start, data.draw(st.integers(start, len(whole) + 2)))
    np.testing.assert_array_equal(x[some], whole[some].astype(x.dtype))
    rows = np.array(data.draw(st.lists(st.integers(0, len(whole) - 1), max_size=9)), np.int64)
    np.testing.assert_array_equal(x[rows], whole[rows].astype(x.dtype))
    assert x[some].dtype == x[rows].dtype == x.dtype


@settings(max_examples=40, deadline=None)
@given(st.integers(1, 60), st.integers(1, 5), st.integers(0, 2**32 - 1), st.floats(0, 1))
def test_rows_are_put_in_order_on_disk_as_in_memory(
    n: int, width: int, seed: int, share: float
) -> None:
    rng = np.random.default_rng(seed)
    x = rng.random((n, width)).astype(np.float32)
    order = rng.permutation(n)[: max(1, int(share * n))]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(arrays, "CHUNK_VALUES", 7)
        got = reorder(ConcatenatedRows((x[: n // 2], x[n // 2 :])), order)
    np.testing.assert_array_equal(got[:], x[order])


@pytest.mark.parametrize("shape", [(50, 4), (23, 2, 3), (7, 2, 2, 3)])
def test_columns_in_one_piece_become_rows_in_one_piece(
    tmp_path: Path, tiny: None, shape: tuple[int, ...]
) -> None:
    x = np.arange(np.prod(shape), dtype=np.int16).reshape(shape)
    turned = on_disk(tmp_path / "x.npy", np.asfortranarray(x))
    assert not turned.flags.c_contiguous
    got = row_major(turned)
    assert isinstance(got, np.memmap)
    assert got.flags.c_contiguous
    np.testing.assert_array_equal(got, x)
    assert row_major(x) is x


def test_rows_written_one_after_the_other_make_the_file_and_digest_of_the_whole(
    tmp_path: Path,
) -> None:
    x = np.random.default_rng(0).random((11, 3), dtype=np.float32)
    write_npy(tmp_path / "whole.npy", x)
    with npy_writer(tmp_path / "parts.npy", x.shape) as writer:
        for part in (x[:4], x[4:4], np.asfortranarray(x[4:10]), x[10:]):
            writer.append(part)
    assert (tmp_path / "parts.npy").read_bytes() == (tmp_path / "whole.npy").read_bytes()
    assert writer.digest == sha256_of_array(x)
    with pytest.raises(AssertionError), npy_writer(tmp_path / "short.npy", (12, 3)) as writer:
        writer.append(x)
    assert not (tmp_path / "short.npy").exists()
