"""Parameters of each kind of offset, as they stand under ``offsets.NAME:``."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, ClassVar, Literal, Self

from pydantic import Field, model_validator

from offset_autoencoder.config.schema import Loss, Output, PathOrSplits, check_output
from offset_autoencoder.config.validation import (
    NOT_BOOL,
    Activation,
    Count,
    Epochs,
    FunctionName,
    Nullable,
    Number,
    Positive,
    Section,
    Seed,
    Width,
    WrongTogether,
)
from offset_autoencoder.errors import InputError

SideInput = Literal["labels", "ids", "offset"]


@dataclass(frozen=True)
class DataShape:
    """Number of training samples, of features and of classes (None without labels)."""

    samples: int
    features: int
    n_classes: int | None


class OffsetSection(Section):
    """Section of any kind.

    Attributes:
        needs: What must be given beside a new sample's x for its vector to be known.
        trains: Whether fitting trains a network, so that the vectors depend on the trainer's code.
        user_code: Whether the vectors depend on the user's ``src/custom``.
    """

    needs: ClassVar[SideInput | None] = None
    trains: ClassVar[bool] = False
    user_code: ClassVar[bool] = False

    @property
    def files(self) -> dict[str, str]:
        """Files in ``data/raw`` that are named, by key: ``{"path.train": "f.npy"}``."""
        return {}

    @property
    def functions(self) -> dict[str, str]:
        """The user's functions that are named, by key: ``{"function": "module:name"}``."""
        return {}

    @property
    def fitted_loss(self) -> str | None:
        """Loss of the autoencoder that is fitted on the samples, if any."""
        return None

    def check_shape(self, where: str, shape: DataShape, latent_dims: Sequence[int]) -> None:
        """Refuse data of a shape that the kind cannot serve in these latent dims.

        Raises:
            InputError: at ``where``, the section's place in params.yaml, or a key of it.
        """


class ZeroOffset(OffsetSection):
    """No offset: zeros."""

    kind: Literal["zero"] = "zero"


class HashOffset(OffsetSection):
    """A Gaussian vector seeded by the content of the sample: frozen noise."""

    kind: Literal["hash"] = "hash"
    seed: Seed = 0


class RandomProjectionOffset(OffsetSection):
    """A fixed random linear map of the sample."""

    kind: Literal["random_projection"] = "random_projection"
    seed: Seed = 0


class PcaOffset(OffsetSection):
    """The first principal components of the sample."""

    kind: Literal["pca"] = "pca"
    whiten: bool = False

    def check_shape(self, where: str, shape: DataShape, latent_dims: Sequence[int]) -> None:
        """Refuse more components than there are."""
        _check_components(where, shape, latent_dims)


class ClassCodeOffset(OffsetSection):
    """One vector per label; ``random`` suits any latent dim, the others have theirs."""

    needs = "labels"
    kind: Literal["class_code"] = "class_code"
    code: Literal["random", "one_hot", "hadamard", "simplex"] = "random"
    seed: Seed = 0

    def check_shape(self, where: str, shape: DataShape, latent_dims: Sequence[int]) -> None:
        """Refuse data without labels, and latent dims that the code does not have."""
        classes = shape.n_classes
        if classes is None:
            raise InputError(
                where,
                "kind class_code needs labels, and the data has none",
                "name them in data.label, or leave this offset and its models out",
            )
        if self.code == "simplex" and classes < 2:
            raise InputError(
                f"{where}.code", f"a simplex needs two classes, the data has {classes}"
            )
        least = {"random": 1, "simplex": classes - 1}.get(self.code, classes)
        for latent_dim in latent_dims:
            expected = f"at least {least}"
            if self.code == "hadamard":
                next_power = 1 << (max(latent_dim, classes) - 1).bit_length()
                expected = f"a power of two, the next is {next_power}"
            is_power = not latent_dim & (latent_dim - 1)
            if latent_dim < least or (self.code == "hadamard" and not is_power):
                raise InputError(
                    f"{where}.code",
                    f"code {self.code} of {classes} classes needs a latent_dim of {expected}, "
                    f"not {latent_dim}",
                    "change network.latent_dim or take another code",
                )


class KmeansOffset(OffsetSection):
    """One vector per cluster of the training split: drawn, or the centroids' own PCA."""

    kind: Literal["kmeans"] = "kmeans"
    n_clusters: Count = 10
    vectors: Literal["random", "pca"] = "random"
    seed: Seed = 0

    def check_shape(self, where: str, shape: DataShape, latent_dims: Sequence[int]) -> None:
        """Refuse more clusters than samples, or more components than there are."""
        if self.vectors == "pca":
            _check_components(where, shape, latent_dims)
        if self.n_clusters > shape.samples:
            raise InputError(
                f"{where}.n_clusters",
                f"{self.n_clusters} clusters of {shape.samples} training samples",
                "lower n_clusters",
            )


