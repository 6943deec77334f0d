"""Compilation of a Keras model to the program that trains it, where all its layers are known."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from offset_autoencoder.models.backend import keras
from offset_autoencoder.models.layers import SampledCode, UnitNorm
from offset_autoencoder.training.engine import Untrainable
from offset_autoencoder.training.numba_engine import kernels, program
from offset_autoencoder.training.numba_engine.program import Operation, Program, make_program

_ITS_STRUCTURE = "the way in which it is put together"
_SOFTMAX = -2  # stands only before a loss that takes its logits
_ACTIVATIONS = {**kernels.ACTIVATIONS, "softmax": _SOFTMAX}


def compile_model(model: Any, loss: str, optimizer: str, batch_size: int) -> Program:
    """Compile a functional Keras model, with the inputs ``x``, ``offset`` and maybe ``noise``.

    The flat weights are those that train, one after another, and then the others. ``loss`` and
    ``optimizer`` are names of params.yaml.

    Raises:
        Untrainable: where a part is not one of those that the compiled loop knows, or is used in a
            way that it does not know: such a model is trained by another engine.
    """
    if loss not in kernels.LOSSES:
        raise Untrainable(f"loss {loss}")
    if optimizer not in kernels.OPTIMIZERS:
        raise Untrainable(f"optimizer {optimizer}")
    return _Compilation(model).finish(loss, optimizer, batch_size)


@dataclass
class _Compilation:
    model: Any
    operations: list[Operation] = field(default_factory=list)
    constants: list[float] = field(default_factory=list)
    widths: list[int] = field(default_factory=list)
    values: dict[int, int] = field(default_factory=dict)
    kl_weight: float = 0.0
    warmup_steps: int = 0
    steps_at: int = -1

    def finish(self, loss: str, optimizer: str, batch_size: int) -> Program:
        if not type(self.model).__module__.startswith("keras."):
            raise Untrainable(_ITS_STRUCTURE)  # a class of the user's may call its layers otherwise
        trained = self.model.trainable_variables
        variables = [*trained, *self.model.non_trainable_weights]
        if any(v.dtype != "float32" for v in variables):
            raise Untrainable(_ITS_STRUCTURE)
        ends = np.cumsum([int(np.prod(v.shape)) for v in variables]).tolist()
        paths = [v.path for v in variables]
        self.starts = dict(zip(paths, [0, *ends], strict=False))
        self.trains = set(paths[: len(trained)])
        self._take_inputs()
        self._take_layers()
        kind = kernels.LOSSES[loss]
        return make_program(
            _with_gradients(self._with_loss(kind)),
            self.widths,
            self.constants,
            trained=ends[len(trained) - 1],
            size=ends[-1],
            loss=kind,
            optimizer=kernels.OPTIMIZERS[optimizer],
            batch_size=batch_size,
            kl_weight=float(self.kl_weight),
            warmup_steps=self.warmup_steps,
            steps_at=self.steps_at,
        )

    def _take_inputs(self) -> None:
        inputs, names = self.model.input, ("x", "offset", "noise")
        if not isinstance(inputs, dict) or not {"x", "offset"} <= set(inputs) <= set(names):
            raise Untrainable(_ITS_STRUCTURE)
        for name in names:
            self.widths.append(inputs[name].shape[-1] if name in inputs else 0)
            if name in inputs:
                self.values[id(inputs[name])] = len(self.widths) - 1

    def _take_layers(self) -> None:
        layers = self.model.layers
        waiting = [layer for layer in layers if not isinstance(layer, keras.layers.InputLayer)]
        while waiting:
            ready = [layer for layer in waiting if all(self._known(t) for t in _inputs(layer))]
            if not ready:
                raise Untrainable(_ITS_STRUCTURE)
            for layer in ready:
                self._take(layer)
            waiting = [layer for layer in waiting if layer not in ready]
        if not self._known(self.model.output):
            raise Untrainable(_ITS_STRUCTURE)

    def _known(self, tensor: Any) -> bool:
        return id(tensor) in self.values

    def _take(self, layer: Any) -> None:
        take = _LAYERS.get(type(layer))
        if take is None or layer.dtype_policy.name != "float32" or layer.activity_regularizer:
            raise Untrainable(f"layer {layer.name!r}, {type(layer).__name__}")
        take(self, layer, [self.values[id(tensor)] for tensor in _inputs(layer)])

    def _new_value(self, layer: Any) -> int:
        shape = tuple(layer.output.shape)
        if len(shape) != 2 or shape[1] is None:
            raise Untrainable(_ITS_STRUCTURE)
        self.widths.append(int(shape[1]))
        self.values[id(layer.output)] = len(self.widths) - 1
        return len(self.widths) - 1

    def _constant(self, value: float) -> int:
        self.constants.append(value)
        return len(self.constants) - 1

    def _add(self, *values: int, **fields: int) -> None:
        self.operations.append(Operation(*values, **fields))

    def dense(self, layer: Any, inputs: list[int]) -> None:
        config = layer.get_config()
        regularized = (
            key.endswith(("_regularizer", "_constraint")) and value is not None
            for key, value in config.items()
        )
        if any(regularized) or config.get("lora_rank") or config.get("quantization_mode"):
            raise Untrainable(_ITS_STRUCTURE)
        parts = [layer.kernel] if layer.bias is None else [layer.kernel, layer.bias]
        if len({part.path in self.trains for part in parts}) > 1:
            raise Untrainable(_ITS_STRUCTURE)
        activation = _activation(layer.activation)
        out = before = self._new_value(layer)
        if activation in kernels.NEED_INPUT:
            self.widths.append(self.widths[out])
            before = len(self.widths) - 1
        self._add(
            program.DENSE,
            before,
            inputs[0],
            kernel=self.starts[layer.kernel.path],
            bias=-1 if layer.bias is None else self.starts[layer.bias.path],
            trains=int(layer.kernel.path in self.trains),
            activation=activation if before == out else kernels.LINEAR,
        )
        if before != out:
            self._add(program.ACTIVATE, out, before, activation=activation)

    def activate(self, layer: Any, inputs: list[int]) -> None:
        kind = _activation(layer.activation)
        self._add(program.ACTIVATE, self._new_value(layer), inputs[0], activation=kind)

    def unit_norm(self, layer: Any, inputs: list[int]) -> None:
        shortest = self._constant(layer.epsilon)
        self._add(program.UNIT_NORM, self._new_value(layer), inputs[0], constant=shortest)

    def combine(self, layer: Any, inputs: list[int], factor: float = 1.0) -> None:
        out, constant = self._new_value(layer), self._constant(factor)
        if any(self.widths[value] != self.widths[out] for value in inputs):
            raise Untrainable(_ITS_STRUCTURE)
        for number, value in enumerate(inputs):
            self._add(program.COMBINE, out, value, constant=constant, adds=int(number > 0))

    def average(self, layer: Any, inputs: list[int]) -> None:
        self.combine(layer, inputs, 1.0 / len(inputs))

    def rescale(self, layer: Any, inputs: list[int]) -> None:
        if np.ndim(layer.scale) or np.any(layer.offset):
            raise Untrainable(_ITS_STRUCTURE)
        self.combine(layer, inputs, float(layer.scale))

    def concatenate(self, layer: Any, inputs: list[int]) -> None:
        if layer.axis not in (-1, 1):
            raise Untrainable(_ITS_STRUCTURE)
        out, constant, column = self._new_value(layer), self._constant(1.0), 0
        for value in inputs:
            self._add(program.COMBINE, out, value, constant=constant, column=column)
            column += self.widths[value]

    def sample(self, layer: Any, inputs: list[int]) -> None:
        if len(inputs) != 3 or inputs[2] != program.NOISE or self.kl_weight:
            raise Untrainable(_ITS_STRUCTURE)
        self.kl_weight, self.warmup_steps = layer.beta * layer.scale, layer.warmup_steps
        self.steps_at = -1 if layer.step is None else self.starts[layer.step.path]
        self._add(program.SAMPLE, self._new_value(layer), *inputs)

    def _with_loss(self, kind: int) -> list[Operation]:
        """The operations, the last of them as the loss takes it: its logits, where it does."""
        *operations, last = self.operations
        is_output = last.out == self.values[id(self.model.output)]
        if not is_output or last.kind not in (program.DENSE, program.ACTIVATE):
            raise Untrainable(_ITS_STRUCTURE)
        if any(last.out in (op.first, op.second, op.third) for op in self.operations):
            raise Untrainable(_ITS_STRUCTURE)
        if kind in kernels.LOGITS_OF:
            if last.activation != _ACTIVATIONS[kernels.LOGITS_OF[kind]]:
                raise Untrainable(_ITS_STRUCTURE)
            last = last._replace(activation=kernels.LINEAR)
        if any(op.activation == _SOFTMAX for op in (*operations, last)):
            raise Untrainable("activation softmax there")
        return [*operations, last]


def _inputs(layer: Any) -> list[Any]:
    """A layer's inputs; a layer that is used twice has no single ones."""
    try:
        inputs = layer.input
    except AttributeError:
        raise Untrainable(_ITS_STRUCTURE) from None
    return list(inputs) if isinstance(inputs, list | tuple) else [inputs]


