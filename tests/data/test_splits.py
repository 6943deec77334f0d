from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from offset_autoencoder.config.data_schema import SPLITS, Split
from offset_autoencoder.data.splits import allocate, as_moments, assign, group_leakage, hash_order
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


@st.composite
def grouped(draw: st.DrawFn) -> tuple[NDArray[np.int64], NDArray[np.int64], Split]:
    """Group and class of each sample, of 12 to 40 groups of up to 9 samples."""
    sizes = draw(st.lists(st.integers(1, 9), min_size=12, max_size=40))
    groups = np.repeat(np.arange(len(sizes)), sizes)
    rng = np.random.default_rng(draw(st.integers(0, 99)))
    y = rng.integers(0, 3, len(groups))
    if draw(st.booleans()):  # every group of one class
        y = (groups * 7) % 3
    order = rng.permutation(len(groups))
    shares = st.sampled_from([0.1, 0.2, 0.3])
    split = Split(validation=draw(shares), test=draw(shares), seed=draw(st.integers(0, 99)))
    return groups[order], y[order], split


@settings(max_examples=60, deadline=None)
@given(grouped(), st.booleans(), st.booleans())
def test_groups_are_whole_and_sizes_near_what_is_asked_for(
    case: tuple[NDArray[np.int64], NDArray[np.int64], Split], stratify: bool, text: bool
) -> None:
    groups, y, split = case
    split = split.model_copy(update={"stratify": stratify})
    names = np.array([f"s{g}" for g in groups]) if text else groups
    ids = np.arange(len(groups))
    rows = assign(ids, split, y=y, groups=names)
    together = np.concatenate([rows[name] for name in SPLITS])
    np.testing.assert_array_equal(np.sort(together), ids)
    assert group_leakage(names, rows) == {"validation": 0, "test": 0}
    for name in SPLITS[1:]:
        wanted = getattr(split, name) * len(groups)
        assert abs(len(rows[name]) - wanted) <= 9 / 2 + 0.5  # half a group
    # Neither the ids nor the order of the file has a part in it, only the groups' names.
    order = np.random.default_rng(0).permutation(len(groups))
    again = assign(ids + 1000, split, y=y[order], groups=names[order])
    for name in SPLITS:
        assert set(names[rows[name]]) == set(names[order][again[name]])


def test_groups_of_one_class_each_are_stratified_about() -> None:
    groups = np.repeat(np.arange(60), 10)
    y = groups % 6
    spread = {True: 0.0, False: 0.0}
    for stratify in spread:
        for seed in range(5):
            rows = assign(
                np.arange(600), Split(stratify=stratify), y=y, groups=groups, run_seed=seed
            )
            counts = np.bincount(y[rows["test"]], minlength=6)
            assert counts.sum() == 120
            spread[stratify] += float(counts.std()) / 5
    assert spread[True] == 0.0  # 20 of each class
    assert spread[False] > 5


def test_groups_go_by_seed_and_by_nothing_else() -> None:
    groups, ids = np.repeat(np.arange(30), 4), np.arange(120)
    of_seed = [assign(ids, Split(), groups=groups, run_seed=seed) for seed in (0, 1, 0)]
    assert [*of_seed[0]["test"]] == [*of_seed[2]["test"]] != [*of_seed[1]["test"]]
    assert set(groups[of_seed[0]["test"]]) == PINNED_GROUPS


PINNED_GROUPS = {4, 7, 10, 11, 14, 21}


@pytest.mark.parametrize(("sizes", "left"), [([1, 1, 100], 100), ([40, 40, 40], 40)])
def test_every_part_gets_a_group(sizes: list[int], left: int) -> None:
    groups = np.repeat(np.arange(3), sizes)
    rows = assign(np.arange(len(groups)), Split(), groups=groups)
    assert sorted(len(part) for part in rows.values()) == sorted(sizes)
    assert len(rows["train"]) == left
    with pytest.raises(InputError, match=r"split\.group: there are 2 groups, cutting 3 splits"):
        assign(np.arange(len(groups)), Split(), groups=np.minimum(groups, 1))


