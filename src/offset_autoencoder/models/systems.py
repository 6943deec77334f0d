"""One builder a system: the parts of :mod:`.coders` put together.

Every builder takes the inputs ``x`` and ``offset`` (and ``noise`` where it is an input) and
returns the reconstruction. Layers are named the same in every system, so that one seed gives
the same encoder and decoder in all of them.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from offset_autoencoder.config.architecture import Architecture
from offset_autoencoder.models.backend import keras
from offset_autoencoder.models.code_noise import CodeNoise
from offset_autoencoder.models.coders import decode, encode, encode_hidden
from offset_autoencoder.models.layers import dense, layer_seed
from offset_autoencoder.models.sampled_code import SampledCode
from offset_autoencoder.models.unit_norm import UnitNorm

Tensor = Any
Builder = Callable[[Architecture, dict[str, Tensor], int, float], Tensor]

# Systems whose noise cannot be folded into the offset: given as an input of its own.
OWN_NOISE = frozenset({"concatenate", "vae"})


def additive(
    architecture: Architecture, inputs: dict[str, Tensor], seed: int, stddev: float
) -> Tensor:
    """The code is ``z = encoder(x) + offset + stddev · n``."""
    code = encode(architecture, inputs["x"], seed)
    return _add_and_decode(architecture, code, inputs["offset"], seed, stddev)


def concatenate(
    architecture: Architecture, inputs: dict[str, Tensor], seed: int, stddev: float
) -> Tensor:
    """The decoder reads [encoder(x) + stddev · n, offset]."""
    code = encode(architecture, inputs["x"], seed)
    if "noise" in inputs:
        code = keras.layers.Add(name="code_plus_noise")([code, inputs["noise"]])
    elif stddev:
        code = CodeNoise(stddev, layer_seed(seed, "noise"), name="noise")(code)
    both = keras.layers.Concatenate(name="code_and_offset")([code, inputs["offset"]])
    return decode(architecture, both, seed)


def two_encoder(
    architecture: Architecture, inputs: dict[str, Tensor], seed: int, stddev: float
) -> Tensor:
    """With f a second encoder, trained or frozen: z = encoder(x) + f(x) + offset + stddev · n.

    Where f is scaled, every f(x) has the norm ``second_rms · √L``.
    """
    network, trainable = architecture.network, not architecture.frozen
    code = encode(architecture, inputs["x"], seed)
    features = encode_hidden(
        architecture,
        inputs["x"],
        seed,
        prefix="second_",
        hidden=architecture.second_hidden,
        activation=architecture.second_activation,
        trainable=trainable,
    )
    latent_dim = network.latent_dim
    second = dense(latent_dim, "linear", "second_code", seed, trainable=trainable)(features)
    if architecture.second_rms is not None:
        second = UnitNorm(name="second_unit_code")(second)
        norm = architecture.second_rms * math.sqrt(latent_dim)
        second = keras.layers.Rescaling(norm, name="second_scaled_code")(second)
    second = keras.layers.Add(name="second_code_plus_offset")([second, inputs["offset"]])
    return _add_and_decode(architecture, code, second, seed, stddev)


def ensemble(
    architecture: Architecture, inputs: dict[str, Tensor], seed: int, stddev: float
) -> Tensor:
    """The code is ``z = combined + offset + stddev · n``, combined over the encoders' codes."""
    codes = [
        encode(architecture, inputs["x"], seed, prefix=f"member_{number}_" if number > 1 else "")
        for number in range(1, (architecture.encoders or 1) + 1)
    ]
    combine = {"mean": keras.layers.Average, "sum": keras.layers.Add}[
        architecture.combine or "mean"
    ]
    code = combine(name="ensemble_code")(codes)
    return _add_and_decode(architecture, code, inputs["offset"], seed, stddev)


def vae(architecture: Architecture, inputs: dict[str, Tensor], seed: int, stddev: float) -> Tensor:
    """Offset plus a draw from N(mean(x), variance(x)), whose divergence from N(0, 1) is a loss too.

    The KL divergence, in nats a sample, is brought to the scale of the reconstruction loss, so
    that beta = 1 is the evidence lower bound for every loss: for binary and categorical
    cross-entropy of the data's likelihood, for squared error of a Gaussian with variance ½.
    """
    network = architecture.network
    features = encode_hidden(architecture, inputs["x"], seed)
    mean = dense(network.latent_dim, "linear", "code", seed)(features)
    log_variance = dense(network.latent_dim, "linear", "code_log_variance", seed)(features)
    draws = [inputs["noise"]] if "noise" in inputs else []
    code = SampledCode(
        beta=1.0 if architecture.beta is None else architecture.beta,
        scale=kl_scale(architecture),
        warmup_steps=architecture.warmup_steps or 0,
        seed=layer_seed(seed, "sampled_code"),
        name="sampled_code",
    )([mean, log_variance, *draws])
    return _add_and_decode(architecture, code, inputs["offset"], seed, stddev)


def kl_scale(architecture: Architecture) -> float:
    """What brings nats a sample to the scale of the architecture's reconstruction loss."""
    summed = architecture.network.loss == "categorical_crossentropy"
    return 1.0 if summed else 1.0 / architecture.input_dim


def _add_and_decode(
    architecture: Architecture, code: Tensor, offset: Tensor, seed: int, stddev: float
) -> Tensor:
    added = keras.layers.Add(name="code_plus_offset")([code, offset])
    if stddev:
        added = CodeNoise(stddev, layer_seed(seed, "noise"), name="noise")(added)
    return decode(architecture, added, seed)


BUILDERS: dict[str, Builder] = {
    "additive": additive,
    "concatenate": concatenate,
    "two_encoder": two_encoder,
    "ensemble": ensemble,
    "vae": vae,
}
