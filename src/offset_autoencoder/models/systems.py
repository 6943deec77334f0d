"""Keras layers of each system, and the encoders and decoders of each kind of network.

Builders of systems take the inputs ``x`` and ``offset`` (and ``noise`` where it is an input) and
return the reconstruction. Layers have the same names in every system, so that one seed gives
the same encoder and decoder in all of them.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from offset_autoencoder.config.registries import LOSSES, load
from offset_autoencoder.models.architecture import (
    Architecture,
    DenseLayer,
    decoder_layers,
    encoder_layers,
    encoder_prefixes,
    second_encoder_layers,
)
from offset_autoencoder.models.backend import keras
from offset_autoencoder.models.layers import (
    CodeNoise,
    SampledCode,
    UnitNorm,
    dense,
    layer_seed,
    strided,
)

Tensor = Any
Inputs = dict[str, Tensor]


def additive(architecture: Architecture, inputs: Inputs, seed: int, stddev: float) -> Tensor:
    """The code is ``z = encoder(x) + offset + stddev · n``."""
    code = encode(architecture, inputs["x"], seed)
    return _add_and_decode(architecture, code, inputs["offset"], seed, stddev)


def concatenate(architecture: Architecture, inputs: Inputs, seed: int, stddev: float) -> Tensor:
    """The decoder reads [encoder(x) + stddev · n, offset]."""
    code = encode(architecture, inputs["x"], seed)
    if "noise" in inputs:
        code = keras.layers.Add(name="code_plus_noise")([code, inputs["noise"]])
    elif stddev:
        code = CodeNoise(stddev, layer_seed(seed, "noise"), name="noise")(code)
    both = keras.layers.Concatenate(name="code_and_offset")([code, inputs["offset"]])
    return decode(architecture, both, seed)


def two_encoder(architecture: Architecture, inputs: Inputs, seed: int, stddev: float) -> Tensor:
    """With f a second encoder, trained or frozen: z = encoder(x) + f(x) + offset + stddev · n.

    Where f is scaled, every f(x) has the norm ``second_rms · √L``.
    """
    network, trainable = architecture.network, not architecture.frozen
    code = encode(architecture, inputs["x"], seed)
    latent_dim, x = network.latent_dim, inputs["x"]
    if network.kind_record.is_dense or architecture.second_hidden is not None:
        second = _through(second_encoder_layers(architecture), x, seed)
    else:
        options = {"activation": architecture.second_activation, "trainable": trainable}
        features = encode_hidden(architecture, x, seed, "second_", **options)
        second = dense(latent_dim, "linear", "second_code", seed, trainable=trainable)(features)
    if architecture.second_rms is not None:
        second = UnitNorm(name="second_unit_code")(second)
        norm = architecture.second_rms * math.sqrt(latent_dim)
        second = keras.layers.Rescaling(norm, name="second_scaled_code")(second)
    second = keras.layers.Add(name="second_code_plus_offset")([second, inputs["offset"]])
    return _add_and_decode(architecture, code, second, seed, stddev)


def ensemble(architecture: Architecture, inputs: Inputs, seed: int, stddev: float) -> Tensor:
    """The code is ``z = combined + offset + stddev · n``, combined over the encoders' codes."""
    prefixes = encoder_prefixes(architecture)
    codes = [encode(architecture, inputs["x"], seed, prefix) for prefix in prefixes]
    combine = {"mean": keras.layers.Average, "sum": keras.layers.Add}
    code = combine[architecture.combine or "mean"](name="ensemble_code")(codes)
    return _add_and_decode(architecture, code, inputs["offset"], seed, stddev)


def vae(architecture: Architecture, inputs: Inputs, seed: int, stddev: float) -> Tensor:
    """Offset plus a draw from N(mean(x), variance(x)), whose divergence from N(0, 1) is a loss too.

    The KL divergence, in nats per sample, is brought to the scale of the reconstruction loss, so
    that beta = 1 is the evidence lower bound for every loss: for binary and categorical
    cross-entropy of the data's likelihood, for squared error of a Gaussian with variance ½.
    """
    network = architecture.network
    log_variance_name = str(architecture.system_record.log_variance_layer)
    features = encode_hidden(architecture, inputs["x"], seed)
    mean = dense(network.latent_dim, "linear", "code", seed)(features)
    log_variance = dense(network.latent_dim, "linear", log_variance_name, seed)(features)
    draws = [inputs["noise"]] if "noise" in inputs else []
    code = SampledCode(
        beta=1.0 if architecture.beta is None else architecture.beta,
        scale=LOSSES[network.loss].nats_factor(architecture.input_dim),
        warmup_steps=architecture.warmup_steps or 0,
        seed=layer_seed(seed, "sampled_code"),
        name="sampled_code",
    )([mean, log_variance, *draws])
    return _add_and_decode(architecture, code, inputs["offset"], seed, stddev)


