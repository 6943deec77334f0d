"""Systems: how encoder, offset and noise go together; and the ``models.NAME:`` that names one.

Everything that depends on a system is a field of its record, so that a new system is a record
here and its builder in :mod:`.models.systems`.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Literal, NamedTuple, Self

import numpy as np
from pydantic import Field, PrivateAttr, WrapValidator, model_validator

from offset_autoencoder.config import values
from offset_autoencoder.config.registries import LOSSES, Registry
from offset_autoencoder.config.schema import Network
from offset_autoencoder.errors import short_repr

Options = Callable[["Model", Network, int], dict[str, Any]]


def _two_encoder(spec: Model, network: Network, steps_per_epoch: int) -> dict[str, Any]:
    first_hidden = network.hidden if network.kind_record.is_dense else None
    return {
        "second_hidden": first_hidden if spec.second_hidden is None else spec.second_hidden,
        "second_activation": spec.second_activation or network.activation,
        "second_rms": spec.rms,
        "frozen": spec.frozen,
    }


def _vae(spec: Model, network: Network, steps_per_epoch: int) -> dict[str, Any]:
    return {"beta": spec.beta, "warmup_steps": spec.warmup * steps_per_epoch}


@dataclass(frozen=True)
class System:
    """A way to put encoder, offset, noise and decoder together.

    Attributes:
        name: Name in params.yaml.
        build: ``module:function`` of its layers, from (architecture, inputs, stddev) to the
            reconstruction; of the user's own model, from (architecture, seed) to it.
        keys: The keys of ``models.NAME:`` that this system has and the others have not.
        required: Those of them that must be given.
        resolve: From (spec, network, steps per epoch) to fields of
            :class:`.models.architecture.Architecture` beside the network's; None: its own keys.
        resolved_as: The system of its architecture where it is not its own: it then differs in
            how its widths are found, and in nothing else.
        needs_offset: Why it must have an offset; None: it need not.
        learns_offset: Whether its offset is an encoder of its own, which forbids a table.
        learns_noise: Whether it draws its code with a variance that it learns, which forbids
            ``stddev``; its noise is standard normal, and its loss must be a likelihood.
        concatenates: Whether the decoder reads code and offset side by side, not their sum.
        noise_is_input: Whether its noise cannot be folded into the offset.
        starts_as_plain: Whether its (first) encoder has the initial weights of a plain model's
            of the same seed and is trained for the same code, so that the codes compare.
        sends_code: Whether the code alone, with the norm of ``network.normalize``, is what an
            offset and noise are added to.
        matches_parameters: Whether its encoder is widened to the parameters of another model.
        is_users: Whether the user's function builds it: nothing is known of its layers.
        code_layers: The names of the layer whose output is the code; the first that is there.
        offset_layer: The layer whose output is added to the code; None: the input ``offset``.
        log_variance_layer: The layer of the code's log variance, where it has one.
    """

    name: str
    build: str
    keys: tuple[str, ...] = ()
    required: tuple[str, ...] = ()
    resolve: Options | None = None
    resolved_as: str | None = None
    needs_offset: str | None = None
    learns_offset: bool = False
    learns_noise: bool = False
    concatenates: bool = False
    noise_is_input: bool = False
    starts_as_plain: bool = False
    sends_code: bool = True
    matches_parameters: bool = False
    is_users: bool = False
    code_layers: tuple[str, ...] = ("unit_code", "power_code", "code")
    offset_layer: str | None = None
    log_variance_layer: str | None = None

    @property
    def can_be_matched(self) -> bool:
        """True if another model can be widened to its number of parameters."""
        return not (self.matches_parameters or self.is_users)


SYSTEMS: Registry[System] = Registry(
    "system",
    [
        System("additive", "offset_autoencoder.models.systems:additive", starts_as_plain=True),
        System(
            "concatenate",
            "offset_autoencoder.models.systems:concatenate",
            needs_offset="the decoder reads it",
            concatenates=True,
            noise_is_input=True,
            starts_as_plain=True,
        ),
        System(
            "two_encoder",
            "offset_autoencoder.models.systems:two_encoder",
            keys=("second_hidden", "second_activation", "frozen"),
            resolve=_two_encoder,
            learns_offset=True,
            starts_as_plain=True,
            sends_code=False,
            offset_layer="second_code_plus_offset",
        ),
        System(
            "ensemble",
            "offset_autoencoder.models.systems:ensemble",
            keys=("encoders", "combine"),
            sends_code=False,
            code_layers=("ensemble_code",),
        ),
        System(
            "wide",
            "offset_autoencoder.models.systems:additive",
            keys=("match",),
            required=("match",),
            resolved_as="additive",
            matches_parameters=True,
        ),
        System(
            "vae",
            "offset_autoencoder.models.systems:vae",
            keys=("beta", "warmup"),
            resolve=_vae,
            learns_noise=True,
            noise_is_input=True,
            sends_code=False,
            code_layers=("sampled_code",),
            log_variance_layer="code_log_variance",
        ),
        System(
            "function",
            "offset_autoencoder.models.autoencoder:build_user_model",
            keys=("function",),
            required=("function",),
            is_users=True,
            # What else a user's layers are called says nothing of what they do.
            code_layers=("code",),
        ),
    ],
)


class NoiseRange(NamedTuple):
    """Range of the noise's standard deviation, drawn anew for each sample and step of training.

    Attributes:
        low: The smallest standard deviation per coordinate.
        high: The largest.
        in_decibels: Whether it is uniform in decibels, rather than in the standard deviation.
    """

    low: float
    high: float
    in_decibels: bool = False

    def at(self, share: Any) -> Any:
        """The standard deviations at these shares of the way from low to high, floats or arrays."""
        if self.in_decibels:
            return self.low * (self.high / self.low) ** share
        return self.low + (self.high - self.low) * share

    @property
    def rms(self) -> float:
        """Root mean square of the noise per coordinate."""
        low, high = self.low, self.high
        if self.in_decibels:
            return math.sqrt((high**2 - low**2) / (2 * math.log(high / low)))
        return math.sqrt((low**2 + low * high + high**2) / 3)


def draw_stddevs(stddev: float | NoiseRange, generator: Any, samples: int) -> Any:
    """Standard deviation of each sample's noise, (samples, 1) float32; a fixed one: as a scalar.

    ``generator`` is one of NumPy's.
    """
    if isinstance(stddev, NoiseRange):
        return stddev.at(generator.random((samples, 1), dtype="float32"))
    return np.float32(stddev)


class _Range(NamedTuple):
    low: float
    high: float


def _value_or_range(value: Any, validate: Callable[[Any], Any]) -> Any:
    """A value, or the range of ``{low: 0, high: 6}``, whose ends are such values."""
    if not isinstance(value, Mapping):
        return validate(value)
    if set(value) != {"low", "high"}:
        raise ValueError(f"a range is {{low: ..., high: ...}}, got {short_repr(dict(value))}")
    ends = _Range(validate(value["low"]), validate(value["high"]))
    if not ends.low < ends.high:
        raise ValueError(f"low must be below high, got {ends.low:g} and {ends.high:g}")
    return ends


def sweep_value(given: Any, value: Any) -> Any:
    """A swept key's value: that of a list as a tuple, that of a range as ``"0..6"``."""
    if isinstance(given, Mapping):
        return "..".join(f"{float(given[end]):g}" for end in ("low", "high"))
    return tuple(value) if isinstance(value, list) else value


