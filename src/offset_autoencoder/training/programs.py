"""Programs that train a stack of runs: a Keras model written for one run, mapped over all of them.

The model's variables and its optimizer's get a leading axis of runs. A training step is mapped over
it, and one program loops over the batches with all of them as loop variables. Everything is written
in ``keras.ops`` but for what backends do in ways of their own, the abstract methods of
:class:`Programs`.
"""

from __future__ import annotations

import abc
import contextlib
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from offset_autoencoder.models.backend import keras
from offset_autoencoder.models.graph import Variables
from offset_autoencoder.models.layers import PowerNorm
from offset_autoencoder.training.engine import Population

Tensor = Any
Function = Callable[..., Any]
ops = keras.ops


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

    def run_arrays(self, place: int) -> list[NDArray[Any]]:
        """All arrays of one run, for :meth:`Programs.with_run`."""
        return [np.array(array[place]) for part in self for array in part]

    def best_of(self, place: int) -> Variables:
        """One run's best variables so far."""
        return Variables(
            [np.array(array[place]) for array in self.best_weights],
            [np.array(array[place]) for array in self.best_state],
        )


class _Scope(keras.StatelessScope):  # type: ignore[misc]
    """Scope of a run, which keeps what layers assign to its weights (SpectralNormalization does).

    As in ``fit`` on TensorFlow such a value is a weight from then on: what it was computed of has
    no gradient, and its own is added to that of the weight before.
    """

    def __init__(self, model: Any, run: Variables) -> None:
        variables = (*model.trainable_variables, *model.non_trainable_variables)
        values = zip(variables, (*run.weights, *run.state), strict=True)
        super().__init__(state_mapping=values, collect_losses=True)
        self._weights = {id(v): self.get_current_value(v) for v in model.trainable_variables}

    def add_update(self, update: tuple[Any, Tensor]) -> None:
        """Take the value that is assigned to a variable."""
        variable, value = update
        weight = self._weights.get(id(variable))
        if weight is not None:
            value = ops.stop_gradient(value) + (weight - ops.stop_gradient(weight))
        super().add_update((variable, value))

    def values_of(self, variables: Sequence[Any]) -> list[Tensor]:
        """Values of variables, as they are now."""
        return [self.get_current_value(variable) for variable in variables]


