"""A Keras model → the program that trains it, where every layer of it is one that we know."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from offset_autoencoder.models.backend import keras
from offset_autoencoder.models.layers import SampledCode, UnitNorm
from offset_autoencoder.training.fused.program import (
    ACTIVATE,
    ACTIVATIONS,
    COMBINE,
    DENSE,
    LINEAR,
    NEED_INPUT,
    NOISE,
    SAMPLE,
    SIGMOID,
    SIGMOID_CROSSENTROPY,
    SOFTMAX_CROSSENTROPY,
    SQUARED_ERROR,
    UNIT_NORM,
    Layout,
    Operation,
    Program,
)

_SOFTMAX = -2  # stands only before a loss that takes its logits


class _UnknownLayer(Exception):
    """The model has a layer that the compiled loop does not know."""


def translate(model: Any, loss: str) -> tuple[Program, Layout] | None:
    """The program of a functional Keras model and the layout of its weights.

    Args:
        model: Functional, with the inputs ``x``, ``offset`` and possibly ``noise``.
        loss: A loss of the ``network:`` section.

    Returns:
        None where a layer is not one of those that the compiled loop knows, or is used in a way
        that it does not know: such a model is trained by TensorFlow.
    """
    try:
        return _Translation(model).finish(loss)
    except _UnknownLayer:
        return None


@dataclass
class _Translation:
    model: Any
    operations: list[Operation] = field(default_factory=list)
    constants: list[float] = field(default_factory=list)
    widths: list[int] = field(default_factory=list)
    values: dict[int, int] = field(default_factory=dict)
    kl_weight: float = 0.0
    warmup_steps: int = 0
    steps_at: int = -1

    def finish(self, loss: str) -> tuple[Program, Layout]:
        model = self.model
        if not type(model).__module__.startswith("keras."):
            raise _UnknownLayer  # a class of the user's may call its layers otherwise
        variables = [*model.trainable_variables, *model.non_trainable_weights]
        sizes = [int(np.prod(v.shape)) for v in variables]
        starts = np.concatenate([[0], np.cumsum(sizes)]).astype(int).tolist()
        self.starts = {v.path: start for v, start in zip(variables, starts, strict=False)}
        self.trains = {v.path for v in model.trainable_variables}
        if any(v.dtype != "float32" for v in variables):
            raise _UnknownLayer
        self._take_inputs()
        self._take_layers()
        program = self._program(loss, sum(int(np.prod(v.shape)) for v in model.trainable_variables))
        layout = Layout(
            paths=tuple(v.path for v in variables),
            shapes=tuple(tuple(v.shape) for v in variables),
            starts=tuple(starts[:-1]),
            size=starts[-1],
        )
        return program, layout

    def _take_inputs(self) -> None:
        given = self.model.input
        if not isinstance(given, dict) or not {"x", "offset"} <= set(given) <= {
            "x",
            "offset",
            "noise",
        }:
            raise _UnknownLayer
        for name in ("x", "offset", "noise"):
            self.widths.append(given[name].shape[-1] if name in given else 0)
            if name in given:
                self.values[id(given[name])] = len(self.widths) - 1

    def _take_layers(self) -> None:
        waiting = [
            layer for layer in self.model.layers if not isinstance(layer, keras.layers.InputLayer)
        ]
        while waiting:
            ready = [layer for layer in waiting if all(self._known(t) for t in _inputs(layer))]
            if not ready:
                raise _UnknownLayer
            for layer in ready:
                self._take(layer)
            waiting = [layer for layer in waiting if layer not in ready]
        if not self._known(self.model.output):
            raise _UnknownLayer

    def _known(self, tensor: Any) -> bool:
        return id(tensor) in self.values

    def _take(self, layer: Any) -> None:
        take = _LAYERS.get(type(layer))
        if take is None or layer.dtype_policy.name != "float32" or layer.activity_regularizer:
            raise _UnknownLayer
        take(self, layer, [self.values[id(tensor)] for tensor in _inputs(layer)])

    def _new_value(self, layer: Any) -> int:
        shape = tuple(layer.output.shape)
        if len(shape) != 2 or shape[1] is None:
            raise _UnknownLayer
        self.widths.append(int(shape[1]))
        self.values[id(layer.output)] = len(self.widths) - 1
        return len(self.widths) - 1

    def _constant(self, value: float) -> int:
        self.constants.append(value)
        return len(self.constants) - 1

    def dense(self, layer: Any, inputs: list[int]) -> None:
        config = layer.get_config()
        extras = [
            key
            for key, value in config.items()
            if value is not None and key.endswith(("_regularizer", "_constraint"))
        ]
        if extras or config.get("lora_rank") or config.get("quantization_mode"):
            raise _UnknownLayer
        parts = [layer.kernel] if layer.bias is None else [layer.kernel, layer.bias]
        if len({part.path in self.trains for part in parts}) > 1:
            raise _UnknownLayer
        activation = _activation(layer.activation)
        out = before = self._new_value(layer)
        if activation in NEED_INPUT:
            self.widths.append(self.widths[out])
            before = len(self.widths) - 1
        self.operations.append(
            Operation(
                DENSE,
                before,
                inputs[0],
                kernel=self.starts[layer.kernel.path],
                bias=-1 if layer.bias is None else self.starts[layer.bias.path],
                trains=int(layer.kernel.path in self.trains),
                activation=activation if before == out else LINEAR,
            )
        )
        if before != out:
            self.operations.append(Operation(ACTIVATE, out, before, activation=activation))

    def activate(self, layer: Any, inputs: list[int]) -> None:
        kind = _activation(layer.activation)
        self.operations.append(
            Operation(ACTIVATE, self._new_value(layer), inputs[0], activation=kind)
        )

    def unit_norm(self, layer: Any, inputs: list[int]) -> None:
        shortest = self._constant(layer.epsilon)
        self.operations.append(
            Operation(UNIT_NORM, self._new_value(layer), inputs[0], constant=shortest)
        )

    def combine(self, layer: Any, inputs: list[int], factor: float = 1.0) -> None:
        out, constant = self._new_value(layer), self._constant(factor)
        if any(self.widths[value] != self.widths[out] for value in inputs):
            raise _UnknownLayer
        for number, value in enumerate(inputs):
            self.operations.append(
                Operation(COMBINE, out, value, constant=constant, adds=int(number > 0))
            )

    def average(self, layer: Any, inputs: list[int]) -> None:
        self.combine(layer, inputs, 1.0 / len(inputs))

    def rescale(self, layer: Any, inputs: list[int]) -> None:
        if np.ndim(layer.scale) or np.any(layer.offset):
            raise _UnknownLayer
        self.combine(layer, inputs, float(layer.scale))

    def concatenate(self, layer: Any, inputs: list[int]) -> None:
        if layer.axis not in (-1, 1):
            raise _UnknownLayer
        out, constant, column = self._new_value(layer), self._constant(1.0), 0
        for value in inputs:
            self.operations.append(Operation(COMBINE, out, value, constant=constant, column=column))
            column += self.widths[value]

    def sample(self, layer: Any, inputs: list[int]) -> None:
        if len(inputs) != 3 or inputs[2] != NOISE or self.kl_weight:
            raise _UnknownLayer
        self.kl_weight, self.warmup_steps = layer.beta * layer.scale, layer.warmup_steps
        self.steps_at = -1 if layer.step is None else self.starts[layer.step.path]
        self.operations.append(Operation(SAMPLE, self._new_value(layer), *inputs))

    def _program(self, loss: str, trained: int) -> Program:
        operations = list(self.operations)
        last = operations[-1]
        if last.out != self.values[id(self.model.output)] or last.kind not in (DENSE, ACTIVATE):
            raise _UnknownLayer
        if any(last.out in (op.first, op.second, op.third) for op in operations):
            raise _UnknownLayer
        logits = {"binary_crossentropy": SIGMOID, "categorical_crossentropy": _SOFTMAX}
        kinds = {
            "binary_crossentropy": SIGMOID_CROSSENTROPY,
            "categorical_crossentropy": SOFTMAX_CROSSENTROPY,
            "mean_squared_error": SQUARED_ERROR,
        }
        if loss in logits:
            if last.activation != logits[loss]:
                raise _UnknownLayer
            operations[-1] = last._replace(activation=LINEAR)
        if any(op.activation == _SOFTMAX for op in operations):
            raise _UnknownLayer
        return Program(
            operations=np.array(_with_gradients(operations), np.int64),
            constants=np.array(self.constants or [0.0], np.float32),
            columns=np.concatenate([[0], np.cumsum(self.widths)]).astype(np.int64),
            widths=np.array(self.widths, np.int64),
            trained=trained,
            loss=kinds[loss],
            kl_weight=float(self.kl_weight),
            warmup_steps=self.warmup_steps,
            steps_at=self.steps_at,
        )


def _inputs(layer: Any) -> list[Any]:
    """A layer's inputs; a layer that is used twice has no single ones."""
    try:
        given = layer.input
    except AttributeError:
        raise _UnknownLayer from None
    return list(given) if isinstance(given, list | tuple) else [given]


