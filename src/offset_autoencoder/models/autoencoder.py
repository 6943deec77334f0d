"""The network of the question: unit(encoder(x)) + offset + noise → decoder."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import Any

from offset_autoencoder.models.backend import keras
from offset_autoencoder.models.code_noise import CodeNoise
from offset_autoencoder.models.unit_norm import UnitNorm


def layer_seed(seed: int, layer: str) -> int:
    """The seed of one layer of a model, the same whatever other layers the model has."""
    return int.from_bytes(hashlib.sha256(f"{seed}/{layer}".encode()).digest()[:4], "big") >> 1


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

    def dense(width: int, activation: str, name: str) -> Any:
        initializer = keras.initializers.GlorotUniform(seed=layer_seed(seed, name))
        return keras.layers.Dense(
            width, activation=activation, kernel_initializer=initializer, name=name
        )

    x = keras.Input((input_dim,), name="x")
    offset = keras.Input((latent_dim,), name="offset")
    code = x
    for number, width in enumerate(hidden, start=1):
        code = dense(width, activation, f"encoder_{number}")(code)
    code = dense(latent_dim, "linear", "code")(code)
    if normalize:
        code = UnitNorm(name="unit_code")(code)
    added = keras.layers.Add(name="code_plus_offset")([code, offset])
    if stddev:
        added = CodeNoise(stddev, layer_seed(seed, "noise"), name="noise")(added)
    decoded = added
    for number, width in enumerate(reversed(hidden), start=1):
        decoded = dense(width, activation, f"decoder_{number}")(decoded)
    reconstruction = dense(input_dim, output, "reconstruction")(decoded)
    return keras.Model({"x": x, "offset": offset}, reconstruction, name="offset_autoencoder")
