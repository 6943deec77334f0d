"""Encoder and decoder, dense or convolutional: what every system is put together from."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from offset_autoencoder.config.architecture import Architecture
from offset_autoencoder.models.backend import keras
from offset_autoencoder.models.layers import convolution, dense, transposed_convolution
from offset_autoencoder.models.unit_norm import UnitNorm

Tensor = Any


def encode_hidden(
    architecture: Architecture,
    x: Tensor,
    seed: int,
    *,
    prefix: str = "",
    hidden: Sequence[int] | None = None,
    activation: str | None = None,
    trainable: bool = True,
) -> Tensor:
    """The encoder up to its last hidden layer.

    Args:
        architecture: The architecture.
        x: (batch, input_dim) samples.
        seed: Seed of the initial weights.
        prefix: Put before the layers' names, where a model has several encoders.
        hidden: Widths, where they are not those of the architecture.
        activation: Activation, where it is not that of the network.
        trainable: Whether the layers train.

    Returns:
        (batch, features) hidden features.
    """
    network = architecture.network
    activation = activation or network.activation
    features = x
    if network.kind == "dense" or hidden is not None:
        widths = architecture.encoder_hidden or network.hidden if hidden is None else hidden
        for number, width in enumerate(widths, start=1):
            name = f"{prefix}encoder_{number}"
            features = dense(width, activation, name, seed, trainable=trainable)(features)
        return features
    features = keras.layers.Reshape(_image(architecture), name=f"{prefix}image")(features)
    for number, filters in enumerate(network.filters, start=1):
        features = convolution(
            filters,
            network.kernel_size,
            activation,
            f"{prefix}encoder_{number}",
            seed,
            trainable=trainable,
        )(features)
    return keras.layers.Flatten(name=f"{prefix}flat")(features)


def encode(
    architecture: Architecture,
    x: Tensor,
    seed: int,
    *,
    prefix: str = "",
) -> Tensor:
    """The code: hidden layers, a linear Dense layer and, where asked for, unit L2 norm.

    Returns:
        (batch, latent_dim).
    """
    network = architecture.network
    features = encode_hidden(architecture, x, seed, prefix=prefix)
    code = dense(network.latent_dim, "linear", f"{prefix}code", seed)(features)
    return UnitNorm(name=f"{prefix}unit_code")(code) if network.normalize else code


def decode(architecture: Architecture, code: Tensor, seed: int) -> Tensor:
    """The decoder, which mirrors the encoder.

    Args:
        architecture: The architecture.
        code: (batch, any width) what the decoder reads.
        seed: Seed of the initial weights.

    Returns:
        (batch, input_dim) the reconstruction.
    """
    network = architecture.network
    if network.kind == "dense":
        for number, width in enumerate(reversed(network.hidden), start=1):
            code = dense(width, network.activation, f"decoder_{number}", seed)(code)
        return dense(architecture.input_dim, network.output, "reconstruction", seed)(code)
    height, width, channels = _image(architecture)
    halvings = len(network.filters)
    small = [-(-side // 2**halvings) for side in (height, width)]
    start = (*small, network.filters[-1])
    image = dense(math.prod(start), network.activation, "decoder_dense", seed)(code)
    image = keras.layers.Reshape(start, name="decoder_image")(image)
    outputs = [*reversed(network.filters[:-1]), channels]
    for number, filters in enumerate(outputs, start=1):
        last = number == halvings
        image = transposed_convolution(
            filters,
            network.kernel_size,
            "linear" if last else network.activation,
            "reconstruction_image" if last else f"decoder_{number}",
            seed,
        )(image)
    surplus = [
        side * 2**halvings - wanted for side, wanted in zip(small, (height, width), strict=True)
    ]
    if any(surplus):
        crop = tuple((extra // 2, extra - extra // 2) for extra in surplus)
        image = keras.layers.Cropping2D(crop, name="crop")(image)
    flat = keras.layers.Reshape((architecture.input_dim,), name="reconstruction_flat")(image)
    return keras.layers.Activation(network.output, name="reconstruction")(flat)


def _image(architecture: Architecture) -> tuple[int, int, int]:
    shape = architecture.image_shape
    if shape is None or len(shape) not in (2, 3):
        raise ValueError("a convolutional network needs samples with an image shape")
    height, width, channels = (*shape, 1)[:3]
    return height, width, channels
