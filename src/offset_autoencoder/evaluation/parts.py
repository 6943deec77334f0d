"""A model taken apart: x → code and offset; code and offset → reconstruction."""

from __future__ import annotations

from typing import Any, NamedTuple

from offset_autoencoder.config.model import System
from offset_autoencoder.models.backend import keras

# The first of these layers that a model has gives its code. In a user's model it is ``code``
# alone: what else its layers are called says nothing of what they do.
_CODE_LAYERS = ("ensemble_code", "sampled_code", "unit_code", "code")
_USERS_CODE_LAYERS = ("code",)
_SECOND = "second_code_plus_offset"
_LOG_VARIANCE = "code_log_variance"


class Parts(NamedTuple):
    """The halves of a model; they share its weights.

    Attributes:
        encoder: ``{"x", "offset"}`` → ``{"code", "offset"}``, each (batch, L): the code as it
            is before anything is added, and what is added: the input, or what a second
            encoder makes of x. A variational autoencoder's has ``log_variance`` too.
        decoder: ``[code, offset]`` → the reconstruction (batch, input_dim).
    """

    encoder: Any
    decoder: Any


def take_apart(model: Any, system: System) -> Parts | None:
    """The halves of a model, or None for one that cannot be taken apart.

    That is a user's model without a layer named ``code``, one whose code depends on the offset
    too, so that another offset would need another code, or one whose decoder reads x by another
    way. The model itself can be called afterwards, but no longer saved: its layers then belong
    to several models.

    Args:
        model: Its inputs are ``x`` and ``offset``.
        system: What built it, as :class:`.architecture.Architecture` has it.
    """
    layers = {layer.name: layer for layer in model.layers}
    names = _USERS_CODE_LAYERS if system == "function" else _CODE_LAYERS
    code = next((layers[name].output for name in names if name in layers), None)
    if code is None:
        return None
    inputs = model.input
    offset = layers[_SECOND].output if system == "two_encoder" else inputs["offset"]
    parts = {"code": code, "offset": offset}
    if system == "vae":
        parts["log_variance"] = layers[_LOG_VARIANCE].output
    try:
        keras.Model(inputs["x"], code)  # raises where the code needs the offset
        encoder = keras.Model(inputs, parts)
        decoder = keras.Model([code, offset], model.output)
    except ValueError:
        return None
    return Parts(encoder, decoder)
