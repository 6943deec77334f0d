from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from numpy.typing import NDArray
from sklearn.impute import SimpleImputer
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import MinMaxScaler, StandardScaler

from offset_autoencoder.config.data_schema import Data
from offset_autoencoder.data.samples import is_constant
from offset_autoencoder.data.scaling import (
    Clipping,
    apply_scale,
    fit_scale,
    inverse_scale,
    largest_magnitude,
)
from offset_autoencoder.errors import InputError

OWN: dict[str, Any] = {"source": "file", "path": "x.npy"}
NONE, UNIT, MINMAX, STANDARD = (
    Data(**OWN, scale=scale) for scale in ("none", "unit", "minmax", "standard")
)


@pytest.mark.parametrize(
    ("dtype", "full_scale", "divisor"),
    [("uint8", None, 255), ("uint16", None, 65535), ("float64", 16.0, 16), ("bool", None, 1)],
)
def test_unit_divides_by_a_known_full_scale(
    dtype: str, full_scale: float | None, divisor: float
) -> None:
    x = np.array([[0, 1], [1, 0]]).astype(dtype)
    scale = fit_scale(UNIT, x, full_scale=full_scale)
    assert scale.facts == {"divisor": divisor}
    np.testing.assert_allclose(scale.apply(x), x / divisor, rtol=1e-7)


def test_all_of_uint8_lies_in_the_unit_interval_exactly() -> None:
    x = np.arange(256, dtype=np.uint8).reshape(-1, 1)
    scaled = fit_scale(UNIT, x).apply(x)
    assert (scaled[0, 0], scaled[-1, 0]) == (0, 1)
    np.testing.assert_array_equal(scaled, (x / 255).astype(np.float32))


@pytest.mark.parametrize(
    ("values", "divisor"),
    [([0.0, 0.5], 1), ([0, 1], 1), ([0, 16], 16), ([-4.0, 2.0], 4), ([0.0, 2.5], 2.5)],
)
def test_unit_takes_the_largest_magnitude_where_it_must(
    values: list[float], divisor: float
) -> None:
    x = np.array([values])
    scale = fit_scale(UNIT, x)
    assert scale.facts == {"divisor": divisor}
    np.testing.assert_allclose(scale.apply(x), x / divisor)


def test_constant_features_are_fine_under_unit() -> None:
    x = np.zeros((4, 2))
    np.testing.assert_array_equal(fit_scale(UNIT, x).apply(x), x)


@pytest.mark.parametrize("dtype", ["uint8", "int64", "float32", "float64"])
@pytest.mark.parametrize(
    ("data", "reference"), [(MINMAX, MinMaxScaler), (STANDARD, StandardScaler)]
)
def test_agrees_with_scikit_learn(dtype: str, data: Data, reference: Any) -> None:
    rng = np.random.default_rng(1)
    train = (rng.normal(size=(300, 5)) * 30 + 100).clip(0, 255).astype(dtype)
    new = (rng.normal(size=(20, 5)) * 30 + 100).clip(0, 255).astype(dtype)
    expected = reference().fit(train.astype(np.float64)).transform(new.astype(np.float64))
    scaled = fit_scale(data, train).apply(new)
    assert scaled.dtype == np.float32
    np.testing.assert_allclose(scaled, expected, rtol=1e-5, atol=1e-6)


def test_chunks_do_not_change_the_result(monkeypatch: pytest.MonkeyPatch) -> None:
    x = np.random.default_rng(0).normal(size=(101, 3))
    whole = fit_scale(STANDARD, x).apply(x)
    monkeypatch.setattr("offset_autoencoder.io.arrays.CHUNK_VALUES", 30)
    monkeypatch.setattr("offset_autoencoder.data.scaling._BLOCK_VALUES", 12)
    np.testing.assert_allclose(fit_scale(STANDARD, x).apply(x), whole, rtol=1e-6)


