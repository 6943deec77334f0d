"""A frozen random vector that is drawn anew each epoch is Gaussian noise, by every engine.

What sets ``frozen`` apart from ``gaussian`` is then that it stays, and nothing else in the code.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from tests.training.small_runs import SIZES, X_VALIDATION, L, M, N, X, job, population

from offset_autoencoder.config.systems import NoiseRange
from offset_autoencoder.training.batches import (
    draw_noise,
    epoch_order,
    level_generator,
    noise_generator,
)
from offset_autoencoder.training.engine import make_engine
from offset_autoencoder.training.state import Job, TrainingData

pytestmark = pytest.mark.usefixtures("compiled_once", "engine")

EPOCHS, STDDEV, SEED = 5, 0.2, 3
NOTHING = np.zeros((N, L), np.float32)


class Alone:
    """No thread to help."""

    has_idle = stopping = False

    def share(self, piece: Any, most: int) -> None:
        raise AssertionError("there is nobody to share with")


def redrawn(frozen: Job, epoch: int) -> Job:
    """The run with the table of that epoch: the noise of gaussian's, row by row."""
    table = np.empty((N, L), np.float32)
    noise = draw_noise(noise_generator(SEED, epoch), N, L)
    table[epoch_order(SEED, epoch, N)] = np.float32(STDDEV) * noise
    return replace(frozen, offset=table)


def trained(jobs: list[Job]) -> tuple[list[np.ndarray[Any, Any]], list[np.ndarray[Any, Any]]]:
    """Losses of each epoch, and weights at the end, of a run given epoch by epoch."""
    shared = population()
    engine = make_engine(shared, SIZES, Alone())
    data = TrainingData(X, X_VALIDATION)
    slots = engine.start([shared.initial(SEED)] * engine.slots, [data] * engine.slots)
    losses = []
    for epoch, one in enumerate(jobs, start=1):
        of_slots = slots.train_epoch([one] * engine.slots, [epoch] * engine.slots)
        losses.append(of_slots[:, 0].copy())
    slots.keep_best([True] * engine.slots)
    return losses, slots.best(0)


def test_noise_of_a_range_is_the_noise_of_the_seed_times_a_level_per_sample() -> None:
    levels = NoiseRange(0.1, 0.4, in_decibels=True)
    plain: dict[str, Any] = {
        "seed": SEED,
        "offset_validation": np.zeros((M, L), np.float32),
        "offset_factor": 1.0,
    }
    ranged = job("ranged", offset=NOTHING, stddev=1.0, noise_range=levels, **plain)
    by_hand = []
    for epoch in range(1, 3):
        noise = draw_noise(noise_generator(SEED, epoch), N, L)
        share = level_generator(SEED, epoch).random((N, 1), dtype=np.float32)
        table = np.empty((N, L), np.float32)
        table[epoch_order(SEED, epoch, N)] = levels.at(share) * noise
        by_hand.append(job("by hand", offset=table, stddev=0.0, **plain))
    losses, weights = trained([ranged] * 2)
    same_losses, same_weights = trained(by_hand)
    np.testing.assert_allclose(same_losses, losses, rtol=1e-6)
    for one, other in zip(same_weights, weights, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-4, atol=1e-6)


def test_a_vector_drawn_anew_each_epoch_is_gaussian_noise_to_the_last_bit() -> None:
    plain: dict[str, Any] = {
        "seed": SEED,
        "offset_validation": np.zeros((M, L), np.float32),
        "offset_factor": 1.0,
    }
    gaussian = job("gaussian", offset=NOTHING, stddev=STDDEV, **plain)
    frozen = job("frozen", offset=NOTHING, stddev=0.0, **plain)
    losses, weights = trained([gaussian] * EPOCHS)
    tables = [redrawn(frozen, epoch) for epoch in range(1, EPOCHS + 1)]
    same_losses, same_weights = trained(tables)
    np.testing.assert_array_equal(same_losses, losses)
    for one, other in zip(same_weights, weights, strict=True):
        np.testing.assert_array_equal(one, other)
    # The same with the first epoch's table kept, and without any, is another run.
    for jobs in (tables[:1] * EPOCHS, [frozen] * EPOCHS):
        other_losses, _ = trained(jobs)
        assert not np.array_equal(other_losses[-1], losses[-1])
    np.testing.assert_array_equal(trained(tables[:1] * EPOCHS)[0][0], losses[0])
