"""Forward and backward pass of a program over one batch."""

from __future__ import annotations

from typing import Any

import numpy as np

from offset_autoencoder.training.numba_engine.compiler import compiled, inlined
from offset_autoencoder.training.numba_engine.kernels import (
    LINEAR,
    RELU,
    activate,
    exp_of_negative,
    times_derivative,
)
from offset_autoencoder.training.numba_engine.program import (
    ACTIVATE,
    COMBINE,
    DENSE,
    SAMPLE,
    UNIT_NORM,
)

_f = np.float32
_ZERO, _HALF, _ONE = _f(0), _f(0.5), _f(1)


@inlined
def block(values: Any, program: Any, value: int, first: int, last: int) -> Any:
    """Rows ``first`` to ``last`` of a value in a workspace, or of its gradient, (rows, width)."""
    start, width = program.columns[value] * program.batch_size, program.widths[value]
    return values[start + first * width : start + last * width].reshape((last - first, width))


@inlined
def _kernel(flat: Any, start: int, inputs: int, outputs: int) -> Any:
    return flat[start : start + inputs * outputs].reshape((inputs, outputs))


@compiled
def _exp(x: Any) -> Any:
    return exp_of_negative(x) if x <= _ZERO else _ONE / exp_of_negative(-x)


@compiled
def forward(program: Any, weights: Any, scratch: Any, start: int, end: int, training: bool) -> None:
    """Fill the workspace with every value of the rows ``start`` to ``end`` of a batch.

    It holds the inputs' values already. ``program`` is a :class:`.program.Program`, ``scratch`` a
    :class:`.program.Scratch`, ``weights`` are flat, float32. In training codes are drawn, where
    there is a distribution of them.
    """
    workspace = scratch.workspace
    rows = end - start
    for number in range(program.operations.shape[0]):
        op = program.operations[number]
        kind = op.kind
        out = block(workspace, program, op.out, start, end)
        first = block(workspace, program, op.first, start, end)
        if kind == DENSE:
            inputs, outputs = first.shape[1], out.shape[1]
            np.dot(first, _kernel(weights, op.kernel, inputs, outputs), out)
            if op.bias >= 0:
                bias = weights[op.bias : op.bias + outputs]
                if op.activation == RELU:
                    for i in range(rows):
                        for j in range(outputs):
                            out[i, j] = max(out[i, j] + bias[j], _ZERO)
                    continue
                for i in range(rows):
                    for j in range(outputs):
                        out[i, j] += bias[j]
            if op.activation != LINEAR:
                activate(op.activation, out)
        elif kind == ACTIVATE:
            _accumulate(out, first, True)
            activate(op.activation, out)
        elif kind == UNIT_NORM:
            _unit_norm(first, out, program.constants[op.constant])
        elif kind == COMBINE:
            factor, column = program.constants[op.constant], op.column
            adds = op.adds != 0
            for i in range(rows):
                for j in range(first.shape[1]):
                    change = factor * first[i, j]
                    out[i, column + j] = out[i, column + j] + change if adds else change
        elif kind == SAMPLE:
            log_variance = block(workspace, program, op.second, start, end)
            noise = block(workspace, program, op.third, start, end)
            for i in range(rows):
                divergence = 0.0
                for j in range(out.shape[1]):
                    mean, lv = first[i, j], log_variance[i, j]
                    divergence += _HALF * (mean * mean + _exp(lv) - lv - _ONE)
                    out[i, j] = mean + _exp(_HALF * lv) * noise[i, j] if training else mean
                scratch.divergences[start + i] = divergence


@compiled
def _accumulate(total: Any, more: Any, overwrites: bool) -> None:
    a, b = total.reshape(-1), more.reshape(-1)
    for i in range(a.size):
        a[i] = b[i] if overwrites else a[i] + b[i]


@compiled
def _unit_norm(first: Any, out: Any, shortest: Any) -> None:
    rows, width = first.shape
    for i in range(rows):
        square = _ZERO
        for j in range(width):
            square += first[i, j] * first[i, j]
        # A NaN must stay one: it says that the run diverged.
        scale = _ZERO if square <= shortest * shortest else _ONE / np.sqrt(square)
        for j in range(width):
            out[i, j] = first[i, j] * scale


