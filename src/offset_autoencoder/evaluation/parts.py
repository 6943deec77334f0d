"""A model taken apart: x → code and offset; code and offset → reconstruction."""

from __future__ import annotations

from typing import Any, NamedTuple

from offset_autoencoder.models.backend import keras

# The last of these layers that a model has gives its code; a user's model names it so.
_CODE_LAYERS = ("ensemble_code", "sampled_code", "unit_code", "code")
_SECOND = "second_code_plus_offset"


class Parts(NamedTuple):
    """The halves of a model; they share its weights.

    Attributes:
        encoder: ``{"x", "offset"}`` → ``{"code", "offset"}``, each (batch, L): the code as it
            is before anything is added, and what is added: the input, or what a second
            encoder makes of x.
        decoder: ``[code, offset]`` → the reconstruction (batch, input_dim).
    """

    encoder: Any
    decoder: Any


def take_apart(model: Any) -> Parts | None:
    """The halves of a model, or None for one that cannot be taken apart.

    That is a user's model without a layer named ``code``, or one whose decoder reads x by
    another way too. The model itself can be called afterwards, but no longer saved: its layers
    then belong to several models.
    """
    layers = {layer.name: layer for layer in model.layers}
    code = next((layers[name].output for name in _CODE_LAYERS if name in layers), None)
    if code is None:
        return None
    inputs = model.input
    offset = layers[_SECOND].output if _SECOND in layers else inputs["offset"]
    try:
        encoder = keras.Model(inputs, {"code": code, "offset": offset})
        decoder = keras.Model([code, offset], model.output)
    except ValueError:
        return None
    return Parts(encoder, decoder)