@settings(max_examples=50, deadline=None)
@given(
    hnp.arrays(
        np.float64,
        st.tuples(st.integers(2, 20), st.integers(1, 5)),
        elements=st.floats(-1e6, 1e6, width=32),
    )
)
def test_minmax_spans_the_unit_interval_exactly(x: NDArray[np.float64]) -> None:
    spread = x.max(axis=0) - x.min(axis=0)
    if np.any((spread > 0) & (spread < 1e-300)):
        return
    scaled = fit_scale(MINMAX, x).apply(x)
    np.testing.assert_array_equal(scaled.min(axis=0), 0)
    np.testing.assert_array_equal(scaled.max(axis=0), spread > 0)


@pytest.mark.parametrize("data", [MINMAX, STANDARD])
def test_constant_features_are_named(data: Data) -> None:
    data = data.model_copy(update={"constant": "error"})
    # 0.1 a hundred times has a standard deviation of 1e-17, not 0.
    x = np.random.default_rng(0).normal(size=(100, 6))
    x[:, [1, 3, 4, 5]] = 0.1
    names = "column 'abcdef'"
    with pytest.raises(
        InputError,
        match=rf"data\.scale: {data.scale}: .*'b'.* is 0\.1 in every training sample.*"
        r"'d'.*'e'.* and 1 more.*data\.constant: zero or drop, or data\.scale: unit",
    ):
        fit_scale(data, x, feature_name=lambda i: f"column {names[8 + i]!r}")


@pytest.mark.parametrize("kind", ["minmax", "standard"])
def test_constant_features_become_0(kind: Any) -> None:
    x = np.random.default_rng(0).normal(size=(100, 6))
    x[:, [1, 4]] = 0.1
    scale = fit_scale(Data(source="digits", scale=kind), x)
    assert scale.facts == {"constant_features": 2}
    assert scale.constant == (1, 4)
    new = x[:5] + 3
    scaled, rest = scale.apply(new), [0, 2, 3, 5]
    assert np.all(scaled[:, [1, 4]] == 0)
    own = fit_scale(Data(**OWN, scale=kind), x[:, rest])
    np.testing.assert_array_equal(scaled[:, rest], own.apply(new[:, rest]))
    assert own.facts == {}


def test_apply_takes_images_and_refuses_other_widths() -> None:
    images = np.arange(32, dtype=np.uint8).reshape(2, 4, 4)
    scaled = apply_scale(images, np.zeros(16), np.ones(16))
    np.testing.assert_array_equal(scaled, images.reshape(2, 16))
    with pytest.raises(InputError, match=r"have shape \(2, 3\), expected \(samples, 16\)"):
        apply_scale(np.ones((2, 3)), np.zeros(16), np.ones(16))


def test_none_changes_nothing_but_the_dtype() -> None:
    x = np.array([[-3, 1000]])
    assert fit_scale(NONE, x).apply(x).tolist() == [[-3.0, 1000.0]]


@given(
    raw=hnp.arrays(np.float64, (7, 3), elements=st.integers(-50, 50).map(float)),
    kind=st.sampled_from(("none", "unit", "minmax", "standard")),
)
def test_unscaling_undoes_the_scale_also_of_constant_features(raw: NDArray[Any], kind: Any) -> None:
    raw[:, 1] = 5
    scale = fit_scale(Data(source="digits", scale=kind), raw)
    back = inverse_scale(scale.apply(raw), scale.arrays)
    np.testing.assert_allclose(back, raw, rtol=1e-5, atol=1e-4)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("kind", ["minmax", "standard", "none"])
