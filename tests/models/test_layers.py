"""Layers of the project's own: noise on the code, the sampled code, the unit norm."""

from __future__ import annotations

import functools
import itertools
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy import stats

from offset_autoencoder.config.registries import INITIALIZERS
from offset_autoencoder.config.systems import NoiseRange
from offset_autoencoder.models.backend import keras, tf
from offset_autoencoder.models.initializers import draw_kernel
from offset_autoencoder.models.layers import (
    CodeNoise,
    CodePenalty,
    PowerNorm,
    SampledCode,
    UnitNorm,
    kernel_initializer,
)

RNG = np.random.default_rng(0)
MEAN = RNG.normal(size=(5, 3)).astype(np.float32)
LOG_VARIANCE = RNG.normal(size=(5, 3)).astype(np.float32)


@pytest.mark.parametrize(
    ("kind", "arguments"),
    [
        (CodeNoise, {"stddev": 1.5, "seed": 9}),
        (SampledCode, {"beta": 0.5, "scale": 0.1, "warmup_steps": 9, "seed": 4}),
        (UnitNorm, {"epsilon": 1e-3}),
        (CodeNoise, {"stddev": NoiseRange(0.1, 0.5, in_decibels=True), "seed": 9}),
        (PowerNorm, {"rate": 0.1}),
        (CodePenalty, {"l1": 0.1, "l2": 0.2}),
    ],
)
def test_survives_serialisation(kind: Any, arguments: dict[str, Any]) -> None:
    before = kind(**arguments, name="layer")
    layer = keras.saving.deserialize_keras_object(keras.saving.serialize_keras_object(before))
    assert type(layer) is kind
    assert layer.get_config() == before.get_config()
    assert {name: getattr(layer, name) for name in arguments} == arguments
    assert layer.name == "layer"


@pytest.mark.parametrize("stddev", [0.1, 2.5])
def test_noise_has_the_power_asked_for(stddev: float) -> None:
    noise = np.asarray(CodeNoise(stddev, seed=3)(np.zeros((20_000, 2), np.float32), training=True))
    np.testing.assert_allclose(noise.std(), stddev, rtol=0.02)
    np.testing.assert_allclose(noise.mean(), 0, atol=0.03 * stddev)


@pytest.mark.parametrize("in_decibels", [True, False])
def test_noise_of_a_range_is_drawn_with_a_stddev_per_vector(in_decibels: bool) -> None:
    levels = NoiseRange(0.1, 0.4, in_decibels)
    noise = np.asarray(CodeNoise(levels, 3)(np.zeros((4000, 500), np.float32), training=True))
    stddevs = noise.std(axis=1)
    np.testing.assert_allclose(noise.std(), levels.rms, rtol=0.02)
    assert 0.09 < stddevs.min() < 0.105
    assert 0.38 < stddevs.max() < 0.44
    middle = 0.2 if in_decibels else 0.25  # of the logarithms, or of the values
    np.testing.assert_allclose(np.median(stddevs), middle, rtol=0.05)


@pytest.mark.parametrize(
    ("kind", "inputs"),
    [
        (functools.partial(CodeNoise, 1.0), np.zeros((8, 3), np.float32)),
        (SampledCode, [MEAN, LOG_VARIANCE]),
    ],
    ids=["noise", "sampled code"],
)
def test_what_is_drawn_is_drawn_anew_and_repeats_by_seed(kind: Any, inputs: Any) -> None:
    first, second = kind(seed=1), kind(seed=1)
    a, b = (np.asarray(first(inputs, training=True)) for _ in range(2))
    assert not np.array_equal(a, b)
    np.testing.assert_array_equal(np.asarray(second(inputs, training=True)), a)


def test_refuses_a_negative_stddev() -> None:
    with pytest.raises(ValueError, match="0 or more"):
        CodeNoise(-0.1)


def loss_of(layer: SampledCode, *inputs: Any, training: bool = True) -> float:
    layer(list(inputs), training=training)
    (loss,) = layer.losses
    return float(loss)


