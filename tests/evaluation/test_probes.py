from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from sklearn.linear_model import Ridge, RidgeClassifier
from sklearn.metrics import r2_score

from offset_autoencoder.config import Params
from offset_autoencoder.evaluation import probes
from offset_autoencoder.evaluation.probes import (
    STRENGTHS,
    Probe,
    ProbeSummary,
    Splits,
    fit,
    moments,
    prepare_targets,
    probe,
    probe_parts,
    squared_error,
    summarise_probes,
)
from offset_autoencoder.evaluation.statistics import mean_and_interval

RNG = np.random.default_rng(0)
SIZES = (300, 80, 120)


def split(rows: NDArray[Any]) -> Splits:
    return Splits(*np.split(rows, np.cumsum(SIZES)[:2]))


HIDDEN = RNG.normal(size=(sum(SIZES), 4))
X = split((HIDDEN @ RNG.normal(size=(4, 9)) + RNG.normal(size=(sum(SIZES), 9)) + 5).astype("f4"))
Y = split((HIDDEN[:, 0] > 0.4).astype(np.int64) + (HIDDEN[:, 1] > 0))
CODE = split((HIDDEN[:, :3] + 0.3 * RNG.normal(size=(sum(SIZES), 3)) + 2).astype(np.float32))
OFFSET = split((HIDDEN[:, 1:] + RNG.normal(size=(sum(SIZES), 3))).astype(np.float32))
NOTHING = split(RNG.normal(size=(sum(SIZES), 3)).astype(np.float32))
TARGETS = prepare_targets(X, Y)


def by_sklearn(features: Splits, strength: float) -> tuple[float, float, float, float]:
    """Validation and test scores of scikit-learn's ridge with the same penalty."""
    train = features.train.astype(np.float64)
    alpha = strength * len(train) * train.var(axis=0).mean()
    regression = Ridge(alpha=alpha).fit(train, X.train.astype(np.float64))
    classifier = RidgeClassifier(alpha=alpha).fit(train, Y.train)
    return (
        np.square(regression.predict(features.validation) - X.validation).sum(),
        r2_score(X.test, regression.predict(features.test), multioutput="variance_weighted"),
        classifier.score(features.validation, Y.validation),
        classifier.score(features.test, Y.test),
    )


@pytest.mark.parametrize("strength", [1e-6, 0.1, 10.0])
@pytest.mark.parametrize("features", [CODE, OFFSET, NOTHING])
def test_a_probe_is_scikit_learns_ridge(features: Splits, strength: float) -> None:
    found = probe(features, TARGETS, [strength])
    _, explained, _, accuracy = by_sklearn(features, strength)
    assert found.explained == pytest.approx(explained, abs=1e-6)
    assert found.accuracy == accuracy


@pytest.mark.parametrize("features", [CODE, NOTHING])
def test_the_strength_is_the_best_on_the_validation_split(features: Splits) -> None:
    scores = [by_sklearn(features, strength) for strength in STRENGTHS]
    found = probe(features, TARGETS)
    _, explained, _, _ = min(scores)
    assert found.explained == pytest.approx(explained, abs=1e-6)
    best = max(score[2] for score in scores)
    strongest = [score for score in scores if score[2] == best][-1]
    assert found.accuracy == strongest[3]


def test_parts_in_one_pass_are_the_parts_by_themselves() -> None:
    sums = Splits(*(a + b for a, b in zip(CODE, OFFSET, strict=True)))
    both = Splits(*(np.concatenate(pair, axis=1) for pair in zip(CODE, OFFSET, strict=True)))
    expected = {"offset": OFFSET, "code": CODE, "sum": sums, "both": both}
    found = probe_parts(CODE, OFFSET, TARGETS)
    assert list(found) == list(expected)
    for part, features in expected.items():
        alone = probe(features, TARGETS)
        assert found[part].explained == pytest.approx(alone.explained, abs=1e-6), part
        assert found[part].accuracy == alone.accuracy
    assert found["both"].explained > max(found["code"].explained, found["offset"].explained)


