"""Reconstructions by trained runs, a stack of them at a time."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from offset_autoencoder.models.backend import tf
from offset_autoencoder.training.population import Population, Weights

Array = NDArray[np.float32]


def compile_reconstruction(population: Population) -> Any:
    """The program ``(weights (R, ...), x (n, D), added (R, n, L))`` → (R, n, D), R = stack."""
    model = population.model

    def reconstruct_stack(weights: list[Any], x: Any, added: Any) -> Any:
        def one(run: tuple[list[Any], Any]) -> Any:
            return model.stateless_call(run[0], [], {"x": x, "offset": run[1]})[0]

        return tf.vectorized_map(one, (weights, added))

    return tf.function(reconstruct_stack, jit_compile=True, autograph=False)


def reconstruct(
    population: Population,
    program: Any,
    weights: Sequence[Weights],
    x: Array,
    added: Sequence[Array],
) -> Iterator[Array]:
    """Reconstruct the same samples by run after run.

    Args:
        population: What the runs share.
        program: :func:`compile_reconstruction` of it.
        weights: Each run's weights.
        x: (n, D) float32 samples.
        added: For each run, what is added to the codes of the samples, (n, L) float32.

    Yields:
        For each run, the reconstructions, (n, D) float32.
    """
    samples = tf.constant(np.asarray(x))
    for start in range(0, len(weights), population.stack):
        members = list(range(start, min(start + population.stack, len(weights))))
        # The stack keeps its size, so that a run's figures do not depend on its company.
        places = members + [members[-1]] * (population.stack - len(members))
        stacked = [np.stack(each) for each in zip(*(weights[i] for i in places), strict=True)]
        output = program(stacked, samples, np.stack([added[i] for i in places]))
        yield from np.asarray(output)[: len(members)]
