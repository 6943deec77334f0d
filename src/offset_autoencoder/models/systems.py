"""Graphs of the systems: the code, what is added to it, and what the decoder reads.

A builder of a system takes the inputs ``x`` and ``offset`` (and ``noise`` where it is an input) and
returns the reconstruction. Layers have the same names in every system, so that one seed gives
the same encoder and decoder in all of them. Importing it starts no TensorFlow.
"""

from __future__ import annotations

import math

from offset_autoencoder.config.registries import LOSSES, load
from offset_autoencoder.config.systems import NoiseRange
from offset_autoencoder.models.architecture import Architecture, DenseLayer
from offset_autoencoder.models.graph import SHORTEST, Graph, Node, layer
from offset_autoencoder.models.network_kinds import through

Inputs = dict[str, Node]
Noise = float | NoiseRange
OFFSET_FACTOR = "offset_factor"
"""Name of the layer that scales an offset as it came."""


def build_graph(
    architecture: Architecture,
    stddev: Noise = 0.0,
    *,
    noise_input: bool = False,
    offset_factor: float = 1.0,
) -> Graph:
    """The layers of an architecture of one of the project's own systems.

    Arguments are those of :func:`.autoencoder.build_model`.
    """
    system = architecture.system_record
    widths = {"x": architecture.input_dim, "offset": architecture.network.latent_dim}
    if noise_input and system.noise_is_input:
        widths["noise"] = widths["offset"]
    inputs = {name: Node("Input", name, width=width) for name, width in widths.items()}
    read = dict(inputs)
    if offset_factor != 1:
        read["offset"] = layer("Rescaling", OFFSET_FACTOR, read["offset"], scale=offset_factor)
    return Graph(inputs, load(system.build)(architecture, read, stddev))


def additive(architecture: Architecture, inputs: Inputs, stddev: Noise) -> Node:
    """The code is ``z = encoder(x) + offset + stddev · n``."""
    code = encode(architecture, inputs["x"])
    return _add_and_decode(architecture, code, inputs["offset"], stddev)


def concatenate(architecture: Architecture, inputs: Inputs, stddev: Noise) -> Node:
    """The decoder reads [encoder(x) + stddev · n, offset]."""
    code = encode(architecture, inputs["x"])
    if "noise" in inputs:
        code = layer("Add", "code_plus_noise", code, inputs["noise"])
    elif stddev:
        code = layer("CodeNoise", "noise", code, stddev=stddev)
    both = layer("Concatenate", "code_and_offset", code, inputs["offset"])
    return decode(architecture, both)


def two_encoder(architecture: Architecture, inputs: Inputs, stddev: Noise) -> Node:
    """With f a second encoder, trained or frozen: z = encoder(x) + f(x) + offset + stddev · n.

    Where f is scaled, every f(x) has the norm ``second_rms · √L``.
    """
    network, x, trains = architecture.network, inputs["x"], not architecture.frozen
    code = encode(architecture, x)
    if network.kind_record.is_dense or architecture.second_hidden is not None:
        second = through(architecture, architecture.second_encoder_layers, x)
    else:
        activation = architecture.second_activation
        features = encode_hidden(architecture, x, "second_", activation, trains)
        second = _linear(architecture, features, "second_code", trains=trains)
    if architecture.second_rms is not None:
        second = layer("UnitNorm", "second_unit_code", second, epsilon=SHORTEST)
        norm = architecture.second_rms * math.sqrt(network.latent_dim)
        second = layer("Rescaling", "second_scaled_code", second, scale=norm)
    second = layer("Add", "second_code_plus_offset", second, inputs["offset"])
    return _add_and_decode(architecture, code, second, stddev)


def ensemble(architecture: Architecture, inputs: Inputs, stddev: Noise) -> Node:
    """The code is ``z = combined + offset + stddev · n``, combined over the encoders' codes."""
    prefixes = architecture.encoder_prefixes
    codes = [encode(architecture, inputs["x"], prefix) for prefix in prefixes]
    combine = {"mean": "Average", "sum": "Add"}[architecture.combine or "mean"]
    code = layer(combine, "ensemble_code", *codes)
    return _add_and_decode(architecture, code, inputs["offset"], stddev)


def vae(architecture: Architecture, inputs: Inputs, stddev: Noise) -> Node:
    """Offset plus a draw from N(mean(x), variance(x)), whose divergence from N(0, 1) is a loss too.

    The KL divergence, in nats per sample, is brought to the scale of the reconstruction loss, so
    that beta = 1 is the evidence lower bound for every loss: for binary and categorical
    cross-entropy of the data's likelihood, for squared error of a Gaussian with variance ½.
    """
    network = architecture.network
    log_variance_name = str(architecture.system_record.log_variance_layer)
    features = encode_hidden(architecture, inputs["x"])
    mean = _linear(architecture, features, "code")
    log_variance = _linear(architecture, features, log_variance_name)
    draws = [inputs["noise"]] if "noise" in inputs else []
    code = layer(
        "SampledCode",
        "sampled_code",
        *(mean, log_variance, *draws),
        beta=1.0 if architecture.beta is None else architecture.beta,
        scale=LOSSES[network.loss].nats_factor(architecture.input_dim),
        warmup_steps=architecture.warmup_steps or 0,
    )
    return _add_and_decode(architecture, code, inputs["offset"], stddev)


def _add_and_decode(architecture: Architecture, code: Node, offset: Node, stddev: Noise) -> Node:
    added = layer("Add", "code_plus_offset", code, offset)
    if stddev:
        added = layer("CodeNoise", "noise", added, stddev=stddev)
    return decode(architecture, added)


def encode_hidden(
    architecture: Architecture,
    x: Node,
    prefix: str = "",
    activation: str | None = None,
    trainable: bool = True,
) -> Node:
    """The encoder up to its last hidden layer: features (batch, any width) of x (batch, D).

    ``prefix`` is put before the layers' names; ``activation`` None is the network's.
    """
    network = architecture.network
    options = {"activation": activation or network.activation, "trainable": trainable}
    return load(network.kind_record.encode)(architecture, x, prefix, **options)


def encode(architecture: Architecture, x: Node, prefix: str = "") -> Node:
    """The code (batch, L): hidden layers, a linear Dense layer, its norm and its penalty."""
    network = architecture.network
    features = encode_hidden(architecture, x, prefix)
    code = _linear(architecture, features, f"{prefix}code")
    if network.normalize == "unit":
        code = layer("UnitNorm", f"{prefix}unit_code", code, epsilon=SHORTEST)
    elif network.normalize == "power":
        code = layer("PowerNorm", f"{prefix}power_code", code)
    if network.code_l1 or network.code_l2:
        weights = {"l1": network.code_l1, "l2": network.code_l2}
        code = layer("CodePenalty", f"{prefix}penalty", code, **weights)
    return code


def _linear(architecture: Architecture, x: Node, name: str, trains: bool = True) -> Node:
    """A linear Dense layer to as many values as the code has."""
    stack = [DenseLayer(name, 0, architecture.network.latent_dim, trains=trains)]
    return through(architecture, stack, x)


def decode(architecture: Architecture, code: Node) -> Node:
    """The decoder, which mirrors the encoder: from (batch, any width) to (batch, input_dim)."""
    return load(architecture.network.kind_record.decode)(architecture, code)
