"""The widths at which one encoder has as many parameters as another model."""

from __future__ import annotations

import itertools
from collections.abc import Sequence

from offset_autoencoder.config.architecture import Architecture
from offset_autoencoder.config.schema import Network
from offset_autoencoder.errors import InputError

TOLERANCE = 0.01


def count_parameters(architecture: Architecture) -> int:
    """Trainable parameters of a dense architecture that is not the user's own.

    Raises:
        ValueError: for a convolutional network or the user's own function.
    """
    network = architecture.network
    if network.kind != "dense" or architecture.system == "function":
        raise ValueError("only dense networks of the project's own systems are counted")
    features, code = architecture.input_dim, network.latent_dim
    hidden = architecture.encoder_hidden or network.hidden
    encoder = _dense([features, *hidden, code])
    read = 2 * code if architecture.system == "concatenate" else code
    total = encoder + _dense([read, *reversed(network.hidden), features])
    if architecture.system == "ensemble":
        total += encoder * ((architecture.encoders or 1) - 1)
    if architecture.system == "two_encoder" and not architecture.frozen:
        own = architecture.second_hidden
        total += _dense([features, *(hidden if own is None else own), code])
    if architecture.system == "vae":
        total += _dense([(hidden or [features])[-1], code])
    return total


def matching_widths(where: str, network: Network, input_dim: int, target: int) -> list[int]:
    """Hidden widths of an encoder that bring a model to a number of parameters.

    All widths of ``network.hidden`` are stretched by one factor and rounded; of all such
    encoders the one nearest to the target is taken.

    Args:
        where: The place that errors name.
        network: The network; its decoder stays as it is.
        input_dim: Features of a sample.
        target: Trainable parameters of the model to match.

    Returns:
        The widths, one for each of ``network.hidden``.

    Raises:
        InputError: where there is nothing to stretch, or none comes within 1 %.
    """
    if network.kind != "dense" or not network.hidden:
        raise InputError(
            where, "needs a dense network with a hidden layer: there is no width to choose"
        )

    def parameters(widths: Sequence[int]) -> int:
        return count_parameters(
            Architecture(network=network, input_dim=input_dim, encoder_hidden=list(widths))
        )

    def stretched(factor: float) -> list[int]:
        return [max(1, round(factor * width)) for width in network.hidden]

    low, high = 1e-9, 2.0
    while parameters(stretched(high)) < target:
        low, high = high, 2 * high
    while high - low > 1e-4 * high:
        middle = (low + high) / 2
        low, high = (middle, high) if parameters(stretched(middle)) < target else (low, middle)
    # Widths step one by one: the best is the last below, the first above, or one step beside.
    around = [widths for factor in (low, high) for widths in _steps(stretched(factor))]
    best = min(around, key=lambda widths: (abs(parameters(widths) - target), widths))
    found = parameters(best)
    if abs(found - target) > TOLERANCE * target:
        raise InputError(
            where,
            f"no encoder comes within 1 % of {target} parameters: widths {best} give {found}",
            "change network.hidden or the model to match",
        )
    return best


def _steps(widths: list[int]) -> list[list[int]]:
    """The widths, and those with one of them a step narrower or wider."""
    beside = [
        [max(1, width + step * (index == place)) for index, width in enumerate(widths)]
        for place in range(len(widths))
        for step in (-1, 1)
    ]
    return [widths, *beside]


def _dense(widths: Sequence[int]) -> int:
    return sum((above + 1) * below for above, below in itertools.pairwise(widths))
