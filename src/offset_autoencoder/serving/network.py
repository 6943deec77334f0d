"""A served model's network: samples and offsets in, codes and reconstructions out."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from offset_autoencoder.config.model import System
from offset_autoencoder.errors import InputError

Array = NDArray[np.float32]

_BLOCK_VALUES = 2**23  # features of a block of samples: 32 MB of float32


class Network:
    """A Keras model to be called on any number of samples, without its noise.

    Args:
        where: The place that errors name.
        model: Inputs ``x`` and ``offset``.
        system: What built it.
    """

    def __init__(self, where: str, model: Any, system: System) -> None:
        from offset_autoencoder.evaluation.parts import take_apart

        self._where = where
        self._model = model
        self._parts = take_apart(model, system)

    @property
    def has_code(self) -> bool:
        """Whether its code can be told from what is added to it."""
        return self._parts is not None

    def encode(self, x: Array) -> Array:
        """The code before anything is added, (n, L), of scaled samples (n, D).

        Raises:
            InputError: where the network is the user's own and names no code that x alone decides.
        """
        if self._parts is None:
            raise InputError(
                self._where,
                "its network has no layer 'code' that depends on x alone",
                "name that layer 'code' in the function that builds it",
            )
        nothing = np.zeros((1, self._model.input["offset"].shape[-1]), np.float32)
        offset = np.broadcast_to(nothing, (len(x), nothing.shape[1]))
        return _in_blocks(self._parts.encoder, x, offset, "code")

    def reconstruct(self, x: Array, offset: Array) -> Array:
        """The reconstruction, (n, D), of scaled samples (n, D) with offsets as added (n, L)."""
        return _in_blocks(self._model, x, offset)


def load_network(path: Path, system: System, function: str | None) -> Network:
    """Load ``model.keras`` in Keras's safe mode, which runs no code that the file brings.

    Args:
        path: The file.
        system: What built the network.
        function: The user's function that built it, whose module registers its layers.

    Raises:
        InputError: where the file is missing, damaged or not safe to load.
    """
    import offset_autoencoder.models  # noqa: F401  registers the project's layers
    from offset_autoencoder.models.backend import keras

    if function is not None:
        from offset_autoencoder.user_code import find_attribute

        find_attribute(str(path), function)
    try:
        model = keras.saving.load_model(path, compile=False, safe_mode=True)
    except Exception as error:  # Keras raises whatever its parts raise
        said = (str(error).strip().splitlines() or [type(error).__name__])[0]
        raise InputError(str(path), f"cannot be loaded: {said:.200}") from error
    return Network(str(path), model, system)


def _in_blocks(model: Any, x: Array, offset: Array, output: str | None = None) -> Array:
    """A model's output, or one of them, on as many samples at a time as a block holds."""
    from offset_autoencoder.models.backend import tf

    if not len(x):  # TensorFlow adds no bias to nothing
        one = [np.zeros((1, array.shape[1]), np.float32) for array in (x, offset)]
        return _in_blocks(model, one[0], one[1], output)[:0]
    size, blocks = max(1, _BLOCK_VALUES // x.shape[1]), []
    for start in range(0, len(x), size):
        rows = slice(start, start + size)
        inputs = {"x": tf.constant(x[rows]), "offset": tf.constant(offset[rows])}
        found = model(inputs, training=False)
        blocks.append(np.asarray(found if output is None else found[output]))
    return np.concatenate(blocks) if len(blocks) > 1 else blocks[0]
