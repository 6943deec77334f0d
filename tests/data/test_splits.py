from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from offset_autoencoder.config.schema import SPLITS, Split
from offset_autoencoder.data.splits import allocate, assign, hash_order
from offset_autoencoder.errors import InputError


def members(ids: NDArray[Any], rows: dict[Any, NDArray[np.int64]]) -> dict[str, list[Any]]:
    return {name: ids[part].tolist() for name, part in rows.items()}


@st.composite
def labelled(draw: st.DrawFn) -> tuple[NDArray[np.int64], Split]:
    sizes = draw(st.lists(st.integers(3, 40), min_size=1, max_size=6))
    y = np.repeat(np.arange(len(sizes)), sizes)
    shares = st.sampled_from([0.1, 0.15, 0.2, 0.3, 0.45])
    split = Split(validation=draw(shares), test=draw(shares), seed=draw(st.integers(0, 2**32 - 1)))
    return np.random.default_rng(draw(st.integers(0, 99))).permutation(y), split


def enough(y: NDArray[np.int64], split: Split) -> bool:
    held_out = sum(np.floor(share * len(y) + 0.5) for share in (split.validation, split.test))
    return bool(min(split.validation, split.test) * len(y) >= 0.5 and held_out < len(y))


@settings(max_examples=60, deadline=None)
@given(labelled())
def test_a_split_is_a_stratified_partition(case: tuple[NDArray[np.int64], Split]) -> None:
    y, split = case
    if not enough(y, split):
        return
    rows = assign(np.arange(len(y)), split, y=y)
    together = np.concatenate([rows[name] for name in SPLITS])
    np.testing.assert_array_equal(np.sort(together), np.arange(len(y)))
    assert abs(len(rows["test"]) - split.test * len(y)) <= 0.5
    assert abs(len(rows["validation"]) - split.validation * len(y)) <= 0.5
    for name in SPLITS:
        share = len(rows[name]) / len(y)
        for size, count in zip(
            np.bincount(y), np.bincount(y[rows[name]], minlength=y.max() + 1), strict=True
        ):
            assert abs(count - share * size) < 1


@settings(max_examples=40, deadline=None)
@given(labelled(), st.booleans(), st.booleans(), st.randoms(use_true_random=False))
def test_the_order_of_the_file_does_not_matter(
    case: tuple[NDArray[np.int64], Split], stratify: bool, text: bool, random: Any
) -> None:
    y, split = case
    if not enough(y, split):
        return
    split = split.model_copy(update={"stratify": stratify})
    ids = np.array([f"s-{i}" for i in range(len(y))]) if text else np.arange(len(y)) * 7 - 20
    order = np.array(random.sample(range(len(y)), len(y)))
    ordered = assign(ids, split, y=y)
    permuted = assign(ids[order], split, y=y[order])
    assert members(ids, ordered) == members(ids[order], permuted)


@settings(max_examples=200, deadline=None)
@given(
    st.lists(st.integers(0, 12), min_size=1, max_size=12),
    st.lists(st.integers(1, 20), min_size=2, max_size=4),
)
def test_allocation_is_a_controlled_rounding(sizes: list[int], weights: list[int]) -> None:
    total = sum(sizes)
    if not total:
        return
    totals = [total * weight // sum(weights) for weight in weights[:-1]]
    totals.append(total - sum(totals))
    counts = allocate(sizes, totals)
    np.testing.assert_array_equal(counts.sum(axis=1), sizes)
    np.testing.assert_array_equal(counts.sum(axis=0), totals)
    assert np.all(np.abs(counts - np.outer(sizes, totals) / total) < 1)


def test_rounding_that_has_to_be_handed_on() -> None:
    # Largest remainders alone would put every sample of these classes into the last part.
    counts = allocate([1] * 10, [3, 3, 4])
    assert counts.sum(axis=0).tolist() == [3, 3, 4]
    assert counts.sum(axis=1).tolist() == [1] * 10


def test_known_assignment() -> None:
    """Pinned: another split of the same data would be another experiment."""
    rows = assign(np.arange(20), Split(seed=3), y=np.arange(20) % 2)
    assert {name: part.tolist() for name, part in rows.items()} == PINNED


PINNED = {
    "train": [0, 2, 3, 6, 7, 9, 10, 11, 12, 14, 16, 17, 19],
    "validation": [4, 5, 13],
    "test": [1, 8, 15, 18],
}


def test_hash_order_is_that_of_hashlib() -> None:
    import hashlib

    ids = np.array(["a", "b", "ä", "c c"])
    expected = sorted(range(4), key=lambda i: hashlib.sha256(f"5:{ids[i]}".encode()).digest())
    assert hash_order(ids, 5).tolist() == expected


def test_seeds_differ_and_repeat() -> None:
    ids, y = np.arange(200), np.arange(200) % 4
    first, again, other = (assign(ids, Split(seed=s), y=y)["test"].tolist() for s in (0, 0, 1))
    assert first == again
    assert first != other


def test_rows_come_in_order_of_id() -> None:
    ids = np.array(["c", "a", "e", "b", "d", "f", "h", "g"])
    for part in assign(ids, Split(validation=0.3, test=0.3)).values():
        assert ids[part].tolist() == sorted(ids[part].tolist())


def test_splits_that_come_with_the_data_are_kept() -> None:
    comes = np.array(["train"] * 80 + ["test"] * 20, dtype="<U10")
    rows = assign(np.arange(100), Split(validation=0.25), y=np.arange(100) % 2, given=comes)
    assert rows["test"].tolist() == list(range(80, 100))
    assert len(rows["validation"]) == 20  # a quarter of the train rows that came
    assert len(rows["train"]) == 60
    comes[:10] = "validation"
    rows = assign(np.arange(100), Split(), y=np.arange(100) % 2, given=comes)
    assert rows["validation"].tolist() == list(range(10))
    assert rows["train"].tolist() == list(range(10, 80))


@pytest.mark.parametrize(
    ("samples", "split", "message"),
    [
        (1, Split(), r"split\.validation: 0\.15 of 1 sample leaves validation empty"),
        (3, Split(), r"split\.validation: 0\.15 of 3 samples leaves"),
        (5, Split(test=0.05), r"split\.test: 0\.05 of 5 samples leaves test empty"),
        (2, Split(validation=0.45, test=0.45), r"split: of 2 samples none is left for train"),
    ],
)
def test_empty_splits(samples: int, split: Split, message: str) -> None:
    with pytest.raises(InputError, match=message):
        assign(np.arange(samples), split)


def test_a_class_too_small_to_stratify() -> None:
    y = np.array([0] * 20 + [1] * 2)
    with pytest.raises(
        InputError, match=r"class 'rare' has 2 samples, .* at least 3 .* split\.stratify: false"
    ):
        assign(np.arange(22), Split(), y=y, classes=["common", "rare"])
    rows = assign(np.arange(22), Split(stratify=False), y=y)
    assert sum(len(part) for part in rows.values()) == 22


def test_no_train_rows() -> None:
    with pytest.raises(InputError, match="no sample is marked train"):
        assign(np.arange(4), Split(), given=np.array(["test"] * 4))
