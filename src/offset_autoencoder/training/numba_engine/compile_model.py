"""Compilation of a graph to the program that trains it, where all its layers are known."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np

from offset_autoencoder.models.graph import Graph, Node
from offset_autoencoder.training.engine import Untrainable
from offset_autoencoder.training.numba_engine import kernels, program
from offset_autoencoder.training.numba_engine.program import Operation, Program, make_program

ITS_STRUCTURE = "the way in which it is put together"
_SOFTMAX = -2  # stands only before a loss that takes its logits
ACTIVATIONS = {**kernels.ACTIVATIONS, "softmax": _SOFTMAX}


def compile_model(graph: Graph, loss: str, optimizer: str, batch_size: int) -> Program:
    """Compile a graph with the inputs ``x``, ``offset`` and maybe ``noise``.

    The flat weights are the graph's, one after another: first those that train. ``loss`` and
    ``optimizer`` are names of params.yaml.

    Raises:
        Untrainable: where a part is not one of those that the compiled loop knows, or is used in a
            way that it does not know: such a model is trained by another engine.
    """
    if loss not in kernels.LOSSES:
        raise Untrainable(f"loss {loss}")
    if optimizer not in kernels.OPTIMIZERS:
        raise Untrainable(f"optimizer {optimizer}")
    return _Compilation(graph).finish(loss, optimizer, batch_size)


@dataclass
class _Compilation:
    graph: Graph
    operations: list[Operation] = field(default_factory=list)
    constants: list[float] = field(default_factory=list)
    widths: list[int] = field(default_factory=list)
    values: dict[Node, int] = field(default_factory=dict)
    kl_weight: float = 0.0
    warmup_steps: int = 0
    steps_at: int = -1

    def finish(self, loss: str, optimizer: str, batch_size: int) -> Program:
        for node in self.graph.layers:
            if node.kind not in _LAYERS:
                raise Untrainable(f"layer {node.name!r}, {node.kind}")
        weights = self.graph.weights
        ends = np.cumsum([math.prod(weight.shape) for weight in weights]).tolist()
        self.starts = {
            weight.name: start for weight, start in zip(weights, [0, *ends], strict=False)
        }
        for name in ("x", "offset", "noise"):
            if name in self.graph.inputs:
                self._new_value(self.graph.inputs[name])
            else:
                self.widths.append(0)
        waiting = self.graph.layers
        while waiting:  # those of a branch as soon as all that they read is there
            ready = [node for node in waiting if self.values.keys() >= {*node.inputs}]
            for node in ready:
                _LAYERS[node.kind](self, node, [self.values[read] for read in node.inputs])
            waiting = [node for node in waiting if node not in ready]
        kind = kernels.LOSSES[loss]
        return make_program(
            _with_gradients(self._with_loss(kind)),
            self.widths,
            self.constants,
            trained=ends[sum(weight.trains for weight in weights) - 1],
            size=ends[-1],
            loss=kind,
            optimizer=kernels.OPTIMIZERS[optimizer],
            batch_size=batch_size,
            kl_weight=float(self.kl_weight),
            warmup_steps=self.warmup_steps,
            steps_at=self.steps_at,
        )

    def _new_value(self, node: Node) -> int:
        assert node.width is not None
        self.widths.append(node.width)
        self.values[node] = len(self.widths) - 1
        return len(self.widths) - 1

    def _constant(self, value: float) -> int:
        self.constants.append(value)
        return len(self.constants) - 1

    def _add(self, *values: int, **fields: int) -> None:
        self.operations.append(Operation(*values, **fields))

    def dense(self, node: Node, inputs: list[int]) -> None:
        activation = _activation(node)
        out = before = self._new_value(node)
        if activation in kernels.NEED_INPUT:
            self.widths.append(self.widths[out])
            before = len(self.widths) - 1
        self._add(
            program.DENSE,
            before,
            inputs[0],
            kernel=self.starts[f"{node.name}/kernel"],
            bias=self.starts.get(f"{node.name}/bias", -1),
            trains=int(node.trains),
            activation=activation if before == out else kernels.LINEAR,
        )
        if before != out:
            self._add(program.ACTIVATE, out, before, activation=activation)

    def activate(self, node: Node, inputs: list[int]) -> None:
        kind = _activation(node)
        self._add(program.ACTIVATE, self._new_value(node), inputs[0], activation=kind)

    def unit_norm(self, node: Node, inputs: list[int]) -> None:
        shortest = self._constant(node.options["epsilon"])
        self._add(program.UNIT_NORM, self._new_value(node), inputs[0], constant=shortest)

    def combine(self, node: Node, inputs: list[int], factor: float = 1.0) -> None:
        out, constant = self._new_value(node), self._constant(factor)
        if any(self.widths[value] != self.widths[out] for value in inputs):
            raise Untrainable(ITS_STRUCTURE)
        for number, value in enumerate(inputs):
            self._add(program.COMBINE, out, value, constant=constant, adds=int(number > 0))

    def average(self, node: Node, inputs: list[int]) -> None:
        self.combine(node, inputs, 1.0 / len(inputs))

    def rescale(self, node: Node, inputs: list[int]) -> None:
        self.combine(node, inputs, float(node.options["scale"]))

    def concatenate(self, node: Node, inputs: list[int]) -> None:
        out, constant, column = self._new_value(node), self._constant(1.0), 0
        for value in inputs:
            self._add(program.COMBINE, out, value, constant=constant, column=column)
            column += self.widths[value]

    def sample(self, node: Node, inputs: list[int]) -> None:
        if len(inputs) != 3 or inputs[2] != program.NOISE or self.kl_weight:
            raise Untrainable(ITS_STRUCTURE)
        self.kl_weight = node.options["beta"] * node.options["scale"]
        self.warmup_steps = node.options["warmup_steps"]
        self.steps_at = self.starts.get(f"{node.name}/step", -1)
        self._add(program.SAMPLE, self._new_value(node), *inputs)

    def _with_loss(self, kind: int) -> list[Operation]:
        """The operations, the last of them as the loss takes it: its logits, where it does."""
        *operations, last = self.operations
        is_output = last.out == self.values[self.graph.output]
        if not is_output or last.kind not in (program.DENSE, program.ACTIVATE):
            raise Untrainable(ITS_STRUCTURE)
        if any(last.out in (op.first, op.second, op.third) for op in self.operations):
            raise Untrainable(ITS_STRUCTURE)
        if kind in kernels.LOGITS_OF:
            if last.activation != ACTIVATIONS[kernels.LOGITS_OF[kind]]:
                raise Untrainable(ITS_STRUCTURE)
            last = last._replace(activation=kernels.LINEAR)
        if any(op.activation == _SOFTMAX for op in (*operations, last)):
            raise Untrainable("activation softmax there")
        return [*operations, last]


def _activation(node: Node) -> int:
    name = str(node.options["activation"])
    if name not in ACTIVATIONS:
        raise Untrainable(f"activation {name}")
    return ACTIVATIONS[name]


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


_LAYERS: dict[str, Callable[[_Compilation, Node, list[int]], None]] = {
    "Dense": _Compilation.dense,
    "Activation": _Compilation.activate,
    "Add": _Compilation.combine,
    "Average": _Compilation.average,
    "Rescaling": _Compilation.rescale,
    "Concatenate": _Compilation.concatenate,
    "UnitNorm": _Compilation.unit_norm,
    "SampledCode": _Compilation.sample,
}
