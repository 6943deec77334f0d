"""Interface of the engines that train populations, and the choice of one.

An engine is the arithmetic of a training: from the variables of some runs at the beginning of an
epoch to those at its end, and their losses. Which run trains when, on which thread, and when it
stops or writes a checkpoint is none of its business. To add one, write its class and name it in
:data:`~offset_autoencoder.config.registries.ENGINES`.
"""

from __future__ import annotations

import abc
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, Self

import numpy as np
from numpy.typing import NDArray

from offset_autoencoder.config.registries import ENGINES, load
from offset_autoencoder.errors import InputError
from offset_autoencoder.models.autoencoder import Variables
from offset_autoencoder.training.population import Population
from offset_autoencoder.training.state import Job, Weights

Array = NDArray[np.float32]
Piece = Callable[[int, int], None]


class Interrupted(Exception):
    """The training is to end in the middle of an epoch."""


@dataclass(frozen=True)
class Samples:
    """Samples that all runs train on.

    Attributes:
        x: (n, D) float32 training samples, in memory or mapped from a file.
        x_validation: (m, D) float32 validation samples.
    """

    x: Array
    x_validation: Array


class Workers(Protocol):
    """The threads that train, as an engine sees them."""

    @property
    def has_idle(self) -> bool:
        """True if any has no run of its own, just now."""

    @property
    def stopping(self) -> bool:
        """True if the training is to end."""

    def share(self, piece: Piece, most: int) -> None:
        """Do a piece of work with the idle ones: see :class:`.pool.IdleWorkers`."""


class Slots(abc.ABC):
    """Runs in training on one thread, side by side, a slot each."""

    @abc.abstractmethod
    def put(self, slot: int, variables: Variables) -> None:
        """Begin a run in a slot, from its initial variables, in the place of one that ended."""

    @abc.abstractmethod
    def train_epoch(self, jobs: Sequence[Job], epochs: Sequence[int]) -> NDArray[np.float64]:
        """Train an epoch of each run, and validate it.

        Args:
            jobs: The runs, slot by slot.
            epochs: The number of each one's epoch, from 1.

        Returns:
            (3, slots): the mean loss over the training samples, the validation loss, and the
            reconstruction's share of that.

        Raises:
            Interrupted: in the middle of an epoch over chunks, where the training is to end;
                the runs are then as they were before it.
        """

    @abc.abstractmethod
    def keep_best(self, better: Sequence[bool]) -> None:
        """Keep the weights of the slots for which it holds as their best."""

    @abc.abstractmethod
    def best(self, slot: int) -> Weights:
        """The best weights of a run, in the order of ``Population.weight_names``."""

    @abc.abstractmethod
    def state(self, slot: int) -> dict[str, NDArray[Any]]:
        """Everything that the rest of a run's training depends on, for its checkpoint."""

    @abc.abstractmethod
    def restore(self, slot: int, state: Mapping[str, NDArray[Any]]) -> None:
        """Go on from such a state."""


class Engine(abc.ABC):
    """An engine, ready to train the runs of one population.

    Attributes:
        slots: Runs that it trains side by side on one thread.
        is_compiled: Whether the first epoch needs no compilation.
    """

    slots: int
    is_compiled: bool

    @classmethod
    @abc.abstractmethod
    def for_population(
        cls, population: Population, samples: Samples, workers: Workers
    ) -> Self | None:
        """The engine of a population; None where it cannot train its network as Keras would."""

    @abc.abstractmethod
    def start(self, initial: Sequence[Variables]) -> Slots:
        """Begin runs, one per slot, from their initial variables."""


def make_engine(population: Population, samples: Samples, workers: Workers) -> Engine:
    """The engine of a population: the one that it names, or the first that can train it.

    Raises:
        InputError: where there is no such engine, or it cannot train such a network.
    """
    name = population.engine
    for record in ENGINES.values() if name == "auto" else [ENGINES[name]]:
        kind: type[Engine] = load(record.implementation)
        if engine := kind.for_population(population, samples, workers):
            return engine
    raise InputError(
        "train.engine",
        f"{name!r} cannot train a network of {population.architecture.system!r} "
        f"with optimizer {population.optimizer!r}",
        "take auto, or keras, which trains every network",
    )
