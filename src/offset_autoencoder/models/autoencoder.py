"""The network of the question: unit(encoder(x)) + offset + noise → decoder; and its kin."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from offset_autoencoder.config.architecture import Architecture
from offset_autoencoder.config.schema import Network
from offset_autoencoder.models.backend import keras
from offset_autoencoder.models.systems import BUILDERS, OWN_NOISE
from offset_autoencoder.models.user_function import build_user_model


def build_autoencoder(
    input_dim: int,
    latent_dim: int = 16,
    hidden: Sequence[int] = (32,),
    *,
    activation: str = "relu",
    output: str = "sigmoid",
    normalize: bool = True,
    stddev: float = 0.0,
    seed: int = 0,
) -> Any:
    """Build the offset-autoencoder ``x' = decoder(unit(encoder(x)) + offset + stddev · n)``.

    Encoder: a Dense layer with ``activation`` for each of ``hidden``, then a linear one to
    the code. Decoder: the same widths backwards, then a Dense layer with ``output``.
    Kernels are Glorot uniform, biases zero, each layer seeded by ``seed`` and its name: one
    seed, the same initial weights, with or without noise.

    Args:
        input_dim: Features of a sample.
        latent_dim: Dimension of the code.
        hidden: Widths of the encoder's hidden layers, possibly none.
        activation: Keras activation of the hidden layers.
        output: Keras activation of the reconstruction.
        normalize: Whether the code has unit L2 norm.
        stddev: Gaussian noise a coordinate of the code, in training only; 0 adds no layer.
        seed: Seed of the initial weights and of the noise.

    Returns:
        A functional ``keras.Model``, not compiled. Inputs, by name: ``x`` (batch, input_dim)
        and ``offset`` (batch, latent_dim), float32; output ``reconstruction``
        (batch, input_dim).

    Example:
        >>> model = build_autoencoder(64)
        >>> model.compile("adam", "binary_crossentropy")
        >>> model.fit({"x": x, "offset": offsets}, x)
    """
    loss = {"sigmoid": "binary_crossentropy", "softmax": "categorical_crossentropy"}
    network = Network.model_validate(
        {
            "latent_dim": latent_dim,
            "hidden": list(hidden),
            "activation": activation,
            "output": output,
            "loss": loss.get(output, "mean_squared_error"),
            "normalize": normalize,
        }
    )
    return build_model(Architecture(network=network, input_dim=input_dim), seed, stddev)


def build_model(
    architecture: Architecture, seed: int = 0, stddev: float = 0.0, *, noise_input: bool = False
) -> Any:
    """The Keras model of an architecture.

    Args:
        architecture: Its layers.
        seed: Seed of the initial weights and of the noise.
        stddev: Gaussian noise a coordinate of the code, in training only; 0 adds no layer.
        noise_input: Whether noise that cannot be folded into the offset is a third input,
            ``noise`` (batch, latent_dim), instead of drawn by a layer.

    Returns:
        A functional ``keras.Model`` with the inputs ``x`` and ``offset``.

    Raises:
        InputError: where the user's own function does not return such a model.
    """
    if architecture.system == "function":
        return build_user_model(architecture, seed)
    latent_dim = architecture.network.latent_dim
    inputs = {
        "x": keras.Input((architecture.input_dim,), name="x"),
        "offset": keras.Input((latent_dim,), name="offset"),
    }
    if noise_input and architecture.system in OWN_NOISE:
        inputs["noise"] = keras.Input((latent_dim,), name="noise")
    output = BUILDERS[architecture.system](architecture, inputs, seed, stddev)
    return keras.Model(inputs, output, name="offset_autoencoder")
