"""Forward and backward pass of a program over one batch."""

from __future__ import annotations

from typing import Any

import numpy as np

from offset_autoencoder.training.fused.compiler import compiled, inlined
from offset_autoencoder.training.fused.elementwise import (
    activate,
    exp_of_negative,
    times_derivative,
)
from offset_autoencoder.training.fused.program import (
    ACTIVATE,
    COMBINE,
    DENSE,
    LINEAR,
    RELU,
    SAMPLE,
    UNIT_NORM,
)

_f = np.float32
_ZERO, _HALF, _ONE = _f(0), _f(0.5), _f(1)


@inlined
def block(workspace: Any, program: Any, value: int, rows: int, most: int) -> Any:
    """A value of a batch of ``rows`` in a workspace made for ``most``, (rows, width)."""
    start, width = program.columns[value] * most, program.widths[value]
    return workspace[start : start + rows * width].reshape((rows, width))


@inlined
def _kernel(flat: Any, start: int, inputs: int, outputs: int) -> Any:
    return flat[start : start + inputs * outputs].reshape((inputs, outputs))


@compiled
def _exp(x: Any) -> Any:
    return exp_of_negative(x) if x <= _ZERO else _ONE / exp_of_negative(-x)


@compiled
def forward(
    program: Any, weights: Any, workspace: Any, rows: int, most: int, training: bool
) -> float:
    """Fill the workspace with every value of a batch.

    Args:
        program: A :class:`~offset_autoencoder.training.fused.program.Program`.
        weights: Flat, float32.
        workspace: Flat, float32, with the inputs' values filled in.
        rows: Samples of the batch.
        most: Samples that the workspace is made for.
        training: Whether codes are drawn.

    Returns:
        The KL divergence from the prior, nats, summed over the batch.
    """
    divergence = 0.0
    for number in range(program.operations.shape[0]):
        op = program.operations[number]
        kind = op[0]
        out = block(workspace, program, op[1], rows, most)
        first = block(workspace, program, op[2], rows, most)
        if kind == DENSE:
            inputs, outputs = first.shape[1], out.shape[1]
            np.dot(first, _kernel(weights, op[5], inputs, outputs), out)
            if op[6] >= 0:
                bias = weights[op[6] : op[6] + outputs]
                if op[8] == RELU:
                    for i in range(rows):
                        for j in range(outputs):
                            out[i, j] = max(out[i, j] + bias[j], _ZERO)
                    continue
                for i in range(rows):
                    for j in range(outputs):
                        out[i, j] += bias[j]
            if op[8] != LINEAR:
                activate(op[8], out)
        elif kind == ACTIVATE:
            _accumulate(out, first, True)
            activate(op[8], out)
        elif kind == UNIT_NORM:
            _unit_norm(first, out, program.constants[op[11]])
        elif kind == COMBINE:
            factor, column = program.constants[op[11]], op[9]
            if op[10]:
                for i in range(rows):
                    for j in range(first.shape[1]):
                        out[i, column + j] += factor * first[i, j]
            else:
                for i in range(rows):
                    for j in range(first.shape[1]):
                        out[i, column + j] = factor * first[i, j]
        elif kind == SAMPLE:
            log_variance = block(workspace, program, op[3], rows, most)
            noise = block(workspace, program, op[4], rows, most)
            for i in range(rows):
                for j in range(out.shape[1]):
                    mean, lv = first[i, j], log_variance[i, j]
                    divergence += _HALF * (mean * mean + _exp(lv) - lv - _ONE)
                    out[i, j] = mean + _exp(_HALF * lv) * noise[i, j] if training else mean
    return divergence


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


@compiled
def backward(
    program: Any,
    weights: Any,
    gradient: Any,
    workspace: Any,
    upstream: Any,
    scratch: Any,
    rows: int,
    most: int,
    kl_weight: float,
) -> None:
    """Turn the gradient of the output into that of every weight that trains.

    Args:
        program: A :class:`~offset_autoencoder.training.fused.program.Program`.
        weights: Flat, float32.
        gradient: Flat, float32, written.
        workspace: As the forward pass left it.
        upstream: Of its size: the gradient of every value, of which the output's is filled in.
        scratch: Float32, as large as the largest value.
        rows: Samples of the batch.
        most: Samples that the workspace is made for.
        kl_weight: What the divergence of this step is weighted with.
    """
    for number in range(program.operations.shape[0] - 1, -1, -1):
        op = program.operations[number]
        kind, overwrites = op[0], op[13]
        out = block(workspace, program, op[1], rows, most)
        above = block(upstream, program, op[1], rows, most)
        first = block(workspace, program, op[2], rows, most)
        below = block(upstream, program, op[2], rows, most)
        if kind == DENSE:
            inputs, outputs = first.shape[1], out.shape[1]
            if op[7] == 0 and op[12] == 0:
                continue
            if op[8] != LINEAR:
                times_derivative(op[8], out, out, above)
            if op[7]:
                np.dot(first.T, above, _kernel(gradient, op[5], inputs, outputs))
                if op[6] >= 0:
                    of_bias = gradient[op[6] : op[6] + outputs]
                    of_bias[:] = _ZERO
                    for i in range(rows):
                        for j in range(outputs):
                            of_bias[j] += above[i, j]
            if op[12]:
                kernel = _kernel(weights, op[5], inputs, outputs)
                if overwrites:
                    np.dot(above, kernel.T, below)
                else:
                    product = scratch[: rows * inputs].reshape((rows, inputs))
                    np.dot(above, kernel.T, product)
                    _accumulate(below, product, False)
        elif op[12] == 0:
            continue
        elif kind == ACTIVATE:
            times_derivative(op[8], first, out, above)
            _accumulate(below, above, overwrites != 0)
        elif kind == UNIT_NORM:
            _unit_norm_gradient(first, out, above, below, program.constants[op[11]], overwrites)
        elif kind == COMBINE:
            factor, column = program.constants[op[11]], op[9]
            for i in range(rows):
                for j in range(first.shape[1]):
                    change = factor * above[i, column + j]
                    below[i, j] = change if overwrites else below[i, j] + change
        elif kind == SAMPLE:
            log_variance = block(workspace, program, op[3], rows, most)
            noise = block(workspace, program, op[4], rows, most)
            below_second = block(upstream, program, op[3], rows, most)
            of_each = _f(kl_weight / rows)
            for i in range(rows):
                for j in range(out.shape[1]):
                    lv, g = log_variance[i, j], above[i, j]
                    of_mean = g + of_each * first[i, j]
                    spread = _HALF * _exp(_HALF * lv)
                    of_lv = g * noise[i, j] * spread + of_each * _HALF * (_exp(lv) - _ONE)
                    below[i, j] = of_mean if overwrites else below[i, j] + of_mean
                    below_second[i, j] = of_lv if op[14] else below_second[i, j] + of_lv
