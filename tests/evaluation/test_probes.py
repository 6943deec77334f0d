from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from sklearn.linear_model import Ridge, RidgeClassifier
from sklearn.metrics import r2_score

from offset_autoencoder.evaluation import probes
from offset_autoencoder.evaluation.probes import (
    STRENGTHS,
    Probe,
    Splits,
    prepare_targets,
    probe,
    probe_parts,
)

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
