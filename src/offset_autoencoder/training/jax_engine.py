"""The JAX engine: a population as one program, on a GPU.

An epoch of a stack of runs is one program of XLA: ``lax.scan`` over the batches, ``vmap`` over the
runs. Samples and offset tables stay on the device; the host draws the batches and the noise of the
next epoch while the device is at work.
"""

from __future__ import annotations

import functools
import sys
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from numpy.typing import NDArray

from offset_autoencoder.cores import available_cores
from offset_autoencoder.errors import InputError, adding
from offset_autoencoder.runs.spec import Chunks
from offset_autoencoder.training.batches import MOST_CHUNKED_RUNS
from offset_autoencoder.training.engine import Array, Population, Workers
from offset_autoencoder.training.programs import Function, Programs, Stack, Tensor, all_layers
from offset_autoencoder.training.stacks import Drawn, StackedEngine, tensor
from offset_autoencoder.training.state import Job, SampleSizes
from offset_autoencoder.user_code import blame_user_code

# A GPU is busy with so many small networks; few large ones fill it as well.
_LARGEST_STACK, _LARGEST_ON_CPU = 64, 8
_STACKED_PARAMETERS = 2**25
_VALIDATED_ROWS = 1024  # of each run: more fill the device with what layers return
# Of the device's memory, what samples and offsets may take, and a piece where they take more.
_RESIDENT_SHARE, _PIECE_SHARE = 1 / 2, 1 / 16
_OUT_OF_MEMORY = "RESOURCE_EXHAUSTED"


class _TooLarge(InputError):
    """One run does not fit the device's memory."""

    def __init__(self) -> None:
        what = "one run of such a network does not fit the device's memory"
        super().__init__("train.engine", what, "lower train.batch_size")


