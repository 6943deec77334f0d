"""A run of Dense layers in NumPy: x → code and offset; code and offset → reconstruction.

The layers are those that :mod:`.models.systems` builds, found in the weights by their names. No
TensorFlow is started for them, which would take longer than to examine a hundred runs.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from offset_autoencoder.config.architecture import Architecture
from offset_autoencoder.config.width import count_parameters
from offset_autoencoder.evaluation.encoded import Array, Encoded
from offset_autoencoder.offsets.dense import ACTIVATIONS

_SYSTEMS = frozenset({"additive", "concatenate", "two_encoder", "ensemble", "vae"})
_BLOCK_VALUES = 2**18  # of the widest layer at a time: 1 MB, which stays in the cache
_SHORTEST = np.float32(1e-6)


def is_dense(architecture: Architecture) -> bool:
    """Whether an architecture is of Dense layers alone, in one of the project's own systems."""
    return architecture.system in _SYSTEMS and architecture.network.kind == "dense"


class DenseNetwork:
    """A run's network.

    Args:
        architecture: One that :func:`is_dense`.
        weights: Its weights by name.
    """

    def __init__(self, architecture: Architecture, weights: Mapping[str, NDArray[Any]]) -> None:
        self._architecture = architecture
        self._network = architecture.network
        self._weights = weights

    @property
    def trainable_parameters(self) -> int:
        """How many numbers its training moves."""
        return count_parameters(self._architecture)

    def encode(self, x: Array, offset: Array) -> Encoded:
        """Codes and offsets of samples (n, D) and f(x) as it is added (n, L)."""
        parts = [self._encode(x[block], offset[block]) for block in self._blocks(len(x))]
        variances = [part.log_variance for part in parts if part.log_variance is not None]
        return Encoded(
            np.concatenate([part.code for part in parts if part.code is not None]),
            np.concatenate([part.offset for part in parts]),
            np.concatenate(variances) if variances else None,
        )

    def _encode(self, x: Array, offset: Array) -> Encoded:
        system, activation = self._architecture.system, self._network.activation
        if system == "vae":
            features = self._layers(x, "encoder_", activation)
            mean, log_variance = (
                self._dense(features, name) for name in ("code", "code_log_variance")
            )
            return Encoded(mean, offset, log_variance)
        members = [
            f"member_{number}_" for number in range(2, 1 + (self._architecture.encoders or 1))
        ]
        codes = [self._code(x, prefix, activation) for prefix in ("", *members)]
        if self._network.normalize:
            codes = [_unit(code) for code in codes]
        code = codes[0]
        if system == "ensemble":
            code = np.sum(codes, axis=0)
            if self._architecture.combine != "sum":
                code /= np.float32(len(codes))
        return Encoded(code, offset + self._second(x) if system == "two_encoder" else offset, None)

    def decode(self, x: Array, code: Array | None, offset: Array) -> Array:
        """The reconstructions (n, D) of codes and offsets, each (n, L)."""
        assert code is not None
        output = np.empty((len(code), self._architecture.input_dim), np.float32)
        for block in self._blocks(len(code)):
            if self._architecture.system == "concatenate":
                z = np.concatenate([code[block], offset[block]], axis=1)
            else:
                z = code[block] + offset[block]
            z = self._layers(z, "decoder_", self._network.activation)
            output[block] = _ACTIVATIONS[self._network.output](self._dense(z, "reconstruction"))
        return output

    def _blocks(self, samples: int) -> Iterator[slice]:
        """So many samples at a time that what a layer makes of them stays in the cache."""
        biases = [weight for name, weight in self._weights.items() if name.endswith("/bias")]
        widest = max(self._architecture.input_dim, *map(len, biases))
        rows = max(1, _BLOCK_VALUES // widest)
        yield from (slice(start, start + rows) for start in range(0, samples, rows))

    def _second(self, x: Array) -> Array:
        """What a second encoder makes of samples, (n, L)."""
        own = self._architecture
        activation = own.second_activation or self._network.activation
        second = self._code(x, "second_", activation)
        if own.second_rms is None:
            return second
        norm = own.second_rms * math.sqrt(self._network.latent_dim)
        return _unit(second) * np.float32(norm)

    def _code(self, x: Array, prefix: str, activation: str) -> Array:
        return self._dense(self._layers(x, f"{prefix}encoder_", activation), f"{prefix}code")

    def _layers(self, x: Array, name: str, activation: str) -> Array:
        """As many hidden layers as there are of this name: encoder_1, encoder_2 ..."""
        for number in itertools.count(1):
            if f"{name}{number}/kernel" not in self._weights:
                break
            x = _ACTIVATIONS[activation](self._dense(x, f"{name}{number}"))
        return x

    def _dense(self, x: Array, name: str) -> Array:
        y: Array = x @ self._weights[f"{name}/kernel"]
        y += self._weights[f"{name}/bias"]
        return y


def _unit(x: Array) -> Array:
    """Rows at unit L2 norm; those without a direction are zeros, as in the models' own layer."""
    length = np.sqrt(np.einsum("ij,ij->i", x, x))[:, None]
    return np.divide(x, length, out=np.zeros_like(x), where=length > _SHORTEST)


def _sigmoid(x: Array) -> Array:
    with np.errstate(over="ignore"):  # the reciprocal of infinity is the 0 that is meant
        y = np.exp(-x)
    y += np.float32(1)
    return np.reciprocal(y, out=y)


def _softmax(x: Array) -> Array:
    y = np.exp(x - x.max(axis=1, keepdims=True))
    y /= y.sum(axis=1, keepdims=True)
    return y


_ACTIVATIONS: Mapping[str, Callable[[Array], Array]] = {
    **ACTIVATIONS,  # type: ignore[dict-item]
    "sigmoid": _sigmoid,
    "softmax": _softmax,
}