@compiled
def _unit_norm_gradient(
    first: Any, out: Any, upstream: Any, gradient: Any, shortest: Any, overwrites: int
) -> None:
    """Of y = x / ‖x‖: (g − y·(y·g)) / ‖x‖, and zeros where x has no direction."""
    rows, width = first.shape
    for i in range(rows):
        square, along = _ZERO, _ZERO
        for j in range(width):
            square += first[i, j] * first[i, j]
            along += out[i, j] * upstream[i, j]
        scale = _ZERO if square <= shortest * shortest else _ONE / np.sqrt(square)
        for j in range(width):
            change = (upstream[i, j] - out[i, j] * along) * scale
            gradient[i, j] = change if overwrites else gradient[i, j] + change


@inlined
def weight_gradients(program: Any, op: Any, scratch: Any, rows: int) -> tuple[int, int]:
    """Sum the gradient of an operation's weights over all rows of a batch.

    Returns:
        How many floats its kernel and its bias have; 0 where they do not train.
    """
    gradient = scratch.gradient
    if op.kind != DENSE or op.trains == 0:
        return 0, 0
    first = block(scratch.workspace, program, op.first, 0, rows)
    above = block(scratch.upstream, program, op.out, 0, rows)
    inputs, outputs = first.shape[1], above.shape[1]
    np.dot(first.T, above, _kernel(gradient, op.kernel, inputs, outputs))
    if op.bias < 0:
        return inputs * outputs, 0
    of_bias = gradient[op.bias : op.bias + outputs]
    of_bias[:] = _ZERO
    for i in range(rows):
        for j in range(outputs):
            of_bias[j] += above[i, j]
    return inputs * outputs, outputs


@compiled
def backward(
    program: Any,
    weights: Any,
    scratch: Any,
    start: int,
    end: int,
    samples: int,
    kl_weight: float,
    sums: bool,
) -> None:
    """Turn the gradient of the output into that of every value, for some rows of a batch.

    The first arguments are those of :func:`forward`; of ``scratch.upstream`` the output's part is
    filled in. The batch has ``samples`` rows, and the divergence of this step is weighted with
    ``kl_weight``. Where these are all rows, the gradients of the weights can be summed, too.
    """
    workspace, upstream = scratch.workspace, scratch.upstream
    rows = end - start
    for number in range(program.operations.shape[0] - 1, -1, -1):
        op = program.operations[number]
        kind, overwrites = op.kind, op.overwrites
        if op.gradient == 0 and (kind != DENSE or op.trains == 0):
            continue
        out = block(workspace, program, op.out, start, end)
        above = block(upstream, program, op.out, start, end)
        first = block(workspace, program, op.first, start, end)
        below = block(upstream, program, op.first, start, end)
        if kind == DENSE:
            if op.activation != LINEAR:
                times_derivative(op.activation, out, out, above)
            if sums:
                weight_gradients(program, op, scratch, rows)
            if op.gradient:
                inputs = first.shape[1]
                kernel = _kernel(weights, op.kernel, inputs, out.shape[1])
                if overwrites:
                    np.dot(above, kernel.T, below)
                else:
                    at = start * program.widths.max()
                    product = scratch.spare[at : at + rows * inputs].reshape((rows, inputs))
                    np.dot(above, kernel.T, product)
                    _accumulate(below, product, False)
        elif kind == ACTIVATE:
            times_derivative(op.activation, first, out, above)
            _accumulate(below, above, overwrites != 0)
        elif kind == UNIT_NORM:
            _unit_norm_gradient(
                first, out, above, below, program.constants[op.constant], overwrites
            )
        elif kind == COMBINE:
            factor, column = program.constants[op.constant], op.column
            for i in range(rows):
                for j in range(first.shape[1]):
                    change = factor * above[i, column + j]
                    below[i, j] = change if overwrites else below[i, j] + change
        elif kind == SAMPLE:
            log_variance = block(workspace, program, op.second, start, end)
            noise = block(workspace, program, op.third, start, end)
            below_second = block(upstream, program, op.second, start, end)
            of_each = _f(kl_weight / samples)
            for i in range(rows):
                for j in range(out.shape[1]):
                    lv, g = log_variance[i, j], above[i, j]
                    of_mean = g + of_each * first[i, j]
                    spread = _HALF * _exp(_HALF * lv)
                    of_lv = g * noise[i, j] * spread + of_each * _HALF * (_exp(lv) - _ONE)
                    below[i, j] = of_mean if overwrites else below[i, j] + of_mean
                    below_second[i, j] = (
                        of_lv if op.overwrites_second else below_second[i, j] + of_lv
                    )
