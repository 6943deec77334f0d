"""Sections of params.yaml, a frozen model each, for one value of every key."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any, Literal, Self

from pydantic import AfterValidator, BeforeValidator, Field, StringConstraints, model_validator

from offset_autoencoder.config import values
from offset_autoencoder.config.registries import (
    ENGINES,
    INITIALIZERS,
    LOSSES,
    OPTIMIZERS,
    SCHEDULES,
    Registry,
)
from offset_autoencoder.errors import short_repr

SplitName = Literal["train", "validation", "test"]
SPLITS: tuple[SplitName, ...] = ("train", "validation", "test")
SPLIT_COLUMNS = ("group", "order")
"""Keys of ``split:`` that name a column of the data."""


def _names_splits(value: Any) -> Any:
    if isinstance(value, dict) and not all(
        split in SPLITS and isinstance(name, str) for split, name in value.items()
    ):
        expected = f"must be a name, or a name for each of {', '.join(SPLITS)}"
        raise ValueError(f"{expected}, got {short_repr(value)}")
    return value


def _as_names(value: Any) -> Any:
    """Names as text: YAML reads a column's name such as 1100 as a number."""
    if isinstance(value, dict):
        return {key: _as_names(name) for key, name in value.items()}
    if isinstance(value, list):
        return [_as_names(name) for name in value]
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    return str(value) if is_number else value


NUMBERS_ARE_NAMES = BeforeValidator(_as_names)
PathOrSplits = Annotated[str | dict[SplitName, str], BeforeValidator(_names_splits)]
NameOrSplits = Annotated[PathOrSplits, NUMBERS_ARE_NAMES]

Loss = Annotated[str, values.member_of(LOSSES)]


def check_output(loss: str, output: str) -> None:
    """Raise :class:`.values.WrongTogether` for an output that a loss cannot take."""
    suited = LOSSES[loss].outputs
    if output not in suited:
        message = f"loss: {loss} needs output: {' or '.join(suited)}, got {output}"
        raise values.WrongTogether(message, "output", "loss")


