"""What runs must share to train in the same way, and the variables of each."""

from __future__ import annotations

import functools
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from offset_autoencoder.models.architecture import Architecture
from offset_autoencoder.models.autoencoder import Variables, build_model, initial_variables
from offset_autoencoder.runs.spec import Chunks
from offset_autoencoder.training.batches import chunks_of
from offset_autoencoder.training.fused.program import Layout, Program

Weights = list[NDArray[Any]]

# Of a run's networks that are not fused. Measured on two cores: a stack pays while all its
# weights stay in the second-level cache.
_STACKED_PARAMETERS = 131_072
_LARGEST_STACK = 16


@dataclass(frozen=True)
class Population:
    """What runs must share to train in the same way.

    Attributes:
        architecture: Their layers, the same for every run.
        batch_size: Samples a step.
        optimizer: A key of
            :data:`~offset_autoencoder.training.stacked.optimizers.OPTIMIZERS`.
        memory_limit: Bytes of training samples that may be in memory; None for no limit.
            Where they are more, they are trained on chunk by chunk.
        engine: ``auto`` or ``tensorflow``, as in ``train:``.
    """

    architecture: Architecture
    batch_size: int
    optimizer: str
    memory_limit: int | None = None
    engine: str = "auto"

    @property
    def key(self) -> str:
        """Equal for equal populations."""
        how = (self.batch_size, self.optimizer, self.memory_limit, self.engine)
        return f"{self.architecture.key} {how}"

    def chunks(self, x: NDArray[np.float32]) -> Chunks | None:
        """How training samples, (n, D) float32, are cut; None where they fit into memory."""
        return chunks_of(self.memory_limit, len(x), x[:1].nbytes, self.batch_size)

    @functools.cached_property
    def model(self) -> Any:
        """The Keras model that the program maps over the runs; its weights are not used."""
        return build_model(self.architecture, noise_input=True)

    @property
    def noise_is_input(self) -> bool:
        """Whether noise is an input of its own, and not part of what is added to the code."""
        return "noise" in self.model.input

    @functools.cached_property
    def fused(self) -> tuple[Program, Layout] | None:
        """The program that trains its network, where it is one of known dense layers."""
        from offset_autoencoder.training.fused.translate import translate

        if self.engine == "tensorflow":
            return None
        return translate(self.model, self.architecture.network.loss)

    @functools.cached_property
    def convolves(self) -> bool:
        """Whether the model has convolutions, of which XLA has slow ones only on a CPU."""
        return any("Conv" in type(layer).__name__ for layer in _all_layers(self.model))

    @functools.cached_property
    def stack(self) -> int:
        """Runs a stack: a power of two, from 16 for small networks down to 1 for large ones."""
        if self.convolves:
            return 1
        share = max(1, _STACKED_PARAMETERS // max(1, self.model.count_params()))
        return int(min(_LARGEST_STACK, 2 ** (share.bit_length() - 1)))

    @functools.cached_property
    def weight_names(self) -> list[str]:
        """The paths of a run's weights: first those that train, then the others."""
        model = self.model
        return [w.path for w in (*model.trainable_variables, *model.non_trainable_weights)]

    def initial(self, seed: int) -> Variables:
        """What a stock Keras model of this seed starts from."""
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


def _all_layers(model: Any) -> Iterator[Any]:
    """The layers of a model, and of the models that are layers of it."""
    for layer in model.layers:
        yield layer
        if hasattr(layer, "layers"):
            yield from _all_layers(layer)
