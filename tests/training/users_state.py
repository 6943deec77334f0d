"""A user's own networks, whose layers assign to variables in training."""

from __future__ import annotations

from typing import Any

import keras
from keras import layers


class Counted(layers.Layer):  # type: ignore[misc]
    def build(self, shape: Any) -> None:
        self.count = self.add_weight(name="own", initializer="zeros", trainable=False)
        self.scale = self.add_weight(name="own", shape=shape[-1:], initializer="ones")

    def call(self, x: Any, training: bool = False) -> Any:
        if training:
            self.count.assign(self.count + 1)
        return x * self.scale


def half(inputs: int, width: int, name: str) -> Any:
    x = keras.Input((inputs,))
    hidden = layers.Dense(8, "tanh", kernel_constraint="unit_norm", name="hidden")(x)
    return keras.Model(x, layers.Dense(width, name="output")(hidden), name=name)


def stateful(input_dim: int, latent_dim: int, seed: int) -> Any:
    twice = layers.SpectralNormalization(layers.Dense(input_dim, "relu"))
    return _around(lambda x: Counted()(twice(twice(x))), input_dim, latent_dim)


def stacked(input_dim: int, latent_dim: int, seed: int) -> Any:
    return _around(layers.Dense(8), input_dim, latent_dim)


def _around(hidden: Any, input_dim: int, latent_dim: int) -> Any:
    x, offset = keras.Input((input_dim,), name="x"), keras.Input((latent_dim,), name="offset")
    normalized = layers.BatchNormalization(momentum=0.9)(hidden(x))
    z = layers.Add()([half(normalized.shape[-1], latent_dim, "code")(normalized), offset])
    y = layers.Activation("sigmoid")(half(latent_dim, input_dim, "decoder")(z))
    return keras.Model({"x": x, "offset": offset}, y)
