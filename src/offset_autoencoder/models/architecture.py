"""Architectures: what decides a model's layers, and its dense layers one by one.

Keras models, the NumPy forward pass and parameter counts are made from the same list of
:class:`DenseLayer`. Importing it starts no TensorFlow.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Annotated, Any

from offset_autoencoder.config.schema import Network
from offset_autoencoder.config.systems import SYSTEMS, System
from offset_autoencoder.config.values import Activation, Count, NonNegative, Section, member_of


class Architecture(Section):
    """Layers of one model, whatever its initial weights: what ``spec.json`` keeps of a network.

    Attributes:
        system: As in params.yaml, or what :attr:`.System.resolved_as` says instead.
        network: The ``network:`` section that holds for it.
        input_dim: Features of a sample.
        image_shape: Height, width and, where there are several, channels of a sample;
            None where it is no image or the network reads none.
        encoder_hidden: Hidden widths of the encoder where they are not the decoder's.
        second_rms: Root mean square per coordinate to which the second encoder's output is
            scaled; None: free.
        frozen: Whether it keeps its initial weights.
        combine: ``mean`` or ``sum`` of the encoders' codes.
        warmup_steps: Training steps over which the KL divergence's weight rises from 0.
    """

    system: Annotated[str, member_of(SYSTEMS)] = "additive"
    network: Network
    input_dim: Count
    image_shape: list[Count] | None = None
    encoder_hidden: list[Count] | None = None
    second_hidden: list[Count] | None = None
    second_activation: Activation | None = None
    second_rms: NonNegative | None = None
    frozen: bool | None = None
    encoders: Count | None = None
    combine: str | None = None
    beta: NonNegative | None = None
    warmup_steps: int | None = None
    function: str | None = None
    function_sha256: str | None = None

    @property
    def system_record(self) -> System:
        """The record of its system."""
        return SYSTEMS[self.system]

    @property
    def is_dense(self) -> bool:
        """True for Dense layers alone in one of the project's own systems."""
        return self.network.kind_record.is_dense and not self.system_record.is_users

    def dump(self) -> dict[str, Any]:
        """Values that decide it and no others, from which a run's id is made."""
        own = self.model_dump(mode="json", exclude_none=True, exclude={"network"})
        return {**own, "network": self.network.relevant}

    @property
    def key(self) -> str:
        """Equal for equal architectures, for grouping and sorting."""
        return repr(self.dump())


@dataclass(frozen=True)
class DenseLayer:
    """A Dense layer: ``activation(x @ kernel + bias)``.

    Its weights are ``name/kernel``, (inputs, units), and ``name/bias``, (units,).
    """

    name: str
    inputs: int
    units: int
    activation: str = "linear"
    trains: bool = True

    @property
    def parameters(self) -> int:
        """Number of its weights."""
        return (self.inputs + 1) * self.units


def encoder_layers(architecture: Architecture, prefix: str = "") -> list[DenseLayer]:
    """A dense encoder: hidden layers and the linear code, named as :func:`encoder_prefixes` say."""
    network = architecture.network
    widths = architecture.encoder_hidden or network.hidden
    names = f"{prefix}encoder_", f"{prefix}code"
    return _encoder(architecture, widths, network.activation, *names)


def encoder_prefixes(architecture: Architecture) -> list[str]:
    """The prefix of each encoder's layers: ``""``, ``"member_2_"`` ..."""
    others = range(2, 1 + (architecture.encoders or 1))
    return ["", *(f"member_{number}_" for number in others)]


def second_encoder_layers(architecture: Architecture) -> list[DenseLayer]:
    """The dense encoder that learns the offset: hidden layers and its linear output."""
    widths = architecture.second_hidden
    if widths is None:
        widths = architecture.encoder_hidden or architecture.network.hidden
    activation = architecture.second_activation or architecture.network.activation
    layers = _encoder(architecture, widths, activation, "second_encoder_", "second_code")
    return [replace(layer, trains=not architecture.frozen) for layer in layers]


def log_variance_layer(architecture: Architecture) -> DenseLayer:
    """The linear layer beside the code that gives the code's log variance."""
    name = str(architecture.system_record.log_variance_layer)
    return replace(encoder_layers(architecture)[-1], name=name)


def decoder_layers(architecture: Architecture) -> list[DenseLayer]:
    """A dense decoder, which mirrors ``network.hidden``."""
    network, code = architecture.network, architecture.network.latent_dim
    inputs = 2 * code if architecture.system_record.concatenates else code
    hidden = _chain(inputs, network.hidden[::-1], network.activation, "decoder_")
    width = hidden[-1].units if hidden else inputs
    return [*hidden, DenseLayer("reconstruction", width, architecture.input_dim, network.output)]


def dense_layers(architecture: Architecture) -> list[DenseLayer]:
    """Every layer of a dense architecture.

    Raises:
        ValueError: for another kind of network or the user's own function.
    """
    if not architecture.is_dense:
        raise ValueError("only dense networks of the project's own systems are counted")
    layers = [
        layer
        for prefix in encoder_prefixes(architecture)
        for layer in encoder_layers(architecture, prefix)
    ]
    if architecture.system_record.log_variance_layer:
        layers.append(log_variance_layer(architecture))
    if architecture.system_record.learns_offset:
        layers += second_encoder_layers(architecture)
    return layers + decoder_layers(architecture)


def count_parameters(architecture: Architecture) -> int:
    """Number of trainable parameters of a dense architecture, as :func:`dense_layers`."""
    return sum(layer.parameters for layer in dense_layers(architecture) if layer.trains)


def _encoder(
    architecture: Architecture, widths: Sequence[int], activation: str, hidden: str, code: str
) -> list[DenseLayer]:
    layers = _chain(architecture.input_dim, widths, activation, hidden)
    inputs = layers[-1].units if layers else architecture.input_dim
    return [*layers, DenseLayer(code, inputs, architecture.network.latent_dim)]


def _chain(inputs: int, widths: Sequence[int], activation: str, name: str) -> list[DenseLayer]:
    return [
        DenseLayer(f"{name}{number}", below, width, activation)
        for number, (below, width) in enumerate(itertools.pairwise([inputs, *widths]), start=1)
    ]


def steps_per_epoch(samples: int, batch_size: int) -> int:
    """Batches per epoch, the last one possibly smaller."""
    return -(-samples // batch_size)
