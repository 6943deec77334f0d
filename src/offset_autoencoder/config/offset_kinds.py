"""Parameters of each kind of offset, as they stand under ``offsets.NAME:``."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, ClassVar, Literal, Self

from pydantic import BeforeValidator, Field, model_validator

from offset_autoencoder.config import values
from offset_autoencoder.config.data_schema import Complex, NameOrSplits, Names, PathOrSplits
from offset_autoencoder.config.registries import ALIASES, LOSSES
from offset_autoencoder.config.schema import Loss, check_output
from offset_autoencoder.errors import InputError

SideInput = Literal["labels", "ids", "offset"]


@dataclass(frozen=True)
class DataShape:
    """Number of training samples, of features and of classes (None without labels).

    ``varies`` is whether each seed has a split of its own, ``left_out`` whether some samples are in
    no split of the first one.
    """

    samples: int
    features: int
    n_classes: int | None
    varies: bool = False
    left_out: bool = False


class OffsetSection(values.Section):
    """Section of any kind.

    In every kind that has them, the key ``path`` names files in ``data/raw``, ``function`` the
    user's own function, and ``loss`` that of an autoencoder fitted on the samples.

    Attributes:
        path: File in ``data/raw``, or a file per split.
        function: Function of the user's, as ``module:name``, below ``src``.
        seed: Seed of what is drawn.
        needs: What must be given beside a new sample's x for its vector to be known.
        trains: Whether fitting trains a network, so that the vectors depend on the trainer's code.
        user_code: Whether the vectors depend on the user's ``src/custom``.
        shares: Modules of ours that compute it beside its own, used by some kinds only.
    """

    needs: ClassVar[SideInput | None] = None
    trains: ClassVar[bool] = False
    user_code: ClassVar[bool] = False
    shares: ClassVar[tuple[str, ...]] = ()

    @classmethod
    def completed(
        cls, where: str, keys: Mapping[str, Any], network: Mapping[str, Any]
    ) -> Mapping[str, Any]:
        """The section's keys, with those that it has from the section ``network:``.

        Raises:
            InputError: where what it should have from there is not clear.
        """
        return keys

    @property
    def files(self) -> dict[str, str]:
        """Files in ``data/raw`` that are named, by key: ``{"path.train": "f.npy"}``."""
        path = getattr(self, "path", None)
        if isinstance(path, dict):
            return {f"path.{split}": file for split, file in path.items()}
        return {} if path is None else {"path": path}

    @property
    def functions(self) -> dict[str, str]:
        """The user's functions that are named, by key: ``{"function": "module:name"}``."""
        return {key: value for key, value in self if key == "function"}

    @property
    def fitted_loss(self) -> str | None:
        """Loss of the autoencoder that is fitted on the samples; None: none is."""
        return None if self.files else getattr(self, "loss", None)

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
    seed: values.Seed = 0


class RandomProjectionOffset(OffsetSection):
    """A fixed random linear map of the sample."""

    shares = ("offsets.linear",)
    kind: Literal["random_projection"] = "random_projection"
    seed: values.Seed = 0


class PcaOffset(OffsetSection):
    """The first principal components of the sample.

    Attributes:
        whiten: Whether each component is divided by its standard deviation.
    """

    shares = ("offsets.linear",)
    kind: Literal["pca"] = "pca"
    whiten: bool = False

    def check_shape(self, where: str, shape: DataShape, latent_dims: Sequence[int]) -> None:
        """Refuse more components than there are."""
        _check_components(where, shape, latent_dims)


class ClassCodeOffset(OffsetSection):
    """One vector per label; ``random`` suits any latent dim, the others have theirs.

    Attributes:
        code: The vectors: drawn, or those of a code with a vector per class.
    """

    needs = "labels"
    kind: Literal["class_code"] = "class_code"
    code: Literal["random", "one_hot", "hadamard", "simplex"] = "random"
    seed: values.Seed = 0

    def check_shape(self, where: str, shape: DataShape, latent_dims: Sequence[int]) -> None:
        """Refuse data without labels, and latent dims that the code does not have."""
        classes = shape.n_classes
        if classes is None:
            what = "kind class_code needs labels, and the data has none"
            mend = "name them in data.label, or leave this offset and its models out"
            raise InputError(where, what, mend)
        place = f"{where}.code"
        if self.code == "simplex" and classes < 2:
            raise InputError(place, f"a simplex needs two classes, the data has {classes}")
        least = {"random": 1, "simplex": classes - 1}.get(self.code, classes)
        for latent_dim in latent_dims:
            expected, is_odd = f"at least {least}", False
            if self.code == "hadamard":
                next_power = 1 << (max(latent_dim, classes) - 1).bit_length()
                expected = f"a power of two, the next is {next_power}"
                is_odd = bool(latent_dim & (latent_dim - 1))
            if latent_dim < least or is_odd:
                what = f"code {self.code} of {classes} classes needs a latent_dim of {expected}"
                mend = "change network.latent_dim or take another code"
                raise InputError(place, f"{what}, not {latent_dim}", mend)