_OR_RANGE = WrapValidator(_value_or_range)


class Model(values.Section):
    """``models.NAME:``, a system, and what is added to its code: an offset, noise, or both.

    ``rms`` scales the offset to that root mean square a coordinate (a table over the training
    split, a learned second encoder for every sample); null takes the vectors as they came.
    ``ebn0_db`` states the noise of a channel instead of ``stddev``: for a code of (mean) square
    norm 1 that carries ``bits``, Eb/N0 = 1 / (2 · bits · stddev²). Either may be a range,
    ``{low: 0, high: 6}``, of which each sample of each step draws a value: uniform in the
    standard deviation, or in decibels. Then ``stddev`` is the root mean square of the noise.

    Attributes:
        system: ``additive``: z = encoder(x) + offset. ``concatenate``: the decoder reads both.
            ``two_encoder``: the offset is a second encoder, trained jointly, or ``frozen``.
            ``ensemble``: ``encoders`` encoders, their codes averaged or summed. ``wide``: one
            encoder with as many parameters as the model ``match``. ``vae``: a variational
            autoencoder. ``function``: the user's own, ``module:callable``.
        offset: A name under ``offsets:``; null adds none.
        rms: Root mean square per coordinate that the offset is scaled to; null: as it came.
        stddev: Standard deviation of Gaussian noise per coordinate, or a range of it.
        ebn0_db: Eb/N0 of a channel in decibels, in the place of ``stddev``, or a range of it.
        bits: Bits that a code carries, for ``ebn0_db``.
        frozen: Whether the second encoder of ``two_encoder`` stays at its initial weights.
        encoders: Encoders of an ``ensemble``.
        combine: What an ``ensemble`` makes of its codes.
        match: Model whose number of parameters ``wide`` takes.
        function: Function of the user's that builds the model, as ``module:name``.
        second_hidden: Hidden widths of the second encoder; null: those of the first.
        second_activation: Its activation; null: that of the first.
        beta: Weight of the VAE's KL divergence; 1 is the evidence lower bound, whatever the
            scale of the loss.
        warmup: Epochs over which that weight rises from 0 in a straight line.
    """

    system: Annotated[str, values.member_of(SYSTEMS)] = "additive"
    offset: values.Nullable[values.Name] = None
    rms: values.Nullable[values.Positive] = None
    stddev: Annotated[values.NonNegative, _OR_RANGE] = 0.0
    ebn0_db: values.Nullable[Annotated[values.Decibels, _OR_RANGE]] = None
    bits: values.Nullable[values.Positive] = None
    second_hidden: values.Nullable[list[values.Width]] = None
    second_activation: values.Nullable[values.Activation] = None
    frozen: bool = False
    encoders: Annotated[values.Count, Field(ge=2, le=1000)] = 4
    combine: Literal["mean", "sum"] = "mean"
    match: values.Nullable[values.Name] = None
    beta: values.NonNegative = 1.0
    warmup: values.WholeNumber = 0
    function: values.Nullable[values.FunctionName] = None
    _noise_range: NoiseRange | None = PrivateAttr(None)

    @model_validator(mode="after")
    def _keys_go_with_system(self) -> Self:
        record, system = self.system_record, f"system: {self.system}"
        for other in SYSTEMS.values():
            for key in other.keys:
                if key in self.model_fields_set and key not in record.keys:
                    message = f"{key} goes with system: {other.name}, not {self.system}"
                    raise values.WrongTogether(message, key)
        for key in record.required:
            if getattr(self, key) is None:
                raise values.WrongTogether(f"{system} needs the key {key}", key, "system")
        if record.needs_offset and self.offset is None:
            message = f"{system} needs an offset: {record.needs_offset}"
            raise values.WrongTogether(message, "offset", "system")
        if record.learns_offset and self.offset is not None:
            message = f"{system} learns its offset: leave out the key offset"
            raise values.WrongTogether(message, "offset")
        if record.learns_noise and (self.stddev or self.ebn0_db is not None):
            message = f"{system} learns its noise: leave out stddev"
            raise values.WrongTogether(message, "stddev", "ebn0_db")
        if self.rms is not None and self.offset is None and not record.learns_offset:
            raise values.WrongTogether("rms scales an offset, and the model names none", "rms")
        return self

    @model_validator(mode="after")
    def _stddev_of_channel(self) -> Self:
        if (self.ebn0_db is None) != (self.bits is None):
            message = "ebn0_db and bits go together: noise in decibels, bits a code"
            raise values.WrongTogether(message, "ebn0_db" if self.bits is None else "bits")
        if self.ebn0_db is not None and "stddev" in self.model_fields_set:
            message = "ebn0_db and stddev both state the noise: leave out one"
            raise values.WrongTogether(message, "stddev")
        given: Any = self.stddev if self.ebn0_db is None else self.ebn0_db
        ends = list(given) if isinstance(given, _Range) else [given]
        if self.bits is not None:
            ends = [1 / math.sqrt(2 * self.bits * 10 ** (end / 10)) for end in ends]
        if len(ends) > 1:
            self._noise_range = NoiseRange(min(ends), max(ends), self.ebn0_db is not None)
            ends = [self._noise_range.rms]
        self.__dict__["stddev"] = ends[0]  # the model is frozen by now
        return self

    @property
    def system_record(self) -> System:
        """The record of its system."""
        return SYSTEMS[self.system]

    @property
    def noise_range(self) -> NoiseRange | None:
        """Range that the standard deviation of the noise is drawn from; None: it is ``stddev``."""
        return self._noise_range

    @property
    def common(self) -> dict[str, Any]:
        """The keys that every system has, and their values."""
        own = {key for system in SYSTEMS.values() for key in system.keys}
        ranges = {"noise_range": self.noise_range} if self.noise_range else {}
        return {**self.model_dump(exclude={*own, "ebn0_db", "bits"}), **ranges}

    @property
    def options(self) -> dict[str, Any]:
        """The keys that only this system has, and their values."""
        return {key: getattr(self, key) for key in self.system_record.keys}


def find_conflict(spec: Model, network: Network) -> tuple[str, str] | None:
    """The key of a model or its network that does not go with another, and why; None: all do."""
    record, system = spec.system_record, f"system: {spec.system}"
    if record.learns_noise and LOSSES[network.loss].likelihood is None:
        return "loss", f"loss: {network.loss} is no likelihood, which {system} needs"
    for key in ("code_l1", "code_l2"):
        if record.learns_noise and getattr(network, key):
            return key, f"{system} has the KL divergence in its place: leave out {key}"
    if spec.ebn0_db is not None and not record.is_users:
        if not record.sends_code:
            return "ebn0_db", f"{system} sends more than a code of norm 1: state stddev instead"
        if network.normalize == "none":
            what = "Eb/N0 is that of a code whose power is known, and normalize is none"
            return "ebn0_db", f"{what} (set normalize: unit, or power)"
    return None