class Programs(abc.ABC):
    """Programs of a population, compiled when they are first called.

    Attributes:
        train: ``(stack, x, order, added, learning_rates)`` → ``(stack, loss)``, with x (n, D);
            order (R, m) int32 rows of x, batch after batch, the last one possibly smaller;
            added: a dict of what the model is fed beside x at those rows, ``offset`` (R, m, L)
            and, where noise is an input, ``noise`` (R, m, L); learning_rates (R, steps);
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
        self.population, self.model = population, population.model
        self._loss = keras.losses.get(population.architecture.network.loss)
        self._optimizer = self._make_optimizer(type(keras.optimizers.get(population.optimizer)))
        if is_half_precision(self.model):  # scales the loss, as ``Model.compile`` has it do
            self._optimizer = keras.optimizers.LossScaleOptimizer(self._optimizer)
        self._optimizer.build(self.model.trainable_variables)
        self._initial_optimizer = [np.asarray(v) for v in self._optimizer.variables]
        self.train = self._compile(self._train)
        self.validate = self._compile(self._validate)
        self.keep_best = self._compile(_keep_best)
        norms = _norms_by_power(self.model)
        paths = [variable.path for variable in self.model.non_trainable_variables]
        self.power_places = [paths.index(layer.power.path) for layer, _ in norms]
        self._norms = [codes_of for _, codes_of in norms]
        self.powers = self._compile(self._powers)

    @abc.abstractmethod
    def _compile(self, function: Function) -> Function:
        """The program of a function, whose first argument is the stack."""

    @abc.abstractmethod
    def _make_optimizer(self, kind: type[Any]) -> Any:
        """An optimizer of Keras's, to be called as a function of its variables and the model's."""

    @abc.abstractmethod
    def _gradients(self, function: Function, weights: list[Tensor]) -> tuple[Any, list[Any]]:
        """Result of ``function(weights)`` beside a loss, and the gradients of that loss."""

    @abc.abstractmethod
    def _map_runs(self, function: Function, stacked: Any, runs: int) -> Any:
        """A function of one run, mapped over the leading axis."""

    @abc.abstractmethod
    def _loop(self, step: Function, steps: int, carried: Any) -> Any:
        """Values that so many steps of ``step(number, carried)`` carry through."""

    @abc.abstractmethod
    def _rows(self, x: Tensor, rows: Tensor) -> Tensor:
        """Rows of x (n, D), by number (R, m): (R, m, D)."""

    @abc.abstractmethod
    def _replaced(self, array: Tensor, place: int, value: NDArray[Any]) -> Tensor:
        """An array (R, ...) with another value in a place."""

    @property
    def noise_is_input(self) -> bool:
        """True if noise is an input of its own, and not part of what is added to the code."""
        return "noise" in self.model.input

    def arrays_of(self, initial: Variables) -> list[NDArray[Any]]:
        """All arrays of a run at its first epoch."""
        variables = (*initial.weights, *initial.state)
        return [*variables, *self._initial_optimizer, *variables]

    def stack(self, initial: Sequence[Variables]) -> Stack:
        """A stack of runs at their first epoch."""
        runs = zip(*map(self.arrays_of, initial), strict=True)
        return self._packed([ops.convert_to_tensor(np.stack(values)) for values in runs])

    def with_run(self, stack: Stack, place: int, arrays: Sequence[NDArray[Any]]) -> Stack:
        """The stack with another run in a place, from all its arrays."""
        stacked = [array for part in stack for array in part]
        runs = zip(stacked, arrays, strict=True)
        return self._packed([self._replaced(array, place, value) for array, value in runs])

    def _packed(self, arrays: Sequence[Tensor]) -> Stack:
        rest, model = iter(arrays), self.model
        weights, state = len(model.trainable_variables), len(model.non_trainable_variables)
        sizes = (weights, state, len(self._optimizer.variables), weights, state)
        return Stack(*([next(rest) for _ in range(size)] for size in sizes))

    def _losses(self, run: Variables, inputs: dict[str, Tensor], *, training: bool = False) -> Any:
        """The reconstruction loss, the loss with those that layers add, and the scope of both."""
        with _Scope(self.model, run) as scope:
            output = self.model.call(inputs, training=training)
            added = self.model.losses
        output = ops.cast(output, "float32")  # as Keras does, of half precision
        reconstruction = ops.mean(self._loss(inputs["x"], output))
        return reconstruction, reconstruction + sum(ops.cast(a, "float32") for a in added), scope

    def _step(self, batch: tuple[Variables, list[Tensor], dict[str, Tensor]]) -> Any:
        """One step of one run: the batch's mean loss, and all variables after it."""
        run, optimizer, inputs = batch
        model = self.model

        def scaled_loss(weights: list[Tensor]) -> Any:
            _, loss, scope = self._losses(Variables(weights, run.state), inputs, training=True)
            scale = zip(self._optimizer.variables, optimizer, strict=True)
            with keras.StatelessScope(state_mapping=scale):
                scaled = self._optimizer.scale_loss(loss)  # the loss itself but of half precision
            weights = scope.values_of(model.trainable_variables)
            return scaled, (loss, weights, scope.values_of(model.non_trainable_variables))

        (loss, weights, state), gradients = self._gradients(scaled_loss, run.weights)
        weights, optimizer = self._optimizer.stateless_apply(optimizer, gradients, weights)
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

        def step(number: Tensor, carried: Any, size: int = batch_size) -> Any:
            total, weights, state, optimizer = carried
            start = number * batch_size
            inputs = {
                name: ops.slice(array, [0, start, 0], [runs, size, array.shape[2]])
                for name, array in added.items()
            }
            inputs["x"] = self._rows(x, ops.slice(order, [0, start], [runs, size]))
            rate = ops.slice(learning_rates, [0, number], [runs, 1])[:, 0]
            values = [rate if own else v for own, v in zip(is_rate, optimizer, strict=True)]
            batch = (Variables(weights, state), values, inputs)
            loss, *after = self._map_runs(self._step, batch, runs)
            return total + loss * float(size), *after

        carried: Any = (ops.zeros([runs]), stack.weights, stack.state, stack.optimizer)
        if steps:
            carried = self._loop(step, steps, carried)
        if rest:
            carried = step(steps, carried, rest)
        total, weights, state, optimizer = carried
        stack = stack._replace(weights=weights, state=state, optimizer=optimizer)
        return stack, total

    def _validate(self, stack: Stack, x: Tensor, offset: Tensor) -> Any:
        def losses(batch: tuple[Variables, Tensor, *tuple[Tensor, ...]]) -> Any:
            run, offset, *own_x = batch
            inputs = {"x": own_x[0] if own_x else x, "offset": offset}
            if self.noise_is_input:
                inputs["noise"] = ops.zeros_like(offset)
            reconstruction, loss, _ = self._losses(run, inputs)
            return loss, reconstruction

        runs = (Variables(stack.weights, stack.state), offset, *([x] if len(x.shape) == 3 else []))
        return self._map_runs(losses, runs, int(offset.shape[0]))

    def _powers(self, stack: Stack, x: Tensor) -> Tensor:
        def sums(batch: tuple[Variables, *tuple[Tensor, ...]]) -> Tensor:
            run, *own_x = batch
            with _Scope(self.model, run):
                codes = [of(own_x[0] if own_x else x, training=False) for of in self._norms]
            return ops.stack([ops.sum(ops.square(ops.cast(c, "float32"))) for c in codes])

        runs = (Variables(stack.weights, stack.state), *([x] if len(x.shape) == 3 else []))
        return self._map_runs(sums, runs, int(stack.state[self.power_places[0]].shape[0]))


def has_layer(model: Any, *kinds: str) -> bool:
    """True if a layer's class, or a base of it, has one of the texts in its name."""
    names = {base.__name__ for layer in all_layers(model) for base in type(layer).__mro__}
    return any(kind in name for kind in kinds for name in names)


def is_half_precision(model: Any) -> bool:
    """True if a layer computes in float16, where gradients below 6e-8 are zeros."""
    return any(layer.compute_dtype == "float16" for layer in all_layers(model))


def all_layers(model: Any) -> list[Any]:
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


def _keep_best(stack: Stack, better: Tensor) -> Stack:
    def choose(new: list[Tensor], old: list[Tensor]) -> list[Tensor]:
        """For each run the new arrays where it is better, else the old ones."""
        return [
            ops.where(ops.reshape(better, [-1] + [1] * (len(n.shape) - 1)), n, o)
            for n, o in zip(new, old, strict=True)
        ]

    weights = choose(stack.weights, stack.best_weights)
    return stack._replace(best_weights=weights, best_state=choose(stack.state, stack.best_state))