class Data(values.Section):
    """``data:``, where the samples come from and how they are scaled.

    For ``source: file`` the keys ``label``, ``id`` and ``split`` name a column (csv, parquet),
    an array (npz, hdf5) or a file of their own; ``path`` is relative to ``data/raw``.

    Attributes:
        features: Columns, or the array of npz and hdf5; or an array per split.
        exclude: Columns that are no features.
        header: Whether the first line of a csv names its columns, which without one are named
            0, 1, ...; None: it does, and one that looks like data is refused.
        complex: What becomes of complex numbers: two channels, or their absolute value.
        scale: None: ``minmax`` for a table whose columns have names, ``unit`` for arrays.
        clip: Whether values beyond the range of the training split become the end of it. None: of
            a table that is scaled by ``minmax`` because ``scale`` is None.
        constant: What a feature becomes that is constant over the training split: 0 (under
            ``minmax`` and ``standard``), none of the features, or an error (under these two).
        missing: What is done about missing cells: their rows are dropped, or they get the mean or
            median of their feature over the training split.
        categorical: Whether a column of text becomes a feature per level, 1 or 0.
        image_shape: ``[h, w]`` or ``[h, w, channels]`` of a sample; ``[]`` for no image; None: that
            of the data (see :mod:`.data.shapes`).
        sequence_shape: ``[steps, channels]`` of a sample that is a series; None likewise.
        channels: Whether the channels of such shapes stand ``first`` or ``last``; None is last.
    """

    source: Literal["digits", "mnist", "fashion_mnist", "file"] = "digits"
    path: PathOrSplits | None = None
    features: Annotated[
        str | list[str] | dict[SplitName, str] | None,
        BeforeValidator(_names_splits),
        NUMBERS_ARE_NAMES,
    ] = None
    label: NameOrSplits | None = None
    id: NameOrSplits | None = None
    split: Annotated[str | None, NUMBERS_ARE_NAMES] = None
    exclude: Annotated[list[str] | None, NUMBERS_ARE_NAMES] = None
    header: values.Nullable[bool] = None
    complex: values.Nullable[Literal["real_imag", "abs"]] = None
    scale: values.Nullable[Literal["none", "unit", "minmax", "standard"]] = None
    clip: values.Nullable[bool] = None
    constant: Literal["zero", "drop", "error"] = "zero"
    missing: Literal["error", "drop", "mean", "median"] = "error"
    categorical: Literal["error", "one_hot"] = "error"
    image_shape: values.Nullable[list[values.Count]] = None
    sequence_shape: values.Nullable[list[values.Count]] = None
    channels: values.Nullable[Literal["first", "last"]] = None

    @model_validator(mode="after")
    def _path_goes_with_file(self) -> Self:
        if self.source == "file" and self.path is None:
            raise values.WrongTogether("source: file needs a path under data/raw", "source")
        file_keys = ("path", "features", "label", "id", "split", "exclude", "header", "complex")
        given = [key for key in file_keys if getattr(self, key) is not None]
        if self.source != "file" and given:
            message = f"{given[0]} goes with source: file, not source: {self.source}"
            raise values.WrongTogether(message, *given)
        if self.split is not None and self.splits_named:
            message = "split and one path or array a split exclude each other"
            raise values.WrongTogether(message, "split")
        return self

    @property
    def splits_named(self) -> tuple[SplitName, ...]:
        """Splits for which some key has a value of its own."""
        by_split = [v for v in (self.path, self.features, self.label, self.id) if type(v) is dict]
        return tuple(name for name in SPLITS if any(name in value for value in by_split))

    def for_table(self, *, named: bool) -> Data:
        """The same with scale and clipping of a table whose columns are ``named`` or not."""
        if self.scale is not None:
            return self
        clip = named if self.clip is None else self.clip
        return self.model_copy(update={"scale": "minmax" if named else "unit", "clip": clip})


class Split(values.Section):
    """``split:``, the shares cut off where the data set does not bring its own splits.

    Attributes:
        vary: Whether the runs of each seed have a split of their own (Bouthillier et al. 2021,
            Accounting for Variance in Machine Learning Benchmarks). None: they have where the data
            bring no test split, the training split is within every ``train.memory_limit``, and
            nothing orders the samples.
        group: Column whose equal values (one subject, machine, day) are kept in one split; named
            like ``data.label``.
        order: Column of numbers or ISO dates, named likewise: the last samples are the test split,
            those before them validation.
    """

    validation: values.Share = 0.15
    test: values.Share = 0.2
    seed: values.Seed = 0
    stratify: bool = True
    vary: values.Nullable[bool] = None
    group: PathOrSplits | None = None
    order: PathOrSplits | None = None

    @property
    def relevant(self) -> dict[str, Any]:
        """The keys and their values, without a column that is not named."""
        named = {key for key in SPLIT_COLUMNS if getattr(self, key) is not None}
        return self.model_dump(exclude={*SPLIT_COLUMNS} - named)

    @model_validator(mode="after")
    def _one_column(self) -> Self:
        if self.group is not None and self.order is not None:
            message = "order and group exclude each other: of whole days order alone keeps each "
            message += "together, as samples of one time are"
            raise values.WrongTogether(message, "order", "group")
        if self.order is not None and self.vary:
            message = "vary: true and order exclude each other: in time there is one split, so "
            message += "leave vary out"
            raise values.WrongTogether(message, "vary", "order")
        return self

    @model_validator(mode="after")
    def _something_is_left(self) -> Self:
        if self.validation + self.test >= 1:
            message = "validation + test must be below 1: nothing is left to train on"
            raise values.WrongTogether(message, "test", "validation")
        return self


