from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tests.users_module import users_module

from offset_autoencoder.config.schema import Network
from offset_autoencoder.models import dense, inference
from offset_autoencoder.models.architecture import Architecture
from offset_autoencoder.models.autoencoder import build_model
from offset_autoencoder.models.backend import keras
from offset_autoencoder.models.inference import RunInference, Weights, open_inference

N, L = 30, 4
RNG = np.random.default_rng(0)
OFFSET = RNG.normal(size=(N, L)).astype(np.float32)
USERS_MODEL = """
import keras


def build(input_dim, latent_dim, seed, name):
    x, offset = keras.Input((input_dim,), name="x"), keras.Input((latent_dim,), name="offset")
    code = keras.layers.Dense(latent_dim, name=name)(x)
    y = keras.layers.Dense(input_dim)(keras.layers.Add()([code, offset]))
    return keras.Model({"x": x, "offset": offset}, y)


def named(input_dim, latent_dim, seed):
    return build(input_dim, latent_dim, seed, "code")


def unnamed(input_dim, latent_dim, seed):
    return build(input_dim, latent_dim, seed, None)


def names_for_another_use(input_dim, latent_dim, seed):
    x, offset = keras.Input((input_dim,), name="x"), keras.Input((latent_dim,), name="offset")
    h = keras.layers.Dense(latent_dim + 3, name="unit_code")(x)
    code = keras.layers.Dense(latent_dim, name="code")(h)
    added = keras.layers.Add()([code, offset])
    spread = keras.layers.Dense(latent_dim + 1, name="code_log_variance")(added)
    y = keras.layers.Dense(input_dim, name="second_code_plus_offset")(spread)
    return keras.Model({"x": x, "offset": offset}, y)
"""


