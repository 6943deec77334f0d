"""Reconstruction metrics: one record per metric, computed in float64 over samples and features.

To add a metric, add its record to :data:`METRICS`: params.yaml then accepts its name, and every
table, picture and comparison has it.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from offset_autoencoder.config import Params
from offset_autoencoder.config.registries import ACTIVATIONS, Registry
from offset_autoencoder.config.schema import Evaluate
from offset_autoencoder.errors import InputError, did_you_mean, short_repr
from offset_autoencoder.evaluation.detection import auroc, average_precision
from offset_autoencoder.io.arrays import chunks

Array = NDArray[np.float32]
Float64 = NDArray[np.float64]
Decode = Callable[[Array | None, Array], Array]
Bounds = tuple[float, float]

UNBOUNDED: Bounds = (-math.inf, math.inf)
SHARE: Bounds = (0.0, 1.0)
POSITIVE: Bounds = (0.0, math.inf)
AT_MOST_ONE: Bounds = (-math.inf, 1.0)  # shares that are explained

# What is added to the code when a metric is measured, by the suffix of its column: the run's
# own offset as deployed; its own offset and its own Gaussian noise, as in training; neither.
CONDITIONS = {"": "deployed", "_as_trained": "as trained", "_clean": "clean"}

# Of the column of a metric on the validation split, as deployed.
VALIDATION = "_validation"

# The evidence lower bound of a variational autoencoder and its parts, in nats per sample.
BOUND = ("elbo", "nll", "kl")

_CLIP = 1e-7


@dataclass(frozen=True)
class Domain:
    """Values that samples and reconstructions take, and their shape."""

    data_range: tuple[float, float] | None  # None where unknown
    in_unit_interval: bool = False  # of x and of the network's output
    image_shape: tuple[int, ...] | None = None  # of a sample: (h, w) or (h, w, c)
    error: str = "mse"  # the metric that is the error of a sample
    # Which of these very samples are anomalies, (n,); None where that is not asked.
    anomalies: NDArray[np.bool_] | None = field(default=None, compare=False)

    @classmethod
    def of(
        cls, x: Array, data_range: Sequence[float] | None, image_shape: Sequence[int] | None = None
    ) -> Domain:
        """The domain of samples x (n, features)."""
        known = None if data_range is None else (data_range[0], data_range[1])
        shape = None if image_shape is None else tuple(image_shape)
        in_unit_interval = all(part.min() >= 0 and part.max() <= 1 for _, part in chunks(x))
        return cls(known, in_unit_interval, shape)


@dataclass(frozen=True)
class MetricInputs:
    """Properties of params.yaml and ``data/prepared`` that decide if a metric can be had."""

    params: Params
    data_range: Sequence[float] | None  # None where unknown
    low: float  # smallest value of the test split
    high: float


def _ratio_of_errors(values: Float64, baseline: Float64) -> Float64:
    ratio = np.full(values.shape, np.nan)
    return np.divide(values, baseline, out=ratio, where=baseline > 0)


@dataclass(frozen=True)
class Metric:
    """A reconstruction metric; arrays are float64, samples (n, features) and values (n,).

    It has one of three sources: its function, the mean squared error, or the errors of samples.

    Attributes:
        function: From x, reconstruction and domain to the mean over samples of something: the
            blocks of many samples are averaged.
        error_ratio: From values and baseline values to the ratio of the errors behind them, NaN
            where the baseline has no error.
        lacks: From the inputs to what no run can do without and none has, and its remedy.
        from_mse: From the mean squared error, the variance of x (mean over the features) and the
            domain to the value.
        from_errors: From the errors of all samples, (n,), and which of them are anomalies to how
            well these are told from the others, whom only a test split has both of.
        per_sample: From x and reconstruction to each sample's value, (n,), whose mean the metric
            is; None where it is not known to be one.
        bounds: Its least and its greatest possible value.
    """

    name: str  # its column in runs.csv, and its name in params.yaml
    label: str  # in pictures, with its unit
    function: Callable[[Float64, Float64, Domain], float] | None = None
    higher_is_better: bool = False
    applies: Callable[[Domain], bool] = lambda domain: True
    error_ratio: Callable[[Float64, Float64], Float64] = _ratio_of_errors
    error_label: str = ""  # the name of that error in pictures
    lacks: Callable[[MetricInputs], tuple[str, str] | None] = lambda inputs: None
    from_mse: Callable[[float, float, Domain], float] | None = None
    from_errors: Callable[[Float64, NDArray[np.bool_]], float] | None = None
    per_sample: Callable[[Float64, Float64], Float64] | None = None
    bounds: Bounds = UNBOUNDED

    @property
    def difference_bounds(self) -> Bounds:
        """The least and the greatest possible difference of two values."""
        return self.bounds[0] - self.bounds[1], self.bounds[1] - self.bounds[0]

    @property
    def detects(self) -> bool:
        """True for how well the error of a sample tells anomalies from normal samples."""
        return self.from_errors is not None

    def __post_init__(self) -> None:
        if not self.error_label:
            object.__setattr__(self, "error_label", self.label.partition(",")[0])


def _crossentropy(x: Float64, reconstruction: Float64) -> Float64:
    """``−x·ln(x') − (1 − x)·ln(1 − x')`` in nats, x' clipped to [1e-7, 1 − 1e-7] as Keras does.

    For x strictly between 0 and 1 its least value is the entropy of x, not zero.

    Raises:
        ValueError: where x is outside [0, 1].
    """
    if np.min(x) < 0 or np.max(x) > 1:
        raise ValueError(f"x must lie in [0, 1], got [{np.min(x):g}, {np.max(x):g}]")
    clipped = np.clip(reconstruction, _CLIP, 1 - _CLIP)
    return -(x * np.log(clipped) + (1 - x) * np.log1p(-clipped))


def _psnr(error: float, data_range: tuple[float, float] | None) -> float:
    """Peak signal-to-noise ratio in decibels: ``10·log10((high − low)² / mse)``.

    Of the mean squared error over all samples, so it is not the mean of the samples' ratios.
    """
    if data_range is None:
        raise ValueError("psnr needs the range of the data")
    low, high = data_range
    if not high > low:
        raise ValueError(f"data_range must be low < high, got {data_range}")
    return float("inf") if error == 0 else float(10 * np.log10((high - low) ** 2 / error))


def _explained_variance(error: float, variance: float, domain: Domain) -> float:
    """Share of the variance that the reconstruction explains, over all features together.

    ``1 − Σᵢⱼ (x'ᵢⱼ − xᵢⱼ)² / Σᵢⱼ (xᵢⱼ − meanᵢ(xᵢⱼ))²``: the coefficient of determination against
    the best constant, the mean of each feature of these very samples. 1 is perfect, 0 is no
    better than that mean. Residuals of a constant feature count: they are error all the same.
    NaN where x does not vary at all.
    """
    return 1 - error / variance if variance else float("nan")


def _lacks_range(inputs: MetricInputs) -> tuple[str, str] | None:
    if inputs.data_range is not None:
        return None
    scale = inputs.params.data.scale
    needs = f"data of known range, and data.scale: {scale} gave none in [0, 1]"
    return needs, "set data.scale: unit or minmax, or take mse"


def _lacks_anomalies(inputs: MetricInputs) -> tuple[str, str] | None:
    if inputs.params.evaluate.anomaly is not None:
        return None
    return "to know what is normal", "name the normal classes in evaluate.anomaly.normal"


def _lacks_unit_interval(inputs: MetricInputs) -> tuple[str, str] | None:
    if inputs.low < 0 or inputs.high > 1:
        values = f"the test split has values from {inputs.low:g} to {inputs.high:g}"
        return f"data in [0, 1], and {values}", "set data.scale: unit or minmax, or take mse"
    outputs = sorted({setting.network.output for setting in inputs.params.settings})
    if not any(ACTIVATIONS[output].output_range == "unit_interval" for output in outputs):
        needs = f"a reconstruction in [0, 1], and every model has output: {' or '.join(outputs)}"
        return needs, "set output: sigmoid in one, or take mse"
    return None


def _error(
    name: str, label: str, of_element: Callable[[Float64, Float64], Float64], **options: Any
) -> Metric:
    """Metric that is a mean over samples and features of an error of each, (n, features)."""
    return Metric(
        name,
        label,
        lambda x, y, _: float(np.mean(of_element(x, y))),
        per_sample=lambda x, y: np.mean(of_element(x, y), axis=1),
        bounds=POSITIVE,
        **options,
    )


def _detection(name: str, label: str, score: Callable[..., float], error_label: str) -> Metric:
    """Metric from the errors of samples, (n,), and which of them are anomalies."""
    return Metric(
        name,
        label,
        higher_is_better=True,
        applies=lambda domain: domain.anomalies is not None,
        error_ratio=lambda values, baseline: _ratio_of_errors(1 - values, 1 - baseline),
        error_label=error_label,
        lacks=_lacks_anomalies,
        from_errors=score,
        bounds=SHARE,
    )


METRICS: Registry[Metric] = Registry(
    "metric",
    [
        _error("mse", "mean squared error", lambda x, y: np.square(y - x)),
        _error("mae", "mean absolute error", lambda x, y: np.abs(y - x)),
        _error(
            "binary_crossentropy",
            "binary cross-entropy, nats",
            _crossentropy,
            applies=lambda domain: domain.in_unit_interval,
            lacks=_lacks_unit_interval,
        ),
        Metric(
            "psnr",
            "PSNR, dB",
            higher_is_better=True,
            applies=lambda domain: domain.data_range is not None,
            lacks=_lacks_range,
            # A PSNR of d decibels is a mean squared error of 10^(−d / 10) squared data ranges.
            error_ratio=lambda values, baseline: 10 ** ((baseline - values) / 10),
            error_label="mean squared error",
            from_mse=lambda error, _, domain: _psnr(error, domain.data_range),
        ),
        Metric(
            "explained_variance",
            "explained variance, share",
            higher_is_better=True,
            error_ratio=lambda values, baseline: _ratio_of_errors(1 - values, 1 - baseline),
            error_label="mean squared error",
            from_mse=_explained_variance,
            bounds=AT_MOST_ONE,
        ),
        _detection("auroc", "AUROC", auroc, "share of pairs in the wrong order"),
        _detection("average_precision", "average precision", average_precision, "lost precision"),
    ],
)


def error_metric(evaluate: Evaluate) -> str:
    """The metric of ``evaluate`` or, where that is one of detection, the error that tells.

    What is measured on training or validation samples, which have no anomalies, is measured in it.
    """
    anomaly = evaluate.anomaly
    return anomaly.error if anomaly and METRICS[evaluate.metric].detects else evaluate.metric


def sample_metric(evaluate: Evaluate) -> str:
    """The metric that is the error of a sample, and tells anomalies: a mean over samples."""
    if evaluate.anomaly is not None:
        return evaluate.anomaly.error
    return evaluate.metric if METRICS[evaluate.metric].per_sample else "mse"


def check_metrics(params: Params) -> None:
    """Refuse params.yaml where a metric that it names is unknown.

    Raises:
        InputError: naming the key and the nearest metric.
    """
    for key, name in (
        ("evaluate.metric", params.evaluate.metric),
        ("tracking.champion_metric", params.tracking.champion_metric),
    ):
        if name is not None and name not in METRICS:
            unknown = f"unknown value {short_repr(name)}"
            raise InputError(f"params.yaml: {key}", unknown, did_you_mean(name, METRICS))
    if (name := params.tracking.champion_metric) and METRICS[name].detects:
        what = f"{name} is not known on the validation split, which has no anomalies"
        raise InputError("params.yaml: tracking.champion_metric", what, "take mse")
    errors = [name for name, metric in METRICS.items() if metric.per_sample]
    anomaly = params.evaluate.anomaly
    if anomaly and anomaly.error not in errors:
        unknown = f"{short_repr(anomaly.error)} is no error of a sample"
        hint = did_you_mean(anomaly.error, errors)
        raise InputError("params.yaml: evaluate.anomaly.error", unknown, hint)


def check_metric_inputs(inputs: MetricInputs) -> None:
    """Refuse an ``evaluate.metric`` that no run can have.

    Raises:
        InputError: naming what it needs.
    """
    metric = inputs.params.evaluate.metric
    if lacking := METRICS[metric].lacks(inputs):
        needs, remedy = lacking
        raise InputError("params.yaml: evaluate.metric", f"{metric} needs {needs}", remedy)


def metric_of(column: str) -> Metric:
    """The metric of a column of ``runs.csv``, in whatever condition.

    Raises:
        InputError: where it is the column of no metric, naming the nearest.
    """
    suffix = next((name for name in CONDITIONS if name and column.endswith(name)), "")
    return METRICS[column.removesuffix(suffix)]


def higher_is_better(column: str) -> bool:
    """True if larger values of a column, in whatever condition, are better."""
    return metric_of(column).higher_is_better


def badness(column: str, value: float) -> float:
    """A number that is lowest for the best value of a column; infinite where it is not finite."""
    if not math.isfinite(value):
        return math.inf
    return -value if higher_is_better(column) else value


def sample_errors(metric: str, x: NDArray[Any], reconstruction: NDArray[Any]) -> Array | None:
    """The metric of each sample, float32 (n,), whose mean is that of all; None where it is none.

    Raises:
        ValueError: where the shapes differ, or there is no sample.
    """
    per_sample = METRICS[metric].per_sample
    return per_sample and per_sample(*checked_pair(x, reconstruction)).astype(np.float32)


def checked_pair(x: NDArray[Any], reconstruction: NDArray[Any]) -> tuple[Float64, Float64]:
    """Samples and reconstructions, both (n, features), as float64.

    Raises:
        ValueError: where the shapes differ, or there is no sample.
    """
    if x.shape != reconstruction.shape or x.ndim != 2 or not x.size:
        raise ValueError(
            f"x and reconstruction must both be (n, features), got the shapes {x.shape} "
            f"and {reconstruction.shape}"
        )
    return np.asarray(x, dtype=np.float64), np.asarray(reconstruction, dtype=np.float64)