@dataclass(frozen=True)
class NetworkKind:
    """Kind of encoder and decoder.

    Attributes:
        name: Name in params.yaml.
        keys: The keys of ``network:`` that this kind has and some others have not.
        encode: ``module:function`` of the encoder up to its last hidden layer, from
            (architecture, x, seed, prefix, activation=, trainable=) to (batch, features).
        decode: ``module:function`` of the decoder, from (architecture, code, seed) to the
            reconstruction, (batch, input_dim).
        is_dense: Whether both are Dense layers alone, as :mod:`.models.architecture` lists them:
            their parameters can be matched, and they run without TensorFlow.
        reads: The shape that samples must have, ``image_shape`` or ``sequence_shape`` of
            :class:`.models.architecture.Architecture`; None: any will do.
        check: ``module:function`` from (where, network, sides), which raises an InputError where
            samples of these sides (height and width, or steps) do not suit the network; None: all
            suit.
    """

    name: str
    keys: tuple[str, ...]
    encode: str
    decode: str
    is_dense: bool = False
    reads: Literal["image_shape", "sequence_shape"] | None = None
    check: str | None = None


NETWORK_KINDS: Registry[NetworkKind] = Registry(
    "network.kind",
    [
        NetworkKind(
            "dense",
            keys=("hidden", "activation"),
            encode="offset_autoencoder.models.network_kinds:encode_dense",
            decode="offset_autoencoder.models.network_kinds:decode_dense",
            is_dense=True,
        ),
        NetworkKind(
            "convolutional",
            keys=("filters", "kernel_size", "activation"),
            encode="offset_autoencoder.models.network_kinds:encode_convolutional",
            decode="offset_autoencoder.models.network_kinds:decode_convolutional",
            reads="image_shape",
            check="offset_autoencoder.models.resolve:check_sides",
        ),
        NetworkKind(
            "convolutional_1d",
            keys=("filters", "kernel_size", "activation"),
            encode="offset_autoencoder.models.network_kinds:encode_convolutional",
            decode="offset_autoencoder.models.network_kinds:decode_convolutional",
            reads="sequence_shape",
            check="offset_autoencoder.models.resolve:check_sides",
        ),
        NetworkKind(
            "recurrent",
            keys=("hidden", "cell"),
            encode="offset_autoencoder.models.network_kinds:encode_recurrent",
            decode="offset_autoencoder.models.network_kinds:decode_recurrent",
            reads="sequence_shape",
            check="offset_autoencoder.models.resolve:check_recurrent",
        ),
    ],
)


