"""Populations: what runs must share to train in the same way, and the variables of each run."""

from __future__ import annotations

import functools
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from offset_autoencoder.models.architecture import Architecture
from offset_autoencoder.models.autoencoder import Variables, build_model, initial_variables
from offset_autoencoder.runs.spec import Chunks
from offset_autoencoder.training.batches import chunks_of
from offset_autoencoder.training.state import Weights


@dataclass(frozen=True)
class Population:
    """Settings that runs must share to train in the same way.

    Attributes:
        architecture: Their layers, the same for every run.
        batch_size: Samples per step.
        optimizer: Name of an optimizer of the ``train:`` section.
        memory_limit: Bytes of training samples that may be in memory; None for no limit.
            Where they are more, they are trained on chunk by chunk.
        engine: ``auto`` or the name of an engine, as in ``train:``.
        most_slots: Runs that one thread trains side by side at most; None: as many as are fast.
    """

    architecture: Architecture
    batch_size: int
    optimizer: str
    memory_limit: int | None = None
    engine: str = "auto"
    most_slots: int | None = None

    @property
    def key(self) -> str:
        """Equal for equal populations."""
        how = (self.batch_size, self.optimizer, self.memory_limit, self.engine, self.most_slots)
        return f"{self.architecture.key} {how}"

    def chunks(self, x: NDArray[np.float32]) -> Chunks | None:
        """Chunks of training samples, (n, D) float32; None where they fit into memory."""
        return chunks_of(self.memory_limit, len(x), x[:1].nbytes, self.batch_size)

    @functools.cached_property
    def model(self) -> Any:
        """The Keras model of all its runs; its weights are not used."""
        return build_model(self.architecture, noise_input=True)

    @functools.cached_property
    def weight_names(self) -> list[str]:
        """The paths of a run's weights: first those that train, then the others."""
        model = self.model
        return [w.path for w in (*model.trainable_variables, *model.non_trainable_weights)]

    def initial(self, seed: int) -> Variables:
        """Initial variables of a run: those of a stock Keras model of this seed."""
        return initial_variables(self.architecture, self.model, seed)

    def weights_of(self, variables: Variables) -> Weights:
        """A run's weights in the order of ``weight_names``: seed generators keep none."""
        kept = {weight.path for weight in self.model.non_trainable_weights}
        state = [
            value
            for variable, value in zip(
                self.model.non_trainable_variables, variables.state, strict=True
            )
            if variable.path in kept
        ]
        return [*variables.weights, *state]