def _activation(function: Any) -> int:
    # Not by its name, which a function of the user's may have too.
    for name, kind in (*ACTIVATIONS.items(), ("softmax", _SOFTMAX)):
        if function is getattr(keras.activations, name):
            return kind
    raise _UnknownLayer


def _with_gradients(operations: list[Operation]) -> list[Operation]:
    """The operations, told which values need a gradient and who comes to each first."""
    needed: set[int] = set()
    for op in operations:
        if op.trains or {op.first, op.second} & needed:
            needed.add(op.out)
    told: list[Operation] = []
    met: set[int] = set()
    for op in reversed(operations):
        gradient = int(bool({op.first, op.second} & needed))
        overwrites = int(gradient and op.first not in met)
        met.add(op.first)
        overwrites_second = int(op.second >= 0 and op.second not in met)
        met.add(op.second)
        told.append(
            op._replace(
                gradient=gradient, overwrites=overwrites, overwrites_second=overwrites_second
            )
        )
    return told[::-1]


_LAYERS: dict[type, Callable[[_Translation, Any, list[int]], None]] = {
    keras.layers.Dense: _Translation.dense,
    keras.layers.Activation: _Translation.activate,
    keras.layers.Add: _Translation.combine,
    keras.layers.Average: _Translation.average,
    keras.layers.Rescaling: _Translation.rescale,
    keras.layers.Concatenate: _Translation.concatenate,
    UnitNorm: _Translation.unit_norm,
    SampledCode: _Translation.sample,
}
