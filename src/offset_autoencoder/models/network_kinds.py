"""Layers of each kind of network: the encoder up to its last hidden layer, and the decoder.

Shapes and names are those of :class:`.schema.NetworkKind`; layers have the same names whatever
the system, so that one seed gives the same encoder and decoder in all of them. Of Keras only the
names of classes and arguments stand here.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, NamedTuple

from offset_autoencoder.models.architecture import Architecture, DenseLayer
from offset_autoencoder.models.graph import Node, layer

# Keras's layers over so many dimensions: a convolution, the transposed one, and cropping.
_STRIDED = {
    1: ("Conv1D", "Conv1DTranspose", "Cropping1D"),
    2: ("Conv2D", "Conv2DTranspose", "Cropping2D"),
}
_CELLS = {"gru": "GRU", "lstm": "LSTM"}


def encode_dense(architecture: Architecture, x: Node, prefix: str, **_: Any) -> Node:
    """A Dense layer for each hidden width."""
    return through(architecture, architecture.encoder_layers(prefix)[:-1], x)


def decode_dense(architecture: Architecture, code: Node) -> Node:
    """The hidden widths backwards, then a Dense layer with the output's activation."""
    return through(architecture, architecture.decoder_layers, code)


def through(architecture: Architecture, stack: Sequence[DenseLayer], x: Node) -> Node:
    """Output of Dense layers, one after the other, with the network's dropout after hidden ones."""
    network = architecture.network
    for dense in stack:
        x = layer(
            "Dense",
            dense.name,
            x,
            units=dense.units,
            activation=dense.activation,
            kernel_initializer=network.initializer,
            trainable=dense.trains,
        )
        if dense.is_hidden and dense.trains:  # what is frozen is a function of x alone
            x = _dropout(x, network.dropout)
    return x


def _dropout(x: Node, rate: float) -> Node:
    """Outputs of a layer with this share of them set to 0 in training (Srivastava et al. 2014).

    Those that are left are divided by 1 − rate. Without a rate they are x itself.
    """
    return layer("Dropout", f"{x.name}_dropout", x, rate=rate) if rate else x


def _strided(
    architecture: Architecture, kind: str, filters: int, name: str, x: Node, **options: Any
) -> Node:
    """A convolution of stride 2: halves all sides, rounding up; transposed, doubles them."""
    network = architecture.network
    options |= {"strides": 2, "padding": "same", "kernel_initializer": network.initializer}
    return layer(kind, name, x, filters=filters, kernel_size=network.kernel_size, **options)


def _recurrent(architecture: Architecture, width: int, name: str, x: Node, **options: Any) -> Node:
    """A recurrent layer: kernel by an initializer, recurrent kernel orthogonal, Keras's biases."""
    initializers = {
        "kernel_initializer": architecture.network.initializer,
        "recurrent_initializer": "orthogonal",
    }
    kind = _CELLS[str(architecture.network.cell)]
    return layer(kind, name, x, units=width, **initializers, **options)


def encode_convolutional(architecture: Architecture, x: Node, prefix: str, **options: Any) -> Node:
    """A convolution of stride 2 for each number of filters, over an image or a series."""
    network, grid = architecture.network, _Grid.of(architecture)
    convolution, _, _ = _STRIDED[len(grid.sides)]
    features = _to_grid(grid, x, prefix)
    for number, filters in enumerate(network.filters, start=1):
        name = f"{prefix}encoder_{number}"
        features = _strided(architecture, convolution, filters, name, features, **options)
        if options["trainable"]:
            features = _dropout(features, network.dropout)
    return layer("Flatten", f"{prefix}flat", features)


