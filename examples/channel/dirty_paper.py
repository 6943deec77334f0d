"""An encoder that knows the interference: writing on dirty paper (Costa 1983).

The pipeline's own encoder sees the sample alone. This architecture, a user's own
(``system: function``), also shows it the offset that will be added, and never the noise: that
is drawn by a layer of the model, where the pipeline would add it to the offset.
"""

from __future__ import annotations

import math
from typing import Any

from channel.theory import noise_stddev

TRAINED_AT_DB = 5.0
_WIDTH = 8


def build(input_dim: int, latent_dim: int, seed: int) -> Any:
    """``x' = decoder(unit(encoder(x, offset)) + offset + stddev · n)``.

    Encoder and decoder have two hidden layers of 8·M.

    Args:
        input_dim: M, messages.
        latent_dim: n of a block.
        seed: Seed of the initial weights and of the noise.

    Returns:
        A functional ``keras.Model`` with the inputs ``x`` (batch, M) and ``offset`` (batch, n) and
        the softmax of the message as output.
    """
    import keras

    from offset_autoencoder.models.layers import CodeNoise, UnitNorm, kernel_initializer, layer_seed

    def dense(width: int, activation: str, name: str, seed: int) -> Any:
        kernel = kernel_initializer("glorot_uniform", seed, name)
        return keras.layers.Dense(width, activation, kernel_initializer=kernel, name=name)

    x = keras.Input((input_dim,), name="x")
    offset = keras.Input((latent_dim,), name="offset")
    hidden = keras.layers.Concatenate(name="message_and_interference")([x, offset])
    for number in (1, 2):
        hidden = dense(_WIDTH * input_dim, "relu", f"encoder_{number}", seed)(hidden)
    code = UnitNorm(name="unit_code")(dense(latent_dim, "linear", "code", seed)(hidden))
    received = keras.layers.Add(name="code_plus_offset")([code, offset])
    stddev = float(noise_stddev(TRAINED_AT_DB, round(math.log2(input_dim))))
    hidden = CodeNoise(stddev, layer_seed(seed, "noise"), name="noise")(received)
    for number in (1, 2):
        hidden = dense(_WIDTH * input_dim, "relu", f"decoder_{number}", seed)(hidden)
    message = dense(input_dim, "softmax", "reconstruction", seed)(hidden)
    return keras.Model({"x": x, "offset": offset}, message)
