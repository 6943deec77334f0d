"""Populations, and the interface of the engines that train them.

An engine is the arithmetic of a training: from the variables of some runs at the beginning of an
epoch to those at its end, and their losses. Which run trains when, on which thread, and when it
stops or writes a checkpoint is none of its business. To add one, write its class and name it in
:data:`~offset_autoencoder.config.registries.ENGINES`.
"""

from __future__ import annotations

import abc
import functools
import itertools
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Protocol

import numpy as np
from numpy.typing import NDArray

from offset_autoencoder.config.registries import ENGINES, load
from offset_autoencoder.config.systems import draw_stddevs
from offset_autoencoder.errors import InputError
from offset_autoencoder.io.arrays import read_ahead, release_rows
from offset_autoencoder.models.architecture import Architecture
from offset_autoencoder.models.graph import Graph, Variables
from offset_autoencoder.models.systems import build_graph
from offset_autoencoder.runs.spec import Chunks
from offset_autoencoder.training.batches import (
    Rows,
    chunks_of,
    draw_noise,
    epoch_chunks,
    level_generator,
    noise_generator,
)
from offset_autoencoder.training.state import Job, SampleSizes, TrainingData, Weights
from offset_autoencoder.user_code import keras_backend

Array = NDArray[np.float32]
Piece = Callable[[int, int], None]


@dataclass(frozen=True)
class Population:
    """Settings that runs must share to train in the same way.

    Attributes:
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

    def chunks(self, sizes: SampleSizes, samples: int | None = None) -> Chunks | None:
        """Chunks of the training samples, of the most or of so many; None: they fit into memory."""
        samples = sizes.train if samples is None else samples
        return chunks_of(self.memory_limit, samples, sizes.row_bytes, self.batch_size)

    @functools.cached_property
    def model(self) -> Any:
        """The Keras model of all its runs; its weights are not used."""
        from offset_autoencoder.models.autoencoder import build_model

        return build_model(self.architecture, noise_input=True)

    @functools.cached_property
    def graph(self) -> Graph | None:
        """The layers of that model, without Keras; None for a user's own model."""
        if self.architecture.system_record.is_users:
            return None
        return build_graph(self.architecture, noise_input=True)

    @functools.cached_property
    def weight_names(self) -> list[str]:
        """Names of a run's weights: first those that train, then the others."""
        if self.graph is not None and self.architecture.is_dense:
            return [weight.name for weight in self.graph.weights]
        from offset_autoencoder.models.nested import named_weights

        return list(named_weights(self.model))

    def initial(self, seed: int) -> Variables:
        """Initial variables of a run: those of a stock Keras model of this seed."""
        from offset_autoencoder.models.autoencoder import initial_variables

        return initial_variables(self.architecture, self.model, seed)

    def weights_of(self, variables: Variables) -> Weights:
        """A run's weights in the order of ``weight_names``: seed generators keep none."""
        kept = {weight.path for weight in self.model.non_trainable_weights}
        state = zip(self.model.non_trainable_variables, variables.state, strict=True)
        return [*variables.weights, *(value for v, value in state if v.path in kept)]


class Untrainable(Exception):
    """An engine cannot train a population as Keras would: its text names what it does not know."""


class Interrupted(Exception):
    """The training is to end in the middle of an epoch."""


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


def epoch_pieces(
    job: Job, epoch: int, x: Array, chunks: Chunks | None, workers: Workers
) -> Iterator[tuple[Rows, Array | None]]:
    """Pieces of a run's epoch: all samples at once, or chunk after chunk of a mapped file.

    Yields:
        Rows of ``x``, batch after batch, (m,) int32, and in their order standard normal noise for
        their codes, (m, L) float32; None where the run has none.

    Raises:
        Interrupted: after a chunk, where the training is to end.
    """
    draws = noise_generator(job.seed, epoch) if job.stddev else None
    span = job.noise_range
    levels = level_generator(job.seed, epoch) if span else None
    pieces, ahead = itertools.tee(epoch_chunks(job.seed, epoch, len(x), chunks))
    next(ahead, None)
    for rows in pieces:
        if (following := next(ahead, None)) is not None:
            read_ahead(x, following)
        noise = draw_noise(draws, len(rows), job.offset.shape[1]) if draws else None
        if noise is not None and span is not None and levels is not None:
            noise *= draw_stddevs(span, levels, len(rows))
        yield rows, noise
        if chunks is not None:
            release_rows(x, rows)
            release_rows(job.offset, rows)
            if workers.stopping:
                raise Interrupted


class Slots(abc.ABC):
    """Runs in training on one thread, side by side, a slot each."""

    @abc.abstractmethod
    def put(self, slot: int, variables: Variables, data: TrainingData) -> None:
        """Begin a run in a slot, from its initial variables, in the place of one that ended."""

    @abc.abstractmethod
    def train_epoch(self, jobs: Sequence[Job], epochs: Sequence[int]) -> NDArray[np.float64]:
        """Train an epoch of each run, slot by slot, and validate it.

        ``epochs`` are the numbers of each one's epoch, from 1.

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
        name: Its name in params.yaml.
        most_workers: Threads that train side by side at most; None: as many as there are cores.
        slots: Runs that it trains side by side on one thread.
        is_compiled: Whether the first epoch needs no compilation.
    """

    name: ClassVar[str]
    most_workers: ClassVar[int | None] = None
    population: Population
    slots: int
    is_compiled: bool

    @abc.abstractmethod
    def __init__(self, population: Population, sizes: SampleSizes, workers: Workers) -> None:
        """The engine of a population.

        Raises:
            Untrainable: where it cannot train its network as Keras would.
        """

    def initial(self, seed: int) -> Variables:
        """Initial variables of a run of this seed, as :meth:`start` takes them."""
        return self.population.initial(seed)

    @abc.abstractmethod
    def start(self, initial: Sequence[Variables], data: Sequence[TrainingData]) -> Slots:
        """Begin runs, one per slot, from their initial variables and on their samples."""


def make_engine(population: Population, sizes: SampleSizes, workers: Workers) -> Engine:
    """The engine of a population: the one that it names, or the first that can train it.

    Raises:
        InputError: where there is no such engine, or it cannot train such a network.
    """
    name, unknown = population.engine, ""
    here = [record for record in ENGINES.values() if record.backend in (None, keras_backend())]
    for record in here if name == "auto" else [ENGINES[name]]:
        kind: type[Engine] = load(record.implementation)
        try:
            return kind(population, sizes, workers)
        except Untrainable as error:
            unknown = str(error)
    what = f"{name!r} cannot train a network of {population.architecture.system!r}: "
    mend = "take auto, or keras, which trains every network"
    raise InputError("train.engine", f"{what}it does not know {unknown}", mend)
