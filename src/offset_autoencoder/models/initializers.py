"""Initial kernels, drawn by NumPy: the same under every engine and Keras backend.

Values are those that Keras draws on TensorFlow on a CPU, as is their stream of random bits:
Philox4x32-10 (Salmon et al. 2011). Those of uniform distributions are equal bit for bit, normal
ones up to the rounding of a logarithm, a sine or, for ``orthogonal``, a QR decomposition.
"""

from __future__ import annotations

import functools
import hashlib
import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float32]
Seed = int | Sequence[int]  # of Keras: a number, or the two of the state of a SeedGenerator

_MULTIPLIERS = (0xD2511F53, 0xCD9E8D57)  # Salmon et al. 2011, table 2
_WEYL = (0x9E3779B9, 0xBB67AE85)  # what they raise the key by, round after round
_SEED_KEY = (0x3EC8F720, 0x02461E29)  # by which TensorFlow mixes a seed to a key and a counter
_WORD = 0xFFFFFFFF
_MOST_SEED = 2**31 - 2  # Keras takes a seed modulo this
_BLOCKS_PER_GROUP = 256  # that TensorFlow sets aside for four values of a truncated normal
_BLOCKS_READ = 8  # of these: 32 normal values, of which 4 are to be within the bounds
# Standard deviation of a standard normal variable that is kept within (−2, 2).
_TRUNCATED_STDDEV = 0.87962566103423978


def layer_seed(seed: int, layer: str) -> int:
    """The seed of one layer of a model, the same whatever other layers the model has."""
    return int.from_bytes(hashlib.sha256(f"{seed}/{layer}".encode()).digest()[:4], "big") >> 1


def draw_kernel(name: str, seed: int, shape: Sequence[int]) -> Array:
    """Initial kernel of a shape, float32, by Keras's name of the initializer and the seed.

    ``seed`` is a layer's, as :func:`layer_seed` makes it. Convolutions' kernels are
    (*sides, inputs, units), all others (inputs, units).
    """
    return _INITIALIZERS[name](seed, tuple(shape))


def random_bits(seed: Seed, counters: NDArray[np.uint64]) -> NDArray[np.uint32]:
    """Blocks of a seed's stream of random bits, (..., 4), by number, (...)."""
    first, second = (seed, 0) if isinstance(seed, int) else map(int, seed)
    mixed = _philox([first % _MOST_SEED, 0, second % _MOST_SEED, 0], _SEED_KEY)
    low, high = counters & _WORD, counters >> np.uint64(32)
    block = _philox([low, high, *mixed[2:]], (int(mixed[0]), int(mixed[1])))
    return np.stack(block, axis=-1).astype(np.uint32)


def _philox(block: Sequence[Any], key: tuple[int, int]) -> list[NDArray[np.uint64]]:
    """Philox4x32-10 of counters, four words of 32 bits each held in 64."""
    a, b, c, d = np.broadcast_arrays(*(np.asarray(word, np.uint64) for word in block))
    shift, word = np.uint64(32), np.uint64(_WORD)
    for number in range(10):
        first, second = (
            np.uint64(k + number * weyl & _WORD) for k, weyl in zip(key, _WEYL, strict=True)
        )
        left, right = a * np.uint64(_MULTIPLIERS[0]), c * np.uint64(_MULTIPLIERS[1])
        a, b = right >> shift ^ b ^ first, right & word
        c, d = left >> shift ^ d ^ second, left & word
    return [a, b, c, d]


def _unit_floats(bits: NDArray[np.uint32]) -> Array:
    """Float32 in [0, 1) by the lower 23 bits."""
    return (bits & np.uint32(0x7FFFFF) | np.uint32(0x3F800000)).view(np.float32) - np.float32(1)


def _box_muller(bits: NDArray[np.uint32]) -> Array:
    """Standard normal values, (..., m), of random bits, (..., m), m even (Box & Muller 1958)."""
    first, second = (_unit_floats(bits[..., start::2]) for start in (0, 1))
    angle = (2 * math.pi * second.astype(np.float64)).astype(np.float32)
    logarithm = np.log(np.maximum(first, np.float32(1e-7)).astype(np.float64)).astype(np.float32)
    length = np.sqrt(np.float32(-2) * logarithm)
    # In double precision, rounded: single precision differs from processor to processor.
    waves = (wave(angle.astype(np.float64)).astype(np.float32) for wave in (np.sin, np.cos))
    return np.stack([wave * length for wave in waves], axis=-1).reshape(bits.shape)


