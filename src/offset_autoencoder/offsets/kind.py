"""What a kind of offset is: two pure functions, fit and apply."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

State = dict[str, NDArray[Any]]
Float32 = NDArray[np.float32]
Int64 = NDArray[np.int64]


@dataclass(frozen=True)
class Samples:
    """The training split, the only one that a kind may learn from.

    Attributes:
        x: float32 (n, input_dim), finite.
        y: Class index of each sample, int64 (n,); None where the data has no labels.
        n_classes: How many classes there are in the whole data set; None without labels.
    """

    x: Float32
    y: Int64 | None = None
    n_classes: int | None = None


class Kind(Protocol):
    """A kind of offset; each module named in :mod:`.registry` is one.

    ``where`` names the place that an :class:`InputError` blames: ``"params.yaml: offsets.pca"``.
    """

    def fit(self, where: str, params: Any, samples: Samples, latent_dim: int) -> State:
        """Learn from the training split all that :meth:`apply` needs, as named arrays.

        Args:
            where: The place that errors name.
            params: The kind's own section of params.yaml, validated.
            samples: The training split.
            latent_dim: Length of the vectors.

        Raises:
            InputError: where the kind cannot be had with this data or this latent dim.
        """

    def apply(self, where: str, state: State, x: Float32, y: Int64 | None) -> Float32:
        """f(x) of any samples, from the state alone.

        Args:
            where: The place that errors name.
            state: What :meth:`fit` returned.
            x: float32 (n, input_dim), finite.
            y: Class indices int64 (n,), for the kinds that look at them.

        Returns:
            float32 (n, latent_dim).

        Raises:
            InputError: where these samples cannot be given a vector.
        """
