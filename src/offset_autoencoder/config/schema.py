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


def _null_word(value: Any) -> Any:
    return None if value in ("null", "None", "~", "") else value


Name = Annotated[str, StringConstraints(pattern=r"^[A-Za-z][A-Za-z0-9_-]*$", max_length=64)]
Count = Annotated[int, BeforeValidator(_refuse_bool), Field(ge=1)]
Seed = Annotated[int, BeforeValidator(_refuse_bool), Field(ge=0, lt=2**32)]
Positive = Annotated[float, BeforeValidator(_refuse_bool), Field(gt=0, allow_inf_nan=False)]
NonNegative = Annotated[float, BeforeValidator(_refuse_bool), Field(ge=0, allow_inf_nan=False)]
Share = Annotated[float, BeforeValidator(_refuse_bool), Field(gt=0, lt=1)]
SplitName = Literal["train", "validation", "test"]
PathOrSplits = str | dict[SplitName, str]

SPLITS: tuple[SplitName, ...] = ("train", "validation", "test")


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
    "file": FileOffset,
    "function": FunctionOffset,
}

Loss = Literal["binary_crossentropy", "categorical_crossentropy", "mean_squared_error"]
_OUTPUT_OF_LOSS = {"binary_crossentropy": "sigmoid", "categorical_crossentropy": "softmax"}


class Network(Section):
    """``network:``, the encoder's shape; the decoder mirrors it.

    Every loss is per sample: binary cross-entropy and squared error are means over the
    features, categorical cross-entropy is the sum over them that its definition asks for.
    """

    latent_dim: Count = 16
    hidden: list[Count] = Field(default_factory=lambda: [32])
    activation: Literal["relu", "tanh", "sigmoid", "elu", "gelu", "selu", "silu", "linear"] = "relu"
    output: Literal["sigmoid", "linear", "softmax"] = "sigmoid"
    loss: Loss = "binary_crossentropy"
    normalize: bool = True

    @model_validator(mode="after")
    def _output_fits_loss(self) -> Self:
        output = _OUTPUT_OF_LOSS.get(self.loss, self.output)
        if self.output != output:
            raise ValueError(f"loss: {self.loss} needs output: {output}, got {self.output}")
        return self


class Train(Section):
    """``train:``, how a run is trained. ``patience: null`` trains every epoch."""

    epochs: Count = 100
    batch_size: Count = 32
    optimizer: Literal["adam", "adamw", "rmsprop", "sgd"] = "adam"
    learning_rate: Positive = 1e-3
    patience: Annotated[Count | None, BeforeValidator(_null_word)] = 10


class Model(Section):
    """``models.NAME:``, what is added to the code: an offset, Gaussian noise, or both.

    ``rms`` scales the offset table to that root mean square a coordinate over the training
    split; null adds the vectors as they came.
    """

    offset: Name
    rms: Annotated[Positive | None, BeforeValidator(_null_word)] = None
    stddev: NonNegative = 0.0


Metric = Literal["mse", "mae", "binary_crossentropy", "psnr", "explained_variance"]


class Evaluate(Section):
    """``evaluate:``, what is compared with what."""

    baselines: list[Name] = Field(default_factory=lambda: ["none", "gaussian"])
    metric: Metric = "mse"
    confidence: Share = 0.95
    seed: Seed = 0


class Tracking(Section):
    """``tracking:``, the MLflow experiment. ``uri: null`` honours MLFLOW_TRACKING_URI."""

    experiment: Annotated[str, StringConstraints(min_length=1, max_length=250)] = (
        "offset-autoencoder"
    )
    uri: Annotated[str | None, BeforeValidator(_null_word)] = None
