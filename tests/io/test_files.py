from __future__ import annotations

import hashlib
import json
import os
import pickle
import stat
import struct
import time
import zipfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from offset_autoencoder.errors import InputError
from offset_autoencoder.io.files import (
    atomic_write,
    read_json,
    read_npz,
    replace_folder,
    sha256_of_array,
    sha256_of_file,
    sha256_of_json,
    write_json,
    write_npy,
    write_npz,
    write_text,
)

in_one_folder = settings(
    max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
DTYPES: Any = [np.float32, np.float64, np.int64, np.dtype("<U3"), np.bool_]
arrays: Any = hnp.arrays(
    st.sampled_from(DTYPES), hnp.array_shapes(min_dims=1, max_dims=3, min_side=0, max_side=4)
)


def test_a_write_that_fails_leaves_the_old_file_and_nothing_else(tmp_path: Path) -> None:
    path = tmp_path / "a" / "x.txt"
    write_text(path, "old")

    def fail() -> None:
        with atomic_write(path) as stream:
            stream.write(b"half")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fail()
    assert path.read_text() == "old"
    assert [entry.name for entry in path.parent.iterdir()] == ["x.txt"]


def test_a_file_appears_only_when_it_is_whole(tmp_path: Path) -> None:
    path = tmp_path / "x.txt"
    with atomic_write(path) as stream:
        stream.write(b"half")
        stream.flush()
        assert not path.exists()
    assert path.read_bytes() == b"half"
    assert stat.S_IMODE(path.stat().st_mode) == 0o644


def test_what_killed_processes_left_of_a_folder_is_removed_after_a_day(tmp_path: Path) -> None:
    two_days_ago = time.time() - 2 * 86_400
    left, young, other, of_user = (
        tmp_path / name
        for name in (".made.0a1b2c3d", ".made.zzzzzzzz", ".more.0a1b2c3d", ".made.backup")
    )
    for folder in (left, young, other, of_user):
        (folder / "new").mkdir(parents=True)
        (folder / "new" / "x.npy").write_bytes(b"half")
    (tmp_path / ".made.00000000").mkdir()
    (tmp_path / ".made.00000000" / "notes").write_text("of a user")
    for folder in tmp_path.iterdir():
        if folder != young:
            for path in (*folder.iterdir(), folder):
                os.utime(path, (two_days_ago, two_days_ago))
    with replace_folder(tmp_path / "made") as new:
        (new / "x.npy").write_bytes(b"whole")
    kept = {young.name, other.name, of_user.name, ".made.00000000", "made"}
    assert {path.name for path in tmp_path.iterdir()} == kept


def test_writers_of_one_path_do_not_mix(tmp_path: Path) -> None:
    path = tmp_path / "x.txt"
    texts = [str(number) * 100_000 for number in range(8)]
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda text: write_text(path, text), texts))
    assert path.read_text() in texts
    assert [entry.name for entry in tmp_path.iterdir()] == ["x.txt"]


@pytest.mark.parametrize(
    ("write", "value"),
    [
        (write_json, {"loss": float("nan")}),
        (write_json, {"what": object()}),
        (write_npy, np.array([object()])),
        (write_npz, {"fine": np.zeros(3), "pickled": np.array([{}], dtype=object)}),
    ],
)
def test_what_cannot_be_written_writes_nothing(tmp_path: Path, write: Any, value: Any) -> None:
    with pytest.raises((ValueError, TypeError)):
        write(tmp_path / "x", value)
    assert not list(tmp_path.iterdir())


def test_json_comes_back_in_its_order(tmp_path: Path) -> None:
    value = {"z": [1, 0.1, None], "a": {"ü": True}}
    write_json(tmp_path / "x.json", value)
    text = (tmp_path / "x.json").read_text(encoding="utf-8")
    assert json.loads(text) == value == read_json(tmp_path / "x.json")
    assert text.index('"z"') < text.index('"a"') < text.index('"ü"')
    assert text.endswith("}\n")


@pytest.mark.parametrize("content", [b"", b'{"a": 1', b"\xff\xfe", b"\x00"])
def test_json_that_is_none_is_one_line(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "x.json").write_bytes(content)
    with pytest.raises(InputError, match=r"x\.json: is not JSON"):
        read_json(tmp_path / "x.json")


def test_json_that_cannot_be_read_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"x\.json: no such file \(run the stage"):
        read_json(tmp_path / "x.json")
    with pytest.raises(InputError, match="cannot be read"):
        read_json(tmp_path)
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match="cannot be read"):
        read_json(tmp_path / "file" / "x.json")


def test_npy_can_be_mapped_whatever_the_order_in_memory(tmp_path: Path) -> None:
    array = np.asfortranarray(np.arange(12, dtype=np.float32).reshape(3, 4))
    write_npy(tmp_path / "x.npy", array)
    mapped = np.load(tmp_path / "x.npy", mmap_mode="r", allow_pickle=False)
    np.testing.assert_array_equal(mapped, array)
    assert mapped.flags.c_contiguous


