"""What may stand in params.yaml: one frozen model a section, for one value of every key."""

from __future__ import annotations

from typing import Annotated, Any, Literal, Self

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    StringConstraints,
    model_validator,
)


def _refuse_bool(value: Any) -> Any:
    if isinstance(value, bool):
        raise ValueError("must be a number, not true or false")
    return value


def null_word(value: Any) -> Any:
    """None for what YAML or DVC may write for it."""
    return None if value in ("null", "None", "~", "") else value


Name = Annotated[str, StringConstraints(pattern=r"^[A-Za-z][A-Za-z0-9_-]*$", max_length=64)]
Count = Annotated[int, BeforeValidator(_refuse_bool), Field(ge=1)]
Seed = Annotated[int, BeforeValidator(_refuse_bool), Field(ge=0, lt=2**32)]
Positive = Annotated[float, BeforeValidator(_refuse_bool), Field(gt=0, allow_inf_nan=False)]
NonNegative = Annotated[float, BeforeValidator(_refuse_bool), Field(ge=0, allow_inf_nan=False)]
Share = Annotated[float, BeforeValidator(_refuse_bool), Field(gt=0, lt=1)]
Number = Annotated[float, BeforeValidator(_refuse_bool), Field(allow_inf_nan=False)]
Decibels = Annotated[float, BeforeValidator(_refuse_bool), Field(ge=-100, le=100)]
WholeNumber = Annotated[int, BeforeValidator(_refuse_bool), Field(ge=0)]
Activation = Literal["relu", "tanh", "sigmoid", "elu", "gelu", "selu", "silu", "linear"]
SplitName = Literal["train", "validation", "test"]
PathOrSplits = str | dict[SplitName, str]

SPLITS: tuple[SplitName, ...] = ("train", "validation", "test")

Output = Literal["sigmoid", "linear", "softmax"]
Loss = Literal["binary_crossentropy", "categorical_crossentropy", "mean_squared_error"]
_OUTPUT_OF_LOSS = {"binary_crossentropy": "sigmoid", "categorical_crossentropy": "softmax"}


def _check_output(loss: str, given: str) -> None:
    needed = _OUTPUT_OF_LOSS.get(loss, given)
    if given != needed:
        raise ValueError(f"loss: {loss} needs output: {needed}, got {given}")


