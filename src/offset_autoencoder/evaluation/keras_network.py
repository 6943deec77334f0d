"""The Keras model of an architecture, compiled in halves: for what :mod:`.dense_network` is not."""

from __future__ import annotations

import functools
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from offset_autoencoder.config.architecture import Architecture
from offset_autoencoder.evaluation.encoded import Array, Encoded
from offset_autoencoder.evaluation.parts import take_apart
from offset_autoencoder.models import build_model
from offset_autoencoder.models.backend import tf

_BLOCK_VALUES = 2**24  # features of a block of samples: 64 MB of float32


class KerasNetwork:
    """A model that is given the weights of one run after another."""

    def __init__(self, architecture: Architecture) -> None:
        self.model = build_model(architecture)
        parts = take_apart(self.model, architecture.system)
        self.encoder = parts and _compiled(parts.encoder)
        self.decoder = parts and _compiled(parts.decoder)

    @functools.cached_property
    def whole(self) -> Any:
        """The model in one piece, for one that is not taken apart."""
        return _compiled(self.model)

    @property
    def trainable_parameters(self) -> int:
        """How many numbers its training moves."""
        return sum(int(np.prod(v.shape)) for v in self.model.trainable_weights)

    def load(self, weights: Mapping[str, NDArray[Any]]) -> None:
        """Take over the weights of a run."""
        for variable in self.model.weights:
            variable.assign(weights[variable.path])

    def encode(self, x: Array, offset: Array) -> Encoded:
        """Codes and offsets of samples (n, D) and f(x) as it is added (n, L)."""
        if self.encoder is None:
            return Encoded(None, offset, None)
        found = _in_blocks(self.encoder, {"x": x, "offset": offset})
        return Encoded(found["code"], found["offset"], found.get("log_variance"))

    def decode(self, x: Array, code: Array | None, offset: Array) -> Array:
        """The reconstructions (n, D) of codes and offsets, each (n, L)."""
        if code is None or self.decoder is None:
            return _in_blocks(self.whole, {"x": x, "offset": offset})
        return _in_blocks(self.decoder, [code, offset])


def _compiled(model: Any) -> Any:
    """A graph of the model that is traced once, whatever the number of rows."""
    signature = tf.nest.map_structure(
        lambda tensor: tf.TensorSpec((None, *tensor.shape[1:]), tf.float32), model.input
    )
    function = tf.function(lambda inputs: model(inputs, training=False), autograph=False)
    call = function.get_concrete_function(signature)
    tensors = tf.nest.flatten([model.input, model.output])
    return call, max(int(np.prod(tensor.shape[1:])) for tensor in tensors)


def _in_blocks(compiled: tuple[Any, int], inputs: Any) -> Any:
    """Call on as many samples at a time as the memory of a block holds."""
    call, width = compiled
    samples = len(tf.nest.flatten(inputs)[0])
    size = max(1, _BLOCK_VALUES // width)
    blocks = [
        tf.nest.map_structure(np.asarray, call(_rows(inputs, start, start + size)))
        for start in range(0, samples, size)
    ]
    return tf.nest.map_structure(lambda *each: np.concatenate(each), *blocks)


def _rows(inputs: Any, start: int, end: int) -> Any:
    return tf.nest.map_structure(lambda array: tf.constant(array[start:end]), inputs)
