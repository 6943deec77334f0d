"""Programs of the Keras engine: a Keras model written for one run, over a stack of runs.

The model's variables and its optimizer's get a leading axis of runs, ``tf.vectorized_map`` maps a
training step over it, and one program loops over the batches with all of them as loop variables.
"""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from offset_autoencoder.models.backend import keras, tf
from offset_autoencoder.models.graph import Variables
from offset_autoencoder.models.layers import PowerNorm
from offset_autoencoder.training.engine import Population

Tensor = Any

# Methods of Keras's optimizers that its TensorFlow backend replaces by others, which write to
# variables in place (for tf.distribute). Those of the base class leave that to the variables.
_STATELESS = (
    "_apply_weight_decay",
    "_backend_update_step",
    "_var_key",
    "assign",
    "assign_add",
    "assign_sub",
    "stateless_apply",
)


class Stack(NamedTuple):
    """Runs that one program trains side by side; every array leads with the runs, R.

    Attributes:
        weights: The weights that train, each (R, ...).
        state: The model's other variables.
        optimizer: The optimizer's variables.
        best_weights: The weights at the lowest validation loss so far.
        best_state: The other variables there.
    """

    weights: list[Tensor]
    state: list[Tensor]
    optimizer: list[Tensor]
    best_weights: list[Tensor]
    best_state: list[Tensor]

    def with_run(self, place: int, arrays: Sequence[NDArray[Any]]) -> Stack:
        """The stack with another run in a place, from all its arrays."""
        stacked = [np.array(array) for array in tf.nest.flatten(self)]
        for array, value in zip(stacked, arrays, strict=True):
            array[place] = value
        return tf.nest.pack_sequence_as(self, [tf.constant(array) for array in stacked])

    def run_arrays(self, place: int) -> list[NDArray[Any]]:
        """All arrays of one run, for :meth:`with_run`."""
        return [np.array(array[place]) for array in tf.nest.flatten(self)]

    def best_of(self, place: int) -> Variables:
        """One run's best variables so far."""
        return Variables(
            [np.array(array[place]) for array in self.best_weights],
            [np.array(array[place]) for array in self.best_state],
        )


class _TapedScope(keras.StatelessScope):  # type: ignore[misc]
    """Scope of a run, which keeps what layers assign to its weights (SpectralNormalization does).

    As in ``fit`` such a value is a weight from then on: what it was computed of has no gradient.
    """

    def __init__(self, model: Any, run: Variables, tape: Any = None) -> None:
        variables = (*model.trainable_variables, *model.non_trainable_variables)
        values = zip(variables, (*run.weights, *run.state), strict=True)
        super().__init__(state_mapping=values, collect_losses=True)
        self._tape, self._earlier = tape, dict[int, list[Tensor]]()

    def add_update(self, update: tuple[Any, Tensor]) -> None:
        """Take the value that is assigned to a variable."""
        variable, value = update
        if self._tape is not None and variable.trainable:
            self._earlier[id(variable)] = self.values_of(variable)
            value = tf.stop_gradient(value)
            self._tape.watch(value)
        super().add_update((variable, value))

    def values_of(self, variable: Any) -> list[Tensor]:
        """All values that a variable has had, the last one last."""
        return [*self._earlier.get(id(variable), []), self.get_current_value(variable)]


