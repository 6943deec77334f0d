"""Layers of each kind of network: the encoder up to its last hidden layer, and the decoder.

Shapes and names are those of :class:`.schema.NetworkKind`; layers have the same names whatever
the system, so that one seed gives the same encoder and decoder in all of them.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, NamedTuple

from offset_autoencoder.models import layers
from offset_autoencoder.models.architecture import Architecture, DenseLayer
from offset_autoencoder.models.backend import keras

Tensor = Any


def encode_dense(architecture: Architecture, x: Tensor, seed: int, prefix: str, **_: Any) -> Tensor:
    """A Dense layer for each hidden width."""
    return through(architecture, architecture.encoder_layers(prefix)[:-1], x, seed)


def decode_dense(architecture: Architecture, code: Tensor, seed: int) -> Tensor:
    """The hidden widths backwards, then a Dense layer with the output's activation."""
    return through(architecture, architecture.decoder_layers, code, seed)


def through(
    architecture: Architecture, stack: Sequence[DenseLayer], x: Tensor, seed: int
) -> Tensor:
    """Output of Dense layers, one after the other, with the network's dropout after hidden ones."""
    network = architecture.network
    for layer in stack:
        arguments = (layer.units, layer.activation, layer.name, seed, network.initializer)
        x = layers.dense(*arguments, trainable=layer.trains)(x)
        if layer.is_hidden and layer.trains:  # what is frozen is a function of x alone
            x = layers.dropout(x, network.dropout, layer.name, seed)
    return x


def encode_convolutional(
    architecture: Architecture, x: Tensor, seed: int, prefix: str, **options: Any
) -> Tensor:
    """A convolution of stride 2 for each number of filters, over an image or a series."""
    network, grid = architecture.network, _Grid.of(architecture)
    kind = layers.STRIDED[len(grid.sides)].convolution
    features = _to_grid(grid, x, prefix)
    for number, filters in enumerate(network.filters, start=1):
        name = f"{prefix}encoder_{number}"
        arguments = (kind, filters, network.kernel_size, name, seed, network.initializer)
        features = layers.strided(*arguments, **options)(features)
        if options["trainable"]:
            features = layers.dropout(features, network.dropout, name, seed)
    return keras.layers.Flatten(name=f"{prefix}flat")(features)


def decode_convolutional(architecture: Architecture, code: Tensor, seed: int) -> Tensor:
    """A Dense layer, then transposed convolutions; what is too large is cropped."""
    network, grid = architecture.network, _Grid.of(architecture)
    _, transposed, cropping = layers.STRIDED[len(grid.sides)]
    halvings = len(network.filters)
    start = (*(-(-side // 2**halvings) for side in grid.sides), network.filters[-1])
    hidden = [DenseLayer("decoder_dense", 0, math.prod(start), network.activation, is_hidden=True)]
    image = through(architecture, hidden, code, seed)
    image = keras.layers.Reshape(start, name="decoder_image")(image)
    outputs = [*reversed(network.filters[:-1]), grid.channels]
    for number, filters in enumerate(outputs, start=1):
        name, activation = f"decoder_{number}", network.activation
        if number == halvings:
            name, activation = "reconstruction_image", "linear"
        arguments = (transposed, filters, network.kernel_size, name, seed, network.initializer)
        image = layers.strided(*arguments, activation=activation)(image)
        if number < halvings:
            image = layers.dropout(image, network.dropout, name, seed)
    surplus = [now - side for now, side in zip(image.shape[1:-1], grid.sides, strict=True)]
    if any(surplus):
        crop = tuple((extra // 2, extra - extra // 2) for extra in surplus)
        crop = crop if len(crop) > 1 else crop[0]
        image = cropping(crop, name="crop")(image)
    return _from_grid(architecture, grid, image)


def encode_recurrent(
    architecture: Architecture, x: Tensor, seed: int, prefix: str, *, trainable: bool, **_: Any
) -> Tensor:
    """A recurrent layer for each hidden width, over the steps of a series; the last step's output.

    Their activations are Keras's own, whatever the network's: a GPU has kernels for these alone.
    """
    network, grid = architecture.network, _Grid.of(architecture)
    features = _to_grid(grid, x, prefix)
    for number, width in enumerate(network.hidden, start=1):
        name, whole = f"{prefix}encoder_{number}", number < len(network.hidden)
        options: dict[str, Any] = {"return_sequences": whole, "trainable": trainable}
        arguments = (network.cell, width, name, seed, network.initializer)
        features = layers.recurrent(*arguments, **options)(features)
        if trainable:
            features = layers.dropout(features, network.dropout, name, seed)
    return features


def decode_recurrent(architecture: Architecture, code: Tensor, seed: int) -> Tensor:
    """The code at every step, recurrent layers of the hidden widths backwards, a Dense per step."""
    network, grid = architecture.network, _Grid.of(architecture)
    steps = keras.layers.RepeatVector(*grid.sides, name="decoder_steps")(code)
    for number, width in enumerate(reversed(network.hidden), start=1):
        name = f"decoder_{number}"
        arguments = (network.cell, width, name, seed, network.initializer)
        steps = layers.recurrent(*arguments, return_sequences=True)(steps)
        steps = layers.dropout(steps, network.dropout, name, seed)
    last = [DenseLayer("reconstruction_steps", 0, grid.channels)]
    return _from_grid(architecture, grid, through(architecture, last, steps, seed))


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


def _to_grid(grid: _Grid, x: Tensor, prefix: str) -> Tensor:
    """Flat samples as (batch, *sides, channels)."""
    if not grid.channels_first:
        return keras.layers.Reshape((*grid.sides, grid.channels), name=f"{prefix}image")(x)
    image = keras.layers.Reshape((grid.channels, *grid.sides), name=f"{prefix}channels_first")(x)
    axes = (*range(2, 2 + len(grid.sides)), 1)
    return keras.layers.Permute(axes, name=f"{prefix}image")(image)


def _from_grid(architecture: Architecture, grid: _Grid, image: Tensor) -> Tensor:
    """Reconstruction, flat as the samples are, of the linear output of the decoder's last layer."""
    if grid.channels_first:
        axes = (1 + len(grid.sides), *range(1, 1 + len(grid.sides)))
        image = keras.layers.Permute(axes, name="reconstruction_channels_first")(image)
    flat = keras.layers.Reshape((architecture.input_dim,), name="reconstruction_flat")(image)
    return keras.layers.Activation(architecture.network.output, name="reconstruction")(flat)