class Section(BaseModel):
    """A part of params.yaml: unknown keys are errors, values cannot be changed."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class Data(Section):
    """``data:``, where the samples come from and how they are scaled.

    For ``source: file`` the keys ``label``, ``id`` and ``split`` name a column (csv, parquet),
    an array (npz) or a file of their own (npy, idx); ``path`` is relative to ``data/raw``.
    """

    source: Literal["digits", "mnist", "fashion_mnist", "file"] = "digits"
    path: PathOrSplits | None = None
    features: str | list[str] | None = None
    label: PathOrSplits | None = None
    id: PathOrSplits | None = None
    split: str | None = None
    scale: Literal["none", "unit", "minmax", "standard"] = "unit"
    image_shape: list[Count] | None = None

    @model_validator(mode="after")
    def _path_goes_with_file(self) -> Self:
        if self.source == "file" and self.path is None:
            raise ValueError("source: file needs a path under data/raw")
        given = [key for key in ("path", "features", "label", "id", "split") if getattr(self, key)]
        if self.source != "file" and given:
            raise ValueError(f"{given[0]} goes with source: file, not source: {self.source}")
        if self.split is not None and isinstance(self.path, dict):
            raise ValueError("split and one path a split exclude each other")
        return self


class Split(Section):
    """``split:``, the shares cut off where the data set does not bring its own splits."""

    validation: Share = 0.15
    test: Share = 0.2
    seed: Seed = 0
    stratify: bool = True

    @model_validator(mode="after")
    def _something_is_left(self) -> Self:
        if self.validation + self.test >= 1:
            raise ValueError("validation + test must be below 1: nothing is left to train on")
        return self


class ZeroOffset(Section):
    """No offset: zeros."""

    kind: Literal["zero"] = "zero"


class HashOffset(Section):
    """A Gaussian vector seeded by the content of the sample: frozen noise."""

    kind: Literal["hash"] = "hash"
    seed: Seed = 0


class RandomProjectionOffset(Section):
    """A fixed random linear map of the sample."""

    kind: Literal["random_projection"] = "random_projection"
    seed: Seed = 0


class PcaOffset(Section):
    """The first principal components of the sample."""

    kind: Literal["pca"] = "pca"
    whiten: bool = False


class ClassCodeOffset(Section):
    """One vector a label; ``random`` suits any latent dim, the others have theirs."""

    kind: Literal["class_code"] = "class_code"
    code: Literal["random", "one_hot", "hadamard", "simplex"] = "random"
    seed: Seed = 0


class KmeansOffset(Section):
    """One vector a cluster of the training split, that of the nearest centroid.

    ``vectors: random`` are directions drawn by the seed, ``pca`` the centroids' own principal
    components.
    """

    kind: Literal["kmeans"] = "kmeans"
    n_clusters: Count = 10
    vectors: Literal["random", "pca"] = "random"
    seed: Seed = 0


class InterferenceOffset(Section):
    """A known signal that depends on the sample's id alone.

    ``frequency`` is in cycles a coordinate and ``phase`` in radians, both of the sinusoid;
    ``points`` is the constellation's alphabet and ``seed`` draws from it.
    """

    kind: Literal["interference"] = "interference"
    signal: Literal["sinusoid", "constellation"] = "sinusoid"
    frequency: Annotated[float, BeforeValidator(_refuse_bool), Field(gt=0, lt=0.5)] = 0.0618
    phase: Number = 0.0
    points: Literal["bpsk", "qpsk", "psk8", "qam16"] = "bpsk"
    seed: Seed = 0

    @model_validator(mode="after")
    def _keys_go_with_signal(self) -> Self:
        others = {"sinusoid": ("points", "seed"), "constellation": ("frequency", "phase")}
        for key in others[self.signal]:
            if key in self.model_fields_set:
                raise ValueError(f"{key} does not go with signal: {self.signal}")
        return self


class Reference(Section):
    """The autoencoder that an offset fits for itself; keys as in ``network:`` and ``train:``."""

    hidden: list[Count] = Field(default_factory=lambda: [32])
    activation: Activation = "relu"
    output: Output = "sigmoid"
    loss: Loss = "binary_crossentropy"
    normalize: bool = True
    epochs: Count = 100
    batch_size: Count = 32
    learning_rate: Positive = 1e-3
    patience: Annotated[Count | None, BeforeValidator(null_word)] = 10
    seed: Seed = 0

    @model_validator(mode="after")
    def _output_fits_loss(self) -> Self:
        _check_output(self.loss, self.output)
        return self


class EncoderOffset(Reference):
    """The code of a reference autoencoder: fitted here, or a layer of the user's own model.

    ``path`` is a ``.keras`` file relative to ``data/raw``.
    """

    kind: Literal["encoder"] = "encoder"
    path: Annotated[str | None, BeforeValidator(null_word)] = None
    layer: str = "code"

    @model_validator(mode="after")
    def _keys_go_with_path(self) -> Self:
        if self.path is None and "layer" in self.model_fields_set:
            raise ValueError("layer goes with path, a model file of your own")
        given = [key for key in Reference.model_fields if key in self.model_fields_set]
        if self.path is not None and given:
            raise ValueError(f"{given[0]} does not go with path: that model is fitted already")
        if self.path is not None and not self.path.endswith(".keras"):
            raise ValueError(f"path must name a .keras file, got {self.path!r}")
        return self


class AdversarialOffset(Reference):
    """The direction that most hurts a reference autoencoder, sample by sample.

    ``radius`` is the root mean square a coordinate at which it is sought, ``step`` the length
    of a step on the unit sphere.
    """

    kind: Literal["adversarial"] = "adversarial"
    radius: Positive = 0.1
    steps: Count = 30
    step: Annotated[float, BeforeValidator(_refuse_bool), Field(gt=0, lt=2)] = 1.0
    restarts: Count = 2


class FileOffset(Section):
    """The user's own table, aligned by row or, where ``id`` is given, by id."""

    kind: Literal["file"] = "file"
    path: PathOrSplits
    array: str | None = None
    columns: list[str] | None = None
    id: str | None = None


