"""``models.NAME:``, one system and what is added to its code."""

from __future__ import annotations

import math
from typing import Annotated, Any, Literal, Self

from pydantic import BeforeValidator, Field, StringConstraints, model_validator

from offset_autoencoder.config.schema import Section, WrongTogether
from offset_autoencoder.config.values import (
    Activation,
    Count,
    Decibels,
    Name,
    NonNegative,
    Positive,
    WholeNumber,
    Width,
    null_word,
)

System = Literal["additive", "concatenate", "two_encoder", "ensemble", "wide", "vae", "function"]

# The keys that one system has and the others have not.
_OWN_KEYS: dict[str, tuple[str, ...]] = {
    "two_encoder": ("second_hidden", "second_activation", "frozen"),
    "ensemble": ("encoders", "combine"),
    "wide": ("match",),
    "vae": ("beta", "warmup"),
    "function": ("function",),
}


class Model(Section):
    """``models.NAME:``, a system, and what is added to its code: an offset, noise, or both.

    ``rms`` scales the offset to that root mean square a coordinate (a table over the training
    split, a learned second encoder for every sample); null takes the vectors as they came.
    ``ebn0_db`` states the noise of a channel instead of ``stddev``: for a code of unit norm that
    carries ``bits``, Eb/N0 = 1 / (2 · bits · stddev²).

    Attributes:
        system: ``additive``: z = encoder(x) + offset. ``concatenate``: the decoder reads both.
            ``two_encoder``: the offset is a second encoder, trained jointly, or ``frozen``.
            ``ensemble``: ``encoders`` encoders, their codes averaged or summed. ``wide``: one
            encoder with as many parameters as the model ``match``. ``vae``: a variational
            autoencoder. ``function``: the user's own, ``module:callable``.
        offset: A name under ``offsets:``; null adds none.
        second_hidden: Hidden widths of the second encoder; null: those of the first.
        second_activation: Its activation; null: that of the first.
        frozen: Whether the second encoder keeps its initial weights.
        encoders: How many encoders the ensemble has.
        combine: Whether their codes are averaged or summed.
        match: The model whose trainable parameters the wide encoder matches.
        beta: Weight of the VAE's KL divergence; 1 is the evidence lower bound, whatever the
            scale of the loss.
        warmup: Epochs over which that weight rises from 0 in a straight line.
        function: The user's function, which returns a Keras model.
    """

    system: System = "additive"
    offset: Annotated[Name | None, BeforeValidator(null_word)] = None
    rms: Annotated[Positive | None, BeforeValidator(null_word)] = None
    stddev: NonNegative = 0.0
    ebn0_db: Annotated[Decibels | None, BeforeValidator(null_word)] = None
    bits: Annotated[Positive | None, BeforeValidator(null_word)] = None
    second_hidden: Annotated[list[Width] | None, BeforeValidator(null_word)] = None
    second_activation: Annotated[Activation | None, BeforeValidator(null_word)] = None
    frozen: bool = False
    encoders: Annotated[Count, Field(ge=2, le=1000)] = 4
    combine: Literal["mean", "sum"] = "mean"
    match: Annotated[Name | None, BeforeValidator(null_word)] = None
    beta: NonNegative = 1.0
    warmup: WholeNumber = 0
    function: Annotated[
        Annotated[str, StringConstraints(pattern=r"^[\w.]+:[\w.]+$")] | None,
        BeforeValidator(null_word),
    ] = None

    @model_validator(mode="after")
    def _keys_go_with_system(self) -> Self:
        for system, keys in _OWN_KEYS.items():
            for key in keys:
                if key in self.model_fields_set and system != self.system:
                    message = f"{key} goes with system: {system}, not {self.system}"
                    raise WrongTogether(message, key)
        for key in ("match", "function"):
            if key in _OWN_KEYS.get(self.system, ()) and getattr(self, key) is None:
                message = f"system: {self.system} needs the key {key}"
                raise WrongTogether(message, key, "system")
        if self.system == "concatenate" and self.offset is None:
            message = "system: concatenate needs an offset: the decoder reads it"
            raise WrongTogether(message, "offset", "system")
        if self.system == "two_encoder" and self.offset is not None:
            message = "system: two_encoder learns its offset: leave out the key offset"
            raise WrongTogether(message, "offset")
        if self.system == "vae" and (self.stddev or self.ebn0_db is not None):
            message = "system: vae learns its noise: leave out stddev"
            raise WrongTogether(message, "stddev", "ebn0_db")
        if self.rms is not None and self.offset is None and self.system != "two_encoder":
            raise WrongTogether("rms scales an offset, and the model names none", "rms")
        return self

    @model_validator(mode="after")
    def _stddev_of_channel(self) -> Self:
        if (self.ebn0_db is None) != (self.bits is None):
            message = "ebn0_db and bits go together: noise in decibels, bits a code"
            raise WrongTogether(message, "ebn0_db" if self.bits is None else "bits")
        if self.ebn0_db is not None and self.bits is not None:
            if "stddev" in self.model_fields_set:
                message = "ebn0_db and stddev both state the noise: leave out one"
                raise WrongTogether(message, "stddev")
            stddev = 1 / math.sqrt(2 * self.bits * 10 ** (self.ebn0_db / 10))
            self.__dict__["stddev"] = stddev
        return self

    @property
    def common(self) -> dict[str, Any]:
        """The keys that every system has, and their values."""
        own = {key for keys in _OWN_KEYS.values() for key in keys}
        return self.model_dump(exclude={*own, "ebn0_db", "bits"})

    @property
    def options(self) -> dict[str, Any]:
        """The keys that only this system has, and their values."""
        return {key: getattr(self, key) for key in _OWN_KEYS.get(self.system, ())}
