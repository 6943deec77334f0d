from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from offset_autoencoder.config.offset_kinds import EncoderOffset
from offset_autoencoder.errors import InputError
from offset_autoencoder.io.files import write_npz
from offset_autoencoder.models.backend import keras
from offset_autoencoder.models.building import build_autoencoder
from offset_autoencoder.offsets import encoder
from offset_autoencoder.offsets.kind import Float32, Samples, State, Training

WHERE = "params.yaml: offsets.mine"
RNG = np.random.default_rng(0)
X = RNG.random((90, 12), dtype=np.float32)


def fit(latent_dim: int = 4, raw: Path = Path("raw"), **keys: Any) -> State:
    params = EncoderOffset.model_validate(keys)
    training = Training(X[:60], x_validation=X[60:], raw=raw)
    return encoder.fit(WHERE, params, training, latent_dim)


def apply(state: State, x: Float32 = X) -> Float32:
    return encoder.load(WHERE, state)(Samples(x))


def code_of(model: Any, layer: str, x: Float32 = X) -> Float32:
    code = keras.Model(model.input["x"], model.get_layer(layer).output)
    return np.asarray(code(x))


@pytest.fixture(scope="module")
def fitted() -> State:
    return fit(hidden=[8, 6], activation="tanh", epochs=15, learning_rate=1e-2, batch_size=16)


@pytest.mark.parametrize("normalize", [True, False])
def test_is_the_code_of_the_fitted_autoencoder(fitted: State, normalize: bool) -> None:
    state = {**fitted, "normalize": np.array(normalize)}
    model = build_autoencoder(12, 4, [8, 6], activation="tanh", normalize=normalize)
    for number, layer in enumerate(("encoder_1", "encoder_2", "code"), start=1):
        arrays = [state[f"encoder.{number}.{part}"] for part in ("kernel", "bias")]
        model.get_layer(layer).set_weights(arrays)
    expected = code_of(model, "unit_code" if normalize else "code")
    got = apply(state)
    assert got.dtype == np.float32
    np.testing.assert_allclose(got, expected, rtol=1e-4, atol=1e-6)


def test_state_holds_no_decoder_and_a_sample_alone_has_the_same_bytes(fitted: State) -> None:
    assert not [key for key in fitted if key.startswith("decoder")]
    whole = apply(fitted)
    for row in (0, 89):
        assert apply(fitted, X[row : row + 1]).tobytes() == whole[row : row + 1].tobytes()


def test_applying_a_fitted_encoder_needs_no_tensorflow(fitted: State, tmp_path: Path) -> None:
    write_npz(tmp_path / "state.npz", fitted)
    np.save(tmp_path / "x.npy", X)
    program = """
import sys, numpy as np
from offset_autoencoder.offsets.kind import Samples
from offset_autoencoder.offsets.kind import find_kind
with np.load("state.npz") as state:
    table = find_kind("", "encoder").applier("", dict(state))(Samples(np.load("x.npy")))
np.save("table.npy", table)
print(sorted({"tensorflow", "keras", "sklearn"} & set(sys.modules)))
"""
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, cwd=tmp_path
    )
    assert done.stdout == "[]\n", done.stderr
    assert np.load(tmp_path / "table.npy").tobytes() == apply(fitted).tobytes()


