"""Graphs of layers: what a network is made of, without Keras or TensorFlow.

The builders of :mod:`.systems` and :mod:`.network_kinds` write a network down once, as a graph.
Of it :func:`.layers.keras_model` makes a Keras model, the Numba engine a program, and
:mod:`.dense` a forward pass in NumPy. All take its layers and weights in one order, Keras's.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from offset_autoencoder.models.initializers import draw_kernel, layer_seed

SHORTEST = 1e-6
"""Length from which a code has a direction that can be normalised."""

_AS_WIDE = {"Activation", "Add", "Average", "CodeNoise", "CodePenalty", "Dropout"}
_AS_WIDE |= {"PowerNorm", "Rescaling", "SampledCode", "UnitNorm"}  # as what they read


@dataclass(frozen=True, eq=False)
class Node:
    """A layer and its output, or an input.

    Attributes:
        kind: Name of the layer's class, Keras's or one of :mod:`.layers`; ``"Input"``.
        name: Name of the layer, and of its weights before a slash.
        options: Arguments of the class but for the name and seeds; of an initializer its name.
        width: Features of the output, where only they follow its samples; None: not known here.
    """

    kind: str
    name: str
    inputs: tuple[Node, ...] = ()
    options: Mapping[str, Any] = field(default_factory=dict)
    width: int | None = None

    @property
    def trains(self) -> bool:
        """True if such weights of it as are kernels and biases train."""
        return bool(self.options.get("trainable", True))

    @property
    def weights(self) -> dict[str, tuple[int, ...]]:
        """Shapes of its weights by name, of the kinds of layers that dense networks have."""
        if self.kind == "Dense":
            kernel = (self.inputs[0].width or 0, self.width or 0)
            return {"kernel": kernel} | ({"bias": kernel[1:]} if self.has_bias else {})
        if self.kind == "PowerNorm":
            return {"power": (), "batches": ()}
        return {"step": ()} if self.kind == "SampledCode" and self.options["warmup_steps"] else {}

    @property
    def has_bias(self) -> bool:
        """True if a Dense layer has a bias."""
        return bool(self.options.get("use_bias", True))


def layer(kind: str, name: str, *inputs: Node, **options: Any) -> Node:
    """Add a layer: its class, its name, the outputs that it reads, and the class's arguments."""
    width = None
    if kind == "Dense":
        width = options["units"]
    elif kind == "Concatenate":
        width = sum(node.width or 0 for node in inputs)
    elif kind in _AS_WIDE:
        width = inputs[0].width
    return Node(kind, name, inputs, options, width)


class Weight(NamedTuple):
    """A weight of a dense network: ``"code/kernel"``, and so on."""

    name: str
    shape: tuple[int, ...]
    trains: bool
    of: Node


class Variables(NamedTuple):
    """The variables of one run: those that train, and all others."""

    weights: list[NDArray[Any]]
    state: list[NDArray[Any]]


class Graph:
    """A network: from its inputs, by name, to its output.

    Attributes:
        layers: Every layer, in the order in which a Keras model of it has them.
    """

    def __init__(
        self, inputs: Mapping[str, Node], output: Node, layers: Iterable[Node] | None = None
    ) -> None:
        self.inputs, self.output = inputs, output
        self.layers = _in_order_of_keras(output) if layers is None else list(layers)
        self._by_name = {node.name: node for node in self.layers}

    def find(self, *names: str) -> Node | None:
        """The first layer of such a name; None where there is none."""
        return next((self._by_name[name] for name in names if name in self._by_name), None)

    def between(self, given: Iterable[Node], wanted: Iterable[Node]) -> list[Node]:
        """The layers that bring some outputs to others, in order."""
        known = set(given)
        needed = set(wanted) - known
        for node in reversed(self.layers):
            if node in needed:
                needed |= set(node.inputs) - known
        return [node for node in self.layers if node in needed]

    @property
    def weights(self) -> list[Weight]:
        """Weights of a dense network: those that train, then the others."""
        weights = [
            Weight(f"{node.name}/{part}", shape, node.trains and part in ("kernel", "bias"), node)
            for node in self.layers
            for part, shape in node.weights.items()
        ]
        return sorted(weights, key=lambda weight: not weight.trains)

    def initial_weights(self, seed: int) -> list[NDArray[np.float32]]:
        """Initial weights of a dense network: those of a Keras model of this seed."""

        def initial(weight: Weight) -> NDArray[np.float32]:
            if weight.name.endswith("/kernel"):
                name = weight.of.options["kernel_initializer"]
                return draw_kernel(name, layer_seed(seed, weight.of.name), weight.shape)
            return np.full(weight.shape, weight.name.endswith("/power"), np.float32)

        return [initial(weight) for weight in self.weights]


def _in_order_of_keras(output: Node) -> list[Node]:
    """Layers that lead to an output: the farthest from it first, those as far as it reads them."""
    before: list[Node] = []  # each after all that it reads
    seen: dict[Node, int] = {}

    def visit(node: Node) -> None:
        if node in seen:
            return
        seen[node] = len(seen)
        for read in node.inputs:
            visit(read)
        before.append(node)

    visit(output)
    distance = dict.fromkeys(seen, 0)
    for node in reversed(before):
        for read in node.inputs:
            distance[read] = max(distance[read], distance[node] + 1)
    layers = [node for node in seen if node.kind != "Input"]
    return sorted(layers, key=lambda node: (-distance[node], seen[node]))
