"""Architectures: what decides a model's layers, and its dense layers one by one.

Keras models, the NumPy forward pass and parameter counts are made from the same list of
:class:`DenseLayer`. Importing it starts no TensorFlow.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Annotated, Any

from offset_autoencoder.config.schema import Network
from offset_autoencoder.config.systems import SYSTEMS, System
from offset_autoencoder.config.values import Activation, Count, NonNegative, Section, member_of


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
    is_hidden: bool = False


class Architecture(Section):
    """Layers of one model, whatever its initial weights: what ``spec.json`` keeps of a network.

    Attributes:
        system: As in params.yaml, or what :attr:`.System.resolved_as` says instead.
        network: The ``network:`` section that holds for it.
        input_dim: Features of a sample.
        image_shape: Height, width and, where there are several, channels of a sample;
            None where it is no image or the network reads none.
        sequence_shape: Steps and channels of a sample that is a series, or None likewise.
        channels_first: True where the channels stand first in these; None where they do not.
        encoder_hidden: Hidden widths of the encoder where they are not the decoder's.
        second_rms: Root mean square per coordinate to which the second encoder's output is
            scaled; None: free.
        frozen: Whether the second encoder keeps its initial weights.
        combine: ``mean`` or ``sum`` of the encoders' codes.
        warmup_steps: Training steps over which the KL divergence's weight rises from 0.
    """

    system: Annotated[str, member_of(SYSTEMS)] = "additive"
    network: Network
    input_dim: Count
    image_shape: list[Count] | None = None
    sequence_shape: list[Count] | None = None
    channels_first: bool | None = None
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

    @property
    def encoder_prefixes(self) -> list[str]:
        """The prefix of each encoder's layers: ``""``, ``"member_2_"`` ..."""
        return ["", *(f"member_{number}_" for number in range(2, 1 + (self.encoders or 1)))]

    def encoder_layers(self, prefix: str = "") -> list[DenseLayer]:
        """A dense encoder: hidden layers and the linear code, named with one of the prefixes."""
        widths, activation = self.encoder_hidden or self.network.hidden, self.network.activation
        code = f"{prefix}code", self.network.latent_dim, "linear"
        return _stack(self.input_dim, widths, activation, f"{prefix}encoder_", code)

    @property
    def second_encoder_layers(self) -> list[DenseLayer]:
        """The dense encoder that learns the offset: hidden layers and its linear output."""
        widths = self.second_hidden
        if widths is None:
            widths = self.encoder_hidden or self.network.hidden
        activation = self.second_activation or self.network.activation
        code = "second_code", self.network.latent_dim, "linear"
        layers = _stack(self.input_dim, widths, activation, "second_encoder_", code)
        return [replace(layer, trains=not self.frozen) for layer in layers]

    @property
    def log_variance_layer(self) -> DenseLayer:
        """The linear layer beside the code that gives the code's log variance."""
        return replace(self.encoder_layers()[-1], name=str(self.system_record.log_variance_layer))

    @property
    def decoder_layers(self) -> list[DenseLayer]:
        """A dense decoder, which mirrors ``network.hidden``."""
        network = self.network
        inputs = network.latent_dim * (2 if self.system_record.concatenates else 1)
        output = "reconstruction", self.input_dim, network.output
        return _stack(inputs, network.hidden[::-1], network.activation, "decoder_", output)

    @property
    def dense_layers(self) -> list[DenseLayer]:
        """Every layer of a dense architecture.

        Raises:
            ValueError: for another kind of network or the user's own function.
        """
        if not self.is_dense:
            raise ValueError("only dense networks of the project's own systems are counted")
        layers: list[DenseLayer] = []
        for prefix in self.encoder_prefixes:
            layers += self.encoder_layers(prefix)
        if self.system_record.log_variance_layer:
            layers.append(self.log_variance_layer)
        if self.system_record.learns_offset:
            layers += self.second_encoder_layers
        return layers + self.decoder_layers

    @property
    def trainable_parameters(self) -> int:
        """Number of trainable parameters of a dense architecture; errors as `dense_layers`."""
        return sum((d.inputs + 1) * d.units for d in self.dense_layers if d.trains)


def _stack(
    inputs: int, widths: list[int], activation: str, name: str, last: tuple[str, int, str]
) -> list[DenseLayer]:
    """Hidden layers, numbered from 1, and the last one: its name, units and activation."""
    rows = [(f"{name}{number}", width, activation) for number, width in enumerate(widths, start=1)]
    layers = []
    for number, row in enumerate([*rows, last]):
        layers.append(DenseLayer(row[0], inputs, *row[1:], is_hidden=number < len(rows)))
        inputs = row[1]
    return layers


def steps_per_epoch(samples: int, batch_size: int) -> int:
    """Batches per epoch, the last one possibly smaller."""
    return -(-samples // batch_size)
