"""Every system against its definition in plain NumPy."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from offset_autoencoder.config.schema import Network
from offset_autoencoder.models.architecture import Architecture
from offset_autoencoder.models.autoencoder import build_model
from offset_autoencoder.models.backend import keras

N, D, L = 20, 12, 4
RNG = np.random.default_rng(0)
X = RNG.random((N, D), dtype=np.float32)
OFFSET = RNG.normal(size=(N, L)).astype(np.float32)


def built(seed: int = 0, network: dict[str, Any] | None = None, **options: Any) -> Any:
    small = Network(latent_dim=L, hidden=[8], activation="tanh", **(network or {}))
    return build_model(Architecture(network=small, input_dim=D, **options), seed)


class ByHand:
    """Dense layers of a model, applied in float64."""

    def __init__(self, model: Any) -> None:
        self.weights = {w.path: np.asarray(w, np.float64) for w in model.weights}

    def layer(self, name: str, x: Any) -> Any:
        return x @ self.weights[f"{name}/kernel"] + self.weights[f"{name}/bias"]

    def code(self, prefix: str = "") -> Any:
        hidden = np.tanh(self.layer(f"{prefix}encoder_1", X))
        return self.layer(f"{prefix}code", hidden)

    def decode(self, code: Any) -> Any:
        hidden = np.tanh(self.layer("decoder_1", code))
        return 1 / (1 + np.exp(-self.layer("reconstruction", hidden)))


def unit(code: Any) -> Any:
    return code / np.linalg.norm(code, axis=1, keepdims=True)


def check(model: Any, expected: Any) -> None:
    actual = np.asarray(model({"x": X, "offset": OFFSET}))
    np.testing.assert_allclose(actual, expected, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("normalize", [True, False])
def test_concatenate(normalize: bool) -> None:
    model = built(system="concatenate", network={"normalize": normalize})
    hand = ByHand(model)
    code = unit(hand.code()) if normalize else hand.code()
    check(model, hand.decode(np.hstack([code, OFFSET])))


@pytest.mark.parametrize("rms", [None, 0.3])
@pytest.mark.parametrize("hidden", [None, [6], []])
def test_two_encoder(rms: float | None, hidden: list[int] | None) -> None:
    model = built(
        system="two_encoder", second_hidden=hidden, second_activation="elu", second_rms=rms
    )
    hand = ByHand(model)
    features: Any = X
    if hidden != []:
        features = hand.layer("second_encoder_1", X)
        features = np.where(features > 0, features, np.expm1(features))
    second = hand.layer("second_code", features)
    if rms is not None:
        second = unit(second) * rms * np.sqrt(L)
    check(model, hand.decode(unit(hand.code()) + second + OFFSET))


@pytest.mark.parametrize("combine", ["mean", "sum"])
def test_ensemble(combine: str) -> None:
    model = built(system="ensemble", encoders=3, combine=combine)
    hand = ByHand(model)
    codes = [unit(hand.code(prefix)) for prefix in ("", "member_2_", "member_3_")]
    assert not np.allclose(codes[0], codes[1], atol=0.1)
    code = sum(codes) / (3 if combine == "mean" else 1)
    check(model, hand.decode(code + OFFSET))


def test_vae_deploys_its_mean() -> None:
    model = built(system="vae", beta=1.0)
    hand = ByHand(model)
    check(model, hand.decode(hand.code() + OFFSET))


def test_vae_draws_around_its_mean_in_training() -> None:
    architecture = Architecture(
        system="vae",
        network=Network(latent_dim=L, hidden=[8], activation="tanh"),
        input_dim=D,
        beta=1.0,
    )
    model = build_model(architecture, noise_input=True)
    hand = ByHand(model)
    noise = RNG.normal(size=(N, L)).astype(np.float32)
    hidden = np.tanh(hand.layer("encoder_1", X))
    spread = np.exp(hand.layer("code_log_variance", hidden) / 2)
    inputs = {"x": X, "offset": OFFSET, "noise": noise}
    actual = np.asarray(model(inputs, training=True))
    expected = hand.decode(hand.code() + spread * noise + OFFSET)
    np.testing.assert_allclose(actual, expected, rtol=1e-4, atol=1e-6)


def test_noise_falls_on_the_code_beside_the_offset() -> None:
    network = Network(latent_dim=L, hidden=[8], activation="tanh")
    architecture = Architecture(system="concatenate", network=network, input_dim=D)
    model = build_model(architecture, noise_input=True)
    hand = ByHand(model)
    noise = RNG.normal(size=(N, L)).astype(np.float32)
    actual = np.asarray(model({"x": X, "offset": OFFSET, "noise": noise}))
    expected = hand.decode(np.hstack([unit(hand.code()) + noise, OFFSET]))
    np.testing.assert_allclose(actual, expected, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("rms", [0.05, 0.3, 7.0])
@pytest.mark.parametrize("frozen", [True, False])
def test_a_scaled_second_encoder_has_that_rms_on_every_sample(rms: float, frozen: bool) -> None:
    model = built(system="two_encoder", second_rms=rms, frozen=frozen)
    second = keras.Model(model.inputs, model.get_layer("second_scaled_code").output)
    found = np.asarray(second({"x": X, "offset": OFFSET}), np.float64)
    np.testing.assert_allclose(np.sqrt(np.mean(found**2, axis=1)), rms, rtol=1e-6)


def test_one_seed_gives_one_encoder_and_decoder_in_every_system(architecture: Any) -> None:
    plain = Architecture(
        network=architecture.network,
        input_dim=architecture.input_dim,
        image_shape=architecture.image_shape,
        sequence_shape=architecture.sequence_shape,
        channels_first=architecture.channels_first,
    )
    keras.utils.set_random_seed(99)
    expected = {w.path: np.asarray(w) for w in build_model(plain, 3).weights}
    found = {w.path: np.asarray(w) for w in build_model(architecture, 3, stddev=0.1).weights}
    alike = [
        path for path in expected if path in found and expected[path].shape == found[path].shape
    ]
    for path in alike:
        np.testing.assert_array_equal(found[path], expected[path])
    apart = {path.partition("/")[0] for path in set(expected) - set(alike)}
    # Only what reads more, or is wider by design, can start otherwise.
    allowed = {"decoder_1"} if architecture.system == "concatenate" else set()
    assert apart <= (allowed | {"encoder_1", "code"} if architecture.encoder_hidden else allowed)
    other = {w.path: np.asarray(w) for w in build_model(architecture, 4).weights}
    for path in found:  # of recurrent layers, within their cell
        if path.startswith("encoder_1/") and path.endswith("kernel"):
            assert not np.array_equal(other[path], found[path])


def test_no_two_layers_start_alike(architecture: Any) -> None:
    weights = build_model(architecture).weights
    kernels = [np.asarray(w).ravel() for w in weights if w.path.endswith("kernel")]
    starts = {kernel[:12].tobytes() for kernel in kernels}
    assert len(starts) == len(kernels)


def test_loads_in_safe_mode(architecture: Any, tmp_path: Path) -> None:
    model = build_model(architecture, 2, stddev=0.0 if architecture.system == "vae" else 0.1)
    model.save(tmp_path / "model.keras")
    again = keras.saving.load_model(tmp_path / "model.keras", safe_mode=True)
    inputs = {"x": RNG.random((N, architecture.input_dim), dtype=np.float32), "offset": OFFSET}
    np.testing.assert_array_equal(np.asarray(again(inputs)), np.asarray(model(inputs)))
    for mine, its in zip(model.weights, again.weights, strict=True):
        np.testing.assert_array_equal(np.asarray(mine), np.asarray(its))
    assert [w.path for w in again.trainable_weights] == [w.path for w in model.trainable_weights]
    assert {tensor.name for tensor in again.inputs} == {"x", "offset"}
    # Whoever has imported this module can load it.
    homes = {type(layer).__module__ for layer in again.layers}
    ours = {home for home in homes if not home.startswith("keras.")}
    assert ours <= {"offset_autoencoder.models.layers"}


def test_noise_is_active_in_training_only(architecture: Any) -> None:
    if architecture.system == "vae":
        model = build_model(architecture)
    else:
        model = build_model(architecture, stddev=0.5)
    x = RNG.random((N, architecture.input_dim), dtype=np.float32)
    inputs = {"x": x, "offset": OFFSET}
    still = np.asarray(build_model(architecture)(inputs))
    np.testing.assert_array_equal(np.asarray(model(inputs)), still)
    assert not np.allclose(np.asarray(model(inputs, training=True)), still, atol=1e-4)


WIDTH = st.integers(1, 9)
WIDTHS = st.lists(WIDTH, max_size=2)


@settings(max_examples=40, deadline=None)
@given(
    system=st.sampled_from(["additive", "concatenate", "two_encoder", "ensemble", "vae"]),
    hidden=WIDTHS,
    encoder_hidden=st.none() | st.lists(WIDTH, min_size=1, max_size=2),
    second_hidden=st.none() | WIDTHS,
    frozen=st.booleans(),
    encoders=st.integers(2, 4),
    dims=st.tuples(st.integers(1, 9), st.integers(1, 6)),
)
def test_parameters_are_counted_as_keras_counts_them(
    system: Any,
    hidden: list[int],
    encoder_hidden: list[int] | None,
    second_hidden: list[int] | None,
    frozen: bool,
    encoders: int,
    dims: tuple[int, int],
) -> None:
    own: dict[str, dict[str, Any]] = {
        "two_encoder": {"second_hidden": second_hidden, "frozen": frozen},
        "ensemble": {"encoders": encoders},
    }
    architecture = Architecture(
        system=system,
        network=Network(latent_dim=dims[1], hidden=hidden),
        input_dim=dims[0],
        encoder_hidden=encoder_hidden,
        **own.get(system, {}),
    )
    trainable = sum(int(np.prod(w.shape)) for w in build_model(architecture).trainable_weights)
    assert architecture.trainable_parameters == trainable
