"""What a run in training has come to, written from time to time: a killed one goes on from there.

A checkpoint is ``ID.npz`` in a folder of the run store. It holds all that the rest of the
training depends on, so that a run which was interrupted ends with the same bytes as one that
was not. Order and noise of an epoch come from seed and epoch and are not part of it.
"""

from __future__ import annotations

import contextlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from offset_autoencoder.errors import InputError
from offset_autoencoder.io.files import read_npz, write_npz

State = Mapping[str, NDArray[Any]]

FOLDER = ".checkpoints"


@dataclass(frozen=True)
class Checkpoints:
    """Where checkpoints are kept.

    Attributes:
        folder: The folder, made when the first is written; None keeps none.
    """

    folder: Path | None = None

    def write(self, run_id: str, state: State) -> None:
        """Keep a run's state in place of its last."""
        if self.folder is not None:
            self.folder.mkdir(parents=True, exist_ok=True)
            write_npz(self.folder / f"{run_id}.npz", dict(state))

    def read(self, run_id: str, like: State) -> dict[str, NDArray[Any]] | None:
        """A run's state.

        Args:
            run_id: The run's id.
            like: A state of a run that has not begun: names, dtypes and shapes must be the same,
                but that what has no rows there may have got some.

        Returns:
            None where there is none, or none that can be used.
        """
        if self.folder is None:
            return None
        try:
            state = read_npz(self.folder / f"{run_id}.npz")
        except (InputError, OSError):
            return None
        alike = state.keys() == like.keys() and all(
            _is_alike(state[name], wanted) for name, wanted in like.items()
        )
        return state if alike else None

    def remove(self, run_id: str) -> None:
        """Forget a run's state: it has ended."""
        if self.folder is not None:
            with contextlib.suppress(OSError):
                (self.folder / f"{run_id}.npz").unlink()


def _is_alike(array: NDArray[Any], wanted: NDArray[Any]) -> bool:
    grows = wanted.shape[:1] == (0,)
    return (
        array.dtype == wanted.dtype
        and array.ndim == wanted.ndim
        and array.shape[grows:] == wanted.shape[grows:]
    )
