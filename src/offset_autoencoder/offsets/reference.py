"""Reference autoencoder of the kinds ``encoder`` and ``adversarial``, as arrays of their state."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from offset_autoencoder.config.offset_kinds import Reference
from offset_autoencoder.config.schema import Network, Train
from offset_autoencoder.models.dense import forward, unit_norm
from offset_autoencoder.offsets import kind

Layer = tuple[NDArray[Any], NDArray[Any]]


def fit_reference_state(
    where: str, params: Reference, training: kind.Training, latent_dim: int
) -> kind.State:
    """Fit the reference on the training split; the validation split tells when to stop.

    Returns:
        Its layers as ``encoder.N.kernel``, ``encoder.N.bias``, ``decoder.N. ...``, counted from
        1, and ``activation`` and ``normalize``.

    Raises:
        InputError: where the training diverged.
    """
    from offset_autoencoder.training.fits import fit_reference

    keys = params.model_dump(include=set(Reference.model_fields))
    shape = {key: value for key, value in keys.items() if key in Network.model_fields}
    fitted = fit_reference(
        where,
        np.asarray(training.x),
        None if training.x_validation is None else np.asarray(training.x_validation),
        network=Network(latent_dim=latent_dim, **shape),
        train=Train(**{key: value for key, value in keys.items() if key in Train.model_fields}),
        seed=params.seed,
    )
    return {
        "activation": np.array(params.activation),
        "normalize": np.array(params.normalize),
        **{
            f"{part}.{number}.{name}": array
            for part, layers in (("encoder", fitted.encoder), ("decoder", fitted.decoder))
            for number, layer in enumerate(layers, start=1)
            for name, array in zip(("kernel", "bias"), layer, strict=True)
        },
    }


def encode(state: kind.State, x: kind.Float32) -> kind.Float64:
    """Code of samples under the reference, (n, latent_dim), in float64: so it is the same alone."""
    layers = layers_of("encoder", state)
    inputs, latent_dim = len(layers[0][0]), len(layers[-1][1])
    activations = [state["activation"].item()] * (len(layers) - 1) + ["linear"]
    with_activation = [(*layer, name) for layer, name in zip(layers, activations, strict=True)]
    code = np.empty((len(x), latent_dim))
    for block in kind.row_blocks(len(x), inputs):
        code[block] = forward(x[block].astype(np.float64), with_activation)
    return unit_norm(code) if state["normalize"].item() else code


def layers_of(part: str, state: kind.State) -> list[Layer]:
    """Kernel and bias of each layer of ``"encoder"`` or ``"decoder"``."""
    count = sum(key.startswith(f"{part}.") for key in state) // 2
    return [
        (state[f"{part}.{number}.kernel"], state[f"{part}.{number}.bias"])
        for number in range(1, count + 1)
    ]
