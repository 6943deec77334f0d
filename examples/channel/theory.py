"""Results of coding theory for k bits in n real dimensions over a Gaussian channel.

A block has unit energy, so Eb = 1/k; the noise has stddev σ a dimension, so N0 = 2σ²:
Eb/N0 = 1 / (2·k·σ²). All rates below are block error rates at an Eb/N0 in decibels.
"""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

Float64 = NDArray[np.float64]

_GENERATOR = np.array(
    [[1, 0, 0, 0, 1, 1, 0], [0, 1, 0, 0, 1, 0, 1], [0, 0, 1, 0, 0, 1, 1], [0, 0, 0, 1, 1, 1, 1]]
)
_BLOCK = 65_536
BOUND = "sphere-packing bound"


@dataclass(frozen=True)
class Simulated:
    """Rates known by simulation.

    Attributes:
        rate: The estimates, float64 (points,).
        standard_error: Their standard errors, float64 (points,).
    """

    rate: Float64
    standard_error: Float64


@dataclass(frozen=True)
class Theory:
    """Curves that a code is compared with.

    Attributes:
        curves: Block error rates by name, each float64 (points,); the bound is the last.
        target: The name of the curve that the network is to reach.
    """

    curves: dict[str, Float64]
    target: str

    @property
    def bound(self) -> Float64:
        """The sphere-packing bound."""
        return self.curves[BOUND]


def noise_stddev(ebn0_db: ArrayLike, bits: int) -> Float64:
    """The noise of a unit-energy block: ``σ = sqrt(1 / (2·k·10^(dB/10)))``.

    Args:
        ebn0_db: Eb/N0 in decibels, any shape.
        bits: k, bits a block.

    Returns:
        The standard deviation a dimension, float64, of the same shape.
    """
    ratio = 10 ** (np.asarray(ebn0_db, np.float64) / 10)
    return np.sqrt(1 / (2 * bits * ratio))


def uncoded_bpsk(ebn0_db: ArrayLike, bits: int) -> Float64:
    """K bits sent one a dimension: ``1 − (1 − Q(sqrt(2·Eb/N0)))^k``, exact."""
    bit = _q(np.sqrt(2 * 10 ** (np.asarray(ebn0_db, np.float64) / 10)))
    return -np.expm1(bits * np.log1p(-bit))


def hamming_hard(ebn0_db: ArrayLike) -> Float64:
    """Hamming (7,4) over BPSK, each bit decided first: exact.

    The code is perfect and corrects one wrong bit of seven, so a block is wrong where two or
    more are: ``1 − (1 − p)^7 − 7·p·(1 − p)^6`` with ``p = Q(sqrt(2·(4/7)·Eb/N0))``.
    """
    p = _q(np.sqrt(8 / 7 * 10 ** (np.asarray(ebn0_db, np.float64) / 10)))
    terms = [math.comb(7, wrong) * p**wrong * (1 - p) ** (7 - wrong) for wrong in range(2, 8)]
    return np.sum(terms, axis=0)


def hamming_codebook() -> Float64:
    """The sixteen words of the Hamming (7,4) code in BPSK, of unit energy, (16, 7)."""
    messages = np.array(list(itertools.product((0, 1), repeat=4)))
    return (1 - 2 * (messages @ _GENERATOR % 2)) / np.sqrt(7.0)


