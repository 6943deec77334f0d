"""``reconstruct``, ``encode``, ``offsets`` and ``errors``: what they compute of samples."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from offset_autoencoder.config import load_params
from offset_autoencoder.config.offset_kinds import SideInput
from offset_autoencoder.errors import InputError, did_you_mean
from offset_autoencoder.evaluation.metrics import METRICS, sample_metric
from offset_autoencoder.evaluation.sample_errors import errors_of
from offset_autoencoder.paths import PARAMS
from offset_autoencoder.serving.inference_model import InferenceModel

Array = NDArray[np.float32]


@dataclass
class Operation:
    """A model's output for samples, as a table of float32 columns, chunk by chunk.

    Attributes:
        is_scaled: Whether results are as in ``data/prepared``, as the samples then came.
    """

    progress: ClassVar[str]
    prefix: ClassVar[str | None] = None  # of the columns, one per latent dimension
    model: InferenceModel
    is_scaled: bool

    @property
    def needs(self) -> SideInput | None:
        """Side input that must be given beside x; None: none."""
        return self.model.metadata.needs

    def columns(self, features: Sequence[str]) -> Sequence[str]:
        """Names of the columns, by those of the samples' features."""
        if self.prefix is None:
            return features
        return [f"{self.prefix}_{i}" for i in range(self.model.metadata.latent_dim)]

    def values(self, x: Array, inputs: Mapping[str, Any]) -> Array:
        """Next rows, (n, columns), of scaled samples (n, D) and the inputs beside them."""
        raise NotImplementedError

    def summary(self, samples: int) -> str:
        """Clause on all samples, once they are done."""
        return ""


@dataclass
class Reconstruct(Operation):
    """Reconstructions, in the units of the samples."""

    progress = "reconstructing samples"
    _squares: float = 0.0
    _values: int = 0

    def values(self, x: Array, inputs: Mapping[str, Any]) -> Array:
        """See :meth:`Operation.values`."""
        values = self.model.reconstruct(x, **inputs)
        self._squares += float(np.square(values - x.astype(np.float64)).sum())
        self._values += values.size
        return values if self.is_scaled else self.model.inverse_scale(values).astype(np.float32)

    def summary(self, samples: int) -> str:
        """Clause with the error of all samples."""
        return f", mse {self._squares / self._values:.6g} of the scaled values"


@dataclass
class Encode(Operation):
    """Codes, which depend on x alone."""

    progress, prefix = "encoding samples", "code"

    @property
    def needs(self) -> SideInput | None:
        """Nothing."""
        return None

    def values(self, x: Array, inputs: Mapping[str, Any]) -> Array:
        """See :meth:`Operation.values`."""
        return self.model.encode(x, **inputs)


@dataclass
class Offsets(Operation):
    """Offsets f(x), unscaled."""

    progress, prefix = "computing offsets of samples", "offset"

    def __post_init__(self) -> None:
        facts = self.model.metadata
        what, hint = "adds no offset that is computed beforehand: there is none to write", None
        if facts.needs == "offset" and self.model.look_up is None:
            what = "its offset is a file of vectors of known samples: none are computed of new ones"
            hint = "reconstruct and errors take the new ones' as --offset vectors.npy"
        if facts.offset_kind is None or hint:
            raise InputError(f"model {facts.run[:12]}", what, hint)

    def values(self, x: Array, inputs: Mapping[str, Any]) -> Array:
        """See :meth:`Operation.values`."""
        return self.model.offset(x, **inputs)


@dataclass
class Errors(Operation):
    """Error of each sample, and what it exceeds.

    Attributes:
        metric: The error; None: that of params.yaml or, failing that, the mean squared error.
        threshold: What errors are compared with in place of the quantiles of the validation split.
        per_feature: Whether the error of each feature is written, too.
    """

    progress = "measuring errors of samples"
    metric: str | None = None
    threshold: float | None = None
    per_feature: bool = False

    def __post_init__(self) -> None:
        errors = [name for name, metric in METRICS.items() if metric.per_sample]
        if self.metric is not None and self.metric not in errors:
            what = f"{self.metric!r} is no error of a sample"
            raise InputError("--metric", what, did_you_mean(self.metric, errors))
        if self.threshold is not None and not np.isfinite(self.threshold):
            raise InputError("--threshold", f"must be finite, got {self.threshold}")
        self._sum = 0.0

    def columns(self, features: Sequence[str]) -> Sequence[str]:
        """The error, the mean squared error where that is another, what it exceeds, and the rest.

        ``above_percentile`` is the highest percentile of the validation split that it exceeds, 0
        where none; ``above`` is 1 where it exceeds the threshold.
        """
        known = self.model.thresholds
        of_params = sample_metric(load_params(PARAMS).evaluate) if PARAMS.exists() else "mse"
        self._metric = self.metric or (of_params if of_params in known else "mse")
        # What is exceeded, as it is written, and its bound.
        self._bounds = {round(100 * float(q)): b for q, b in known.get(self._metric, {}).items()}
        if self.threshold is not None:
            self._bounds = {1: self.threshold}
        self._above = np.zeros(len(self._bounds), np.int64)
        above = "above_percentile" if self.threshold is None else "above"
        return [
            *dict.fromkeys([self._metric, "mse"]),
            *([above] if self._bounds else []),
            *([f"error_{name}" for name in features] if self.per_feature else []),
        ]

    def values(self, x: Array, inputs: Mapping[str, Any]) -> Array:
        """See :meth:`Operation.values`."""
        pair = x, self.model.reconstruct(x, **inputs)
        parts = [errors_of(name, *pair) for name in dict.fromkeys([self._metric, "mse"])]
        if self._bounds:
            exceeds = parts[0][:, np.newaxis] > np.array([*self._bounds.values()])
            self._above += exceeds.sum(axis=0)
            parts.append(np.max(exceeds * np.array([*self._bounds]), axis=1))
        self._sum += float(parts[0].sum(dtype=np.float64))
        if self.per_feature:
            parts += [*errors_of(self._metric, *pair, per_feature=True).T]
        return np.stack(parts, axis=1).astype(np.float32)

    def summary(self, samples: int) -> str:
        """Clause with the mean error, and a line on how many exceed what."""
        line = f", mean {self._metric} {self._sum / samples:.6g} of the scaled values\n"
        if not self._bounds:
            return f"{line}no thresholds: the model brings none in {self._metric} (--threshold)"
        if self.threshold is not None:
            return f"{line}above {self.threshold:g}: {self._above[0]} of {samples}"
        counts = zip(self._bounds.items(), self._above.tolist(), strict=True)
        parts = [f"{percentile} % {bound:.4g} ({n} above)" for (percentile, bound), n in counts]
        return f"{line}quantiles of the validation split: {', '.join(parts)}"
