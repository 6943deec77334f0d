"""Sections of params.yaml, a frozen model each, for one value of every key."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any, Literal, Self

from pydantic import AfterValidator, BeforeValidator, Field, StringConstraints, model_validator

from offset_autoencoder.config import values
from offset_autoencoder.config.data_schema import NameOrSplits
from offset_autoencoder.config.registries import (
    ENGINES,
    INITIALIZERS,
    LOSSES,
    OPTIMIZERS,
    SCHEDULES,
    Registry,
)

Loss = Annotated[str, values.member_of(LOSSES)]


def check_output(loss: str, output: str) -> None:
    """Raise :class:`.values.WrongTogether` for an output that a loss cannot take."""
    suited = LOSSES[loss].outputs
    if output not in suited:
        message = f"loss: {loss} needs output: {' or '.join(suited)}, got {output}"
        raise values.WrongTogether(message, "output", "loss")


@dataclass(frozen=True)
class NetworkKind:
    """Kind of encoder and decoder.

    Attributes:
        name: Name in params.yaml.
        keys: The keys of ``network:`` that this kind has and some others have not.
        encode: ``module:function`` of the encoder up to its last hidden layer, from
            (architecture, x, prefix, activation=, trainable=) to (batch, features), both nodes
            of a :class:`.models.graph.Graph`.
        decode: ``module:function`` of the decoder, from (architecture, code) to the
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


@dataclass(frozen=True)
class Executor:
    """Executor of trainings: the machines that runs are trained on; it is in no id.

    Attributes:
        name: Name in params.yaml.
        train: ``module:function`` that trains runs, as :func:`.training.schedule.train_runs` does.
        is_here: Whether it is this machine alone.
    """

    name: str
    train: str
    is_here: bool = False


EXECUTORS: Registry[Executor] = Registry(
    "executor",
    [
        Executor("local", "offset_autoencoder.training.schedule:train_runs", is_here=True),
        Executor("ray", "offset_autoencoder.training.ray_executor:train_runs"),
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
        kind: Kind of encoder and decoder.
        latent_dim: Length of the code.
        hidden: Widths of the encoder's hidden layers; the decoder has them in reverse.
        filters: Numbers of filters of the convolutions.
        kernel_size: Side of each convolution's kernel.
        cell: Recurrent cell.
        activation: Activation of the hidden layers.
        output: Activation of the reconstruction.
        loss: Loss of the reconstruction.
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
        epochs: Epochs, at most.
        batch_size: Samples per step.
        optimizer: Optimizer, by Keras's name.
        learning_rate: Learning rate of the first step.
        schedule_end: Factor of the learning rate at the last step of the last of ``epochs``.
        patience: Epochs without a lower validation loss after which a run stops.
        schedule: How the learning rate falls, by the name of a schedule of Keras, from
            ``learning_rate`` at the first step to ``schedule_end`` times that at the last step of
            the last of ``epochs``, whether or not patience ends the run before.
        engine: ``numba``, the project's own compiled loop, trains networks of known dense layers
            on the CPU; ``keras`` trains any, on whatever device TensorFlow finds; ``jax`` trains
            a population as one program, on a GPU. ``auto`` takes ``jax`` where that is installed
            and finds a GPU, else the first that can. ``tensorflow`` is an older name of ``keras``.
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

    label: NameOrSplits | None = None
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
        experiment: Name of the experiment in MLflow.
        uri: Store; None: that of MLFLOW_TRACKING_URI, else ``mlflow.db`` at the project's root.
        models: Which runs are logged as models that can be served: of each model the best on the
            validation split, all or none.
        registered_model: The registered model whose alias ``champion`` the best of them gets;
            None registers nothing.
        champion_metric: The metric by whose value on the validation split runs are chosen; None:
            that of ``evaluate``.
        curve_points: Points of a run's curve, at most; None: every epoch.
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
    curve_points: values.Nullable[Annotated[values.Count, Field(ge=4)]] = 100
    live_after: values.Nullable[values.NonNegative] = 30.0