@pytest.mark.parametrize("missing", ["mean", "median"])
def test_missing_values_are_filled_as_by_scikit_learn(
    dtype: str, kind: Any, missing: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    rng = np.random.default_rng(2)
    train, new = (rng.normal(5, 3, size=(n, 6)).astype(dtype) for n in (101, 20))
    for x in (train, new):
        x[rng.random(x.shape) < 0.2] = np.nan
    steps = {"minmax": [MinMaxScaler()], "standard": [StandardScaler()], "none": []}[kind]
    reference = make_pipeline(SimpleImputer(strategy=missing), *steps).fit(train.astype(float))
    monkeypatch.setattr("offset_autoencoder.io.arrays.CHUNK_VALUES", 250)  # of columns, too
    scale = fit_scale(Data(**OWN, scale=kind, missing=missing), train)
    expected = reference.transform(new.astype(float))
    np.testing.assert_allclose(scale.apply(new), expected, rtol=1e-5, atol=1e-6)


def test_a_feature_without_any_value_is_a_constant() -> None:
    x = np.array([[1.0, np.nan], [2.0, np.nan]])
    scale = fit_scale(Data(**OWN, scale="minmax", missing="median"), x)
    assert scale.constant == (1,)
    assert scale.apply(np.array([[1.5, 7.0], [1.0, np.nan]])).tolist() == [[0.5, 0], [0, 0]]
    assert is_constant(x).tolist() == [False, True]


@pytest.mark.parametrize(
    ("kind", "expected"),
    [
        ("minmax", [[0, 1], [0.5, 0]]),
        ("standard", [[-1, 1], [0, -1]]),
        ("none", [[0, 20], [1, 0]]),  # all features have one range
        ("unit", [[0, 1], [0.05, 0]]),
    ],
)
def test_values_are_clipped_to_the_range_of_the_training_split(
    kind: Any, expected: list[list[float]]
) -> None:
    train = np.array([[0.0, 10.0], [2.0, 20.0]])
    new = np.array([[-5.0, 99.0], [1.0, -3.0]])
    scale = fit_scale(Data(**OWN, scale=kind, clip=True), train)
    np.testing.assert_allclose(scale.apply(new), expected)
    free = fit_scale(Data(**OWN, scale=kind), train)
    for arrays, x, expected_count in (
        (scale.arrays, new, 3),
        (scale.arrays, train, 0),
        (free.arrays, new, 0),
    ):
        clipping = Clipping(arrays)
        clipping.count(x)
        assert clipping.values == expected_count
    np.testing.assert_array_equal(free.apply(train), scale.apply(train))


@pytest.mark.parametrize(
    ("values", "divisor"),
    [([0.0, 0.5], 1), ([0, 16], 16), ([-4.0, 2.0], 4), ([np.nan, 3.0], 3), ([np.nan] * 2, 1)],
)
def test_the_largest_magnitude_of_all_samples(values: list[float], divisor: float) -> None:
    assert largest_magnitude(np.array([values])) == divisor
    assert largest_magnitude(np.zeros((2, 2), np.uint8)) == 255


@pytest.mark.parametrize("rows", [1, 4, 20])
@pytest.mark.parametrize("scale", [MINMAX, UNIT])
def test_clipped_values_are_counted_and_the_furthest_is_named(scale: Data, rows: int) -> None:
    train = np.array([[0.0, -10, 5], [2, 10, 5]])
    fitted = fit_scale(scale.model_copy(update={"clip": True}), train).arrays
    x = np.tile([1.0, 0, 5], (20, 1))
    x[3], x[7, 1], x[12, 0] = [-1, 11, 5], -110, 2 + 1e-7  # rounding is not counted
    x[0, 2] = np.nan
    clipping = Clipping(fitted)
    for start in range(0, 20, rows):
        clipping.count(x[start : start + rows], start)
    text = clipping.text(20, "row {}, column {}".format)
    if scale is MINMAX:
        assert (clipping.values, clipping.samples) == (3, 2)
        assert text.startswith("3 values in 2 of 20 samples are clipped")
        assert "row 7, column 1, -110 beyond the range -10 to 10, 5 times its width" in text
    else:
        assert (clipping.values, clipping.samples) == (2, 2)
    x[12, 2] = 6
    clipping.count(x[12:13], 12)
    if scale is MINMAX:
        text = clipping.text(20, "row {}, column {}".format)
        assert "row 12, column 2, 6 beyond the one value 5" in text
    without = Clipping(fit_scale(scale, train).arrays)
    without.count(x)
    assert not without.values
