"""The floor: the matrix products of forward and backward pass alone, of the same shapes.

No biases, activations, losses, gathering, optimizer or validation; no gradient for the
samples. Batches are read where they lie. Several ways are tried in the first turn, and the
fastest is timed from then on: NumPy with a run per thread, with stacks of runs per thread and
with the threads of its BLAS, and XLA with a run per thread and all runs stacked.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from itertools import pairwise
from typing import Any

import numpy as np
from benchmarks.peers.clock import epoch_by_epoch
from benchmarks.peers.task import Array, Outcome, Task, Turn

from offset_autoencoder.cores import available_cores

Epoch = Callable[[], None]
Way = Callable[[Array], Epoch]

_TRIALS = 2
_TRIAL_STEPS = 45
_NUMPY_STACKS = (1, 5, 30)


def start(task: Task) -> Turn:
    """A turn of the fastest way."""
    started = time.perf_counter()
    x = task.x
    fastest: Turn | None = None

    def turn() -> Outcome:
        nonlocal fastest
        if fastest is None:
            candidates = ways(task, x.shape[1])
            some = x[: _TRIAL_STEPS * task.batch_size]
            name = min(candidates, key=lambda name: _seconds(candidates[name](some)))
            fastest = epoch_by_epoch(task, started, candidates[name](x), task.runs, name)
        return fastest()

    return turn


def ways(task: Task, features: int) -> dict[str, Way]:
    """By name, the ways to compute an epoch's products of all runs."""
    widths, batch, runs = task.widths(features), task.batch_size, task.runs
    cores = available_cores()
    functions: dict[str, Way] = {"NumPy, threads of BLAS": partial(numpy_blas, widths, batch, runs)}
    for stack in {min(stack, -(-runs // cores)) for stack in _NUMPY_STACKS}:
        stacks = [stack] * (runs // stack)
        if runs % stack:
            stacks.append(runs % stack)
        functions[f"NumPy, {stack} per thread"] = partial(
            numpy_threads, widths, batch, stacks, cores
        )
    for stack in {1, runs}:
        threads = min(cores, runs // stack)
        functions[f"XLA, {stack} per call"] = partial(
            xla, widths, batch, stack, runs // stack, threads
        )
    return functions


@dataclass(frozen=True)
class Buffers:
    """Inputs and outputs of the products of a stack of R runs.

    Attributes:
        kernels: (R, inputs, outputs) of each layer.
        values: (R, batch, outputs) of each layer.
        slopes: The same of all but the last layer: gradients.
        gradients: Of the kernels, in their shapes.
    """

    kernels: list[Array]
    values: list[Array]
    slopes: list[Array]
    gradients: list[Array]

    @classmethod
    def make(cls, runs: int, widths: list[int], batch: int) -> Buffers:
        """Buffers with small random kernels."""
        rng = np.random.default_rng(0)
        kernels = [
            rng.standard_normal((runs, *pair), dtype=np.float32) / np.float32(pair[0])
            for pair in pairwise(widths)
        ]
        values = [np.empty((runs, batch, width), np.float32) for width in widths[1:]]
        return cls(
            kernels,
            values,
            [np.empty_like(value) for value in values[:-1]],
            [np.empty_like(kernel) for kernel in kernels],
        )

    def step(self, x: Array) -> None:
        """The products of one batch, (batch, D) or (1, batch, D)."""
        inputs = [x, *self.values[:-1]]
        for values, kernel, outputs in zip(inputs, self.kernels, self.values, strict=True):
            np.matmul(values, kernel, out=outputs)
        slope = self.values[-1]
        for layer in reversed(range(len(self.kernels))):
            np.matmul(inputs[layer].swapaxes(-1, -2), slope, out=self.gradients[layer])
            if layer:
                kernel = self.kernels[layer].swapaxes(-1, -2)
                slope = np.matmul(slope, kernel, out=self.slopes[layer - 1])

    @property
    def first(self) -> Buffers:
        """Those of the first run alone, without the axis of runs."""
        parts = (self.kernels, self.values, self.slopes, self.gradients)
        return Buffers(*([array[0] for array in part] for part in parts))

    def of_batch(self, size: int) -> Buffers:
        """Buffers of the same kernels for a smaller batch."""
        return Buffers(
            self.kernels,
            [np.ascontiguousarray(array[..., :size, :]) for array in self.values],
            [np.ascontiguousarray(array[..., :size, :]) for array in self.slopes],
            self.gradients,
        )


def numpy_epoch(widths: list[int], batch: int, runs: int, x: Array) -> Epoch:
    """An epoch of a stack of runs by NumPy, in the thread that calls it."""
    buffers = Buffers.make(runs, widths, batch)
    samples = x[None]
    if runs == 1:
        buffers, samples = buffers.first, x
    full = len(x) // batch * batch
    last = buffers.of_batch(len(x) - full)

    def epoch() -> None:
        for begin in range(0, full, batch):
            buffers.step(samples[..., begin : begin + batch, :])
        if full < len(x):
            last.step(samples[..., full:, :])

    return epoch


def numpy_threads(widths: list[int], batch: int, stacks: list[int], cores: int, x: Array) -> Epoch:
    """An epoch of stacks of so many runs, a stack a thread at a time, each with one BLAS thread."""
    from threadpoolctl import threadpool_limits

    threads = min(cores, len(stacks))
    pool = ThreadPoolExecutor(threads)
    shares = [
        [numpy_epoch(widths, batch, runs, x) for runs in stacks[thread::threads]]
        for thread in range(threads)
    ]

    def work(share: list[Epoch]) -> None:
        for epoch in share:
            epoch()

    def epoch() -> None:
        with threadpool_limits(1, "blas"):
            list(pool.map(work, shares))

    return epoch


def numpy_blas(widths: list[int], batch: int, runs: int, x: Array) -> Epoch:
    """An epoch of run after run, each with all threads of the BLAS."""
    train_one = numpy_epoch(widths, batch, 1, x)

    def epoch() -> None:
        for _ in range(runs):
            train_one()

    return epoch


def xla(widths: list[int], batch: int, stack: int, calls: int, threads: int, x: Array) -> Epoch:
    """An epoch by one XLA program, of a stack of runs, called so many times by the threads."""
    import tensorflow as tf

    made = Buffers.make(stack, widths, batch)
    kernels = [tf.constant(kernel) for kernel in made.kernels]
    full, rest = divmod(len(x), batch)
    # Runs of a stack read neighbouring batches, as long as there are any, then from the top.
    samples = tf.constant(np.resize(x, (len(x) + stack * batch, x.shape[1])))

    def step(samples: Any, start: Any, size: int, kernels: list[Any]) -> list[Any]:
        rows = tf.slice(samples, [start, 0], [stack * size, x.shape[1]])
        values = [tf.reshape(rows, [stack, size, x.shape[1]])]
        for kernel in kernels:
            values.append(tf.matmul(values[-1], kernel))
        slope, gradients = values.pop(), []
        for layer in reversed(range(len(kernels))):
            gradients.append(tf.matmul(values[layer], slope, transpose_a=True))
            if layer:
                slope = tf.matmul(slope, kernels[layer], transpose_b=True)
        return gradients[::-1]

    def program(samples: Any, kernels: list[Any]) -> list[Any]:
        def one(number: Any, *_: Any) -> Any:
            return number + 1, *step(samples, number * batch, batch, kernels)

        _, *gradients = tf.while_loop(
            lambda number, *_: number < full, one, (0, *kernels), maximum_iterations=full
        )
        if rest:
            # All is returned: what nobody reads would not be computed.
            gradients += step(samples, tf.constant(full * batch), rest, kernels)
        return gradients

    compiled = tf.function(program, jit_compile=True, autograph=False)
    pool = ThreadPoolExecutor(threads)

    def call(_: int) -> None:
        # The copy waits for the program to end.
        np.asarray(compiled(samples, kernels)[0])

    def epoch() -> None:
        list(pool.map(call, range(calls)))

    return epoch


def _seconds(epoch: Epoch) -> float:
    epoch()
    times = []
    for _ in range(_TRIALS):
        begun = time.perf_counter()
        epoch()
        times.append(time.perf_counter() - begun)
    return min(times)