def uniform(seed: Seed, shape: Sequence[int], minval: float = 0.0, maxval: float = 1.0) -> Array:
    """Draw from [minval, maxval)."""
    size, low = math.prod(shape), np.float32(minval)
    bits = random_bits(seed, np.arange(-(-size // 4), dtype=np.uint64)).ravel()[:size]
    return (_unit_floats(bits) * (np.float32(maxval) - low) + low).reshape(shape)


def _symmetric(seed: int, shape: tuple[int, ...], limit: float) -> Array:
    return uniform(seed, shape, -limit, limit)


def normal(seed: Seed, shape: Sequence[int], stddev: float = 1.0, mean: float = 0.0) -> Array:
    """Draw from a normal distribution."""
    size = math.prod(shape)
    bits = random_bits(seed, np.arange(-(-size // 4), dtype=np.uint64))
    return (_box_muller(bits).ravel()[:size] * np.float32(stddev) + np.float32(mean)).reshape(shape)


def truncated_normal(
    seed: Seed, shape: Sequence[int], stddev: float = 1.0, mean: float = 0.0
) -> Array:
    """Draw from a normal distribution, again what is not within two standard deviations."""
    size = math.prod(shape)
    groups = np.arange(-(-size // 4), dtype=np.uint64) * np.uint64(_BLOCKS_PER_GROUP)
    bits = random_bits(seed, np.add.outer(groups, np.arange(_BLOCKS_READ, dtype=np.uint64)))
    values = _box_muller(bits.reshape(len(groups), -1))
    first = np.argsort(~(np.abs(values) < 2), axis=1, kind="stable")[:, :4]
    kept = np.take_along_axis(values, first, axis=1).ravel()[:size]
    return (kept * np.float32(stddev) + np.float32(mean)).reshape(shape)


def _orthogonal(seed: int, shape: tuple[int, ...]) -> Array:
    """Orthonormal rows or columns, whichever are fewer (Saxe et al. 2014)."""
    rows, columns = math.prod(shape[:-1]), shape[-1]
    drawn = normal(seed, (max(rows, columns), min(rows, columns)), 1.0)
    q, r = np.linalg.qr(drawn)
    q *= np.sign(np.diag(r))  # else the signs would be the decomposition's
    return (q if rows >= columns else q.T).reshape(shape)


def _scaled(
    draw: Callable[[int, tuple[int, ...], float], Array],
    scale: float,
    outputs: float,
    spread: Callable[[float], float],
) -> Callable[[int, tuple[int, ...]], Array]:
    """Draws of variance ``scale / fan``, the inputs of a unit and a share of its ``outputs``.

    ``spread`` is the last argument of ``draw`` for a variance.
    """

    def initialize(seed: int, shape: tuple[int, ...]) -> Array:
        fan = math.prod(shape[:-2]) * ((1 - outputs) * shape[-2] + outputs * shape[-1])
        return draw(seed, shape, spread(scale / max(1.0, fan)))

    return initialize


_INITIALIZERS: dict[str, Callable[[int, tuple[int, ...]], Array]] = {
    "orthogonal": _orthogonal,
    "random_uniform": functools.partial(uniform, minval=-0.05, maxval=0.05),
    "random_normal": functools.partial(normal, stddev=0.05),
    "truncated_normal": functools.partial(truncated_normal, stddev=0.05),
    "identity": lambda _, shape: np.eye(*shape, dtype=np.float32),
    "zeros": lambda _, shape: np.zeros(shape, np.float32),
    "ones": lambda _, shape: np.ones(shape, np.float32),
}
# Glorot & Bengio 2010, He et al. 2015, LeCun et al. 1998: scale and share of the outputs.
for _name, _how in {"glorot": (1.0, 0.5), "he": (2.0, 0.0), "lecun": (1.0, 0.0)}.items():
    _INITIALIZERS[f"{_name}_uniform"] = _scaled(_symmetric, *_how, lambda v: math.sqrt(3.0 * v))
    _INITIALIZERS[f"{_name}_normal"] = _scaled(
        truncated_normal, *_how, lambda v: math.sqrt(v) / _TRUNCATED_STDDEV
    )
_INITIALIZERS["variance_scaling"] = _INITIALIZERS["lecun_normal"]  # its defaults
