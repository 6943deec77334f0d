"""Losses, optimizers, schedules, engines and activations that params.yaml may name, a record each.

Records are light: what computes is named by ``module:function`` and imported when it is called.
Names are Keras's own, so that a member is one line here wherever Keras is enough for it; the
engines look a name up among their kernels and leave the others to Keras.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, Literal, Protocol, TypeVar

import numpy as np
from numpy.typing import NDArray

from offset_autoencoder.errors import InputError, did_you_mean, short_repr

Array = NDArray[np.float64]
Range = Literal["any", "non_negative", "unit_interval"]
"""Values that an activation gives: all, 0 or more, or 0 to 1."""


class Named(Protocol):
    """A record with a name."""

    @property
    def name(self) -> str:
        """Name in params.yaml."""


N = TypeVar("N", bound=Named)


class Registry(dict[str, N]):
    """Records by name, in their order; an unknown name is an InputError that names the nearest.

    ``family`` is the noun for a member, for that error: ``"loss"``.
    """

    def __init__(self, family: str, members: Iterable[N]) -> None:
        super().__init__({member.name: member for member in members})
        self.family = family

    def __missing__(self, name: str) -> N:
        raise InputError(self.family, f"unknown value {short_repr(name)}", did_you_mean(name, self))


def load(target: str) -> Any:
    """Import the attribute that ``"package.module:attribute"`` names."""
    module, _, attribute = target.partition(":")
    return getattr(importlib.import_module(module), attribute)


@dataclass(frozen=True)
class Loss:
    """Reconstruction loss; per sample it is a mean over the features or a sum over them.

    Attributes:
        name: Name in params.yaml, and of the loss in ``keras.losses``.
        output: Output activation that it needs; None: any of ``output_range``.
        is_sum: Whether it is summed over the features, and not averaged.
        targets: What it asks of the data: values in [0, 1], values of 0 or more, or rows that are
            distributions.
        output_range: What it asks of the reconstruction.
        likelihood: −log p(x | z) in nats, summed over features and averaged over samples, from
            (n, D) float64 samples and reconstructions; None: it is no likelihood, so that there
            is no evidence lower bound.
    """

    name: str
    output: str | None = None
    is_sum: bool = False
    targets: Literal["any", "unit_interval", "non_negative", "distribution"] = "any"
    output_range: Range = "any"
    likelihood: Callable[[Array, Array], float] | None = None

    @property
    def outputs(self) -> tuple[str, ...]:
        """Output activations that it can take."""
        if self.output is not None:
            return (self.output,)
        takes_any = self.output_range == "any"
        return tuple(a.name for a in ACTIVATIONS.values() if takes_any or a.output_range != "any")

    def nats_factor(self, features: int) -> float:
        """Factor from nats per sample to the units of this loss."""
        return 1.0 if self.is_sum else 1.0 / features

    def negative_log_likelihood(self, x: Any, reconstruction: Any) -> float:
        """−log p(x | z) in nats of x and reconstructions, (n, D), summed over D, averaged over n.

        Raises:
            ValueError: for a loss that is no likelihood.
        """
        if self.likelihood is None:
            raise ValueError(f"{self.name} is no likelihood")
        return self.likelihood(np.asarray(x, np.float64), np.asarray(reconstruction, np.float64))


@dataclass(frozen=True)
class Optimizer:
    """Optimizer with Keras's defaults, by Keras's name.

    ``slots`` counts the arrays of the weights' shape that it carries from step to step.
    """

    name: str
    slots: int


@dataclass(frozen=True)
class Schedule:
    """Schedule of the learning rate, one of Keras's, over all steps of a run.

    ``factor`` is from the share of the steps that were taken, (n,) from 0 to 1, and the factor at
    1, above 0, to the factors of the learning rate, (n,).
    """

    name: str
    factor: Callable[[Array, float], Array]


@dataclass(frozen=True)
class Activation:
    """Activation by Keras's name, and the range of its values."""

    name: str
    output_range: Range


@dataclass(frozen=True)
class Engine:
    """Engine that trains runs.

    Attributes:
        implementation: ``module:class``, a subclass of ``training.engine.Engine``.
        backend: Keras's backend in the process that it trains in; None: any.
        packages: Those that it needs beside what every run's id has the versions of. An id has
            theirs where it names the engine.
    """

    name: str
    implementation: str
    backend: str | None = None
    packages: tuple[str, ...] = ()


