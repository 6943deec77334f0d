"""The process whose Keras has the backend JAX: which runs it trains, and how it ends."""

from __future__ import annotations

import importlib.metadata
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from offset_autoencoder.errors import InputError
from offset_autoencoder.runs.spec import IdentifiedRun
from offset_autoencoder.training import jax_process
from offset_autoencoder.training.jax_process import call_on_jax, engine_in_id, trains_on_jax

MakeRuns = Callable[..., list[IdentifiedRun]]


def fail() -> None:
    raise InputError("here", "what")


def import_tensorflow() -> None:
    from offset_autoencoder.models.backend import keras
    from offset_autoencoder.user_code import find_attribute

    assert keras.config.backend() == "jax"
    find_attribute("models.m.function", "tests.training.users_tensorflow:build")


def kill() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def wait() -> None:
    os.kill(os.getppid(), signal.SIGINT)
    os.kill(os.getpid(), signal.SIGINT)  # a terminal sends it to both
    threading.Event().wait(600)


@pytest.mark.parametrize(
    ("function", "said"),
    [
        (fail, "error: here: what"),
        (
            import_tensorflow,
            "error: models.m.function: importing tests.training.users_tensorflow raised "
            "ImportError: train.engine: jax has no TensorFlow: write it by keras.ops, or set "
            "train.engine: keras, at tests/training/users_tensorflow.py:5",
        ),
    ],
)
def test_an_error_is_the_line_that_it_would_be_here(
    capfd: pytest.CaptureFixture[str], function: Any, said: str
) -> None:
    with pytest.raises(SystemExit) as ended:
        call_on_jax(function)
    assert ended.value.code == 1
    assert capfd.readouterr().err.strip() == said
    assert "OFFSET_AUTOENCODER_KERAS_BACKEND" not in os.environ


def test_a_process_that_is_killed_is_told() -> None:
    with pytest.raises(InputError, match="the process that trains on JAX was ended by SIGKILL"):
        call_on_jax(kill)


def test_ctrl_c_ends_it_once() -> None:
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        with pytest.raises(KeyboardInterrupt):
            call_on_jax(wait)
    finally:
        signal.signal(signal.SIGINT, before)


@pytest.mark.parametrize("gpu", [False, True])
def test_auto_takes_it_where_it_finds_a_gpu(
    make_runs: MakeRuns, monkeypatch: pytest.MonkeyPatch, gpu: bool
) -> None:
    models = {
        **{name: {"offset": "none", "engine": name} for name in ("auto", "numba", "keras", "jax")},
        "own": {
            "system": "function",
            "function": "tests.training.users_state:stateful",
            "offset": "none",
        },
    }
    monkeypatch.setattr(jax_process, "finds_gpu", lambda: gpu)
    specs = {run.run.label.split()[0]: run.spec for run in make_runs(seeds=1, models=models)}

    def engines(*, or_on_a_gpu: bool) -> dict[str, str]:
        return {
            name: engine_in_id(spec.train.engine, spec.architecture, or_on_a_gpu=or_on_a_gpu)
            for name, spec in specs.items()
        }

    named = {"auto": "auto", "numba": "numba", "keras": "keras", "jax": "jax", "own": "auto"}
    assert engines(or_on_a_gpu=False) == named
    assert engines(or_on_a_gpu=True) == named | ({"auto": "jax"} if gpu else {})
    assert {name for name, spec in specs.items() if trains_on_jax(spec)} == {"jax"}


@pytest.mark.parametrize(("said", "gpu"), [("gpu", True), ("cpu", False), ("", False)])
def test_a_gpu_is_looked_for_by_another_process_and_only_with_a_plugin(
    monkeypatch: pytest.MonkeyPatch, said: str, gpu: bool
) -> None:
    asked: list[Any] = []

    def run(command: Any, **_: Any) -> Any:
        asked.append(command)
        return subprocess.CompletedProcess(command, 0, said + "\n", "")

    monkeypatch.setattr(subprocess, "run", run)
    for plugins in ([], ["cuda"]):
        monkeypatch.setattr(importlib.metadata, "entry_points", lambda p=plugins, **_: p)
        jax_process.finds_gpu.cache_clear()
        assert jax_process.finds_gpu() == (gpu and bool(plugins))
    jax_process.finds_gpu.cache_clear()
    assert [command[0] for command in asked] == [sys.executable]


def test_a_script_without_a_guard_is_not_run_again(tmp_path: Path) -> None:
    script, folder = tmp_path / "script.py", tmp_path / "made"
    script.write_text(
        "import os, sys\n"
        "from offset_autoencoder.training.jax_process import call_on_jax\n"
        "print('once')\n"
        "call_on_jax(os.mkdir, sys.argv[1])\n"
    )
    done = subprocess.run([sys.executable, script, folder], capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (0, "once\n"), done.stderr
    assert folder.is_dir()