def _add_and_decode(
    architecture: Architecture, code: Tensor, offset: Tensor, seed: int, stddev: float
) -> Tensor:
    added = keras.layers.Add(name="code_plus_offset")([code, offset])
    if stddev:
        added = CodeNoise(stddev, layer_seed(seed, "noise"), name="noise")(added)
    return decode(architecture, added, seed)


def encode_hidden(
    architecture: Architecture, x: Tensor, seed: int, prefix: str = "", **options: Any
) -> Tensor:
    """The encoder up to its last hidden layer: features (batch, any width) of x (batch, D).

    ``prefix`` is put before the layers' names; ``activation`` and ``trainable`` of all these
    layers may be given, where they are not the network's and true.
    """
    options["activation"] = options.get("activation") or architecture.network.activation
    encode = load(architecture.network.kind_record.encode)
    return encode(architecture, x, seed, prefix, **{"trainable": True, **options})


def encode(architecture: Architecture, x: Tensor, seed: int, prefix: str = "") -> Tensor:
    """The code (batch, L): hidden layers, a linear Dense layer, unit L2 norm if asked for."""
    network = architecture.network
    features = encode_hidden(architecture, x, seed, prefix)
    code = dense(network.latent_dim, "linear", f"{prefix}code", seed)(features)
    return UnitNorm(name=f"{prefix}unit_code")(code) if network.normalize else code


def decode(architecture: Architecture, code: Tensor, seed: int) -> Tensor:
    """The decoder, which mirrors the encoder: from (batch, any width) to (batch, input_dim)."""
    return load(architecture.network.kind_record.decode)(architecture, code, seed)


def encode_dense(architecture: Architecture, x: Tensor, seed: int, prefix: str, **_: Any) -> Tensor:
    """A Dense layer for each hidden width."""
    return _through(encoder_layers(architecture, prefix)[:-1], x, seed)


def decode_dense(architecture: Architecture, code: Tensor, seed: int) -> Tensor:
    """The hidden widths backwards, then a Dense layer with the output's activation."""
    return _through(decoder_layers(architecture), code, seed)


def encode_convolutional(
    architecture: Architecture, x: Tensor, seed: int, prefix: str, **options: Any
) -> Tensor:
    """A convolution of stride 2 for each number of filters."""
    network = architecture.network
    features = keras.layers.Reshape(_image(architecture), name=f"{prefix}image")(x)
    for number, filters in enumerate(network.filters, start=1):
        name = f"{prefix}encoder_{number}"
        layer = strided(keras.layers.Conv2D, filters, network.kernel_size, name, seed, **options)
        features = layer(features)
    return keras.layers.Flatten(name=f"{prefix}flat")(features)


def decode_convolutional(architecture: Architecture, code: Tensor, seed: int) -> Tensor:
    """A Dense layer, then transposed convolutions; what is too large is cropped."""
    network = architecture.network
    height, width, channels = _image(architecture)
    halvings = len(network.filters)
    small = [-(-side // 2**halvings) for side in (height, width)]
    start = (*small, network.filters[-1])
    image = dense(math.prod(start), network.activation, "decoder_dense", seed)(code)
    image = keras.layers.Reshape(start, name="decoder_image")(image)
    outputs = [*reversed(network.filters[:-1]), channels]
    for number, filters in enumerate(outputs, start=1):
        name, activation = f"decoder_{number}", network.activation
        if number == halvings:
            name, activation = "reconstruction_image", "linear"
        size, transposed = network.kernel_size, keras.layers.Conv2DTranspose
        image = strided(transposed, filters, size, name, seed, activation=activation)(image)
    surplus = [image.shape[1] - height, image.shape[2] - width]
    if any(surplus):
        crop = tuple((extra // 2, extra - extra // 2) for extra in surplus)
        image = keras.layers.Cropping2D(crop, name="crop")(image)
    flat = keras.layers.Reshape((architecture.input_dim,), name="reconstruction_flat")(image)
    return keras.layers.Activation(network.output, name="reconstruction")(flat)


def _image(architecture: Architecture) -> tuple[int, int, int]:
    shape = architecture.image_shape
    if shape is None or len(shape) not in (2, 3):
        raise ValueError(f"a {architecture.network.kind} network needs samples with an image shape")
    height, width, channels = (*shape, 1)[:3]
    return height, width, channels


def _through(layers: Sequence[DenseLayer], x: Tensor, seed: int) -> Tensor:
    for layer in layers:
        x = dense(layer.units, layer.activation, layer.name, seed, trainable=layer.trains)(x)
    return x