def test_the_divergence_is_what_draws_estimate() -> None:
    mean, log_variance = MEAN[:2].astype(np.float64), LOG_VARIANCE[:2].astype(np.float64)
    spread = np.exp(log_variance / 2)
    draws = mean + spread * RNG.standard_normal((100_000, 2, 3))
    log_ratio = stats.norm.logpdf(draws, mean, spread) - stats.norm.logpdf(draws)
    nats = log_ratio.sum(axis=2).mean(axis=1)
    error = nats.std() / np.sqrt(len(nats))
    found = loss_of(SampledCode(), MEAN[:2], LOG_VARIANCE[:2])
    assert error < 0.01
    assert abs(found - nats.mean()) < 4 * error


def test_nothing_diverges_from_the_prior_itself() -> None:
    assert loss_of(SampledCode(), np.zeros((4, 3)), np.zeros((4, 3))) == 0


@pytest.mark.parametrize("training", [True, False])
def test_the_loss_is_the_divergence_times_beta_and_scale(training: bool) -> None:
    one = loss_of(SampledCode(), MEAN, LOG_VARIANCE, training=training)
    other = loss_of(SampledCode(beta=0.3, scale=0.25), MEAN, LOG_VARIANCE, training=training)
    assert other == pytest.approx(0.075 * one, rel=1e-6)


def test_the_weight_rises_in_a_straight_line_over_the_batches_of_training() -> None:
    layer = SampledCode(beta=2.0, warmup_steps=4)
    full = loss_of(SampledCode(beta=2.0), MEAN, LOG_VARIANCE)
    shares = []
    for _ in range(6):
        shares.append(loss_of(layer, MEAN, LOG_VARIANCE) / full)
        # What is not training counts in full, and moves nothing on.
        assert loss_of(layer, MEAN, LOG_VARIANCE, training=False) == pytest.approx(full)
    np.testing.assert_allclose(shares, [0.25, 0.5, 0.75, 1, 1, 1], rtol=1e-6)


def test_draws_have_the_mean_and_the_spread() -> None:
    mean = np.tile(np.array([[-1.0, 2.0]], np.float32), (50_000, 1))
    log_variance = np.tile(np.log(np.array([[0.04, 9.0]], np.float32)), (50_000, 1))
    drawn = np.asarray(SampledCode(seed=3)([mean, log_variance], training=True))
    np.testing.assert_allclose(drawn.mean(axis=0), [-1, 2], atol=0.05)
    np.testing.assert_allclose(drawn.std(axis=0), [0.2, 3], rtol=0.02)


def test_draws_that_are_given_are_taken() -> None:
    noise = RNG.normal(size=(5, 3)).astype(np.float32)
    drawn = np.asarray(SampledCode()([MEAN, LOG_VARIANCE, noise], training=True))
    np.testing.assert_allclose(drawn, MEAN + np.exp(LOG_VARIANCE / 2) * noise, rtol=1e-5)
    still = np.asarray(SampledCode()([MEAN, LOG_VARIANCE, noise], training=False))
    np.testing.assert_array_equal(still, MEAN)


@settings(max_examples=30, deadline=None)
@given(
    arrays(np.float32, (2, 3), elements=st.floats(-1e4, 1e4, width=32)),
    arrays(np.float32, (2, 3), elements=st.floats(-1e4, 60, width=32)),
)
def test_loss_and_gradient_of_the_sampled_code_are_finite(mean: Any, log_variance: Any) -> None:
    layer, inputs = SampledCode(), [tf.constant(mean), tf.constant(log_variance)]
    with tf.GradientTape() as tape:
        tape.watch(inputs)
        loss = tf.reduce_sum(layer(inputs, training=True)) + layer.losses[0]
    assert np.isfinite(float(loss))
    gradients = [np.asarray(gradient) for gradient in tape.gradient(loss, inputs)]
    assert all(np.isfinite(gradient).all() for gradient in gradients)