class Network(values.Section):
    """``network:``, the encoder's shape; the decoder mirrors it.

    A ``dense`` encoder has a Dense layer for each width of ``hidden``; a ``convolutional`` one,
    for images, a strided convolution for each number of ``filters``, and ``convolutional_1d``
    likewise over the steps of a series; a ``recurrent`` one a layer of ``cell`` for each width of
    ``hidden``, with Keras's own activations, of which the last step is kept. All end in a linear
    Dense layer, the code.

    Every loss is per sample: a mean over the features, but for categorical cross-entropy, which
    is the sum over them that its definition asks for.

    Attributes:
        output: Activation of the reconstruction.
        normalize: Norm of the code. ``unit``: each code has norm 1. ``power``: the mean of the
            squared norm is 1, over the batch in training and over batches of late afterwards
            (:class:`.models.layers.PowerNorm`). ``none``: as it comes. True and False are older
            names of ``unit`` and ``none``.
        initializer: Of all kernels, by Keras's name.
        dropout: Share of each hidden layer's outputs that are set to 0 in training.
        code_l1: Weight of the code's sum of absolute values, averaged over the batch, in the loss.
        code_l2: The same of its sum of squares.
    """

    later_keys = ("initializer", "dropout", "code_l1", "code_l2")
    kind: Annotated[str, values.member_of(NETWORK_KINDS)] = "dense"
    latent_dim: values.Width = 16
    hidden: list[values.Width] = Field([32])
    filters: Annotated[list[values.Width], Field(min_length=1)] = Field([16, 32])
    kernel_size: values.Width = 3
    cell: Literal["gru", "lstm"] = "gru"
    activation: values.Activation = "relu"
    output: values.Activation = "sigmoid"
    loss: Loss = "binary_crossentropy"
    normalize: Annotated[Literal["unit", "power", "none"], BeforeValidator(values.norm_of_bool)] = (
        "unit"
    )
    initializer: Annotated[str, values.member_of(INITIALIZERS)] = "glorot_uniform"
    dropout: Annotated[values.NonNegative, Field(lt=1)] = 0.0
    code_l1: values.NonNegative = 0.0
    code_l2: values.NonNegative = 0.0

    @model_validator(mode="after")
    def _keys_fit_together(self) -> Self:
        check_output(self.loss, self.output)
        if self.code_l2 and self.normalize == "unit":
            message = "the sum of squares of a code of unit norm is 1: set normalize: none or power"
            raise values.WrongTogether(message, "code_l2")
        if self.initializer == "identity" and not self.kind_record.is_dense:
            message = f"identity initializes matrices, and kind: {self.kind} has other kernels"
            raise values.WrongTogether(message, "initializer")
        return self

    @property
    def kind_record(self) -> NetworkKind:
        """The record of its kind."""
        return NETWORK_KINDS[self.kind]

    @property
    def relevant(self) -> dict[str, Any]:
        """The keys that matter to this kind, and their values."""
        others = {key for kind in NETWORK_KINDS.values() for key in kind.keys}
        keys = self.relevant_values(exclude=others - {*self.kind_record.keys})
        keys["normalize"] = {"unit": True, "none": False}.get(self.normalize, self.normalize)
        return keys


class Train(values.Section):
    """``train:``, how a run is trained. ``patience: null`` trains every epoch.

    Attributes:
        patience: Epochs without a lower validation loss after which a run stops.
        schedule: How the learning rate falls, by the name of a schedule of Keras, from
            ``learning_rate`` at the first step to ``schedule_end`` times that at the last step of
            the last of ``epochs``, whether or not patience ends the run before.
        engine: ``numba``, the project's own compiled loop, trains networks of known dense layers
            on the CPU; ``keras`` trains any, on whatever device TensorFlow finds; ``auto`` takes
            the first that can. ``tensorflow`` is an older name of ``keras``.
        memory_limit: Bytes of training samples in memory, ``500 MB`` say; where there are more,
            they are read chunk by chunk while a run trains.
        checkpoint_seconds: Between two checkpoints of a run in training.
    """

    later_keys = ("schedule",)
    epochs: values.Epochs = 100
    batch_size: values.Count = 32
    optimizer: Annotated[str, values.member_of(OPTIMIZERS)] = "adam"
    learning_rate: values.Positive = 1e-3
    schedule: Annotated[str, values.member_of(SCHEDULES)] = "constant"
    schedule_end: Annotated[values.Positive, Field(le=1)] = 0.01
    patience: values.Nullable[values.Count] = 10
    engine: Annotated[
        str,
        values.member_of(("auto", *ENGINES)),
        BeforeValidator(lambda name: "keras" if name == "tensorflow" else name),
    ] = "auto"
    memory_limit: values.Nullable[values.Bytes] = None
    checkpoint_seconds: values.Positive = 30.0

    @property
    def relevant(self) -> dict[str, Any]:
        """The keys that a run's weights depend on, and their values."""
        without = {"schedule_end"} if self.schedule == "constant" else set()
        return self.relevant_values(exclude={"memory_limit", "checkpoint_seconds", *without})


