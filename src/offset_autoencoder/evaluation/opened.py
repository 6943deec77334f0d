"""A trained run taken apart on samples: its codes, its offsets, and its decoder."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from numpy.typing import NDArray

from offset_autoencoder.config.architecture import Architecture
from offset_autoencoder.evaluation.dense_network import DenseNetwork, is_dense
from offset_autoencoder.evaluation.encoded import Array, Decode, Encoded

if TYPE_CHECKING:
    from offset_autoencoder.evaluation.keras_network import KerasNetwork


@dataclass(frozen=True)
class FinishedRun:
    """A run that finished, ready to be opened.

    Attributes:
        architecture: Its layers.
        seed: Its seed.
        weights: Its weights by name.
        stddev: The Gaussian noise that it was trained with.
        offset_factor: What its offset table is multiplied by.
    """

    architecture: Architecture
    seed: int
    weights: Mapping[str, NDArray[Any]]
    stddev: float
    offset_factor: float = 1.0


class OpenedRun:
    """A run's network with its weights in place.

    Attributes:
        run: The run.
        stays_open: Whether it can be used once the next run is open.
    """

    def __init__(
        self, network: DenseNetwork | KerasNetwork, run: FinishedRun, *, stays_open: bool
    ) -> None:
        self.stays_open = stays_open
        self._network = network
        self.run = run

    @property
    def trainable_parameters(self) -> int:
        """How many numbers its training moves."""
        return self._network.trainable_parameters

    def encode(self, x: Array, offset: Array) -> Encoded:
        """Codes and offsets of samples.

        Args:
            x: (n, D) float32.
            offset: f(x) as it is added, (n, L) float32.
        """
        return self._network.encode(x, offset)

    def decoder(self, x: Array) -> Decode:
        """The function from codes and offsets to reconstructions of these samples.

        Codes may be None for a model that is not taken apart: the samples are encoded again.
        """
        return lambda code, offset: self._network.decode(x, code, offset)


def open_runs(runs: Mapping[str, FinishedRun]) -> Iterator[tuple[str, OpenedRun]]:
    """Open run after run, those of one architecture together.

    Each is to be used before the next, unless it stays open. TensorFlow is started where a
    network needs it, and only there.
    """
    groups: dict[str, list[str]] = {}
    for run_id, run in runs.items():
        groups.setdefault(run.architecture.key, []).append(run_id)
    for members in groups.values():
        architecture = runs[members[0]].architecture
        if is_dense(architecture):
            for run_id in members:
                network = DenseNetwork(architecture, runs[run_id].weights)
                yield run_id, OpenedRun(network, runs[run_id], stays_open=True)
            continue
        from offset_autoencoder.evaluation.keras_network import KerasNetwork

        shared = KerasNetwork(architecture)
        for run_id in members:
            shared.load(runs[run_id].weights)
            yield run_id, OpenedRun(shared, runs[run_id], stays_open=False)
