"""The architecture of every setting: what params.yaml leaves to the data and to other models."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from offset_autoencoder.config import Setting
from offset_autoencoder.config.architecture import Architecture, architecture_of
from offset_autoencoder.config.schema import Network
from offset_autoencoder.config.width import count_parameters, matching_widths
from offset_autoencoder.errors import InputError
from offset_autoencoder.training.batches import steps_an_epoch
from offset_autoencoder.user_code import digest_of_user_code, find_attribute


def resolve_architectures(
    settings: Sequence[Setting],
    *,
    input_dim: int,
    image_shape: Sequence[int] | None,
    samples: int,
) -> list[Architecture]:
    """The architecture of each setting, in their order.

    Args:
        settings: The settings; one of system ``wide`` is matched to the others.
        input_dim: Features of a sample.
        image_shape: The shape of a sample, where it is an image.
        samples: Training samples.

    Raises:
        InputError: where a convolutional network gets samples that are no images, or too
            small ones, where no width matches, or where the user's own function is not found.
    """

    def resolve(setting: Setting, encoder_hidden: Sequence[int] | None = None) -> Architecture:
        where = f"params.yaml: models.{setting.model}"
        spec = setting.spec
        if setting.network.kind == "convolutional":
            _check_images(where, setting.network, image_shape)
        digest = None
        if spec.function:
            digest = digest_of_user_code(f"{where}.function", spec.function)
            find_attribute(f"{where}.function", spec.function)
        return architecture_of(
            setting,
            input_dim=input_dim,
            image_shape=image_shape,
            steps_an_epoch=steps_an_epoch(samples, setting.train.batch_size),
            encoder_hidden=encoder_hidden,
            function_sha256=digest,
        )

    def widened(setting: Setting) -> Architecture:
        where = f"params.yaml: models.{setting.model}.match"
        target = resolve(model_to_match(where, setting, settings))
        if target.network.kind != "dense":
            raise InputError(where, "names a convolutional model: only dense ones can be matched")
        widths = matching_widths(where, setting.network, input_dim, count_parameters(target))
        return resolve(setting, widths)

    return [
        widened(setting) if setting.spec.system == "wide" else resolve(setting)
        for setting in settings
    ]


def model_to_match(where: str, setting: Setting, settings: Sequence[Setting]) -> Setting:
    """The setting of the model that a wide one names: the one with the same network.

    Raises:
        InputError: where the model has no setting with this network, or several whose
            number of parameters differs by design.
    """
    named = [other for other in settings if other.model == setting.spec.match]
    alike = [other for other in named if other.network == setting.network]
    if not alike:
        raise InputError(
            where,
            f"model {setting.spec.match!r} has no setting with the network of {setting.label!r}: "
            + _what_differs(setting.network, [other.network for other in named]),
            "let both have the same network",
        )
    if len({repr(other.spec.options) for other in alike}) > 1:
        raise InputError(
            where,
            f"model {setting.spec.match!r} sweeps what decides its parameters: which one is meant "
            "is not clear",
            "name a model that does not",
        )
    return alike[0]


def _what_differs(network: Network, others: Sequence[Network]) -> str:
    """The keys in which the nearest of other networks differs: ``"hidden is [9] there, [8] here"``.

    Where it sweeps such a key, all its values are named.
    """
    own = network.model_dump()

    def different(other: Network) -> list[str]:
        return [key for key, value in other.model_dump().items() if value != own[key]]

    clauses = []
    for key in min((different(other) for other in others), key=len):
        there: list[Any] = []
        for other in others:
            if (value := getattr(other, key)) not in there:
                there.append(value)
        clauses.append(f"{key} is {' or '.join(map(str, there))} there, {own[key]} here")
    return "; ".join(clauses)


def _check_images(where: str, network: Network, image_shape: Sequence[int] | None) -> None:
    if image_shape is None:
        raise InputError(
            where,
            "network.kind: convolutional needs samples that are images",
            "set data.image_shape: [height, width]",
        )
    height, width = image_shape[:2]
    longest = max(height, width)
    halvings = (longest - 1).bit_length()  # ceil(log2(longest))
    if len(network.filters) > halvings:
        raise InputError(
            where,
            f"network.filters: {network.filters} are {len(network.filters)} convolutions, each of "
            f"which halves the image: {height} × {width} is a single pixel after {halvings}",
            f"name at most {halvings} filters" if halvings else "take network.kind: dense",
        )
    if network.kernel_size > longest:
        raise InputError(
            where,
            f"network.kernel_size: {network.kernel_size} is larger than the images, "
            f"{height} × {width}",
            f"at most {longest}",
        )
