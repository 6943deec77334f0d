"""Keras ``fit`` with a compiled step and a whole epoch a call, run after run."""

from __future__ import annotations

from benchmarks.peers.keras_fit import fit_turn
from benchmarks.peers.task import Task, Turn


def start(task: Task) -> Turn:
    """A turn of ``fit`` with ``jit_compile`` and ``steps_per_execution`` of an epoch."""
    steps = -(-task.samples // task.batch_size)
    return fit_turn(task, jit_compile=True, steps_per_execution=steps)