class KmeansOffset(OffsetSection):
    """One vector per cluster of the training split: drawn, or the centroids' own PCA.

    Attributes:
        n_clusters: Clusters.
        vectors: Whether the vectors are drawn, or the principal components of the centroids.
    """

    shares = ("offsets.linear",)
    kind: Literal["kmeans"] = "kmeans"
    n_clusters: values.Count = 10
    vectors: Literal["random", "pca"] = "random"
    seed: values.Seed = 0

    def check_shape(self, where: str, shape: DataShape, latent_dims: Sequence[int]) -> None:
        """Refuse more clusters than samples, or more components than there are."""
        if self.vectors == "pca":
            _check_components(where, shape, latent_dims)
        if self.n_clusters > shape.samples:
            what = f"{self.n_clusters} clusters of {shape.samples} training samples"
            raise InputError(f"{where}.n_clusters", what, "lower n_clusters")


class InterferenceOffset(OffsetSection):
    """A known signal that depends on the sample's id alone.

    Attributes:
        signal: A sinusoid along the coordinates, or symbols of a constellation.
        frequency: Of the sinusoid, in cycles per coordinate.
        phase: Of the sinusoid, in radians.
        points: Alphabet of the constellation, from which ``seed`` draws.
    """

    needs = "ids"
    kind: Literal["interference"] = "interference"
    signal: Literal["sinusoid", "constellation"] = "sinusoid"
    frequency: Annotated[float, values.NOT_BOOL, Field(gt=0, lt=0.5)] = 0.0618
    phase: values.Number = 0.0
    points: Literal["bpsk", "qpsk", "psk8", "qam16"] = "bpsk"
    seed: values.Seed = 0

    @model_validator(mode="after")
    def _keys_go_with_signal(self) -> Self:
        others = {"sinusoid": ("points", "seed"), "constellation": ("frequency", "phase")}
        for key in others[self.signal]:
            if key in self.model_fields_set:
                raise values.WrongTogether(f"{key} does not go with signal: {self.signal}", key)
        return self


class Reference(OffsetSection):
    """The autoencoder that an offset fits for itself; keys as in ``network:`` and ``train:``.

    Attributes:
        hidden: Widths of the encoder's hidden layers; the decoder has them in reverse.
        activation: Activation of the hidden layers.
        output: Activation of the reconstruction.
        loss: Where it is not given, that of ``network:``, and so is the output.
        normalize: Whether each code has norm 1.
        epochs: Epochs, at most.
        batch_size: Samples per step.
        learning_rate: Learning rate.
        patience: Epochs without a lower validation loss after which the fit stops.
        seed: Seed of initial weights and batches.
    """

    trains = True
    hidden: list[values.Width] = Field([32])
    activation: values.Activation = "relu"
    output: values.Activation = "sigmoid"
    loss: Loss = "binary_crossentropy"
    normalize: Annotated[
        bool, BeforeValidator(lambda word: {"unit": True, "none": False}.get(str(word), word))
    ] = True
    epochs: values.Epochs = 100
    batch_size: values.Count = 32
    learning_rate: values.Positive = 1e-3
    patience: values.Nullable[values.Count] = 10
    seed: values.Seed = 0

    @classmethod
    def completed(
        cls, where: str, keys: Mapping[str, Any], network: Mapping[str, Any]
    ) -> Mapping[str, Any]:
        """See :meth:`OffsetSection.completed`: loss and output, where it fits an autoencoder."""
        if keys.get("path") not in values.NULL_WORDS:
            return keys
        fields, own_loss = cls.model_fields, "loss" in keys
        loss = (keys if own_loss else network).get("loss", fields["loss"].default)
        if isinstance(loss, list) and not own_loss:
            what = "is not clear: it is that of network.loss, which is swept"
            raise InputError(f"{where}.loss", what, "name loss and output here")
        if not isinstance(loss, str) or loss not in LOSSES:
            return keys
        suited, output = LOSSES[loss].outputs, network.get("output")
        if not isinstance(output, str):  # not given, or swept
            output = fields["output"].default
        output = ALIASES.get(output, output)
        if output not in suited and (len(suited) == 1 or not own_loss):
            output = suited[0]
        return {"loss": loss, "output": output, **keys}

    @model_validator(mode="after")
    def _output_fits_loss(self) -> Self:
        check_output(self.loss, self.output)
        return self


