"""Checks that every table passes before it is stored."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from offset_autoencoder.errors import InputError


def check_finite(where: str, array: NDArray[Any], first_row: int = 0) -> None:
    """Refuse NaN and infinity.

    Args:
        where: The place that errors name.
        array: Numbers of any real dtype, (n, columns).
        first_row: The row of the whole that its first one is.

    Raises:
        InputError: naming the first row and column, counted from 0.
    """
    finite = np.isfinite(array)
    if finite.all():
        return
    row, column = np.argwhere(~finite)[0]
    value = array[row, column]
    raise InputError(
        where, f"row {first_row + row}, column {column} is {value}, a finite number is expected"
    )
