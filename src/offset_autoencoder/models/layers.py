"""Dense and convolutional layers with a seed each, so that one seed gives one set of weights."""

from __future__ import annotations

import hashlib
from typing import Any

from offset_autoencoder.models.backend import keras


def layer_seed(seed: int, layer: str) -> int:
    """The seed of one layer of a model, the same whatever other layers the model has."""
    return int.from_bytes(hashlib.sha256(f"{seed}/{layer}".encode()).digest()[:4], "big") >> 1


def initial_kernel(layer: Any, seed: int) -> Any:
    """The kernel that a layer of this name and shape has in a model of another seed."""
    initializer = keras.initializers.GlorotUniform(seed=layer_seed(seed, layer.name))
    return initializer(layer.kernel.shape)


def dense(width: int, activation: str, name: str, seed: int, **options: Any) -> Any:
    """A Dense layer: kernel Glorot uniform, seeded by seed and name, bias zero."""
    initializer = keras.initializers.GlorotUniform(seed=layer_seed(seed, name))
    return keras.layers.Dense(
        width, activation=activation, kernel_initializer=initializer, name=name, **options
    )


def convolution(
    filters: int, size: int, activation: str, name: str, seed: int, **options: Any
) -> Any:
    """A convolution with stride 2, which halves height and width, rounding up."""
    return _strided(keras.layers.Conv2D, filters, size, activation, name, seed, **options)


def transposed_convolution(filters: int, size: int, activation: str, name: str, seed: int) -> Any:
    """A transposed convolution with stride 2, which doubles height and width."""
    return _strided(keras.layers.Conv2DTranspose, filters, size, activation, name, seed)


def _strided(
    kind: Any, filters: int, size: int, activation: str, name: str, seed: int, **options: Any
) -> Any:
    return kind(
        filters,
        size,
        strides=2,
        padding="same",
        activation=activation,
        kernel_initializer=keras.initializers.GlorotUniform(seed=layer_seed(seed, name)),
        name=name,
        **options,
    )
