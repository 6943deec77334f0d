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
    ACTIVATION,
    ADDS,
    BIAS,
    COLUMN,
    COMBINE,
    CONSTANT,
    DENSE,
    FIRST,
    GRADIENT,
    KERNEL,
    KIND,
    OUT,
    OVERWRITES,
    OVERWRITES_SECOND,
    SAMPLE,
    SECOND,
    THIRD,
    TRAINS,
    UNIT_NORM,
)

_f = np.float32
_ZERO, _HALF, _ONE = _f(0), _f(0.5), _f(1)


@inlined
def block(workspace: Any, program: Any, value: int, first: int, last: int, most: int) -> Any:
    """Rows ``first`` to ``last`` of a value in a workspace made for ``most``, (rows, width)."""
    start, width = program.columns[value] * most, program.widths[value]
    return workspace[start + first * width : start + last * width].reshape((last - first, width))


@inlined
def _kernel(flat: Any, start: int, inputs: int, outputs: int) -> Any:
    return flat[start : start + inputs * outputs].reshape((inputs, outputs))


@compiled
def _exp(x: Any) -> Any:
    return exp_of_negative(x) if x <= _ZERO else _ONE / exp_of_negative(-x)


@compiled
def forward(
    program: Any,
    weights: Any,
    workspace: Any,
    start: int,
    end: int,
    most: int,
    training: bool,
    divergences: Any,
) -> None:
    """Fill the workspace with every value of some rows of a batch.

    Args:
        program: A :class:`.program.Program`.
        weights: Flat, float32.
        workspace: Flat, float32, with the inputs' values filled in.
        start: The first of the rows.
        end: The row after the last.
        most: Samples that the workspace is made for.
        training: Whether codes are drawn.
        divergences: (most,) float64, written where codes are drawn: each row's KL divergence
            from the prior, nats.
    """
    rows = end - start
    for number in range(program.operations.shape[0]):
        op = program.operations[number]
        kind = op[KIND]
        out = block(workspace, program, op[OUT], start, end, most)
        first = block(workspace, program, op[FIRST], start, end, most)
        if kind == DENSE:
            inputs, outputs = first.shape[1], out.shape[1]
            np.dot(first, _kernel(weights, op[KERNEL], inputs, outputs), out)
            if op[BIAS] >= 0:
                bias = weights[op[BIAS] : op[BIAS] + outputs]
                if op[ACTIVATION] == RELU:
                    for i in range(rows):
                        for j in range(outputs):
                            out[i, j] = max(out[i, j] + bias[j], _ZERO)
                    continue
                for i in range(rows):
                    for j in range(outputs):
                        out[i, j] += bias[j]
            if op[ACTIVATION] != LINEAR:
                activate(op[ACTIVATION], out)
        elif kind == ACTIVATE:
            _accumulate(out, first, True)
            activate(op[ACTIVATION], out)
        elif kind == UNIT_NORM:
            _unit_norm(first, out, program.constants[op[CONSTANT]])
        elif kind == COMBINE:
            factor, column = program.constants[op[CONSTANT]], op[COLUMN]
            if op[ADDS]:
                for i in range(rows):
                    for j in range(first.shape[1]):
                        out[i, column + j] += factor * first[i, j]
            else:
                for i in range(rows):
                    for j in range(first.shape[1]):
                        out[i, column + j] = factor * first[i, j]
        elif kind == SAMPLE:
            log_variance = block(workspace, program, op[SECOND], start, end, most)
            noise = block(workspace, program, op[THIRD], start, end, most)
            for i in range(rows):
                divergence = 0.0
                for j in range(out.shape[1]):
                    mean, lv = first[i, j], log_variance[i, j]
                    divergence += _HALF * (mean * mean + _exp(lv) - lv - _ONE)
                    out[i, j] = mean + _exp(_HALF * lv) * noise[i, j] if training else mean
                divergences[start + i] = divergence