def decode_convolutional(architecture: Architecture, code: Node) -> Node:
    """A Dense layer, then transposed convolutions; what is too large is cropped."""
    network, grid = architecture.network, _Grid.of(architecture)
    _, transposed, cropping = _STRIDED[len(grid.sides)]
    halvings = len(network.filters)
    start = (*(-(-side // 2**halvings) for side in grid.sides), network.filters[-1])
    hidden = [DenseLayer("decoder_dense", 0, math.prod(start), network.activation, is_hidden=True)]
    image = through(architecture, hidden, code)
    image = layer("Reshape", "decoder_image", image, target_shape=start)
    outputs = [*reversed(network.filters[:-1]), grid.channels]
    for number, filters in enumerate(outputs, start=1):
        name, activation = f"decoder_{number}", network.activation
        if number == halvings:
            name, activation = "reconstruction_image", "linear"
        image = _strided(architecture, transposed, filters, name, image, activation=activation)
        if number < halvings:
            image = _dropout(image, network.dropout)
    surplus = [few * 2**halvings - side for few, side in zip(start, grid.sides, strict=False)]
    if any(surplus):
        crop = tuple((extra // 2, extra - extra // 2) for extra in surplus)
        crop = crop if len(crop) > 1 else crop[0]
        image = layer(cropping, "crop", image, cropping=crop)
    return _from_grid(architecture, grid, image)


def encode_recurrent(
    architecture: Architecture, x: Node, prefix: str, *, trainable: bool, **_: Any
) -> Node:
    """A recurrent layer for each hidden width, over the steps of a series; the last step's output.

    Their activations are Keras's own, whatever the network's: a GPU has kernels for these alone.
    """
    network, grid = architecture.network, _Grid.of(architecture)
    features = _to_grid(grid, x, prefix)
    for number, width in enumerate(network.hidden, start=1):
        name, whole = f"{prefix}encoder_{number}", number < len(network.hidden)
        options: dict[str, Any] = {"return_sequences": whole, "trainable": trainable}
        features = _recurrent(architecture, width, name, features, **options)
        if trainable:
            features = _dropout(features, network.dropout)
    return features


def decode_recurrent(architecture: Architecture, code: Node) -> Node:
    """The code at every step, recurrent layers of the hidden widths backwards, a Dense per step."""
    network, grid = architecture.network, _Grid.of(architecture)
    steps = layer("RepeatVector", "decoder_steps", code, n=grid.sides[0])
    for number, width in enumerate(reversed(network.hidden), start=1):
        name = f"decoder_{number}"
        steps = _recurrent(architecture, width, name, steps, return_sequences=True)
        steps = _dropout(steps, network.dropout)
    last = [DenseLayer("reconstruction_steps", 0, grid.channels)]
    return _from_grid(architecture, grid, through(architecture, last, steps))


class _Grid(NamedTuple):
    """Sides of a sample, height and width or steps, its channels, and whether these stand first."""

    sides: tuple[int, ...]
    channels: int
    channels_first: bool

    @classmethod
    def of(cls, architecture: Architecture) -> _Grid:
        """The one that the network's kind reads."""
        network, first = architecture.network, bool(architecture.channels_first)
        reads = str(network.kind_record.reads)
        dimensions = {"image_shape": (2, 3), "sequence_shape": (2,)}[reads]
        shape = getattr(architecture, reads)
        if shape is None or len(shape) not in dimensions:
            noun = reads.replace("_", " ")
            raise ValueError(f"a {network.kind} network needs samples with a valid {noun}")
        if len(shape) == 2 and reads == "image_shape":
            return cls(tuple(shape), 1, False)
        return cls(tuple(shape[1:] if first else shape[:-1]), shape[0 if first else -1], first)


def _to_grid(grid: _Grid, x: Node, prefix: str) -> Node:
    """Flat samples as (batch, *sides, channels)."""
    if not grid.channels_first:
        shape = (*grid.sides, grid.channels)
        return layer("Reshape", f"{prefix}image", x, target_shape=shape)
    shape = (grid.channels, *grid.sides)
    image = layer("Reshape", f"{prefix}channels_first", x, target_shape=shape)
    axes = (*range(2, 2 + len(grid.sides)), 1)
    return layer("Permute", f"{prefix}image", image, dims=axes)


def _from_grid(architecture: Architecture, grid: _Grid, image: Node) -> Node:
    """Reconstruction, flat as the samples are, of the linear output of the decoder's last layer."""
    if grid.channels_first:
        axes = (1 + len(grid.sides), *range(1, 1 + len(grid.sides)))
        image = layer("Permute", "reconstruction_channels_first", image, dims=axes)
    flat = layer("Reshape", "reconstruction_flat", image, target_shape=(architecture.input_dim,))
    return layer("Activation", "reconstruction", flat, activation=architecture.network.output)