class FunctionOffset(Section):
    """The user's own ``f(x, latent_dim, rng)``."""

    kind: Literal["function"] = "function"
    function: Annotated[str, StringConstraints(pattern=r"^[\w.]+:[\w.]+$")]
    seed: Seed = 0


OFFSETS: dict[str, type[Section]] = {
    "zero": ZeroOffset,
    "hash": HashOffset,
    "random_projection": RandomProjectionOffset,
    "pca": PcaOffset,
    "class_code": ClassCodeOffset,
    "kmeans": KmeansOffset,
    "interference": InterferenceOffset,
    "encoder": EncoderOffset,
    "adversarial": AdversarialOffset,
    "file": FileOffset,
    "function": FunctionOffset,
}


class Network(Section):
    """``network:``, the encoder's shape; the decoder mirrors it.

    A ``dense`` encoder has a Dense layer for each width of ``hidden``; a ``convolutional`` one,
    for image-shaped data, a strided convolution for each number of ``filters``. Both end in a
    linear Dense layer, the code.

    Every loss is per sample: binary cross-entropy and squared error are means over the
    features, categorical cross-entropy is the sum over them that its definition asks for.
    """

    kind: Literal["dense", "convolutional"] = "dense"
    latent_dim: Count = 16
    hidden: list[Count] = Field(default_factory=lambda: [32])
    filters: Annotated[list[Count], Field(min_length=1)] = Field(default_factory=lambda: [16, 32])
    kernel_size: Count = 3
    activation: Activation = "relu"
    output: Output = "sigmoid"
    loss: Loss = "binary_crossentropy"
    normalize: bool = True

    @model_validator(mode="after")
    def _output_fits_loss(self) -> Self:
        _check_output(self.loss, self.output)
        return self

    @property
    def relevant(self) -> dict[str, Any]:
        """The keys that matter to this kind, and their values."""
        other = {"dense": {"filters", "kernel_size"}, "convolutional": {"hidden"}}[self.kind]
        return self.model_dump(exclude=other)


class Train(Section):
    """``train:``, how a run is trained. ``patience: null`` trains every epoch."""

    epochs: Count = 100
    batch_size: Count = 32
    optimizer: Literal["adam", "adamw", "rmsprop", "sgd"] = "adam"
    learning_rate: Positive = 1e-3
    patience: Annotated[Count | None, BeforeValidator(null_word)] = 10


Metric = Literal["mse", "mae", "binary_crossentropy", "psnr", "explained_variance"]


class Evaluate(Section):
    """``evaluate:``, what is compared with what, and what is done to the offsets at test time.

    Attributes:
        baselines: The models that every other is compared with.
        metric: What is compared.
        confidence: Of every interval; 1 - confidence is the level of every test.
        margin: Differences within this share of the baseline's mean count as equivalent.
        power: For which the number of seeds needed is stated.
        draws: Random draws that are averaged where an intervention draws.
        offset_scales: What the offset is multiplied by.
        noise_stddevs: Gaussian noise on top of code and offset.
        seed: Of those draws.
    """

    baselines: list[Name] = Field(default_factory=lambda: ["none", "gaussian"])
    metric: Metric = "mse"
    confidence: Share = 0.95
    margin: Share = 0.05
    power: Share = 0.8
    draws: Count = 8
    offset_scales: list[Number] = Field(default_factory=lambda: [-1.0, 0.0, 0.5, 1.0, 1.5, 2.0])
    noise_stddevs: list[NonNegative] = Field(default_factory=lambda: [0.0, 0.05, 0.1, 0.2, 0.4])
    seed: Seed = 0


class Tracking(Section):
    """``tracking:``, the MLflow experiment. ``uri: null`` honours MLFLOW_TRACKING_URI."""

    experiment: Annotated[str, StringConstraints(min_length=1, max_length=250)] = (
        "offset-autoencoder"
    )
    uri: Annotated[str | None, BeforeValidator(null_word)] = None