def maximum_likelihood(
    codebook: NDArray[Any], ebn0_db: ArrayLike, *, directions: int = 1 << 20, seed: int = 0
) -> Simulated:
    """A code under the best decoder there is, which picks the nearest word.

    The words nearest to a sent one make a convex cell around it. In a direction u the noise
    leaves that cell at a radius r(u), the least ``|d|² / (2·u·d)`` over the differences d to the
    other words, so of all noise in that direction the share ``P(chi_n > r(u)/σ)`` is wrong,
    exactly. Only directions are drawn; every point uses the same ones.

    Args:
        codebook: The words, (M, n), all different; unit energy is the caller's.
        ebn0_db: Eb/N0 in decibels, (points,).
        directions: Directions drawn, shared out over the words.
        seed: Seed of the directions.
    """
    from scipy.special import gammaincc

    words = np.asarray(codebook, np.float64)
    count, dimensions = words.shape
    stddev = noise_stddev(np.atleast_1d(ebn0_db), int(math.log2(count)))
    generator = np.random.default_rng(seed)
    directions_per_word = -(-directions // count)
    sums = np.zeros((2, count, len(stddev)))
    for index, word in enumerate(words):
        to_others = np.delete(words, index, axis=0) - word
        half = np.square(to_others).sum(axis=1) / 2
        for start in range(0, directions_per_word, _BLOCK):
            shape = (min(_BLOCK, directions_per_word - start), dimensions)
            direction = generator.standard_normal(shape)
            direction /= np.linalg.norm(direction, axis=1, keepdims=True)
            with np.errstate(divide="ignore"):
                nearness = np.max(direction @ to_others.T / half, axis=1)
                radius = np.where(nearness > 0, 1 / nearness, np.inf)
            wrong = gammaincc(dimensions / 2, np.square(radius[:, None] / stddev) / 2)
            sums[:, index] += wrong.sum(axis=0), np.square(wrong).sum(axis=0)
    mean = sums[0] / directions_per_word
    variance = np.maximum(sums[1] / directions_per_word - np.square(mean), 0) / directions_per_word
    return Simulated(mean.mean(axis=0), np.sqrt(variance.sum(axis=0)) / count)


def cone_half_angle(messages: int, dimensions: int) -> float:
    """The half-angle θ of a cone that takes one M-th of all directions, radians.

    A cap of the unit sphere of half-angle θ ≤ π/2 is ``I(sin²θ; (n − 1)/2, 1/2) / 2`` of it,
    with I the regularised incomplete beta function.

    Raises:
        ValueError: below two messages or two dimensions.
    """
    from scipy.special import betaincinv

    if messages < 2 or dimensions < 2:
        raise ValueError(f"needs two messages and dimensions, got {messages} and {dimensions}")
    return math.asin(math.sqrt(betaincinv((dimensions - 1) / 2, 0.5, 2 / messages)))


def sphere_packing_bound(ebn0_db: ArrayLike, bits: int, dimensions: int) -> Float64:
    """The rate that no code of equal-energy words can go below (Shannon 1959).

    ``P(angle(word + noise, word) > θ)``, with θ of :func:`cone_half_angle`: no M regions share out
    space better than cones of equal angle would. Along the word the received vector is
    1/σ + N(0, 1), across it a chi of n − 1, so the angle exceeds θ where a noncentral t of
    n − 1 degrees of freedom and noncentrality 1/σ = sqrt(2·k·Eb/N0) is below
    ``sqrt(n − 1)·cot θ``: exact.

    Args:
        ebn0_db: Eb/N0 in decibels, any shape.
        bits: k, bits a block: M = 2^k words.
        dimensions: n, real dimensions a block, 2 or more.
    """
    from scipy.special import nctdtr

    limit = math.sqrt(dimensions - 1) / math.tan(cone_half_angle(2**bits, dimensions))
    return nctdtr(dimensions - 1, 1 / noise_stddev(ebn0_db, bits), limit)


def theory_of(bits: int, dimensions: int, ebn0_db: ArrayLike) -> Theory:
    """Theory of k bits in n dimensions: of (7,4) also the Hamming code.

    Args:
        bits: k, bits a block.
        dimensions: n, real dimensions a block.
        ebn0_db: Eb/N0 in decibels, (points,).
    """
    target = uncoded = "uncoded BPSK"
    curves = {uncoded: uncoded_bpsk(ebn0_db, bits)}
    if (bits, dimensions) == (4, 7):
        target = "Hamming, maximum likelihood"
        curves["Hamming, hard decisions"] = hamming_hard(ebn0_db)
        curves[target] = maximum_likelihood(hamming_codebook(), ebn0_db).rate
    curves[BOUND] = sphere_packing_bound(ebn0_db, bits, dimensions)
    return Theory(curves, target)


def _q(x: Float64) -> Float64:
    """The upper tail of the standard normal distribution."""
    from scipy.special import ndtr

    return ndtr(-x)