class JaxPrograms(Programs):
    """Programs of JAX. Where a stack is too large for the device, it is trained part by part.

    Attributes:
        parts: Parts that a stack is cut into, one after the other.
    """

    def __init__(self, population: Population) -> None:
        self.parts = 1
        for layer in all_layers(population.model):
            if hasattr(layer, "use_cudnn"):  # whose kernels cannot be mapped over runs
                layer.use_cudnn = False
        super().__init__(population)

    def _compile(self, function: Function) -> Function:
        compiled, fitting = jax.jit(function), set[int]()

        def call(stack: Stack, *arguments: Any) -> Any:
            runs = len(stack.weights[0])
            while True:
                try:
                    result = self._by_parts(compiled, runs, stack, *arguments)
                    if self.parts not in fitting:
                        jax.block_until_ready(result)  # before that it is not known
                        fitting.add(self.parts)
                    return result
                except jax.errors.JaxRuntimeError as error:
                    if _OUT_OF_MEMORY not in str(error):
                        raise
                if self.parts >= runs:
                    raise _TooLarge
                self.parts *= 2
                _note(f"{runs} runs", -(-runs // self.parts))

        return call

    def _by_parts(self, compiled: Function, runs: int, *arguments: Any) -> Any:
        """Results of a program for the parts of a stack, joined."""
        if self.parts == 1:
            return compiled(*arguments)
        size = -(-runs // self.parts)

        def part(start: int) -> list[Any]:
            """The arguments of a part; samples of all runs, (n, D), are those of each."""
            return [
                argument
                if getattr(argument, "ndim", 0) == 2 and argument is arguments[1]
                else jax.tree.map(lambda array: array[start : start + size], argument)
                for argument in arguments
            ]

        results = [compiled(*part(start)) for start in range(0, runs, size)]
        return jax.tree.map(lambda *arrays: jnp.concatenate(arrays), *results)

    def _make_optimizer(self, kind: type[Any]) -> Any:
        return kind()

    def _gradients(self, function: Function, weights: list[Tensor]) -> tuple[Any, list[Any]]:
        (_, result), gradients = jax.value_and_grad(function, has_aux=True)(weights)
        return result, gradients

    def _map_runs(self, function: Function, stacked: Any, runs: int) -> Any:
        return jax.vmap(function)(stacked)

    def _loop(self, step: Function, steps: int, carried: Any) -> Any:
        carried, _ = jax.lax.scan(
            lambda carried, number: (step(number, carried), None), carried, jnp.arange(steps)
        )
        return carried

    def _rows(self, x: Tensor, rows: Tensor) -> Tensor:
        return x.at[rows].get(mode="promise_in_bounds")

    def _replaced(self, array: Tensor, place: int, value: NDArray[Any]) -> Tensor:
        return array.at[place].set(value)


class JaxEngine(StackedEngine):
    """Programs of JAX, and samples and offset tables on its device.

    Attributes:
        threads: Those that draw batches and noise while the device is at work.
    """

    name = "jax"
    programs_kind = JaxPrograms
    most_workers = 1  # the device has one queue, and its memory is to hold no second stack
    most_chunked = MOST_CHUNKED_RUNS
    stacked_bytes = 2**32
    draws_ahead = True
    validated = Chunks(block=_VALIDATED_ROWS, blocks=1)

    def __init__(self, population: Population, sizes: SampleSizes, workers: Workers) -> None:
        if population.architecture.system_record.is_users:
            _check_traceable(population)
        super().__init__(population, sizes, workers)
        self._tables: dict[int, tuple[Array, Tensor]] = {}  # of the host and the device, by id
        self.threads = ThreadPoolExecutor(available_cores(), "draws")
        # Of each sample a run has the offset, the noise and their sum, in float32.
        run_bytes = 3 * 4 * population.architecture.network.latent_dim
        row_bytes = self.slots * run_bytes + (self.slots if sizes.varies else 1) * sizes.row_bytes
        memory, samples = device_memory(), sizes.train + sizes.validation
        if memory and samples * row_bytes > memory * _RESIDENT_SHARE:
            size = population.batch_size
            rows = int(memory * _PIECE_SHARE) // (self.slots * (sizes.row_bytes + run_bytes))
            self.piece_rows = max(1, rows // size) * size

    def largest_stack(self) -> int:
        """Runs per stack: a power of two, from as many as fill the device down to 1."""
        share = max(1, _STACKED_PARAMETERS // max(1, self.population.model.count_params()))
        most = _LARGEST_ON_CPU if jax.default_backend() == "cpu" else _LARGEST_STACK
        return int(min(most, 2 ** (share.bit_length() - 1)))

    def make_room(self, error: Exception) -> bool:
        """Halve what is sent to the device at a time, where its memory ran out."""
        of_jax = isinstance(error, jax.errors.JaxRuntimeError) and _OUT_OF_MEMORY in str(error)
        if not (of_jax or isinstance(error, _TooLarge)):
            return False
        size, before = self.population.batch_size, self.piece_rows or self.sizes.train
        if before <= size:
            raise _TooLarge from error
        self.piece_rows = max(1, before // 2 // size) * size
        self._tables, self._shared = {}, None
        _note("samples and offsets", self.piece_rows)
        return True

    def map(self, function: Callable[..., Any], *values: Iterable[Any]) -> Iterable[Any]:
        """:func:`map`, by as many threads as there are cores."""
        return self.threads.map(function, *values)

    def inputs(self, jobs: Sequence[Job], pieces: Sequence[Drawn]) -> dict[str, Tensor]:
        """Inputs of the model beside the samples, made on the device where its samples are."""
        if self.piece_rows or self.population.chunks(self.sizes):
            return super().inputs(jobs, pieces)
        known, self._tables = self._tables, {}
        for table in (job.offset for job in jobs):
            at = id(table)
            self._tables[at] = self._tables.get(at) or known.get(at) or (table, tensor(table))
        offsets, noises = [], []
        for job, (rows, noise) in zip(jobs, pieces, strict=True):
            _, table = self._tables[id(job.offset)]
            scales = np.float32(job.offset_factor), np.float32(job.stddev)
            if self.programs.noise_is_input:
                drawn = (
                    np.zeros((len(rows), table.shape[1]), np.float32) if noise is None else noise
                )
                noises.append(scales[1] * drawn)
                noise = None
            offsets.append(_added(table, rows, noise, *scales))
        inputs = {"offset": _stacked(offsets)}
        if noises:
            inputs["noise"] = tensor(np.stack(noises))
        return inputs


def _offset(
    table: Tensor, rows: Tensor, noise: Tensor | None, factor: Tensor, stddev: Tensor
) -> Any:
    """Rows of an offset table, scaled, and noise on top of them."""
    offset = table[rows] * factor
    return offset if noise is None else offset + stddev * noise


_added = jax.jit(_offset)
_stacked = jax.jit(lambda arrays: jnp.stack(arrays))


def _note(what: str, at_once: int) -> None:
    line = f"note: {what} do not fit the device's memory: {at_once} at once are tried"
    print(line, file=sys.stderr, flush=True)


def device_memory() -> int | None:
    """Bytes of the device's memory that JAX may use; None where it is the machine's own."""
    return (jax.devices()[0].memory_stats() or {}).get("bytes_limit")


def _check_traceable(population: Population) -> None:
    """Check that a user's own network can be traced by JAX.

    Raises:
        InputError: where a layer needs TensorFlow, say.
    """
    where = f"models with function {population.architecture.function}"
    sizes = (population.architecture.input_dim, population.architecture.network.latent_dim)
    x, offset = (jax.ShapeDtypeStruct((2, size), jnp.float32) for size in sizes)
    model = population.model
    variables = model.trainable_variables, model.non_trainable_variables
    values = [[variable.value for variable in each] for each in variables]
    clause = "; train.engine: jax needs layers that compute by keras.ops, keras takes any"
    with adding(clause), blame_user_code(where, "its model"):
        call = functools.partial(model.stateless_call, training=True)
        jax.eval_shape(call, *values, {"x": x, "offset": offset})
