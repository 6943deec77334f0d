"""The architecture of each setting: what params.yaml leaves to the data and to other models."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import Any

from offset_autoencoder.config import Params, Setting
from offset_autoencoder.config.registries import load
from offset_autoencoder.config.schema import Network
from offset_autoencoder.config.systems import SYSTEMS
from offset_autoencoder.errors import InputError
from offset_autoencoder.models.architecture import Architecture, steps_per_epoch
from offset_autoencoder.user_code import digest_of_user_code, find_attribute

TOLERANCE = 0.01

# By the shape that a kind of network reads: what samples then are, and how the shape is given.
_SAMPLES = {
    "image_shape": ("images", "[height, width]"),
    "sequence_shape": ("sequences", "[steps, channels], [{input_dim}, 1] for one channel"),
}
_USERS_SHAPE = "image_shape"  # a change of it trains a user's own model anew


def resolve_architectures(settings: Sequence[Setting], **sizes: Any) -> list[Architecture]:
    """The architecture of each setting, for samples as :func:`resolve_architecture` takes them.

    Raises:
        InputError: as :func:`resolve_architecture`, and where no width matches.
    """
    resolve: Callable[..., Architecture] = functools.partial(resolve_architecture, **sizes)
    architectures = []
    for setting in settings:
        widths = None
        if setting.spec.system_record.matches_parameters:
            where = f"params.yaml: models.{setting.model}.match"
            target = resolve(_model_to_match(where, setting, settings))
            if not target.network.kind_record.is_dense:
                what = f"names a {target.network.kind} model: only dense ones can be matched"
                raise InputError(where, what)
            parameters = target.trainable_parameters
            widths = matching_widths(where, setting.network, target.input_dim, parameters)
        architectures.append(resolve(setting, encoder_hidden=widths))
    return architectures


def resolve_architecture(
    setting: Setting,
    *,
    input_dim: int,
    image_shape: Sequence[int] | None,
    samples: int,
    sequence_shape: Sequence[int] | None = None,
    channels_first: bool = False,
    encoder_hidden: Sequence[int] | None = None,
) -> Architecture:
    """The architecture of a setting, one model at one value of each swept key.

    There are ``samples`` to train on; ``encoder_hidden`` are the widths found for a system that
    matches parameters.

    Raises:
        InputError: where the samples do not suit the kind of network, or the user's own function
            is not found.
    """
    spec, network, where = setting.spec, setting.network, f"params.yaml: models.{setting.model}"
    kind, system = network.kind_record, SYSTEMS[spec.system_record.resolved_as or spec.system]
    shapes = {"image_shape": image_shape, "sequence_shape": sequence_shape}
    if kind.reads is not None and not (shape := shapes[kind.reads]):
        noun, axes = _SAMPLES[kind.reads]
        mend = f"set data.{kind.reads}: {axes.format(input_dim=input_dim)}"
        raise InputError(where, f"network.kind: {network.kind} needs samples that are {noun}", mend)
    if kind.reads is not None and kind.check is not None:
        assert shape is not None
        channels = kind.reads == "sequence_shape" or len(shape) > 2
        sides = (shape[1:] if channels_first else shape[:-1]) if channels else shape
        load(kind.check)(where, network, sides)
    digest = None
    if spec.function:
        find_attribute(f"{where}.function", spec.function)
        digest = digest_of_user_code(f"{where}.function", spec.function)
    options = {key: getattr(spec, key) for key in system.keys}
    if system.resolve is not None:
        steps = steps_per_epoch(samples, setting.train.batch_size)
        options = system.resolve(spec, network, steps)
    read: dict[str, Any] = {
        name: list(shape)
        for name, shape in shapes.items()
        if shape is not None and (name == kind.reads or (system.is_users and name == _USERS_SHAPE))
    }
    return Architecture(
        system=system.name,
        network=network,
        input_dim=input_dim,
        channels_first=(channels_first and kind.reads is not None) or None,
        **read,
        encoder_hidden=None if encoder_hidden is None else list(encoder_hidden),
        function_sha256=digest,
        **options,
    )


def _model_to_match(where: str, setting: Setting, settings: Sequence[Setting]) -> Setting:
    """The setting of the model that a wide one names: the one with the same network."""
    named = [other for other in settings if other.model == setting.spec.match]
    alike = [other for other in named if other.network == setting.network]
    if not alike:
        what = f"model {setting.spec.match!r} has no setting with the network of {setting.label!r}"
        what += f": {_differences(setting.network, [other.network for other in named])}"
        raise InputError(where, what, "let both have the same network")
    if len({repr(other.spec.options) for other in alike}) > 1:
        what = f"model {setting.spec.match!r} sweeps what decides its parameters"
        what += ": which one is meant is not clear"
        raise InputError(where, what, "name a model that does not")
    return alike[0]


def _differences(network: Network, others: Sequence[Network]) -> str:
    """The keys in which the nearest of other networks differs: ``"hidden is [9] there, [8] here"``.

    Where it sweeps such a key, all its values are named.
    """
    own = network.model_dump()
    different = ([key for key, value in own.items() if getattr(o, key) != value] for o in others)
    clauses = []
    for key in min(different, key=len):
        there = dict.fromkeys(str(getattr(other, key)) for other in others)
        clauses.append(f"{key} is {' or '.join(there)} there, {own[key]} here")
    return "; ".join(clauses)


def matching_widths(where: str, network: Network, input_dim: int, target: int) -> list[int]:
    """Hidden widths of an encoder that bring a model to ``target`` trainable parameters.

    All widths of ``network.hidden`` are stretched by one factor and rounded; of all such
    encoders the one nearest to the target is taken. The decoder stays as it is.

    Raises:
        InputError: where there is nothing to stretch, or none comes within 1 %.
    """
    if not network.kind_record.is_dense or not network.hidden:
        what = "needs a dense network with a hidden layer: there is no width to choose"
        raise InputError(where, what)

    def parameters(widths: Sequence[int]) -> int:
        wide = Architecture(network=network, input_dim=input_dim, encoder_hidden=list(widths))
        return wide.trainable_parameters

    def stretched(factor: float) -> list[int]:
        return [max(1, round(factor * width)) for width in network.hidden]

    low, high = 1e-9, 2.0
    while parameters(stretched(high)) < target:
        low, high = high, 2 * high
    while high - low > 1e-4 * high:
        middle = (low + high) / 2
        low, high = (middle, high) if parameters(stretched(middle)) < target else (low, middle)
    # Widths step one by one: the best is the last below, the first above, or one step beside.
    candidates = [widths for factor in (low, high) for widths in _steps(stretched(factor))]
    best = min(candidates, key=lambda widths: (abs(parameters(widths) - target), widths))
    count = parameters(best)
    if abs(count - target) > TOLERANCE * target:
        what = f"no encoder comes within 1 % of {target} parameters: widths {best} give {count}"
        raise InputError(where, what, "change network.hidden or the model to match")
    return best


def _steps(widths: list[int]) -> list[list[int]]:
    neighbours = [
        [max(1, width + step * (index == changed)) for index, width in enumerate(widths)]
        for changed in range(len(widths))
        for step in (-1, 1)
    ]
    return [widths, *neighbours]


def check_sides(where: str, network: Network, sides: Sequence[int]) -> None:
    """Refuse images and sequences that a convolutional network cannot read.

    Raises:
        InputError: where they are smaller than filters or kernel allow.
    """
    longest, size = max(sides), " × ".join(str(side) for side in sides)
    noun, least = ("image", "a single pixel") if len(sides) > 1 else ("sequence", "a single step")
    size += "" if len(sides) > 1 else " steps"
    halvings = (longest - 1).bit_length()  # ceil(log2(longest))
    if len(network.filters) > halvings:
        what = f"network.filters: {network.filters} are {len(network.filters)} convolutions, "
        what += f"each of which halves the {noun}: {size} is {least} after {halvings}"
        mend = f"name at most {halvings} filters" if halvings else "take network.kind: dense"
        raise InputError(where, what, mend)
    if network.kernel_size > longest:
        what = f"network.kernel_size: {network.kernel_size} is larger than the {noun}s, {size}"
        raise InputError(where, what, f"at most {longest}")


def check_recurrent(where: str, network: Network, sides: Sequence[int]) -> None:
    """Refuse a recurrent network without a recurrent layer.

    Raises:
        InputError: where ``network.hidden`` is empty.
    """
    if not network.hidden:
        what = "network.hidden: [] leaves network.kind: recurrent without a layer"
        raise InputError(where, what, "name the units of at least one layer, hidden: [32]")


def one_bit_codes(params: Params) -> str:
    """Warning of codes of unit norm with one coordinate, which is 1 or -1; ``""`` without any."""
    places = [
        f"model {setting.label}"
        for setting in params.settings
        if setting.network.latent_dim == 1
        and setting.network.normalize == "unit"
        and "unit_code" in setting.spec.system_record.code_layers
    ]
    places += [
        f"the reference of offset {name}"
        for name, offset in params.offsets.items()
        if offset.fitted_loss is not None
        and getattr(offset, "normalize", False)
        and 1 in params.latent_dims(name)
    ]
    if not places:
        return ""
    what = "latent_dim: 1 with normalize: unit leaves a code of 1 or -1, one bit per sample"
    return f"{what} ({', '.join(places)}): set normalize: none or a larger latent_dim"