def test_parts_that_a_run_lacks_are_left_out() -> None:
    zeros = Splits(*(np.zeros_like(each) for each in OFFSET))
    assert list(probe_parts(CODE, zeros, TARGETS)) == ["code"]
    assert list(probe_parts(CODE, None, TARGETS)) == ["code"]
    assert list(probe_parts(None, OFFSET, TARGETS)) == ["offset"]
    assert probe_parts(None, zeros, TARGETS) == {}


@given(st.floats(1e-4, 1e4), st.floats(-10, 10))
@settings(max_examples=20, deadline=None)
def test_unit_and_origin_of_a_part_do_not_matter(unit: float, origin: float) -> None:
    moved = Splits(*(unit * (each.astype(np.float64) + origin) for each in OFFSET))
    one, other = probe(OFFSET, TARGETS), probe(moved, TARGETS)
    assert other.explained == pytest.approx(one.explained, abs=1e-6)
    assert other.accuracy == one.accuracy


def test_what_says_nothing_of_x_explains_nothing() -> None:
    found = probe(NOTHING, TARGETS)
    assert abs(found.explained) < 3 * found.explained_error + 0.01
    constant = Splits(*(np.full_like(each, 0.1) for each in OFFSET))
    empty = probe(constant, TARGETS)
    mean_of_training = np.broadcast_to(X.train.mean(axis=0, dtype=np.float64), X.test.shape)
    expected = r2_score(X.test, mean_of_training, multioutput="variance_weighted")
    assert empty.explained == pytest.approx(expected, abs=1e-9)
    assert empty.accuracy == np.mean(Y.test == np.bincount(Y.train).argmax())


def test_the_standard_errors_are_those_of_resampled_test_samples() -> None:
    found = probe(CODE, TARGETS, [0.01])
    regression = Ridge(alpha=0.01 * len(CODE.train) * CODE.train.var(axis=0).mean())
    predicted = regression.fit(CODE.train, X.train).predict(CODE.test)
    rng, shares = np.random.default_rng(1), []
    for _ in range(2000):
        rows = rng.integers(0, len(X.test), len(X.test))
        shares.append(
            1
            - np.square(predicted[rows] - X.test[rows]).sum()
            / np.square(X.test[rows] - X.test[rows].mean(axis=0)).sum()
        )
    assert found.explained_error == pytest.approx(np.std(shares), rel=0.1)
    assert found.accuracy is not None
    draws = rng.binomial(len(X.test), found.accuracy, 20_000) / len(X.test)
    assert found.accuracy_error == pytest.approx(draws.std(), rel=0.05)


def test_blocks_of_any_size_give_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    whole = probe_parts(CODE, OFFSET, TARGETS)
    monkeypatch.setattr(probes, "BLOCK_ROWS", 37)
    for part, found in probe_parts(CODE, OFFSET, TARGETS).items():
        assert found.explained == pytest.approx(whole[part].explained, abs=1e-9)


def test_without_labels_there_is_no_accuracy() -> None:
    found = probe(CODE, prepare_targets(X, None))
    assert found == Probe(
        pytest.approx(probe(CODE, TARGETS).explained, abs=1e-9),  # type: ignore[arg-type]
        pytest.approx(probe(CODE, TARGETS).explained_error, abs=1e-9),  # type: ignore[arg-type]
        None,
        None,
    )


def test_rows_that_do_not_fit_are_refused() -> None:
    with pytest.raises(ValueError, match="label"):
        prepare_targets(X, Splits(Y.train[1:], Y.validation, Y.test))
    with pytest.raises(ValueError, match="300 samples"):
        probe(Splits(CODE.train[1:], CODE.validation, CODE.test), TARGETS)


FEATURES = RNG.normal(2, 1, size=(200, 3))
RESPONSES = FEATURES @ RNG.normal(size=(3, 4)) + RNG.normal(size=(200, 4))
TRAIN = moments(FEATURES, [RESPONSES], RESPONSES.mean(axis=0))


@given(st.floats(0, 100), st.integers(1, 30), st.floats(-3, 3))
@settings(max_examples=30, deadline=None)
def test_the_error_of_a_split_needs_no_second_look_at_its_samples(
    strength: float, count: int, shift: float
) -> None:
    rng = np.random.default_rng(count)
    rows, wanted = rng.normal(shift, 1, size=(count, 3)), rng.normal(size=(count, 4))
    held_out = moments(rows, [wanted[:, :1], wanted[:, 1:]], wanted.mean(axis=0))
    (fitted,) = fit(TRAIN, [strength])
    own = np.square(wanted - wanted.mean(axis=0)).sum()
    expected = np.square(fitted(rows) - wanted).sum()
    assert squared_error(fitted, held_out) + own == pytest.approx(expected, rel=1e-9)


