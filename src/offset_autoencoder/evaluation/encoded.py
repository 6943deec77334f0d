"""What an encoder makes of samples, and what turns it back."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float32]
Decode = Callable[[Array | None, Array], Array]


@dataclass(frozen=True)
class Encoded:
    """What the encoder makes of samples.

    Attributes:
        code: (n, L) float32: the code before anything is added, the mean of a variational
            autoencoder's; None for a user's model that is not taken apart.
        offset: (n, L) float32: what is added to it or stands beside it, a learned second
            encoder's output included.
        log_variance: (n, L) float32 of a variational autoencoder's code, else None.
    """

    code: Array | None
    offset: Array
    log_variance: Array | None