CLIP = 1e-7  # Keras clips a probability to this far from 0 and 1


def _bernoulli(x: Array, p: Array) -> float:
    """Values x in [0, 1] with probabilities p."""
    p = np.clip(p, CLIP, 1 - CLIP)
    return x.shape[1] * float(-np.mean(x * np.log(p) + (1 - x) * np.log1p(-p)))


def _categorical(x: Array, p: Array) -> float:
    """Rows of x and p are distributions."""
    return float(-np.mean(np.sum(x * np.log(np.maximum(p, CLIP)), axis=1)))


def _gaussian(x: Array, mean: Array) -> float:
    """Variance ½: its summed squared error is this likelihood but for a constant."""
    return x.shape[1] * (float(np.mean(np.square(mean - x))) + float(np.log(np.pi)) / 2)


def _laplace(x: Array, median: Array) -> float:
    """Scale 1: its summed absolute error is this likelihood but for a constant."""
    return x.shape[1] * (float(np.mean(np.abs(median - x))) + float(np.log(2)))


def _poisson(x: Array, rate: Array) -> float:
    """Counts x of these rates; of other values of 0 or more its continuation by the Γ function."""
    from scipy.special import gammaln

    return x.shape[1] * float(np.mean(rate - x * np.log(rate + CLIP) + gammaln(x + 1)))


LOSSES: Registry[Loss] = Registry(
    "loss",
    [
        Loss("binary_crossentropy", "sigmoid", targets="unit_interval", likelihood=_bernoulli),
        Loss(
            "categorical_crossentropy",
            output="softmax",
            is_sum=True,
            targets="distribution",
            likelihood=_categorical,
        ),
        Loss("mean_squared_error", likelihood=_gaussian),
        Loss("mean_absolute_error", likelihood=_laplace),
        Loss("huber"),
        Loss(
            "poisson",
            targets="non_negative",
            output_range="non_negative",
            likelihood=_poisson,
        ),
    ],
)

OPTIMIZERS: Registry[Optimizer] = Registry(
    "optimizer",
    [Optimizer("adam", 2), Optimizer("adamw", 2), Optimizer("rmsprop", 1), Optimizer("sgd", 0)],
)

# Keras's CosineDecay, ExponentialDecay, PolynomialDecay of power 1, and InverseTimeDecay.
SCHEDULES: Registry[Schedule] = Registry(
    "train.schedule",
    [
        Schedule("constant", lambda share, end: np.ones_like(share)),
        Schedule("cosine", lambda share, end: end + (1 - end) * (1 + np.cos(np.pi * share)) / 2),
        Schedule("exponential", lambda share, end: end**share),
        Schedule("linear", lambda share, end: 1 - (1 - end) * share),
        Schedule("inverse_time", lambda share, end: 1 / (1 + (1 / end - 1) * share)),
    ],
)

# ``auto`` takes the first that can train a network, of those for the process's backend.
ENGINES: Registry[Engine] = Registry(
    "train.engine",
    [
        Engine("jax", "offset_autoencoder.training.jax_engine:JaxEngine", "jax", ("jax", "jaxlib")),
        Engine("numba", "offset_autoencoder.training.numba_engine.engine:NumbaEngine"),
        Engine("keras", "offset_autoencoder.training.keras_engine:KerasEngine", "tensorflow"),
    ],
)

# Keras's, but for those that need another argument: ``glu`` and ``threshold``.
_ACTIVATIONS: dict[Range, str] = {
    "non_negative": "relu relu6 softplus squareplus sparse_plus exponential",
    "unit_interval": "sigmoid hard_sigmoid sparse_sigmoid softmax sparsemax",
    "any": "linear tanh elu gelu selu silu celu mish softsign leaky_relu hard_silu hard_tanh "
    "tanh_shrink hard_shrink soft_shrink log_sigmoid log_softmax",
}
ACTIVATIONS: Registry[Activation] = Registry(
    "activation",
    [Activation(name, span) for span, names in _ACTIVATIONS.items() for name in names.split()],
)
ALIASES = {"swish": "silu", "hard_swish": "hard_silu"}

# Keras's names; of them ``constant`` and ``stft`` need an argument.
INITIALIZERS = (
    *("glorot_uniform", "glorot_normal", "he_uniform", "he_normal", "lecun_uniform"),
    *("lecun_normal", "orthogonal", "random_uniform", "random_normal", "truncated_normal"),
    *("variance_scaling", "identity", "zeros", "ones"),
)
