"""Kind ``encoder``: a second encoder that is fitted beforehand and then stands still.

f(x) is the code of a reference autoencoder, before any offset or noise: one that the kind fits
itself on the training split, with the project's trainer and nothing added to its code, or the
output of a layer of the user's own Keras model. The fitted one is stored as its weights and
applied in NumPy; of the user's model the file itself is stored.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from offset_autoencoder.config.offset_kinds import EncoderOffset
from offset_autoencoder.offsets.kind import Float32, Samples, State, Training
from offset_autoencoder.offsets.reference import encode, fit_reference_state


def fit(where: str, params: EncoderOffset, training: Training, latent_dim: int) -> State:
    """The fitted encoder's layers, or the bytes of the user's model.

    Raises:
        InputError: where the training diverged, or the file is no model that maps
            (n, input_dim) to (n, latent_dim) at that layer.
    """
    if params.path is not None:
        from offset_autoencoder.offsets.model_file import read_model

        input_dim = training.x.shape[1]
        return read_model(where, params.path, params.layer, training.raw, input_dim, latent_dim)
    state = fit_reference_state(where, params, training, latent_dim)
    return {key: array for key, array in state.items() if not key.startswith("decoder.")}


def ready(where: str, state: State) -> Callable[[Samples], Float32]:
    """The function that :func:`apply` calls; a model of the user's is loaded once."""
    if "model" in state:
        from offset_autoencoder.offsets.model_file import load_model

        layer = load_model(where, state)
        return lambda samples: layer(samples.x)
    return lambda samples: encode(where, state, samples.x).astype(np.float32)


def apply(where: str, state: State, samples: Samples) -> Float32:
    """The code of samples, float32 (n, latent_dim).

    Raises:
        InputError: where x has another number of features than the encoder.
    """
    return ready(where, state)(samples)