class Anomaly(values.Section):
    """``evaluate.anomaly:``, the classes that are normal: samples of all others are anomalies.

    Attributes:
        label: Key ``data.label``, which may stand here.
        normal: Labels of the normal classes. Training and validation use no other samples.
        error: Metric that is the error of a sample, by which anomalies are told: one of
            :data:`.evaluation.metrics.METRICS` that is a mean over samples.
    """

    label: PathOrSplits | None = None
    normal: Annotated[
        list[values.Label],
        Field(min_length=1),
        AfterValidator(values.each_once),
        BeforeValidator(lambda value: value if isinstance(value, list) else [value]),
    ]
    error: str = "mse"


class Evaluate(values.Section):
    """``evaluate:``, what is compared with what, and what is done to the offsets at test time.

    Attributes:
        baselines: The models that every other is compared with.
        own_baselines: By a model's name, a further model that it alone is compared with.
        select: Swept keys whose best value validation picks, for each model and for each value of
            its other swept keys: ``network.KEY``, ``train.KEY``, or a key of ``models:`` by itself.
            What is picked is compared on the test split.
        metric: Name of the metric compared, one of :data:`.evaluation.metrics.METRICS`.
        confidence: Of every interval; 1 - confidence is the level of every test.
        margin: A change of the error that counts as none: within this share of the baseline's error
            at the same seed; for the verdicts on offsets, of the test error of the run trained with
            nothing at that seed or, without one, of its own as deployed.
        power: For which the number of seeds needed is stated.
        draws: Random draws that are averaged where an intervention draws; of many samples fewer,
            as many as bring 4096 vectors.
        offset_scales: What the offset is multiplied by.
        noise_stddevs: Gaussian noise on top of code and offset.
        seed: Of those draws.
        anomaly: The normal classes, where anomalies are to be detected; see :mod:`.config.anomaly`.
    """

    baselines: Annotated[list[values.Name], *values.FEW] = Field(["none", "gaussian"])
    own_baselines: dict[values.Name, values.Name] = Field({})
    select: Annotated[list[str], *values.FEW] = Field([])
    metric: str = "mse"
    confidence: values.Share = 0.95
    margin: values.Share = 0.05
    power: values.Share = 0.8
    draws: Annotated[values.Count, Field(le=10_000)] = 8
    offset_scales: Annotated[list[values.Number], *values.FEW] = Field(
        [-1.0, 0.0, 0.5, 1.0, 1.5, 2.0]
    )
    noise_stddevs: Annotated[list[values.NonNegative], *values.FEW] = Field(
        [0.0, 0.05, 0.1, 0.2, 0.4]
    )
    seed: values.Seed = 0
    anomaly: Anomaly | None = None

    @property
    def all_baselines(self) -> tuple[str, ...]:
        """The baselines of every model, then those of single ones."""
        return (*self.baselines, *dict.fromkeys(self.own_baselines.values()))

    @property
    def selected_keys(self) -> tuple[str, ...]:
        """The keys of ``select`` as sweeps have them, without their section."""
        return tuple(name.rpartition(".")[2] for name in self.select)


class Tracking(values.Section):
    """``tracking:``, the MLflow experiment. ``uri: null`` honours MLFLOW_TRACKING_URI.

    Attributes:
        models: Which runs are logged as models that can be served: of each model the best on the
            validation split, all or none.
        registered_model: The registered model whose alias ``champion`` the best of them gets;
            None registers nothing.
        champion_metric: The metric by whose value on the validation split runs are chosen; None:
            that of ``evaluate``.
        live_after: Seconds after which a training shows its curves while it goes on; None: never.
    """

    experiment: str = Field("offset-autoencoder", min_length=1, max_length=250)
    uri: values.Nullable[values.TrackingUri] = None
    models: Annotated[
        Literal["best", "all", "none"],
        BeforeValidator(lambda word: "none" if word in values.NULL_WORDS else word),
    ] = "best"
    registered_model: values.Nullable[
        Annotated[str, StringConstraints(pattern=r"^[^/:'\"\s]+$", max_length=250)]
    ] = "offset-autoencoder"
    champion_metric: values.Nullable[str] = None
    live_after: values.Nullable[values.NonNegative] = 30.0