def test_the_gradient_of_the_divergence_agrees_with_the_closed_form() -> None:
    layer, inputs = SampledCode(), [tf.constant(MEAN), tf.constant(LOG_VARIANCE)]
    with tf.GradientTape() as tape:
        tape.watch(inputs)
        layer(inputs, training=False)
        loss = layer.losses[0]
    of_mean, of_log_variance = (np.asarray(each) for each in tape.gradient(loss, inputs))
    np.testing.assert_allclose(of_mean, MEAN / 5, rtol=1e-5)
    np.testing.assert_allclose(of_log_variance, (np.exp(LOG_VARIANCE) - 1) / 10, atol=1e-6)


@settings(max_examples=30, deadline=None)
@given(arrays(np.float32, (3, 5), elements=st.floats(-100, 100, width=32)))
def test_the_length_is_one_or_the_vector_has_none(x: np.ndarray) -> None:
    y = np.asarray(UnitNorm()(x))
    long_enough = np.linalg.norm(x.astype(float), axis=1) > 2e-6
    np.testing.assert_allclose(np.linalg.norm(y[long_enough], axis=1), 1, rtol=1e-6)
    assert np.isfinite(y).all()


def test_the_power_is_one_over_the_batch_and_then_that_of_the_last_batches() -> None:
    rng, layer = np.random.default_rng(0), PowerNorm(rate=0.1)
    powers = []
    for number in range(40):
        x = (1 + number / 10) * rng.normal(size=(50, 3)).astype(np.float32)
        y = np.asarray(layer(x, training=True))
        assert np.square(y).sum(axis=1).mean() == pytest.approx(1, rel=1e-5)
        assert np.square(y).sum(axis=1).std() > 0.1  # not each vector's norm
        np.testing.assert_allclose(y / x, (y / x)[0, 0], rtol=1e-5)
        powers.append(np.square(x).sum(axis=1).mean())
    expected = np.mean(powers[:10])
    for power in powers[10:]:
        expected += 0.1 * (power - expected)
    np.testing.assert_allclose(float(layer.power), expected, rtol=1e-5)
    still = np.asarray(layer(x))
    np.testing.assert_allclose(still, x / np.sqrt(expected), rtol=1e-5)
    np.testing.assert_array_equal(np.asarray(layer(x[:1])), still[:1])
    assert float(layer.batches) == 40


def test_the_gradient_of_the_power_norm_agrees_with_differences() -> None:
    x = np.random.default_rng(0).normal(size=(4, 3))
    v = np.random.default_rng(1).normal(size=(4, 3))

    def value(at: Any) -> float:
        return float(np.sum(v * at) / np.sqrt(np.mean(np.sum(np.square(at), axis=1))))

    variable = tf.constant(x, tf.float32)
    with tf.GradientTape() as tape:
        tape.watch(variable)
        y = tf.reduce_sum(PowerNorm()(variable, training=True) * v.astype(np.float32))
    gradient = np.asarray(tape.gradient(y, variable))
    for index in np.ndindex(x.shape):
        step = np.zeros_like(x)
        step[index] = 1e-6
        slope = (value(x + step) - value(x - step)) / 2e-6
        assert gradient[index] == pytest.approx(slope, abs=1e-4)
    dead = tf.zeros((2, 3))
    with tf.GradientTape() as tape:
        tape.watch(dead)
        y = tf.reduce_sum(PowerNorm()(dead, training=True))
    assert np.isfinite(np.asarray(tape.gradient(y, dead))).all()


def test_the_penalty_is_a_mean_over_the_batch() -> None:
    layer = CodePenalty(0.5, 0.25)
    x = np.array([[1.0, -2.0], [0.0, 4.0]], np.float32)
    np.testing.assert_array_equal(np.asarray(layer(x)), x)
    (loss,) = layer.losses
    assert float(loss) == pytest.approx((0.5 * 7 + 0.25 * 21) / 2)


