"""The process that trains on JAX: Keras has one backend per process, elsewhere TensorFlow."""

from __future__ import annotations

import contextlib
import functools
import importlib.metadata
import multiprocessing
import multiprocessing.connection
import os
import signal
import subprocess
import sys
import threading
import types
from collections.abc import Callable, Iterator
from typing import Any

from offset_autoencoder.config.registries import ENGINES
from offset_autoencoder.errors import INTERRUPTED, InputError, run_command
from offset_autoencoder.models.architecture import Architecture
from offset_autoencoder.runs.spec import RunSpec
from offset_autoencoder.user_code import BACKEND

_JAX = "jax"
_PROBE = "import jax; print(jax.default_backend())"
_PROBE_SECONDS = 120


def engine_in_id(engine: str, architecture: Architecture, *, or_on_a_gpu: bool) -> str:
    """The engine that a run's id names: for ``auto``, ``jax`` where JAX finds a GPU.

    With ``or_on_a_gpu`` False it stays ``auto``, and so it does for networks of users' own
    functions: those are left to TensorFlow where they do not name the engine.
    """
    is_open = engine == "auto" and or_on_a_gpu and not architecture.system_record.is_users
    return _JAX if is_open and finds_gpu() else engine


def trains_on_jax(spec: RunSpec) -> bool:
    """True if the engine in a run's id is one on JAX."""
    return spec.train.engine != "auto" and ENGINES[spec.train.engine].backend == _JAX


@functools.cache
def finds_gpu() -> bool:
    """True if JAX is installed and finds a GPU.

    Another process looks, as whoever does takes the GPU's memory; without a plugin for GPUs none.
    """
    if not importlib.metadata.entry_points(group="jax_plugins"):
        return False
    environment = {**os.environ, "XLA_PYTHON_CLIENT_PREALLOCATE": "false"}
    command = [sys.executable, "-c", _PROBE]
    try:
        done = subprocess.run(
            command, capture_output=True, text=True, env=environment, timeout=_PROBE_SECONDS
        )
    except subprocess.TimeoutExpired:
        return False
    return done.stdout.strip() == "gpu"


def call_on_jax(function: Callable[..., None], *arguments: Any) -> None:
    """Call a function of a module in a process whose Keras has the backend JAX, and wait for it.

    Ctrl-C and SIGTERM end it as they would end the call in this process.

    Raises:
        SystemExit: with its status, where it failed: it has said why.
        InputError: where it was killed.
    """
    context = multiprocessing.get_context("spawn")
    process = context.Process(target=_call, args=(function, arguments))
    with _scripts_hidden(), _interrupts_ignored():
        process.start()
    try:
        process.join()
    except KeyboardInterrupt:
        process.terminate()
        process.join()
        raise
    if process.exitcode == INTERRUPTED:
        raise KeyboardInterrupt
    if process.exitcode and process.exitcode < 0:
        name = signal.Signals(-process.exitcode).name
        what = f"the process that trains on JAX was ended by {name}"
        raise InputError("train.engine", what, "see whether memory ran out, then run it again")
    if process.exitcode:
        raise SystemExit(process.exitcode)


@contextlib.contextmanager
def _scripts_hidden() -> Iterator[None]:
    """Hide a user's script from processes that are spawned, which would run it once more."""
    main = sys.modules["__main__"]
    name = getattr(main.__spec__, "name", None) or ""
    if not name.startswith("offset_autoencoder."):
        sys.modules["__main__"] = types.ModuleType("__main__")
    try:
        yield
    finally:
        sys.modules["__main__"] = main


@contextlib.contextmanager
def _interrupts_ignored() -> Iterator[None]:
    """Ignore Ctrl-C, also in a process that is started meanwhile and imports for seconds."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


def _call(function: Callable[..., None], arguments: tuple[Any, ...]) -> None:
    os.environ[BACKEND] = _JAX
    # Ctrl-C reaches both processes: the other one passes it on, once.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    threading.Thread(target=_end_with_parent, daemon=True).start()

    def call() -> None:
        try:
            function(*arguments)
        except KeyboardInterrupt:
            raise SystemExit(INTERRUPTED) from None

    run_command(call)


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    assert parent is not None
    multiprocessing.connection.wait([parent.sentinel])
    os.kill(os.getpid(), signal.SIGTERM)
