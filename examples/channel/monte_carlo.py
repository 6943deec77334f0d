"""Block error rates by simulation: blocks are sent until enough of them came out wrong."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from channel.theory import noise_stddev

Array = NDArray[np.float32]
Rows = NDArray[np.int64]

_SMALLEST, _LARGEST = 1 << 11, 1 << 16
_TOLERANCE = 1e-4


@dataclass(frozen=True)
class Link:
    """A transmitter and a receiver, and what disturbs them beside the noise.

    Attributes:
        messages: M, how many messages there are, equally likely.
        interfere: A generator and messages (rows,) → what is added on the way, (rows, n) float32.
        transmit: Messages (rows,) and the interference they will meet (rows, n) → the codes to
            send, (rows, n) float32 of unit norm.
        receive: What arrives, (rows, n) float32 → the messages decided on, (rows,).
        has_mean_power: Whether only the mean of all codes' square norms is 1.
    """

    messages: int
    interfere: Callable[[np.random.Generator, Rows], Array]
    transmit: Callable[[Rows, Array], Array]
    receive: Callable[[Array], NDArray[Any]]
    has_mean_power: bool = False


@dataclass(frozen=True)
class BlockErrors:
    """Count of blocks sent and of those that came out wrong."""

    errors: int
    blocks: int

    @property
    def rate(self) -> float:
        """The block error rate."""
        return self.errors / self.blocks

    def interval(self, confidence: float) -> tuple[float, float]:
        """Clopper and Pearson's interval: it holds the true rate at least that often."""
        from scipy.special import betaincinv

        tail, right = (1 - confidence) / 2, self.blocks - self.errors
        low = betaincinv(self.errors, right + 1, tail) if self.errors else 0.0
        high = betaincinv(self.errors + 1, right, 1 - tail) if right else 1.0
        return float(low), float(high)

    def p_not_below(self, rate: float) -> float:
        """Probability of so few errors or fewer where the true rate is this one or higher."""
        from scipy.special import bdtr

        return float(bdtr(self.errors, self.blocks, rate))


def count_block_errors(
    link: Link,
    ebn0_db: Sequence[float],
    *,
    at_least: int = 200,
    most_blocks: int = 1 << 22,
    seed: int = 0,
) -> list[BlockErrors]:
    """Send random messages at each Eb/N0 until ``at_least`` blocks came out wrong.

    Args:
        link: The transmitter and receiver.
        ebn0_db: Eb/N0 of each point in decibels, of the unit-norm code alone.
        at_least: Wrong blocks to wait for.
        most_blocks: Where to stop waiting.
        seed: Seed of messages, interference and noise; points have streams of their own.

    Raises:
        ValueError: where a code has another norm than 1: its Eb/N0 would not be the one stated.
    """
    counts = []
    bits = link.messages.bit_length() - 1
    for point, stddev in enumerate(noise_stddev(ebn0_db, bits).tolist()):
        generator = np.random.default_rng(np.random.SeedSequence(seed, spawn_key=(point,)))
        errors = blocks = 0
        while errors < at_least and blocks < most_blocks:
            rows = _next_batch(errors, blocks, at_least)
            errors += _wrong(link, generator, rows, stddev)
            blocks += rows
        counts.append(BlockErrors(errors, blocks))
    return counts


def check_unit_norm(codes: NDArray[Any]) -> None:
    """Refuse codes whose energy is not the stated one.

    Args:
        codes: (rows, n).

    Raises:
        ValueError: where the norm of a row differs from 1 by more than rounding.
    """
    norms = np.sqrt(np.einsum("ij,ij->i", codes, codes))
    worst = norms[np.argmax(np.abs(norms - 1))]
    if not abs(worst - 1) <= _TOLERANCE:
        raise ValueError(f"a code must have norm 1, one has {worst:.6g}: set normalize: unit")


def _next_batch(errors: int, blocks: int, at_least: int) -> int:
    """About as many blocks as are still needed at the rate seen so far."""
    needed = (at_least - errors) * blocks // errors if errors else blocks
    return min(max(needed, _SMALLEST), _LARGEST)


def _wrong(link: Link, generator: np.random.Generator, rows: int, stddev: float) -> int:
    sent = generator.integers(link.messages, size=rows)
    interference = link.interfere(generator, sent)
    codes = link.transmit(sent, interference)
    if not link.has_mean_power:
        check_unit_norm(codes)
    noise = np.float32(stddev) * generator.standard_normal(codes.shape, np.float32)
    return int(np.count_nonzero(link.receive(codes + interference + noise) != sent))