@pytest.fixture
def raw(tmp_path: Path) -> Path:
    """``data/raw`` with models of the user's own."""
    build_autoencoder(12, 4, [8]).save(tmp_path / "own.keras")
    layers = keras.layers
    keras.Sequential(
        [keras.Input((12,)), layers.Dense(5, "gelu"), layers.Dense(4, name="bottleneck")]
    ).save(tmp_path / "plain.keras")
    keras.Sequential([keras.Input((12,)), layers.Lambda(lambda x: x[:, :4], name="code")]).save(
        tmp_path / "lambda.keras"
    )
    inputs = keras.Input((12,))
    encoder = keras.Sequential([layers.Dense(6, "relu"), layers.Dense(4, name="z")], name="encoder")
    code = keras.Input((4,))
    decoder = keras.Model(code, layers.Dense(12, name="out")(code), name="decoder")
    keras.Model(inputs, decoder(encoder(inputs))).save(tmp_path / "whole.keras")
    keras.Sequential([keras.Input((12,)), encoder, decoder]).save(tmp_path / "row.keras")
    image = keras.Input((4, 3, 1))
    flat = layers.Flatten()(layers.Conv2D(2, 2)(image))
    pictures = keras.Model(image, layers.Dense(4, name="z")(flat), name="encoder")
    keras.Model(image, layers.Dense(12)(pictures(image))).save(tmp_path / "image.keras")
    (tmp_path / "text.keras").write_text("no model")
    whole = (tmp_path / "own.keras").read_bytes()
    (tmp_path / "cut.keras").write_bytes(whole[: len(whole) // 2])
    return tmp_path


@pytest.mark.parametrize(
    ("keys", "layer"),
    [
        ({"path": "own.keras"}, "code"),
        ({"path": "own.keras", "layer": "unit_code"}, "unit_code"),
        ({"path": "plain.keras", "layer": "bottleneck"}, "bottleneck"),
    ],
)
def test_layer_of_a_model_file(raw: Path, keys: dict[str, Any], layer: str) -> None:
    state = fit(raw=raw, **keys)
    model = keras.saving.load_model(raw / keys["path"])
    x = max(model.inputs, key=lambda tensor: tensor.name == "x")
    expected = np.asarray(keras.Model(x, model.get_layer(layer).output)(X))
    (raw / keys["path"]).unlink()  # the state is all that is needed
    got = apply(state)
    assert got.dtype == np.float32
    np.testing.assert_allclose(got, expected, rtol=1e-5, atol=1e-6)
    assert not any(array.dtype.hasobject for array in state.values())


@pytest.mark.parametrize(
    ("path", "layer"),
    [
        ("whole.keras", "encoder"),
        ("whole.keras", "z"),
        ("row.keras", "encoder"),
        ("row.keras", "z"),
        ("image.keras", "encoder"),
        ("image.keras", "z"),
    ],
)
def test_an_encoder_within_a_model_that_was_saved_whole(raw: Path, path: str, layer: str) -> None:
    state = fit(raw=raw, path=path, layer=layer)
    own = keras.saving.load_model(raw / path).get_layer("encoder")
    expected = np.asarray(own(X.reshape(-1, *own.input_shape[1:])))
    np.testing.assert_allclose(apply(state), expected, rtol=1e-5, atol=1e-6)
    params = EncoderOffset(path=path, layer=layer)
    encoder.check(WHERE, params, Training(X[:60], x_validation=X[60:], raw=raw), 4)


@pytest.mark.parametrize(
    ("keys", "latent_dim", "expected"),
    [
        ({"path": "absent.keras"}, 4, "params.yaml: offsets.mine.path: there is no file"),
        ({"path": "../own.keras"}, 4, "params.yaml: offsets.mine.path: '../own.keras' is not in"),
        ({"path": "text.keras"}, 4, "text.keras: is not a Keras model file"),
        ({"path": "cut.keras"}, 4, "cut.keras: is not a Keras model file, or is damaged"),
        ({"path": "lambda.keras"}, 4, "lambda.keras: cannot be loaded as a Keras model in safe"),
        ({"path": "own.keras", "layer": "cod"}, 4, "mine.layer: no layer 'cod' (did you mean"),
        ({"path": "own.keras"}, 3, "own.keras maps (n, 12) to (n, 4), needed is (n, 12) to (n, 3)"),
        (
            {"path": "own.keras", "layer": "decoder_1"},
            4,
            "mine.layer: 'decoder_1' is not the output of one of the model's inputs alone",
        ),
        (
            {"path": "whole.keras", "layer": "bottleneck"},
            4,
            "mine.layer: no layer 'bottleneck' (known are 'encoder', 'z')",
        ),
        (
            {"path": "own.keras", "layer": "code_plus_offset"},
            4,
            "alone (layers that do are 'code', 'unit_code')",
        ),
    ],
)
def test_model_files_that_do_not_suit(
    raw: Path, keys: dict[str, Any], latent_dim: int, expected: str
) -> None:
    with pytest.raises(InputError) as caught:
        fit(latent_dim, raw, **keys)
    assert expected in str(caught.value)
    assert str(raw / "model.keras") not in str(caught.value)


@pytest.mark.parametrize(
    ("keys", "expected"),
    [
        ({"path": "m.keras", "epochs": 3}, "epochs does not go with path"),
        ({"layer": "code"}, "layer goes with path"),
        ({"path": "m.h5"}, "path must name a .keras file, got 'm.h5'"),
        ({"output": "linear"}, "loss: binary_crossentropy needs output: sigmoid"),
    ],
)
def test_keys_that_do_not_suit(keys: dict[str, Any], expected: str) -> None:
    with pytest.raises(ValueError, match=expected):
        EncoderOffset.model_validate(keys)


def saved(raw: Path, **shape: Any) -> Any:
    """An encoder of the input of a shape, within a model that was saved whole."""
    layers, inputs = keras.layers, keras.Input(**shape)
    flat = layers.GRU(6)(inputs) if len(inputs.shape) == 3 else inputs
    encoder = keras.Model(inputs, layers.Dense(4)(flat), name="encoder")
    keras.Model(inputs, layers.Dense(12)(encoder(inputs))).save(raw / "open.keras")
    return encoder


@pytest.mark.parametrize(
    "shape",
    [{"batch_shape": (32, 12)}, {"shape": (None, 3)}, {"batch_shape": (32, None, 3)}],
    ids=str,
)
def test_a_batch_that_is_fixed_and_steps_that_are_open(
    tmp_path: Path, shape: dict[str, Any]
) -> None:
    own = saved(tmp_path, **shape)
    state = fit(raw=tmp_path, path="open.keras", layer="encoder")
    x = X if own.input_shape[1:] == (12,) else X.reshape(-1, 4, 3)
    batches = [x[:32], x[32:64], np.concatenate([x[64:], x[:6]])]
    expected = np.concatenate([np.asarray(own(batch)) for batch in batches])[:90]
    np.testing.assert_allclose(apply(state), expected, rtol=1e-4, atol=1e-6)
    np.testing.assert_allclose(apply(state, X[:1]), expected[:1], rtol=1e-4, atol=1e-6)


def test_inputs_that_no_sample_fits(tmp_path: Path) -> None:
    layers = keras.layers
    pictures = keras.Input((None, None, 3))
    codes = layers.Dense(4, name="code")(layers.GlobalAveragePooling2D()(pictures))
    keras.Model(pictures, codes).save(tmp_path / "pictures.keras")
    steps = keras.Input(batch_shape=(30, 4, 3))
    codes = layers.Dense(4, name="code")(layers.GRU(3, stateful=True, name="memory")(steps))
    keras.Model(steps, codes).save(tmp_path / "memory.keras")
    saved(tmp_path, shape=(None, 5))
    for path, layer, message in (
        ("pictures", "code", r"maps \(n, any, any, 3\) to \(n, 4\), .* sides of 12 values in all"),
        ("memory", "code", r"the batches before: 'memory' keeps its state \(save it with stateful"),
        ("open", "encoder", r"maps \(n, any, 5\) to .* \(the model must take the 12 values"),
    ):
        with pytest.raises(InputError, match=message):
            fit(raw=tmp_path, path=f"{path}.keras", layer=layer)
