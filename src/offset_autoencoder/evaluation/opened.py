"""A trained run taken apart on samples: its codes, its offsets, and its decoder."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from offset_autoencoder.config.architecture import Architecture
from offset_autoencoder.evaluation.parts import take_apart
from offset_autoencoder.models import build_model
from offset_autoencoder.models.backend import tf

Array = NDArray[np.float32]
Decode = Callable[[Array | None, Array], Array]

_BLOCK_VALUES = 2**24  # features of a block of samples: 64 MB of float32


@dataclass(frozen=True)
class FinishedRun:
    """A run that finished, ready to be opened.

    Attributes:
        architecture: Its layers.
        seed: Its seed.
        weights: Its weights by name.
        stddev: The Gaussian noise that it was trained with.
        offset_factor: What its offset table is multiplied by.
    """

    architecture: Architecture
    seed: int
    weights: Mapping[str, NDArray[Any]]
    stddev: float
    offset_factor: float = 1.0


@dataclass(frozen=True)
class Encoded:
    """What the encoder makes of samples.

    Attributes:
        code: (n, L) float32: the code before anything is added, the mean of a variational
            autoencoder's; None for a user's model that is not taken apart.
        offset: (n, L) float32: what is added to it or stands beside it, a learned second
            encoder's output included.
        log_variance: (n, L) float32 of a variational autoencoder's code, else None.
    """

    code: Array | None
    offset: Array
    log_variance: Array | None


class OpenedRun:
    """A run's network with its weights in place, until the next run of its architecture."""

    def __init__(self, network: _Network, run: FinishedRun) -> None:
        self._network = network
        self.run = run

    @property
    def trainable_parameters(self) -> int:
        """How many numbers its training moves."""
        return sum(int(np.prod(v.shape)) for v in self._network.model.trainable_weights)

    def encode(self, x: Array, offset: Array) -> Encoded:
        """Codes and offsets of samples.

        Args:
            x: (n, D) float32.
            offset: f(x) as it is added, (n, L) float32.
        """
        return self._network.encode(x, offset)

    def decoder(self, x: Array) -> Decode:
        """The function from codes and offsets to reconstructions of these samples.

        Codes may be None for a model that is not taken apart: the samples are encoded again.
        """
        return lambda code, offset: self._network.decode(x, code, offset)


def open_runs(runs: Mapping[str, FinishedRun]) -> Iterator[tuple[str, OpenedRun]]:
    """Open run after run, those of one architecture together; use each before the next."""
    groups: dict[str, list[str]] = {}
    for run_id, run in runs.items():
        groups.setdefault(run.architecture.key, []).append(run_id)
    for members in groups.values():
        network = _Network(runs[members[0]].architecture)
        for run_id in members:
            network.load(runs[run_id].weights)
            yield run_id, OpenedRun(network, runs[run_id])


class _Network:
    """The Keras model of an architecture, compiled in halves."""

    def __init__(self, architecture: Architecture) -> None:
        self.model = build_model(architecture)
        self.latent_dim = architecture.network.latent_dim
        self.whole = _compiled(self.model)
        parts = take_apart(self.model, architecture.system)
        self.encoder = parts and _compiled(parts.encoder)
        self.decoder = parts and _compiled(parts.decoder)

    def load(self, weights: Mapping[str, NDArray[Any]]) -> None:
        for variable in self.model.weights:
            variable.assign(weights[variable.path])

    def encode(self, x: Array, offset: Array) -> Encoded:
        if self.encoder is None:
            return Encoded(None, offset, None)
        found = _in_blocks(self.encoder, {"x": x, "offset": offset})
        return Encoded(found["code"], found["offset"], found.get("log_variance"))

    def decode(self, x: Array, code: Array | None, offset: Array) -> Array:
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
