"""Layers and weights within models that stand as layers in another, and outputs in its graph."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from offset_autoencoder.models.backend import keras

Tensor = Any


def all_layers(model: Any) -> Iterator[Any]:
    """Layers of a functional or sequential model, and after each that is one the layers within."""
    for layer in model.layers:
        yield layer
        if _is_graph(layer):
            yield from all_layers(layer)


def named_weights(model: Any) -> dict[str, Any]:
    """Weights of a model by path: first those that train, then the others.

    Layers of two models within it may have the same path: the second one's weights get a number.
    """
    named: dict[str, Any] = {}
    for weight in (*model.trainable_weights, *model.non_trainable_weights):
        name, number = weight.path, 1
        while name in named:
            number += 1
            name = f"{weight.path}_{number}"
        named[name] = weight
    return named


def layers_named(model: Any, name: str) -> list[Any]:
    """Layers of that name, those of models within it too."""
    return [layer for layer in all_layers(model) if layer.name == name]


def with_output_of(model: Any, name: str) -> tuple[Any, Tensor] | None:
    """A functional model of the same layers, and in its graph the output of the one so named.

    A layer of a model within the model is found, too, one at the top before others; a layer that
    is called several times, at its first call. That inner model is cut at the layer, so that what
    comes after it depends on its output alone, where that is so. Weights are shared, and layers
    then belong to several models: the first can no longer be saved.

    None where there is no such layer, or it has several outputs.
    """
    if not _is_graph(model) or not layers_named(model, name):
        return None
    found: list[Tensor] = []
    stands_at_top = any(layer.name == name for layer in model.layers)

    def call(layer: Any, *args: Any, **options: Any) -> Any:
        inner = None
        if not found and not stands_at_top and _is_graph(layer):
            inner = with_output_of(layer, name)
        if inner is None:
            outputs = layer(*args, **options)
            if layer.name == name and not found:
                found.extend(keras.tree.flatten(outputs))
            return outputs
        graph, tensor = inner
        for number, output in enumerate(graph.outputs):
            if output is tensor:
                outputs = layer(*args, **options)
                found.append(keras.tree.flatten(outputs)[number])
                return outputs
        found.append(keras.Model(graph.input, tensor, name=f"{layer.name}_to_{name}")(*args))
        try:
            rest = keras.Model(tensor, graph.output, name=f"{layer.name}_from_{name}")
        except ValueError:  # it reads its inputs by another way as well
            return layer(*args, **options)
        return rest(found[0])

    if isinstance(model, keras.Sequential):  # its ``input`` is of a graph that it is called in
        whole = keras.Model(model.inputs[0], model.outputs[0])
    else:
        whole = keras.Model(model.input, model.output)
    graph = keras.models.clone_model(whole, clone_function=lambda layer: layer, call_function=call)
    return (graph, found[0]) if len(found) == 1 else None


def _is_graph(layer: Any) -> bool:
    """True for a model whose graph of layers is known: not one with a ``call`` of its own."""
    bases: tuple[Any, ...] = type(layer).__mro__
    for kind in bases:
        if kind.__name__ in ("Functional", "Sequential") and kind.__module__.startswith("keras."):
            return type(layer).call is kind.call and getattr(layer, "inputs", None) is not None
    return False