@pytest.fixture(scope="module")
def module(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with users_module(tmp_path_factory.mktemp("users"), "users_opened", USERS_MODEL) as name:
        yield name


def users_own(function: str) -> Architecture:
    return Architecture(
        system="function", network=Network(latent_dim=L), input_dim=12, function=function
    )


def weights_of(architecture: Architecture, seed: int = 0) -> Weights:
    return {w.path: np.asarray(w) for w in build_model(architecture, seed).weights}


def samples(architecture: Architecture) -> Any:
    return RNG.random((N, architecture.input_dim), dtype=np.float32)


def open_one(architecture: Architecture, weights: Weights) -> RunInference:
    ((_, opened),) = open_inference({"run": architecture}, {"run": weights}.__getitem__)
    return opened


def open_seed(architecture: Architecture, seed: int) -> RunInference:
    return open_one(architecture, weights_of(architecture, seed))


def check_whole(architecture: Architecture, opened: RunInference, seed: int) -> None:
    x = samples(architecture)
    encoded = opened.encode(x, OFFSET)
    out = opened.decoder(x)(encoded.code, encoded.offset)
    expected = build_model(architecture, seed)({"x": x, "offset": OFFSET})
    np.testing.assert_allclose(out, np.asarray(expected), rtol=1e-5, atol=1e-6)
    assert type(out) is np.ndarray
    assert out.dtype == np.float32


def test_encoder_and_decoder_make_the_trained_model(architecture: Architecture) -> None:
    opened = open_seed(architecture, 5)
    check_whole(architecture, opened, 5)
    encoded = opened.encode(samples(architecture), OFFSET)
    assert encoded.code is not None
    for part in (encoded.code, encoded.offset):
        assert type(part) is np.ndarray
        assert part.dtype == np.float32
        assert part.shape == (N, L)
    assert (encoded.log_variance is not None) == (architecture.system == "vae")
    model = build_model(architecture)
    trainable = sum(int(np.prod(weight.shape)) for weight in model.trainable_weights)
    assert opened.trainable_parameters == trainable


@pytest.mark.parametrize("kind", ["named", "unnamed"])
def test_a_users_own_model_opens_too(module: str, kind: str) -> None:
    architecture = users_own(f"{module}:{kind}")
    opened = open_seed(architecture, 2)
    check_whole(architecture, opened, 2)
    encoded = opened.encode(samples(architecture), OFFSET)
    assert (encoded.code is not None) == (kind == "named")
    np.testing.assert_array_equal(encoded.offset, OFFSET)


def test_names_of_our_layers_mean_nothing_in_a_users_model(module: str) -> None:
    architecture = users_own(f"{module}:names_for_another_use")
    weights = weights_of(architecture, 2)
    opened = open_one(architecture, weights)
    check_whole(architecture, opened, 2)
    x = samples(architecture)
    encoded = opened.encode(x, OFFSET)
    assert encoded.code is not None
    kernels = weights["unit_code/kernel"], weights["code/kernel"]
    np.testing.assert_allclose(encoded.code, x @ kernels[0] @ kernels[1], rtol=1e-4, atol=1e-5)
    np.testing.assert_array_equal(encoded.offset, OFFSET)
    assert encoded.log_variance is None


def test_a_decoder_takes_any_code_and_offset() -> None:
    architecture = Architecture(network=Network(latent_dim=L, hidden=[8]), input_dim=12)
    opened = open_seed(architecture, 5)
    code = RNG.normal(size=(7, L)).astype(np.float32)
    out = opened.decoder(samples(architecture))(code, OFFSET[:7])
    model = build_model(architecture, 5)
    decoder = keras.Model(model.get_layer("code_plus_offset").output, model.output)
    expected = np.asarray(decoder(code + OFFSET[:7]))
    np.testing.assert_allclose(out, expected, rtol=1e-5, atol=1e-6)


def test_the_log_variance_is_that_of_the_posterior() -> None:
    architecture = Architecture(
        system="vae", network=Network(latent_dim=L, hidden=[]), input_dim=12
    )
    weights = weights_of(architecture, 5)
    x = samples(architecture)
    encoded = open_one(architecture, weights).encode(x, OFFSET)
    kernel = weights["code_log_variance/kernel"]
    assert encoded.log_variance is not None
    np.testing.assert_allclose(encoded.log_variance, x @ kernel, rtol=1e-4, atol=1e-6)


def test_every_run_has_its_own_weights_while_it_is_open() -> None:
    small = Architecture(network=Network(latent_dim=L, hidden=[8]), input_dim=12)
    other = Architecture(network=Network(latent_dim=L, hidden=[5]), input_dim=12)
    runs = {
        f"{name}{seed}": (architecture, seed)
        for seed in range(2)
        for name, architecture in (("small", small), ("other", other))
    }
    architectures = {run_id: architecture for run_id, (architecture, _) in runs.items()}
    order = []
    for run_id, opened in open_inference(architectures, lambda run_id: weights_of(*runs[run_id])):
        check_whole(runs[run_id][0], opened, runs[run_id][1])
        order.append(run_id)
    assert order == ["small0", "small1", "other0", "other1"]
    assert list(open_inference({}, {}.__getitem__)) == []


@pytest.mark.parametrize(
    "architecture",
    [
        Architecture(system="vae", network=Network(latent_dim=L, hidden=[8]), input_dim=12),
        Architecture(
            network=Network(kind="convolutional", latent_dim=L, filters=[2]),
            input_dim=12,
            image_shape=[4, 3],
        ),
    ],
)
def test_many_samples_go_through_block_by_block(
    architecture: Architecture, monkeypatch: pytest.MonkeyPatch
) -> None:
    x = samples(architecture)
    opened = open_seed(architecture, 5)
    whole = opened.encode(x, OFFSET)
    out = opened.decoder(x)(whole.code, OFFSET)
    for module in (dense, inference):
        monkeypatch.setattr(module, "_BLOCK_VALUES", 12 * 7)  # 7 samples per block, then 2
    parts = opened.encode(x, OFFSET)
    both: Any = zip(parts, whole, strict=True)
    for one, other in both:
        if one is not None:
            np.testing.assert_allclose(np.asarray(one), np.asarray(other), rtol=1e-5, atol=1e-6)
    again = opened.decoder(x)(parts.code, parts.offset)
    np.testing.assert_allclose(again, out, rtol=1e-5, atol=1e-6)


def test_a_saturated_output_keeps_its_relative_error() -> None:
    """The logarithms of cross-entropy are sensitive to values close to 0 and 1."""
    architecture = Architecture(network=Network(latent_dim=L, hidden=[]), input_dim=12)
    weights = {
        **weights_of(architecture),
        "reconstruction/bias": np.linspace(-100, 30, 12, dtype=np.float32),
    }
    opened = open_one(architecture, weights)
    out = opened.decoder(samples(architecture))(np.zeros((1, L), np.float32), OFFSET[:1] * 0)
    logits = weights["reconstruction/bias"].astype(np.float64)
    np.testing.assert_allclose(out[0], 1 / (1 + np.exp(-logits)), rtol=2e-6, atol=1e-38)


@pytest.mark.parametrize("encoders", [1, 2])
def test_a_code_of_mean_power_is_divided_by_that_of_training(encoders: int) -> None:
    network = Network(latent_dim=L, hidden=[8], normalize="power")
    system = {"system": "ensemble", "encoders": 2, "combine": "sum"} if encoders > 1 else {}
    architecture = Architecture(network=network, input_dim=12, **system)
    weights = dict(weights_of(architecture))
    powers = [name for name in weights if name.endswith("power_code/power")]
    assert len(powers) == encoders
    x = samples(architecture)
    before = open_one(architecture, weights).encode(x, OFFSET).code
    opened = open_one(architecture, {**weights, **dict.fromkeys(powers, np.array(4, np.float32))})
    assert isinstance(opened, dense.DenseNetwork)
    code = opened.encode(x, OFFSET).code
    assert before is not None
    assert code is not None
    np.testing.assert_allclose(code, before / 2, rtol=1e-6)
    model = build_model(architecture)
    for weight in model.weights:
        weight.assign(4.0 if weight.path in powers else weights[weight.path])
    expected = np.asarray(model({"x": x, "offset": OFFSET}))
    np.testing.assert_allclose(opened.decoder(x)(code, OFFSET), expected, rtol=1e-5, atol=1e-6)


def test_a_code_without_direction_is_zero() -> None:
    architecture = Architecture(network=Network(latent_dim=L, hidden=[]), input_dim=12)
    weights = weights_of(architecture)
    dead = {name: np.zeros_like(weight) for name, weight in weights.items()}
    opened = open_one(architecture, dead)
    assert not np.any(opened.encode(samples(architecture), OFFSET).code)


def test_offsets_may_be_views_without_memory(tmp_path: Path) -> None:
    architecture = Architecture(network=Network(latent_dim=L, hidden=[8]), input_dim=12)
    x = samples(architecture)
    np.save(tmp_path / "x.npy", x)
    opened = open_seed(architecture, 5)
    mapped = np.load(tmp_path / "x.npy", mmap_mode="r")
    encoded = opened.encode(mapped, np.broadcast_to(np.float32(0), (N, L)))
    plain = opened.encode(x, np.zeros((N, L), np.float32))
    np.testing.assert_array_equal(encoded.code, plain.code)