class InterferenceOffset(OffsetSection):
    """A known signal that depends on the sample's id alone.

    ``frequency`` is in cycles per coordinate and ``phase`` in radians, both of the sinusoid;
    ``points`` is the constellation's alphabet and ``seed`` draws from it.
    """

    needs = "ids"
    kind: Literal["interference"] = "interference"
    signal: Literal["sinusoid", "constellation"] = "sinusoid"
    frequency: Annotated[float, NOT_BOOL, Field(gt=0, lt=0.5)] = 0.0618
    phase: Number = 0.0
    points: Literal["bpsk", "qpsk", "psk8", "qam16"] = "bpsk"
    seed: Seed = 0

    @model_validator(mode="after")
    def _keys_go_with_signal(self) -> Self:
        others = {"sinusoid": ("points", "seed"), "constellation": ("frequency", "phase")}
        for key in others[self.signal]:
            if key in self.model_fields_set:
                raise WrongTogether(f"{key} does not go with signal: {self.signal}", key)
        return self


class Reference(OffsetSection):
    """The autoencoder that an offset fits for itself; keys as in ``network:`` and ``train:``."""

    hidden: list[Width] = Field([32])
    activation: Activation = "relu"
    output: Output = "sigmoid"
    loss: Loss = "binary_crossentropy"
    normalize: bool = True
    epochs: Epochs = 100
    batch_size: Count = 32
    learning_rate: Positive = 1e-3
    patience: Nullable[Count] = 10
    seed: Seed = 0

    @property
    def fitted_loss(self) -> str | None:
        """Loss of the reference."""
        return self.loss

    @model_validator(mode="after")
    def _output_fits_loss(self) -> Self:
        check_output(self.loss, self.output)
        return self


class EncoderOffset(Reference):
    """The code of a reference autoencoder: fitted here, or a layer of the user's own model.

    ``path`` is a ``.keras`` file relative to ``data/raw``.
    """

    trains = True
    kind: Literal["encoder"] = "encoder"
    path: Nullable[str] = None
    layer: str = "code"

    @property
    def files(self) -> dict[str, str]:
        """The user's own model."""
        return {} if self.path is None else {"path": self.path}

    @property
    def fitted_loss(self) -> str | None:
        """Loss of the reference, where the model is not the user's own."""
        return self.loss if self.path is None else None

    @model_validator(mode="after")
    def _keys_go_with_path(self) -> Self:
        if self.path is None and "layer" in self.model_fields_set:
            raise WrongTogether("layer goes with path, a model file of your own", "layer")
        given = [key for key in Reference.model_fields if key in self.model_fields_set]
        if self.path is not None and given:
            message = f"{given[0]} does not go with path: that model is fitted already"
            raise WrongTogether(message, *given)
        if self.path is not None and not self.path.endswith(".keras"):
            raise WrongTogether(f"path must name a .keras file, got {self.path!r}", "path")
        return self


class AdversarialOffset(Reference):
    """The direction that most hurts a reference autoencoder, sample by sample.

    ``radius`` is the root mean square per coordinate at which it is sought, ``step`` the length
    of a step on the unit sphere.
    """

    trains = True
    kind: Literal["adversarial"] = "adversarial"
    radius: Positive = 0.1
    steps: Count = 30
    step: Annotated[float, NOT_BOOL, Field(gt=0, lt=2)] = 1.0
    restarts: Count = 2


class FileOffset(OffsetSection):
    """The user's own table, aligned by row or, where ``id`` is given, by id."""

    needs = "offset"
    kind: Literal["file"] = "file"
    path: PathOrSplits
    array: str | None = None
    columns: list[str] | None = None
    id: str | None = None

    @property
    def files(self) -> dict[str, str]:
        """The table, or that of each split."""
        if isinstance(self.path, str):
            return {"path": self.path}
        return {f"path.{split}": path for split, path in self.path.items()}


class FunctionOffset(OffsetSection):
    """The user's own ``f(x, latent_dim, rng)``."""

    user_code = True
    kind: Literal["function"] = "function"
    function: FunctionName
    seed: Seed = 0

    @property
    def functions(self) -> dict[str, str]:
        """The function."""
        return {"function": self.function}


def _check_components(where: str, shape: DataShape, latent_dims: Sequence[int]) -> None:
    most = min(shape.samples, shape.features)
    if max(latent_dims) > most:
        raise InputError(
            where,
            f"pca of {shape.samples} training samples with {shape.features} features has at most "
            f"{most} components, latent_dim {max(latent_dims)} asks for more",
            "lower its models' latent_dim, or leave this offset and its models out",
        )


OFFSETS: dict[str, type[OffsetSection]] = {
    section.model_fields["kind"].default: section
    for base in (OffsetSection, Reference)
    for section in base.__subclasses__()
    if "kind" in section.model_fields
}