@in_one_folder
@given(st.dictionaries(st.sampled_from(["a", "b/kernel", "c"]), arrays, max_size=3))
def test_npz_comes_back_as_it_was(tmp_path: Path, given_arrays: dict[str, Any]) -> None:
    write_npz(tmp_path / "x.npz", given_arrays)
    back = read_npz(tmp_path / "x.npz")
    assert list(back) == list(given_arrays)
    for name, array in given_arrays.items():
        assert back[name].dtype == array.dtype
        np.testing.assert_array_equal(back[name], array)


def test_npz_bytes_depend_on_the_arrays_alone(tmp_path: Path) -> None:
    array = np.arange(6.0).reshape(2, 3)
    write_npz(tmp_path / "a.npz", {"x": array})
    write_npz(tmp_path / "b.npz", {"x": np.asfortranarray(array)})
    assert (tmp_path / "a.npz").read_bytes() == (tmp_path / "b.npz").read_bytes()
    with zipfile.ZipFile(tmp_path / "a.npz") as archive:
        (member,) = archive.infolist()
        assert member.date_time == (1980, 1, 1, 0, 0, 0)


def test_no_single_damaged_byte_changes_an_array(tmp_path: Path) -> None:
    path = tmp_path / "x.npz"
    arrays = {"kernel": np.random.default_rng(0).normal(size=(9, 7)), "bias": np.zeros(7)}
    write_npz(path, arrays)
    whole = path.read_bytes()
    refused = 0
    for position in range(len(whole)):
        damaged = bytearray(whole)
        damaged[position] ^= 1 << position % 8
        path.write_bytes(damaged)
        try:
            back = read_npz(path)
        except InputError:
            refused += 1
            continue
        # Damage in the directory at the end can lose an array, never change one.
        assert back.keys() <= arrays.keys()
        for name, array in back.items():
            np.testing.assert_array_equal(array, arrays[name])
    assert refused > 0.8 * len(whole)


def test_no_truncated_npz_is_read(tmp_path: Path) -> None:
    path = tmp_path / "x.npz"
    write_npz(path, {"x": np.arange(5.0)})
    whole = path.read_bytes()
    for length in range(len(whole)):
        path.write_bytes(whole[:length])
        with pytest.raises(InputError, match="is not a readable npz"):
            read_npz(path)


def test_an_npz_never_unpickles(tmp_path: Path) -> None:
    np.savez(tmp_path / "x.npz", x=np.array([{"a": 1}], dtype=object))
    (tmp_path / "y.npz").write_bytes(pickle.dumps({"a": 1}))
    np.save(tmp_path / "one.npy", np.zeros(3))
    (tmp_path / "one.npy").rename(tmp_path / "z.npz")
    for name in ("x.npz", "y.npz", "z.npz"):
        with pytest.raises(InputError, match="is not a readable npz"):
            read_npz(tmp_path / name)
    with pytest.raises(InputError, match=r"absent\.npz: no such file"):
        read_npz(tmp_path / "absent.npz")


def test_digests_are_those_of_every_release(tmp_path: Path) -> None:
    # Ids of runs rest on these bytes: another rule would retrain every run there is.
    array = np.array([1.5, -2.0], np.float32)
    expected = hashlib.sha256(b"<f4(2,)" + struct.pack("<ff", 1.5, -2.0)).hexdigest()
    assert sha256_of_array(array) == expected
    text = b'{"a":[1,0.1,null],"b":"x"}'
    assert sha256_of_json({"b": "x", "a": [1, 0.1, None]}) == hashlib.sha256(text).hexdigest()
    (tmp_path / "x").write_bytes(text)
    assert sha256_of_file(tmp_path / "x") == hashlib.sha256(text).hexdigest()
    with pytest.raises(ValueError, match="JSON"):
        sha256_of_json([float("inf")])


@settings(max_examples=40, deadline=None)
@given(arrays)
def test_equal_arrays_have_equal_digests_wherever_they_lie(array: Any) -> None:
    digest = sha256_of_array(array)
    assert sha256_of_array(np.asfortranarray(array)) == digest
    strided = np.repeat(array, 2, axis=0)[::2]
    assert sha256_of_array(strided) == digest


def test_different_arrays_have_different_digests() -> None:
    x = np.zeros((2, 3), np.float32)
    others: list[Any] = [x, x.T, x.ravel(), x.astype(np.float64), x.astype(">f4"), x + 1, x[:1]]
    assert len({sha256_of_array(other) for other in others}) == len(others)


def test_a_mapped_array_has_the_digest_of_its_values(tmp_path: Path) -> None:
    x = np.random.default_rng(0).random((50, 3), dtype=np.float32)
    write_npy(tmp_path / "x.npy", x)
    assert sha256_of_array(np.load(tmp_path / "x.npy", mmap_mode="r")) == sha256_of_array(x)