def test_without_a_penalty_it_is_least_squares_and_no_other_map_does_better() -> None:
    (fitted,) = fit(TRAIN, [0.0])
    design = np.c_[np.ones(len(FEATURES)), FEATURES]
    expected = design @ np.linalg.lstsq(design, RESPONSES, rcond=None)[0]
    np.testing.assert_allclose(fitted(FEATURES), expected, atol=1e-9)


def test_mixed_features_are_those_of_the_mixture() -> None:
    mixing = RNG.normal(size=(3, 2))
    mixed, direct = TRAIN.mixed(mixing), moments(FEATURES @ mixing, [RESPONSES], TRAIN.target_mean)
    for name in ("mean", "squares", "cross"):
        np.testing.assert_allclose(getattr(mixed, name), getattr(direct, name), atol=1e-9)


def test_directions_without_variance_get_no_weight_even_without_a_penalty() -> None:
    copies = np.repeat(FEATURES[:, :1], 3, axis=1)
    (fitted,) = fit(moments(copies, [RESPONSES], TRAIN.target_mean), [0.0])
    (single,) = fit(moments(FEATURES[:, :1], [RESPONSES], TRAIN.target_mean), [0.0])
    np.testing.assert_allclose(fitted.weights, np.repeat(single.weights, 3, axis=0) / 3, atol=1e-9)


@pytest.mark.parametrize("value", [0.0, 0.1, 1 / 3, 1e8 / 7])
def test_what_varies_by_rounding_alone_gets_no_weight(value: float) -> None:
    constant = np.full((200, 2), value)
    constant[::2] = np.nextafter(constant[::2], np.inf)
    for fitted in fit(moments(constant, [RESPONSES], TRAIN.target_mean), [0.0, 1.0]):
        assert not fitted.weights.any()
        np.testing.assert_allclose(fitted(constant[:2]), RESPONSES.mean(axis=0)[None].repeat(2, 0))


MakeParams = Callable[..., Params]


def _summaries(params: Params, *, labels: bool = True) -> dict[tuple[str, str], ProbeSummary]:
    probes = []
    for run in params.runs:
        own = 0.7 + 0.01 * run.seed
        found = {"code": Probe(own, 0.2, own if labels else None, 0.2 if labels else None)}
        if run.setting.model == "frozen":
            shared = Probe(0.4, 0.02, 0.5 if labels else None, 0.05 if labels else None)
            found |= {"offset": shared, "both": Probe(0.9, 0.1, None, None)}
        probes.append((run, found))
    summaries = summarise_probes(probes)
    return {(item.setting.label, item.part): item for item in summaries}


def test_intervals_are_over_seeds(make_params: MakeParams) -> None:
    summaries = _summaries(make_params())
    item = summaries["none", "code"]
    shares = 0.7 + 0.01 * np.arange(10)
    assert item.explained == mean_and_interval(shares, 0.95)
    assert item.accuracy == item.explained
    assert item.over == "seeds"


def test_a_table_that_all_seeds_share_has_the_interval_of_the_samples(
    make_params: MakeParams,
) -> None:
    item = _summaries(make_params())["frozen rms=0.1", "offset"]
    assert item.over == "samples"
    assert item.accuracy is not None
    assert (item.explained.low, item.explained.high) == pytest.approx(
        (0.4 - 1.959964 * 0.02, 0.4 + 1.959964 * 0.02)
    )
    assert item.accuracy.half == pytest.approx(1.959964 * 0.05)
    assert item.explained.count == 10


def test_a_setting_has_its_own_parts_in_order(make_params: MakeParams) -> None:
    summaries = _summaries(make_params(), labels=False)
    parts = [part for label, part in summaries if label == "frozen rms=0.2"]
    assert parts == ["offset", "code", "both"]
    assert ("none", "offset") not in summaries
    assert all(item.accuracy is None for item in summaries.values())