class Programs:
    """Programs of a population, compiled when they are first called.

    Attributes:
        train: ``(stack, x, order, added, learning_rates)`` → ``(stack, loss)``, with x (n, D);
            order (R, m) int32 rows of x, batch after batch, the last one possibly smaller;
            added: a dict of what the model is fed beside x at those rows, ``offset`` (R, m, L)
            and, where noise is an input, ``noise`` (R, m, L); learning_rates (steps, R);
            loss (R,), the sum over the m samples.
        validate: ``(stack, x, offset)`` → ``(loss, reconstruction)``, with x (n, D) or, where
            splits vary, (R, n, D), and offset (R, n, L): means over the samples, (R,), of the
            loss and of the reconstruction's share of it.
        keep_best: ``(stack, better)`` → ``stack``; where better (R,), the weights are the best.
        powers: ``(stack, x)`` → the sum over samples, (n, D) or (R, n, D), of the squared norm
            of what each norm by mean power is given when nothing is dropped, (R, norms).
        power_places: Where in ``state`` the power of each of these is.
    """

    def __init__(self, population: Population) -> None:
        self.population, self._model = population, population.model
        self._loss = keras.losses.get(population.architecture.network.loss)
        self._optimizer = _stateless_optimizer(population.optimizer, self._model)
        self._initial_optimizer = [np.asarray(v) for v in self._optimizer.variables]
        # XLA has slow convolutions only on a CPU, and no gradient of a loop within the loop.
        compiled = not (_has_loop(self._model) or has_layer(self._model, "Conv"))
        self.train = tf.function(self._train, jit_compile=compiled, autograph=False)
        self.validate = tf.function(self._validate, jit_compile=compiled, autograph=False)
        self.keep_best = tf.function(_keep_best, autograph=False)
        norms = _norms_by_power(self._model)
        paths = [variable.path for variable in self._model.non_trainable_variables]
        self.power_places = [paths.index(layer.power.path) for layer, _ in norms]
        self._norms = [codes_of for _, codes_of in norms]
        self.powers = tf.function(self._powers, jit_compile=compiled, autograph=False)

    @property
    def noise_is_input(self) -> bool:
        """True if noise is an input of its own, and not part of what is added to the code."""
        return "noise" in self._model.input

    def arrays_of(self, initial: Variables) -> list[NDArray[Any]]:
        """All arrays of a run at its first epoch."""
        variables = (*initial.weights, *initial.state)
        return [*variables, *self._initial_optimizer, *variables]

    def stack(self, initial: Sequence[Variables]) -> Stack:
        """A stack of runs at their first epoch."""
        runs = zip(*map(self.arrays_of, initial), strict=True)
        arrays = iter([tf.constant(np.stack(values)) for values in runs])
        model, optimizer = self._model, self._optimizer
        weights, state = len(model.trainable_variables), len(model.non_trainable_variables)
        sizes = (weights, state, len(optimizer.variables), weights, state)
        return Stack(*([next(arrays) for _ in range(size)] for size in sizes))

    def _losses(self, run: Variables, inputs: dict[str, Tensor], tape: Any = None) -> Any:
        """The reconstruction loss, the loss with those that layers add, and the scope of both.

        In training there is a tape.
        """
        with _TapedScope(self._model, run, tape) as scope:
            output = self._model.call(inputs, training=tape is not None)
            added = self._model.losses
        output = tf.cast(output, tf.float32)  # as Keras does, of half precision
        reconstruction = tf.reduce_mean(self._loss(inputs["x"], output))
        return reconstruction, reconstruction + sum(tf.cast(a, tf.float32) for a in added), scope

    def _step(self, batch: tuple[Variables, list[Tensor], dict[str, Tensor]]) -> Any:
        """One step of one run: the batch's mean loss, and all variables after it."""
        run, optimizer, inputs = batch
        with tf.GradientTape() as tape:
            tape.watch(run.weights)
            _, loss, scope = self._losses(run, inputs, tape)
            scale = zip(self._optimizer.variables, optimizer, strict=True)
            with keras.StatelessScope(state_mapping=scale):
                scaled = self._optimizer.scale_loss(loss)  # the loss itself but of half precision
        values = [scope.values_of(variable) for variable in self._model.trainable_variables]
        parts = ([g for g in each if g is not None] for each in tape.gradient(scaled, values))
        gradients = [functools.reduce(tf.add, each) if each else None for each in parts]
        weights = [each[-1] for each in values]
        weights, optimizer = self._optimizer.stateless_apply(optimizer, gradients, weights)
        state = [scope.get_current_value(v) for v in self._model.non_trainable_variables]
        return loss, weights, state, optimizer

    def _train(
        self,
        stack: Stack,
        x: Tensor,
        order: Tensor,
        added: dict[str, Tensor],
        learning_rates: Tensor,
    ) -> tuple[Stack, Tensor]:
        runs, samples = order.shape
        batch_size = self.population.batch_size
        steps, rest = divmod(samples, batch_size)
        own = getattr(self._optimizer, "inner_optimizer", self._optimizer)
        is_rate = [variable is own._learning_rate for variable in self._optimizer.variables]

        def step(start: Tensor, size: int, weights: Any, state: Any, optimizer: Any) -> Any:
            inputs = {
                name: tf.slice(array, [0, start, 0], [runs, size, array.shape[2]])
                for name, array in added.items()
            }
            inputs["x"] = tf.gather(x, tf.slice(order, [0, start], [runs, size]))
            rate = learning_rates[start // batch_size]
            values = [rate if own else v for own, v in zip(is_rate, optimizer, strict=True)]
            return _map_runs(self._step, (Variables(weights, state), values, inputs), runs)

        def full_step(number: Tensor, total: Tensor, *carried: Any) -> Any:
            loss, *carried = step(number * batch_size, batch_size, *carried)
            return number + 1, total + loss * float(batch_size), *carried

        total, carried = tf.zeros([runs]), (stack.weights, stack.state, stack.optimizer)
        if steps:
            _, total, *carried = tf.while_loop(
                lambda number, *_: number < steps,
                full_step,
                (0, total, *carried),
                maximum_iterations=steps,
            )
        if rest:
            loss, *carried = step(tf.constant(steps * batch_size), rest, *carried)
            total = total + loss * float(rest)
        return Stack(*carried, stack.best_weights, stack.best_state), total

    def _validate(self, stack: Stack, x: Tensor, offset: Tensor) -> Any:
        def losses(batch: tuple[Variables, Tensor, *tuple[Tensor, ...]]) -> Any:
            run, offset, *own_x = batch
            inputs = {"x": own_x[0] if own_x else x, "offset": offset}
            if self.noise_is_input:
                inputs["noise"] = tf.zeros_like(offset)
            reconstruction, loss, _ = self._losses(run, inputs)
            return loss, reconstruction

        runs = (Variables(stack.weights, stack.state), offset, *([x] if x.shape.rank == 3 else []))
        return _map_runs(losses, runs, int(offset.shape[0]))

    def _powers(self, stack: Stack, x: Tensor) -> Tensor:
        def sums(batch: tuple[Variables, *tuple[Tensor, ...]]) -> Tensor:
            run, *own_x = batch
            with _TapedScope(self._model, run):
                codes = [of(own_x[0] if own_x else x, training=False) for of in self._norms]
            return tf.stack([tf.reduce_sum(tf.square(tf.cast(c, tf.float32))) for c in codes])

        runs = (Variables(stack.weights, stack.state), *([x] if x.shape.rank == 3 else []))
        return _map_runs(sums, runs, int(stack.state[self.power_places[0]].shape[0]))


def is_mapped(model: Any) -> bool:
    """True if its step can be mapped over runs, and that is faster.

    TensorFlow maps no loop of a recurrent layer, nor steps that are skipped in half precision.
    """
    return not (has_layer(model, "Conv") or _has_loop(model) or _is_half_precision(model))


def has_layer(model: Any, *kinds: str) -> bool:
    """True if a layer's class, or a base of it, has one of the texts in its name."""
    names = {base.__name__ for layer in _all_layers(model) for base in type(layer).__mro__}
    return any(kind in name for kind in kinds for name in names)


def _has_loop(model: Any) -> bool:
    """True if a layer loops or branches, or may: one of the user's own classes or functions."""
    ours = ("keras.", "offset_autoencoder.")
    return has_layer(model, "RNN", "SpectralNormalization", "Lambda") or not all(
        layer.supports_jit and type(layer).__module__.startswith(ours)
        for layer in _all_layers(model)
    )


def _is_half_precision(model: Any) -> bool:
    """True if a layer computes in float16, where gradients below 6e-8 are zeros."""
    return any(layer.compute_dtype == "float16" for layer in _all_layers(model))


def _all_layers(model: Any) -> list[Any]:
    """The layers of a model, of models and wrappers within it, and the cells of recurrent ones."""
    return list(model._flatten_layers(include_self=False))


def _norms_by_power(model: Any) -> list[tuple[Any, Any]]:
    """Each norm by mean power, and the model of what it is given, where x alone decides that."""
    norms = []
    for layer in model.layers:
        if isinstance(layer, PowerNorm):
            with contextlib.suppress(AttributeError, ValueError):  # of a user's own: called twice
                norms.append((layer, keras.Model(model.input["x"], layer.input)))
    return norms


def _stateless_optimizer(name: str, model: Any) -> Any:
    """Keras's optimizer of a name, as a function of its variables and the model's.

    For half precision Keras's own scales the loss, as ``Model.compile`` has it do.
    """
    kind = type(keras.optimizers.get(name))
    (base,) = (base for base in kind.__mro__ if base.__name__ == "BaseOptimizer")
    methods = {method: vars(base)[method] for method in _STATELESS}
    optimizer = type(kind.__name__, (kind,), methods)()
    if _is_half_precision(model):
        optimizer = keras.optimizers.LossScaleOptimizer(optimizer)
    optimizer.build(model.trainable_variables)
    return optimizer


def _map_runs(function: Any, stacked: Any, runs: int) -> Any:
    """A function of one run, mapped over the leading axis; for a single run just called."""
    if runs > 1:
        return tf.vectorized_map(function, stacked)
    result = function(tf.nest.map_structure(lambda array: array[0], stacked))
    return tf.nest.map_structure(lambda array: tf.expand_dims(array, 0), result)


def _keep_best(stack: Stack, better: Tensor) -> Stack:
    def choose(new: list[Tensor], old: list[Tensor]) -> list[Tensor]:
        """For each run the new arrays where it is better, else the old ones."""
        return [
            tf.where(tf.reshape(better, [-1] + [1] * (len(n.shape) - 1)), n, o)
            for n, o in zip(new, old, strict=True)
        ]

    weights = choose(stack.weights, stack.best_weights)
    return stack._replace(best_weights=weights, best_state=choose(stack.state, stack.best_state))
