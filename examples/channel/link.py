"""A trained Keras model as a transmitter and a receiver."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from channel.monte_carlo import Array, Link, Rows
from offset_autoencoder.offsets.kind import apply_offset

_LAST_ID = 2**62


def make_link(
    model: Any, interfere: Callable[[np.random.Generator, Rows], Array], *, informed: bool
) -> Link:
    """Cut a model in two where the code meets the channel.

    A code of mean power is scaled so that the mean square norm of all words, which are sent
    equally often, is exactly 1.

    Args:
        model: A ``keras.Model`` with the layers ``unit_code`` (or ``power_code``) and
            ``code_plus_offset``.
        interfere: As in :class:`~channel.monte_carlo.Link`.
        informed: Whether the encoder sees the interference.
    """
    from offset_autoencoder.models.backend import keras

    has_mean_power = any(layer.name == "power_code" for layer in model.layers)
    name = "power_code" if has_mean_power else "unit_code"
    encoder = keras.Model(model.input, model.get_layer(name).output)
    decoder = keras.Model(model.get_layer("code_plus_offset").output, model.output)
    one_hot = np.eye(model.input["x"].shape[1], dtype=np.float32)
    silence = np.zeros((len(one_hot), model.input["offset"].shape[1]), np.float32)

    def encode(x: Array, interference: Array) -> Array:
        return np.asarray(encoder({"x": x, "offset": interference}, training=False))

    codes = encode(one_hot, silence)
    if has_mean_power:
        codes = codes / np.sqrt(np.mean(np.sum(np.square(codes), axis=1)))

    def transmit(messages: Rows, interference: Array) -> Array:
        return encode(one_hot[messages], interference) if informed else codes[messages]

    def receive(received: Array) -> NDArray[Any]:
        return np.argmax(decoder(received, training=False), axis=1)

    return Link(len(one_hot), interfere, transmit, receive, has_mean_power=has_mean_power)


def no_interference(dimensions: int) -> Callable[[np.random.Generator, Rows], Array]:
    """Nothing is added on the way but noise."""
    return lambda generator, messages: np.zeros((len(messages), dimensions), np.float32)


def interference_of(
    table: Path, factor: float, messages: int
) -> Callable[[np.random.Generator, Rows], Array]:
    """An offset of the pipeline, for blocks that it has never seen.

    Args:
        table: The folder of the offset's table.
        factor: What the run multiplies it by.
        messages: M.
    """
    one_hot = np.eye(messages, dtype=np.float32)

    def interfere(generator: np.random.Generator, sent: Rows) -> Array:
        ids = generator.integers(_LAST_ID, size=len(sent))
        return np.float32(factor) * apply_offset(table, one_hot[sent], y=sent, ids=ids)

    return interfere


def codebook(link: Link) -> Array | None:
    """Words sent per message, (M, n) float32; None where interference is added to it."""
    messages = np.arange(link.messages)
    interference = link.interfere(np.random.default_rng(0), messages)
    return None if interference.any() else link.transmit(messages, interference)
