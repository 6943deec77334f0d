"""What a kind of offset is: two pure functions, fit and apply."""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from offset_autoencoder import paths

State = dict[str, NDArray[Any]]
Float32 = NDArray[np.float32]
Int64 = NDArray[np.int64]


@dataclass(frozen=True)
class Samples:
    """Samples that get a vector each.

    Attributes:
        x: float32 (n, input_dim), finite.
        y: Class index of each sample, int64 (n,); None where there are no labels.
        ids: Id of each sample, int64 or text (n,); None where they are not known.
        first_row: The row of its split that the first sample is, for messages.
    """

    x: Float32
    y: Int64 | None = None
    ids: NDArray[Any] | None = None
    first_row: int = 0


@dataclass(frozen=True)
class Training(Samples):
    """The training split, the only one that a kind may learn from, and what goes with it.

    Attributes:
        n_classes: How many classes there are in the whole data set; None without labels.
        x_validation: float32 (m, input_dim): tells when to stop a training, and nothing else.
        raw: The folder that holds the user's own files.
    """

    n_classes: int | None = None
    x_validation: Float32 | None = None
    raw: Path = paths.RAW


class Kind(Protocol):
    """A kind of offset; each module named in :mod:`.registry` is one.

    ``where`` names the place that an :class:`InputError` blames: ``"params.yaml: offsets.pca"``.
    """

    def fit(self, where: str, params: Any, training: Training, latent_dim: int) -> State:
        """Learn from the training split all that :meth:`apply` needs, as named arrays.

        Args:
            where: The place that errors name.
            params: The kind's own section of params.yaml, validated.
            training: The training split.
            latent_dim: Length of the vectors.

        Raises:
            InputError: where the kind cannot be had with this data or this latent dim.
        """

    def apply(self, where: str, state: State, samples: Samples) -> Float32:
        """f(x) of any samples, from the state alone.

        Args:
            where: The place that errors name.
            state: What :meth:`fit` returned.
            samples: Whatever samples; labels and ids for the kinds that look at them.

        Returns:
            float32 (n, latent_dim).

        Raises:
            InputError: where these samples cannot be given a vector.
        """


def applier(kind: Kind, where: str, state: State) -> Callable[[Samples], Float32]:
    """:meth:`Kind.apply` of one state, to be called for chunk after chunk of samples.

    What a kind would have to get ready anew for each call (a model loaded, a program compiled) it
    gets ready once, where it has a function ``ready(where, state)`` that returns this one.
    """
    ready = getattr(kind, "ready", None)
    if ready is None:
        return functools.partial(kind.apply, where, state)
    apply: Callable[[Samples], Float32] = ready(where, state)
    return apply