@compiled
def _accumulate(total: Any, more: Any, overwrites: bool) -> None:
    a, b = total.reshape(-1), more.reshape(-1)
    if overwrites:
        for i in range(a.size):
            a[i] = b[i]
    else:
        for i in range(a.size):
            a[i] += b[i]


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
def weight_gradients(
    program: Any,
    number: int,
    gradient: Any,
    workspace: Any,
    upstream: Any,
    rows: int,
    most: int,
) -> tuple[int, int]:
    """Sum the gradient of an operation's weights over the rows of a batch.

    The arguments are those of :func:`backward`; ``rows`` are all of the batch.

    Returns:
        How many floats its kernel and its bias have; 0 where they do not train.
    """
    op = program.operations[number]
    if op[KIND] != DENSE or op[TRAINS] == 0:
        return 0, 0
    first = block(workspace, program, op[FIRST], 0, rows, most)
    above = block(upstream, program, op[OUT], 0, rows, most)
    inputs, outputs = first.shape[1], above.shape[1]
    np.dot(first.T, above, _kernel(gradient, op[KERNEL], inputs, outputs))
    if op[BIAS] < 0:
        return inputs * outputs, 0
    of_bias = gradient[op[BIAS] : op[BIAS] + outputs]
    of_bias[:] = _ZERO
    for i in range(rows):
        for j in range(outputs):
            of_bias[j] += above[i, j]
    return inputs * outputs, outputs


@compiled
def backward(
    program: Any,
    weights: Any,
    gradient: Any,
    workspace: Any,
    upstream: Any,
    scratch: Any,
    start: int,
    end: int,
    samples: int,
    most: int,
    kl_weight: float,
    sums: bool,
) -> None:
    """Turn the gradient of the output into that of every value, for some rows of a batch.

    Args:
        program: A :class:`.program.Program`.
        weights: Flat, float32.
        gradient: Flat, float32, written where the rows are summed.
        workspace: As the forward pass left it.
        upstream: Of its size: the gradient of every value, of which the output's is filled in.
        scratch: Float32, as large as these rows of the largest value.
        start: The first of the rows.
        end: The row after the last.
        samples: Rows of the whole batch.
        most: Samples that the workspace is made for.
        kl_weight: What the divergence of this step is weighted with.
        sums: Whether these are all rows, and the gradients of the weights are summed, too.
    """
    rows = end - start
    for number in range(program.operations.shape[0] - 1, -1, -1):
        op = program.operations[number]
        kind, overwrites = op[KIND], op[OVERWRITES]
        if op[GRADIENT] == 0 and (kind != DENSE or op[TRAINS] == 0):
            continue
        out = block(workspace, program, op[OUT], start, end, most)
        above = block(upstream, program, op[OUT], start, end, most)
        first = block(workspace, program, op[FIRST], start, end, most)
        below = block(upstream, program, op[FIRST], start, end, most)
        if kind == DENSE:
            if op[ACTIVATION] != LINEAR:
                times_derivative(op[ACTIVATION], out, out, above)
            if sums:
                weight_gradients(program, number, gradient, workspace, upstream, rows, most)
            if op[GRADIENT]:
                inputs = first.shape[1]
                kernel = _kernel(weights, op[KERNEL], inputs, out.shape[1])
                if overwrites:
                    np.dot(above, kernel.T, below)
                else:
                    product = scratch[: rows * inputs].reshape((rows, inputs))
                    np.dot(above, kernel.T, product)
                    _accumulate(below, product, False)
        elif kind == ACTIVATE:
            times_derivative(op[ACTIVATION], first, out, above)
            _accumulate(below, above, overwrites != 0)
        elif kind == UNIT_NORM:
            _unit_norm_gradient(
                first, out, above, below, program.constants[op[CONSTANT]], overwrites
            )
        elif kind == COMBINE:
            factor, column = program.constants[op[CONSTANT]], op[COLUMN]
            for i in range(rows):
                for j in range(first.shape[1]):
                    change = factor * above[i, column + j]
                    below[i, j] = change if overwrites else below[i, j] + change
        elif kind == SAMPLE:
            log_variance = block(workspace, program, op[SECOND], start, end, most)
            noise = block(workspace, program, op[THIRD], start, end, most)
            below_second = block(upstream, program, op[SECOND], start, end, most)
            of_each = _f(kl_weight / samples)
            for i in range(rows):
                for j in range(out.shape[1]):
                    lv, g = log_variance[i, j], above[i, j]
                    of_mean = g + of_each * first[i, j]
                    spread = _HALF * _exp(_HALF * lv)
                    of_lv = g * noise[i, j] * spread + of_each * _HALF * (_exp(lv) - _ONE)
                    below[i, j] = of_mean if overwrites else below[i, j] + of_mean
                    below_second[i, j] = (
                        of_lv if op[OVERWRITES_SECOND] else below_second[i, j] + of_lv
                    )
