"""The asker's own autoencoder: a Keras model by the arguments of a function."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from offset_autoencoder.config.registries import ACTIVATIONS, ALIASES, LOSSES
from offset_autoencoder.config.schema import Network
from offset_autoencoder.config.values import (
    Count,
    NonNegative,
    Seed,
    validate_section,
    validate_value,
)
from offset_autoencoder.errors import InputError, message_of, short_repr
from offset_autoencoder.models.architecture import Architecture
from offset_autoencoder.models.autoencoder import build_model
from offset_autoencoder.models.backend import keras


def build_autoencoder(
    input_dim: int,
    latent_dim: int = 16,
    hidden: int | Sequence[int] = (32,),
    *,
    activation: Any = "relu",
    output: Any = "sigmoid",
    normalize: bool | str = True,
    stddev: float = 0.0,
    seed: int = 0,
    **network: Any,
) -> Any:
    """Build the offset-autoencoder ``x' = decoder(unit(encoder(x)) + offset + stddev · n)``.

    Encoder: a Dense layer with ``activation`` for each of ``hidden``, then a linear one to
    the code. Decoder: the same widths backwards, then a Dense layer with ``output``.
    Kernels are Glorot uniform, biases zero, each layer seeded by ``seed`` and its name: one
    seed, the same initial weights, with or without noise.

    Args:
        input_dim: Features of a sample.
        latent_dim: Dimension of the code.
        hidden: Widths of the encoder's hidden layers, possibly none; of one layer, its width.
        activation: Activation of the hidden layers: whatever Keras takes for one.
        output: Activation of the reconstruction, likewise.
        normalize: ``"unit"`` or True: the code has unit L2 norm; ``"power"``: its mean squared
            norm is 1; ``"none"`` or False: it is as it comes.
        stddev: Gaussian noise per coordinate of the code, in training only; 0 adds no layer.
        seed: Seed of the initial weights and of the noise.
        network: Further keys of ``network:`` in params.yaml: ``initializer``, ``dropout`` ...

    Returns:
        A functional ``keras.Model``, not compiled. Inputs, by name: ``x`` (batch, input_dim)
        and ``offset`` (batch, latent_dim), float32; output ``reconstruction``
        (batch, input_dim).

    Raises:
        InputError: for an argument that is wrong, which it names.

    Example:
        >>> model = build_autoencoder(64)
        >>> model.compile("adam", "binary_crossentropy")
        >>> model.fit({"x": x, "offset": offsets}, x)
    """
    where = "build_autoencoder"
    given = {"activation": activation, "output": output}
    named = {key: _activation(f"{where}.{key}", value) for key, value in given.items()}
    own = {key: value for key, value in named.items() if not isinstance(value, str)}
    keys: dict[str, Any] = {**named, **dict.fromkeys(own, "linear")}
    needs = {loss.output: loss.name for loss in LOSSES.values() if loss.output}
    keys |= {"loss": needs.get(keys["output"], "mean_squared_error"), "normalize": normalize}
    sizes = np.asarray(hidden if isinstance(hidden, list | tuple | np.ndarray) else [hidden])
    numbers = {"latent_dim": latent_dim, "input_dim": input_dim, "stddev": stddev, "seed": seed}
    values = {key: np.asarray(value).tolist() for key, value in numbers.items()}
    for key, kind in {"input_dim": Count, "stddev": NonNegative, "seed": Seed}.items():
        values[key] = validate_value(kind, f"{where}.{key}", values[key])
    keys |= {"hidden": sizes.tolist(), "latent_dim": values["latent_dim"], **network}
    section = validate_section(Network, where, keys)
    architecture = Architecture(network=section, input_dim=values["input_dim"])
    # A function is no value of params.yaml: it takes the place of one, unchecked.
    architecture = architecture.model_copy(update={"network": section.model_copy(update=own)})
    try:
        return build_model(architecture, values["seed"], values["stddev"])
    except Exception as error:  # whatever Keras says of an activation of the user's, say
        raise InputError(where, f"Keras cannot build it: {message_of(error)}") from error


def _activation(where: str, value: Any) -> Any:
    """An activation by its name where it is one of Keras's own, else as a function."""
    expected = "a Keras activation, its name, or a function of tensors"
    if value is None:
        return "linear"
    if isinstance(value, type):
        mend = f"write {value.__name__}()"
        raise InputError(where, f"must be {expected}, got the class {value.__name__}", mend)
    if isinstance(value, str) and (value in ACTIVATIONS or value in ALIASES):
        return value
    try:
        function = keras.activations.get(value)
    except Exception:  # Keras raises whatever it comes upon
        if isinstance(value, str):
            return value  # which is refused with the nearest name that there is
        raise InputError(where, f"must be {expected}, got {short_repr(value)}") from None
    name = str(getattr(function, "__name__", ""))
    is_known = name in ACTIVATIONS and getattr(keras.activations, name, None) is function
    return name if is_known else function