def _activation(function: Any) -> int:
    # Not by its name, which a function of the user's may have too.
    for name, kind in _ACTIVATIONS.items():
        if function is getattr(keras.activations, name):
            return kind
    raise Untrainable(f"activation {getattr(function, '__name__', function)}")


def _with_gradients(operations: list[Operation]) -> list[Operation]:
    """Mark in the operations which values need a gradient, and who comes to each first."""
    needed: set[int] = set()
    for op in operations:
        if op.trains or {op.first, op.second} & needed:
            needed.add(op.out)
    marked: list[Operation] = []
    reached: set[int] = set()
    for op in reversed(operations):
        gradient = int(bool({op.first, op.second} & needed))
        overwrites = int(gradient and op.first not in reached)
        reached.add(op.first)
        overwrites_second = int(op.second >= 0 and op.second not in reached)
        reached.add(op.second)
        marked.append(
            op._replace(
                gradient=gradient, overwrites=overwrites, overwrites_second=overwrites_second
            )
        )
    return marked[::-1]


_LAYERS: dict[type, Callable[[_Compilation, Any, list[int]], None]] = {
    keras.layers.Dense: _Compilation.dense,
    keras.layers.Activation: _Compilation.activate,
    keras.layers.Add: _Compilation.combine,
    keras.layers.Average: _Compilation.average,
    keras.layers.Rescaling: _Compilation.rescale,
    keras.layers.Concatenate: _Compilation.concatenate,
    UnitNorm: _Compilation.unit_norm,
    SampledCode: _Compilation.sample,
}
