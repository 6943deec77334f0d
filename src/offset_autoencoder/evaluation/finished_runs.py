"""The finished runs of ``models/``, and the offsets that belong to them."""

from __future__ import annotations

import functools
from collections.abc import Mapping
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from offset_autoencoder.config import Run, SplitName
from offset_autoencoder.evaluation.opened import FinishedRun
from offset_autoencoder.offsets.table import load_table
from offset_autoencoder.runs.files import read_saved_run, read_weights
from offset_autoencoder.runs.store import runs_folder
from offset_autoencoder.training.added_offset import no_offset, scale_offset

Array = NDArray[np.float32]


def load_finished(models: Path, run_id: str) -> FinishedRun:
    """A finished run as it was trained.

    Raises:
        InputError: where its files are missing or damaged.
    """
    folder = runs_folder(models) / run_id
    spec = read_saved_run(folder).spec
    return FinishedRun(
        architecture=spec.architecture,
        seed=spec.seed,
        weights=read_weights(folder),
        stddev=spec.stddev,
        offset_factor=spec.offset_factor,
    )


class OffsetsOf:
    """f(x) of a run's samples as it is added to their codes.

    Args:
        offsets: ``data/offsets``.
        samples: How many samples each split has.
    """

    def __init__(self, offsets: Path, samples: Mapping[SplitName, int]) -> None:
        self._samples = samples
        self._table = functools.cache(functools.partial(load_table, offsets))

    def __call__(self, run: Run, factor: float, split: SplitName) -> Array:
        """The scaled table's rows of a split, (n, L) float32; zeros for a run without offset."""
        name, latent_dim = run.setting.spec.offset, run.setting.network.latent_dim
        if name is None:
            return no_offset(self._samples[split], latent_dim)
        return scale_offset(self._table(name, latent_dim).split(split), factor)
