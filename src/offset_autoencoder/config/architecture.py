"""Everything that decides a model's layers, resolved: what ``spec.json`` keeps of a network."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from offset_autoencoder.config.model import System
from offset_autoencoder.config.schema import Network, Section
from offset_autoencoder.config.sweep import Setting
from offset_autoencoder.config.values import Activation, Count, NonNegative


class Architecture(Section):
    """The layers of one model, whatever its initial weights.

    Attributes:
        system: As in params.yaml, ``wide`` apart, which is ``additive`` with widths of its own.
        network: The ``network:`` section that holds for it.
        input_dim: Features of a sample.
        image_shape: Height, width and, where there are several, channels of a sample;
            None where a sample is no image or the network is dense.
        encoder_hidden: Hidden widths of the encoder where they are not the decoder's.
        second_hidden: Hidden widths of the second encoder.
        second_activation: Its activation.
        second_rms: Root mean square a coordinate to which its output is scaled; None: free.
        frozen: Whether it keeps its initial weights.
        encoders: How many encoders there are.
        combine: How their codes are combined.
        beta: Weight of the KL divergence.
        warmup_steps: Training steps over which that weight rises from 0.
        function: The user's function, ``module:callable``.
        function_sha256: Digest of the user's code.
    """

    system: System = "additive"
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

    def dump(self) -> dict[str, Any]:
        """What decides it and nothing else, as plain values: a run's id is made of this."""
        own = self.model_dump(mode="json", exclude_none=True, exclude={"network"})
        return {**own, "network": self.network.relevant}

    @property
    def key(self) -> str:
        """Equal for equal architectures, for grouping and sorting."""
        return repr(self.dump())


def architecture_of(
    setting: Setting,
    *,
    input_dim: int,
    image_shape: Sequence[int] | None,
    steps_an_epoch: int,
    encoder_hidden: Sequence[int] | None = None,
    function_sha256: str | None = None,
) -> Architecture:
    """The architecture of a setting, with what params.yaml leaves open filled in.

    Args:
        setting: One model at one value of each swept key.
        input_dim: Features of a sample.
        image_shape: The shape of a sample, where it is an image.
        steps_an_epoch: Training steps an epoch, for the VAE's warm-up.
        encoder_hidden: The widths solved for, for ``wide``.
        function_sha256: Digest of the user's code, for ``function``.
    """
    spec, network = setting.spec, setting.network
    options: dict[str, Any] = {}
    if spec.system == "two_encoder":
        hidden = network.hidden if spec.second_hidden is None else spec.second_hidden
        options = {
            "second_hidden": spec.second_hidden if network.kind != "dense" else hidden,
            "second_activation": spec.second_activation or network.activation,
            "second_rms": spec.rms,
            "frozen": spec.frozen,
        }
    elif spec.system == "ensemble":
        options = {"encoders": spec.encoders, "combine": spec.combine}
    elif spec.system == "vae":
        options = {"beta": spec.beta, "warmup_steps": spec.warmup * steps_an_epoch}
    elif spec.system == "function":
        options = {"function": spec.function, "function_sha256": function_sha256}
    elif spec.system == "wide" and encoder_hidden is not None:
        options = {"encoder_hidden": list(encoder_hidden)}
    image = image_shape if network.kind == "convolutional" or spec.system == "function" else None
    return Architecture(
        system="additive" if spec.system == "wide" else spec.system,
        network=network,
        input_dim=input_dim,
        image_shape=None if image is None else list(image),
        **options,
    )