def test_the_data_sets_own_test_split_stays_beside_groups_and_moments() -> None:
    comes = np.where(np.arange(100) < 80, "train", "test")
    groups = np.arange(100) % 20
    rows = assign(np.arange(100), Split(validation=0.25), groups=groups, given=comes)
    assert rows["test"].tolist() == list(range(80, 100))
    assert len(rows["validation"]) == 20
    assert group_leakage(groups, rows) == {"validation": 0, "test": 20}
    moments = np.arange(100)[::-1]
    rows = assign(np.arange(100), Split(validation=0.25), moments=moments, given=comes)
    assert rows["validation"].tolist() == list(range(20))  # the last in time of those to train on
    assert rows["test"].tolist() == list(range(80, 100))


@settings(max_examples=60, deadline=None)
@given(st.lists(st.integers(0, 30), min_size=8, max_size=90), st.randoms(use_true_random=False))
def test_the_last_in_time_are_the_test_split(values: list[int], random: Any) -> None:
    moments = np.array(values)
    if len(np.unique(moments)) < 3:
        with pytest.raises(InputError, match=r"split\.order: orders the samples by \d values?,"):
            assign(np.arange(len(values)), Split(), moments=moments)
        return
    rows = assign(np.arange(len(values)), Split(), moments=moments)
    parts = [moments[rows[name]] for name in SPLITS]
    assert all(len(part) for part in parts)
    assert parts[0].max() < parts[1].min()
    assert parts[1].max() < parts[2].min()
    assert sum(map(len, parts)) == len(values)
    other = assign(np.arange(len(values)), Split(seed=9, stratify=False), moments=moments)
    assert [rows[name].tolist() for name in SPLITS] == [other[name].tolist() for name in SPLITS]


def test_cuts_in_time_are_exact_where_all_differ_and_keep_ties_together() -> None:
    moments = np.random.default_rng(0).permutation(100)
    rows = assign(np.arange(100), Split(), moments=moments)
    assert sorted(moments[rows["test"]]) == list(range(80, 100))
    assert sorted(moments[rows["validation"]]) == list(range(65, 80))
    days = np.repeat(np.arange(10), 10)
    rows = assign(np.arange(100), Split(validation=0.12, test=0.18), moments=days)
    assert {name: set(days[rows[name]]) for name in ("validation", "test")} == {
        "validation": {7},  # 12 are asked for, and 10 are nearer than 20
        "test": {8, 9},
    }


@pytest.mark.parametrize(
    ("texts", "order"),
    [
        (["2", "10", "-1e3", "2.5"], [2, 0, 3, 1]),
        (["2024-05-31", "2023-12-01", "2024-06-01"], [1, 0, 2]),
        (["2024-05-31T10:00:00", "2024-05-31 09:59:59.5", "2024-06-01"], [1, 0, 2]),
        (["2024-05-31T10:00Z", "2024-05-31T09:30-01:00", "2024-05-31T11:59+02:00"], [2, 0, 1]),
        (["2024-05", "2023-11", "2023-12"], [1, 2, 0]),
    ],
)
def test_text_that_orders(texts: list[str], order: list[int]) -> None:
    assert np.argsort(as_moments(np.array(texts), str)).tolist() == order


@pytest.mark.parametrize(
    ("texts", "said"),
    [
        (["1", "2", "soon"], "row 2: 'soon' is neither a finite number nor an ISO date"),
        (["1", "nan"], "row 1: 'nan' is neither"),
        (["31.05.2024"], "row 0: '31.05.2024' is neither"),
        (["1", "2024-05-31"], "row 1: '2024-05-31' is a date without a zone, the first is a numb"),
        (["2024-05-31", "2024-05-31T00:00Z"], "row 1: .* with a zone, the first is a date without"),
    ],
)
def test_text_that_does_not_order_is_named(texts: list[str], said: str) -> None:
    with pytest.raises(InputError, match=said):
        as_moments(np.array(texts), lambda row: f"x.csv, row {row}")


def test_dates_and_numbers_order_as_they_are() -> None:
    nanoseconds = np.array([2, 1], dtype="datetime64[ns]")
    large = np.array([2**62 + 1, 2**62])
    for values in (nanoseconds, large, np.array([0.5, 0.25])):
        assert np.argsort(as_moments(values, str)).tolist() == [1, 0]
