"""A trained run taken apart on samples: its codes, its offsets, and its decoder."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from numpy.typing import NDArray

from offset_autoencoder.models.architecture import Architecture
from offset_autoencoder.models.inference import RunInference, open_inference


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
    """Inference of a finished run, whose attributes are its own, too.

    Attributes:
        run: The run.
    """

    def __init__(self, inference: RunInference, run: FinishedRun) -> None:
        self._inference = inference
        self.run = run

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inference, name)


def open_runs(runs: Mapping[str, FinishedRun]) -> Iterator[tuple[str, OpenedRun]]:
    """Open run after run, as :func:`.inference.open_inference` does."""
    architectures = {run_id: run.architecture for run_id, run in runs.items()}
    for run_id, inference in open_inference(architectures, lambda key: runs[key].weights):
        yield run_id, OpenedRun(inference, runs[run_id])
