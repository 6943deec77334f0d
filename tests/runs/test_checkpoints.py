from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from offset_autoencoder.io.files import write_npz
from offset_autoencoder.runs.files import Checkpoints

ID = "0" * 64
STATE: dict[str, Any] = {
    "weights": np.linspace(-1, 1, 50, dtype=np.float32),
    "step": np.array(7, np.float32),
    "moments": np.zeros((0, 50), np.float32),  # an optimizer that has none
    "epochs": np.arange(10.0).reshape(2, 5),
}
LIKE = {**STATE, "weights": 0 * STATE["weights"], "epochs": np.zeros((0, 5))}


@pytest.fixture
def checkpoints(tmp_path: Path) -> Checkpoints:
    return Checkpoints(tmp_path / "store" / "checkpoints")


def path_of(checkpoints: Checkpoints) -> Path:
    assert checkpoints.folder is not None
    return checkpoints.folder / f"{ID}.npz"


def same(one: Any, other: Any) -> bool:
    return one.keys() == other.keys() and all(
        (one[name].dtype, one[name].shape, one[name].tobytes())
        == (other[name].dtype, other[name].shape, other[name].tobytes())
        for name in one
    )


def test_a_state_comes_back_and_can_be_trained_on(checkpoints: Checkpoints) -> None:
    checkpoints.write(ID, LIKE)
    checkpoints.write(ID, STATE)
    state = checkpoints.read(ID, LIKE)
    assert state is not None
    assert same(state, STATE)
    assert all(array.flags.writeable and array.flags.c_contiguous for array in state.values())
    assert [path.name for path in path_of(checkpoints).parent.iterdir()] == [f"{ID}.npz"]
    assert checkpoints.read("1" * 64, LIKE) is None
    checkpoints.remove(ID)
    checkpoints.remove(ID)
    assert checkpoints.read(ID, LIKE) is None


def test_without_a_folder_there_are_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Checkpoints().write(ID, STATE)
    assert Checkpoints().read(ID, LIKE) is None
    Checkpoints().remove(ID)
    assert not list(tmp_path.iterdir())


def test_no_folder_is_made_before_the_first(checkpoints: Checkpoints) -> None:
    assert checkpoints.read(ID, LIKE) is None
    checkpoints.remove(ID)
    assert not path_of(checkpoints).parent.exists()


@pytest.mark.parametrize(
    "changes",
    [
        {"weights": np.zeros(49, np.float32)},
        {"weights": np.zeros((50, 1), np.float32)},
        {"weights": np.zeros(50)},
        {"weights": np.zeros(50, ">f4")},
        {"more": np.zeros(3)},
        {"step": None},
        {"moments": np.zeros((2, 49), np.float32)},
        {"epochs": np.zeros((2, 4))},
        {"epochs": np.zeros(10)},
        {"epochs": np.zeros((2, 5), np.float32)},
    ],
)
def test_the_state_of_another_program_is_not_taken(
    checkpoints: Checkpoints, changes: dict[str, Any]
) -> None:
    state = {name: array for name, array in {**STATE, **changes}.items() if array is not None}
    checkpoints.write(ID, state)
    assert checkpoints.read(ID, LIKE) is None


def test_a_damaged_file_is_none_or_what_it_was(checkpoints: Checkpoints) -> None:
    """Cut off anywhere, any byte changed: never an error, never another state."""
    checkpoints.write(ID, STATE)
    path, rng = path_of(checkpoints), np.random.default_rng(0)
    whole = path.read_bytes()
    damaged = [whole[:cut] for cut in rng.integers(len(whole), size=100)]
    for place in rng.integers(len(whole), size=500):
        changed = bytearray(whole)
        changed[place] ^= rng.integers(1, 256)
        damaged.append(bytes(changed))
    taken = 0
    for content in [b"", b"PK", *damaged]:
        path.write_bytes(content)
        state = checkpoints.read(ID, LIKE)
        assert state is None or same(state, STATE)
        taken += state is not None
    assert taken < 200  # most bytes matter


def test_another_thing_in_its_place_is_none(checkpoints: Checkpoints, tmp_path: Path) -> None:
    path = path_of(checkpoints)
    path.mkdir(parents=True)
    assert checkpoints.read(ID, LIKE) is None
    checkpoints.remove(ID)
    shutil.rmtree(path)
    np.save(path.with_suffix(".npy"), np.array([{"unpickled": 1}], object), allow_pickle=True)
    path.with_suffix(".npy").rename(path)
    assert checkpoints.read(ID, LIKE) is None
    write_npz(tmp_path / "other.npz", {})
    (tmp_path / "other.npz").replace(path)
    assert checkpoints.read(ID, LIKE) is None
