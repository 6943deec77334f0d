"""A dense network as a list of operations: what the compiled loop runs.

Every intermediate of a batch is a *value*: (rows, width) float32, a block of one workspace.
An operation reads one to three values and writes one. All weights lie in one flat array,
those that train first, so that an optimizer's step is one loop over it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

# The first values of every program: what a model is fed.
X, OFFSET, NOISE = 0, 1, 2

# Kinds of operations.
DENSE = 0  # out = activation(first @ kernel + bias)
ACTIVATE = 1  # out = activation(first)
UNIT_NORM = 2  # out = first / ‖first‖, zeros where it is shorter than constant
COMBINE = 3  # out[:, column : column + width of first] (+)= constant · first
SAMPLE = 4  # out = first + exp(second / 2) · third in training, first otherwise

# Activations. The derivative of most is told by their output; that of some needs their input,
# which is why a Dense layer with one of these becomes two operations.
LINEAR, RELU, SIGMOID, TANH, ELU, SELU, SOFTPLUS, LEAKY_RELU, SILU, GELU = range(10)
ACTIVATIONS = {
    "linear": LINEAR,
    "relu": RELU,
    "sigmoid": SIGMOID,
    "tanh": TANH,
    "elu": ELU,
    "selu": SELU,
    "softplus": SOFTPLUS,
    "leaky_relu": LEAKY_RELU,
    "silu": SILU,
    "gelu": GELU,
}
NEED_INPUT = frozenset({SILU, GELU})


class Operation(NamedTuple):
    """One operation; what a kind does not use is -1, or 0 for flags.

    Attributes:
        kind: What it does.
        out: The value that it writes.
        first: The value that it reads.
        second: A second one.
        third: A third one.
        kernel: Where its kernel starts among the weights.
        bias: Where its bias starts; -1 where it has none.
        trains: Whether kernel and bias train.
        activation: Of DENSE and ACTIVATE.
        column: Of COMBINE, the first column of ``out`` that it writes.
        adds: Of COMBINE, whether it adds to what is there.
        constant: Which of the program's constants it uses.
        gradient: Whether ``first`` (and ``second``) need a gradient.
        overwrites: Whether the gradient of ``first`` is written, not added to: backward, this
            operation comes to it first.
        overwrites_second: The same of ``second``.
    """

    kind: int
    out: int
    first: int
    second: int = -1
    third: int = -1
    kernel: int = -1
    bias: int = -1
    trains: int = 0
    activation: int = LINEAR
    column: int = 0
    adds: int = 0
    constant: int = -1
    gradient: int = 0
    overwrites: int = 0
    overwrites_second: int = 0


class Program(NamedTuple):
    """A network as the compiled loop takes it; every field a number or an array.

    Attributes:
        operations: (n, 15) int64, a row per :class:`Operation`, in the order of the forward pass.
        constants: float32, what operations refer to.
        columns: (values + 1,) int64, where each value starts in a workspace of one row; the
            last is a row's total width.
        widths: (values,) int64.
        trained: Number of the flat weights that train; they come first.
        loss: Kind of loss; it reads the last operation's ``out``.
        kl_weight: Of a variational autoencoder's divergence, after the warm-up.
        warmup_steps: Steps over which that weight rises.
        steps_at: Where the weights keep the number of steps taken; -1 where none does.
    """

    operations: NDArray[np.int64]
    constants: NDArray[np.float32]
    columns: NDArray[np.int64]
    widths: NDArray[np.int64]
    trained: int
    loss: int
    kl_weight: float
    warmup_steps: int
    steps_at: int

    @property
    def row_width(self) -> int:
        """Floats of one row of the workspace."""
        return int(self.columns[-1])

    @property
    def has_noise(self) -> bool:
        """True if noise is a value of its own, and not part of what is added to the code."""
        return bool(np.any(self.operations[:, 2:5] == NOISE))


@dataclass(frozen=True)
class Layout:
    """Places of a model's weights in the flat array.

    Attributes:
        paths: Their names: first those that train, then the others.
        shapes: Their shapes.
        starts: Where each starts.
        size: Floats in all.
    """

    paths: tuple[str, ...]
    shapes: tuple[tuple[int, ...], ...]
    starts: tuple[int, ...]
    size: int

    def flatten(self, arrays: list[NDArray[np.float32]]) -> NDArray[np.float32]:
        """The weights as one array, (size,) float32."""
        return np.concatenate([np.ravel(array) for array in arrays]).astype(np.float32)

    def split(self, flat: NDArray[np.float32]) -> list[NDArray[np.float32]]:
        """The weights one by one, copied."""
        return [
            flat[start : start + int(np.prod(shape))].reshape(shape).copy()
            for start, shape in zip(self.starts, self.shapes, strict=True)
        ]
