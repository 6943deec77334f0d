"""Memory of mapped files: asked for ahead, given back, and never changed by either."""

from __future__ import annotations

import mmap
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from offset_autoencoder.io.arrays import read_ahead, release_rows

Rows = NDArray[np.int32]
Advise = Callable[[Any, Rows], None]
MB = 2**20
only_linux = pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")


def rows(*numbers: int) -> Rows:
    return np.array(numbers, np.int32)


@pytest.fixture(params=[read_ahead, release_rows])
def advise(request: pytest.FixtureRequest) -> Advise:
    return request.param


@pytest.fixture(scope="module")
def numbers(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """10,000 rows of 7 floats: rows begin and end anywhere in a page."""
    path = tmp_path_factory.mktemp("mapped") / "numbers.npy"
    np.save(path, np.arange(70_000, dtype=np.float32).reshape(10_000, 7))
    return np.load(path, mmap_mode="r")


@settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 999), count=st.integers(0, 300), first=st.integers(0, 9_999))
def test_values_stay_what_they_are(numbers: Any, seed: int, count: int, first: int) -> None:
    part = numbers[first:]
    some = np.random.default_rng(seed).integers(len(part), size=count).astype(np.int32)
    for advise in (read_ahead, release_rows, read_ahead):
        advise(part, some)
        np.testing.assert_array_equal(part[:, 0], 7 * np.arange(first, 10_000, dtype=np.float32))


def test_every_row_to_the_last_can_be_named(numbers: Any, advise: Advise) -> None:
    for view in (numbers, numbers[5:], np.asarray(numbers), numbers[9_999:], numbers[:, :]):
        advise(view, np.arange(len(view), dtype=np.int32))
        advise(view, rows(len(view) - 1))
    assert numbers[-1, -1] == 69_999


def test_what_is_not_mapped_or_has_no_whole_rows_is_left_alone(
    numbers: Any, advise: Advise
) -> None:
    copied = np.array(numbers[:100])
    for array in (copied, copied[::2], numbers[::2], numbers[:, 1:3], numbers[::-1], numbers.T):
        before = array.copy()
        advise(array, rows(0, 2, 3))
        np.testing.assert_array_equal(array, before)
    advise(numbers, rows())


def test_changes_to_a_private_copy_are_not_given_back(tmp_path: Path, advise: Advise) -> None:
    np.save(tmp_path / "x.npy", np.zeros((4096, 4), np.float32))
    private = np.load(tmp_path / "x.npy", mmap_mode="c")
    private[:] = 1
    advise(private, np.arange(4096, dtype=np.int32))
    assert (private == 1).all()


def test_a_mapping_of_no_file_is_not_given_back(advise: Advise) -> None:
    anonymous = np.frombuffer(mmap.mmap(-1, 16 * mmap.PAGESIZE), np.float32).reshape(-1, 4)
    anonymous[:] = 1
    advise(anonymous, np.arange(len(anonymous), dtype=np.int32))
    assert (anonymous == 1).all()


def resident(path: Path) -> int:
    """Bytes of a file that this process has in memory."""
    found, total = False, 0
    for line in Path("/proc/self/smaps").read_text().splitlines():
        words = line.split()
        if not words[0].endswith(":"):
            found = words[-1] == str(path)
        elif found and words[0] == "Rss:":
            total += 1024 * int(words[1])
    return total


@only_linux
def test_memory_is_really_given_back(tmp_path: Path) -> None:
    path = tmp_path.resolve() / "large.npy"
    np.save(path, np.ones((65_536, 256), np.float32))
    large = np.load(path, mmap_mode="r")
    # The system brings in more than these rows: that goes with them.
    few = np.concatenate([np.arange(n, n + 100) for n in range(500, 65_000, 8_000)]).astype("i4")
    assert large[few].sum() == large[few].size
    assert resident(path) > len(few) * 1024
    release_rows(large, few)
    assert resident(path) < 64 * 1024
    everything = np.arange(len(large), dtype=np.int32)
    assert large.sum() == large.size
    assert resident(path) > 60 * MB
    release_rows(large, everything[::2])  # pages of rows in between go too: they can be read again
    release_rows(large, np.random.default_rng(0).permutation(everything[:40_000]))
    assert resident(path) < 64 * MB * (1 - 40_000 / 65_536) + MB
    release_rows(large, everything)
    assert resident(path) < MB
    assert large[12_345, 67] == 1