@pytest.mark.parametrize("name", INITIALIZERS)
def test_an_initializer_draws_what_keras_draws_on_tensorflow(name: str) -> None:
    shapes = [(6, 5), (1, 1), (3, 11), (64, 48), *[(3, 3, 2, 5), (5, 4, 6)] * (name != "identity")]
    for seed, shape in itertools.product((0, 1, 2**31 - 1, 1_234_567_890), shapes):
        keras_own = keras.initializers.get(name)
        if "seed" in keras_own.get_config():
            keras_own = type(keras_own)(seed=seed)
        drawn, expected = draw_kernel(name, seed, shape), np.asarray(keras_own(shape))
        assert drawn.dtype == np.float32
        if "normal" in name or name in ("orthogonal", "variance_scaling"):
            np.testing.assert_allclose(drawn, expected, rtol=1e-5, atol=2e-6 * expected.std())
        else:
            np.testing.assert_array_equal(drawn, expected)


def test_an_initializer_draws_by_seed_and_layer() -> None:
    first = np.asarray(kernel_initializer("he_normal", 1, "a")((6, 5)))
    np.testing.assert_array_equal(first, kernel_initializer("he_normal", 1, "a")((6, 5)))
    for seed, layer in ((2, "a"), (1, "b")):
        other = np.asarray(kernel_initializer("he_normal", seed, layer)((6, 5)))
        assert not np.array_equal(first, other)


def test_an_initializer_survives_serialisation() -> None:
    before = kernel_initializer("glorot_uniform", 3, "code")
    after = keras.initializers.get(keras.saving.serialize_keras_object(before))
    assert type(after) is type(before)
    assert after.get_config() == before.get_config()
    np.testing.assert_array_equal(after((4, 3)), before((4, 3)))
    assert np.asarray(after((4, 3), "float16")).dtype == np.float16


@pytest.mark.parametrize("scale", [0.0, 1e-30, 1e-7, 1.0, 1e18])
def test_the_gradient_of_the_unit_norm_is_finite(scale: float) -> None:
    x = tf.constant(np.full((2, 4), scale, np.float32))
    with tf.GradientTape() as tape:
        tape.watch(x)
        y = tf.reduce_sum(UnitNorm()(x) * [[1.0, 2.0, 3.0, 4.0]])
    gradient = np.asarray(tape.gradient(y, x))
    assert np.isfinite(gradient).all()
    if scale < 1e-6:
        assert not gradient.any()


def test_the_gradient_of_the_unit_norm_agrees_with_the_closed_form() -> None:
    x = np.random.default_rng(0).normal(size=(1, 4))
    v = np.array([[1.0, -2.0, 0.5, 3.0]])
    variable = tf.constant(x, tf.float32)
    with tf.GradientTape() as tape:
        tape.watch(variable)
        y = tf.reduce_sum(UnitNorm()(variable) * v.astype(np.float32))
    norm = np.linalg.norm(x)
    unit = x / norm
    expected = (v - unit * (unit @ v.T)) / norm
    np.testing.assert_allclose(np.asarray(tape.gradient(y, variable)), expected, rtol=1e-5)


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
@pytest.mark.parametrize("size", [300.0, 6e4, 1e-3])
def test_the_length_is_one_in_half_precision(dtype: str, size: float) -> None:
    x = keras.ops.full((1, 16), size, dtype)
    for layer in (UnitNorm(), UnitNorm(dtype=dtype), UnitNorm(dtype=f"mixed_{dtype}")):
        with tf.GradientTape() as tape:
            tape.watch(x)
            y = layer(x)
        lengths = np.linalg.norm(np.asarray(y, np.float64), axis=1)
        np.testing.assert_allclose(lengths, 1, rtol=2**-8)
        assert np.isfinite(np.asarray(tape.gradient(y, x), np.float32)).all()
    assert UnitNorm(dtype=dtype)(x).dtype == dtype


def test_the_divergence_is_finite_in_half_precision() -> None:
    mean, log_variance = np.full((2, 40), 50.0), np.full((2, 40), 12.0)
    layer = SampledCode(dtype="float16")
    single = loss_of(SampledCode(), mean, log_variance)
    assert loss_of(layer, mean, log_variance) == pytest.approx(single, rel=1e-3)
    assert layer([mean, log_variance], training=False).dtype == "float16"