class EncoderOffset(Reference):
    """The code of a reference autoencoder: fitted here, or a layer of the user's own model.

    Attributes:
        path: A ``.keras`` file in ``data/raw``; None: an autoencoder is fitted.
        layer: The layer of that model whose output is the code.
    """

    kind: Literal["encoder"] = "encoder"
    path: values.Nullable[str] = None
    layer: str = "code"

    @model_validator(mode="after")
    def _keys_go_with_path(self) -> Self:
        if self.path is None and "layer" in self.model_fields_set:
            raise values.WrongTogether("layer goes with path, a model file of your own", "layer")
        given = [key for key in Reference.model_fields if key in self.model_fields_set]
        if self.path is not None and given:
            message = f"{given[0]} does not go with path: that model is fitted already"
            raise values.WrongTogether(message, *given)
        if self.path is not None and not self.path.endswith(".keras"):
            raise values.WrongTogether(f"path must name a .keras file, got {self.path!r}", "path")
        return self


class AdversarialOffset(Reference):
    """The direction that most hurts a reference autoencoder, sample by sample.

    Attributes:
        radius: Root mean square per coordinate at which the direction is sought.
        steps: Steps of the search.
        step: Length of a step on the unit sphere.
        restarts: Searches from different starts, of which the best is kept.
    """

    kind: Literal["adversarial"] = "adversarial"
    radius: values.Positive = 0.1
    steps: values.Count = 30
    step: Annotated[float, values.NOT_BOOL, Field(gt=0, lt=2)] = 1.0
    restarts: values.Count = 2


class FileOffset(OffsetSection):
    """The user's own table, aligned by row or, where ``id`` is given, by id.

    Attributes:
        array: Array of an npz or hdf5 file, or an array per split.
        columns: Columns of a csv or parquet file; None: all but the id.
        id: Column, array or file of ids, by which the vectors are matched; None: by row.
        header: Whether the first line of a csv names its columns, as in ``data:``.
        complex: What becomes of complex numbers, as in ``data:``.
    """

    needs = "offset"
    kind: Literal["file"] = "file"
    path: PathOrSplits
    array: NameOrSplits | None = None
    columns: Names | None = None
    id: NameOrSplits | None = None
    header: values.Nullable[bool] = None
    complex: values.Nullable[Complex] = None

    @property
    def by_split(self) -> bool:
        """True if each split has a file or an array of its own."""
        return any(isinstance(value, dict) for value in (self.path, self.array, self.id))

    def check_shape(self, where: str, shape: DataShape, latent_dims: Sequence[int]) -> None:
        """Refuse a file per split, told by row, where each seed has a split of its own."""
        if not shape.varies or not self.by_split:
            return
        if self.id is None or shape.left_out:
            what = (
                "names a file or array per split, and each seed has a split of its own (split.vary)"
            )
            mend = "give one file for the whole data set, or "
            mend += "" if shape.left_out else f"name the ids in {where}.id, or "
            raise InputError(f"{where}.path", what, f"{mend}set split.vary: false")


class FunctionOffset(OffsetSection):
    """The user's own ``f(x, latent_dim, rng)``."""

    user_code = True
    kind: Literal["function"] = "function"
    function: values.FunctionName
    seed: values.Seed = 0


def _check_components(where: str, shape: DataShape, latent_dims: Sequence[int]) -> None:
    most = min(shape.samples, shape.features)
    if max(latent_dims) > most:
        samples = f"{shape.samples} training samples with {shape.features} features"
        what = f"has at most {most} components, latent_dim {max(latent_dims)} asks for more"
        mend = "lower its models' latent_dim, or leave this offset and its models out"
        raise InputError(where, f"pca of {samples} {what}", mend)


OFFSETS: dict[str, type[OffsetSection]] = {
    section.model_fields["kind"].default: section
    for base in (OffsetSection, Reference)
    for section in base.__subclasses__()
    if "kind" in section.model_fields
}
