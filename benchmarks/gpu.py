"""Epoch time per run of a population on one device, beside what else trains there.

    python -m benchmarks.gpu [--runs 1 10 60 300] [--samples 60000] [--hidden 128]
                             [--filters 16 32] [--epochs 3] [--peers jax keras_fit ...]
                             [--mnist FILE.npz] [--json FILE]

MNIST's shape, latent 32, batch 128, offsets, Adam, binary cross-entropy; a dense network and a
convolutional one. ``jax`` is the engine on JAX's device, ``keras_fit`` Keras's own ``fit`` there
(one run, JAX backend), ``torch`` a plain loop where PyTorch is installed (one run), ``cpu`` the
compiled loop on the machine's cores, ``products`` the bare matrix products of all runs in one
program of JAX.

It needs JAX, Keras, Numba, pydantic and this checkout: TensorFlow is never imported.
"""

from __future__ import annotations

import argparse
import contextlib
import importlib.util
import json
import os
import sys
import tempfile
import time
import types
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

os.environ["OFFSET_AUTOENCODER_KERAS_BACKEND"] = "jax"


def _stand_in(name: str, **attributes: Any) -> None:
    """Put a module in the place of one that is not installed, and not needed here."""
    if importlib.util.find_spec(name) is None:
        module = types.ModuleType(name)
        module.__dict__.update(attributes, __path__=[])
        sys.modules[name] = module


def _stand_ins() -> None:
    """Stand-ins for packages that the project's modules import and this benchmark does not call."""

    class Unused(Exception):
        """Any class of theirs."""

    if importlib.util.find_spec("threadpoolctl") is None:
        os.environ["OPENBLAS_NUM_THREADS"] = "1"  # what it would see to
    _stand_in("threadpoolctl", threadpool_limits=lambda *_, **__: contextlib.nullcontext())
    _stand_in("filelock", FileLock=lambda *_, **__: contextlib.nullcontext())
    _stand_in("joblib", cpu_count=lambda: len(os.sched_getaffinity(0)))
    if importlib.util.find_spec("ruamel") is None:
        _stand_in("ruamel")
        for name in ("yaml", "yaml.error", "yaml.constructor", "yaml.nodes"):
            _stand_in(f"ruamel.{name}", __getattr__=lambda _: Unused)


_stand_ins()

from benchmarks.cases import write_mnist, write_random  # noqa: E402
from benchmarks.machine import machine  # noqa: E402
from benchmarks.peers.population import seconds_a_run  # noqa: E402
from benchmarks.peers.task import Outcome, Task  # noqa: E402

SIDE = 28  # of an image


@dataclass(frozen=True)
class Case:
    """A network and its data, to be trained by ``task.runs`` runs."""

    kind: str
    filters: list[int]
    task: Task

    @property
    def architecture(self) -> Any:
        from offset_autoencoder.config.schema import Network
        from offset_autoencoder.models.architecture import Architecture

        keys: dict[str, Any] = {"latent_dim": self.task.latent_dim, "kind": self.kind}
        if self.kind == "dense":
            keys["hidden"] = list(self.task.hidden)
        else:
            keys["filters"] = self.filters
        network = Network.model_validate(keys)
        return Architecture(network=network, input_dim=SIDE**2, image_shape=[SIDE, SIDE])


@dataclass(frozen=True)
class Figure:
    """One figure of the table.

    Attributes:
        runs: Runs trained side by side; a peer that trains run after run has one.
        milliseconds: Per epoch and run; None where it failed, and ``note`` says why.
        first_epoch: Seconds until the first epoch had ended, compilation included.
        val_loss: After the first epoch, a mean over the runs.
    """

    kind: str
    peer: str
    runs: int
    milliseconds: float | None
    first_epoch: float | None = None
    val_loss: float | None = None
    note: str = ""


def by_engine(case: Case, engine: str) -> Outcome:
    """All runs by an engine of this project, an epoch more than are timed."""
    from offset_autoencoder.training.engine import Population
    from offset_autoencoder.training.pool import train_population
    from offset_autoencoder.training.state import Job

    task = case.task
    population = Population(case.architecture, task.batch_size, "adam", engine=engine)
    offset, of_validation = (task.offset(len(x)) for x in (task.x, task.validation))
    keys: dict[str, Any] = {"stddev": 0.0, "learning_rate": 1e-3, "patience": None}
    keys |= {"offset": offset, "offset_validation": of_validation, "epochs": task.epochs + 1}
    jobs = [Job(id=str(seed), seed=seed, **keys) for seed in range(task.runs)]
    ended: dict[tuple[str, ...], list[float]] = {}
    losses: list[float] = []

    def note(trained: Sequence[Any]) -> None:
        ended.setdefault(tuple(job.id for job in trained), []).append(time.perf_counter())

    def keep(_: Any, run: Any) -> None:
        losses.append(float(run.val_loss[0]))

    started = time.perf_counter()
    train_population(population, jobs, task.x, task.validation, keep, note)
    first = min(times[0] for times in ended.values()) - started
    return Outcome(first, seconds_a_run(ended), sum(losses) / len(losses))


def keras_fit(case: Case) -> Outcome:
    """Keras's ``fit`` on JAX, of one run."""
    from offset_autoencoder.models.autoencoder import build_model
    from offset_autoencoder.models.backend import keras

    task, ended = case.task, list[float]()
    x, validation = task.x, task.validation
    model = build_model(case.architecture)
    model.compile(keras.optimizers.Adam(1e-3), "binary_crossentropy")
    started = time.perf_counter()
    history = model.fit(
        {"x": x, "offset": task.offset(len(x))},
        x,
        batch_size=task.batch_size,
        epochs=task.epochs + 1,
        verbose=0,
        validation_data=({"x": validation, "offset": task.offset(len(validation))}, validation),
        validation_batch_size=len(validation),
        callbacks=[
            keras.callbacks.LambdaCallback(
                on_epoch_end=lambda *_: ended.append(time.perf_counter())
            )
        ],
    )
    seconds = (ended[-1] - ended[0]) / task.epochs
    return Outcome(ended[0] - started, seconds, history.history["val_loss"][0])


def torch_loop(case: Case) -> Outcome:
    """A loop over the batches by PyTorch, on its GPU where it finds one, of one run."""
    import torch
    from benchmarks.peers.torch_eager import loop_turn

    device = "cuda" if torch.cuda.is_available() else "cpu"
    return loop_turn(case.task, lambda function: function, device)()


def products(case: Case) -> Outcome:
    """The matrix products of forward and backward pass alone, of all runs in one program."""
    import jax
    import jax.numpy as jnp

    task = case.task
    widths, batch = task.widths(SIDE**2), task.batch_size
    shapes = [(task.runs, *pair) for pair in pairwise(widths)]
    kernels = [jnp.full(shape, 1 / shape[1], jnp.float32) for shape in shapes]
    steps = len(task.x) // batch
    x = jnp.asarray(task.x[: steps * batch]).reshape(steps, batch, -1)

    def step(kernels: list[Any], rows: Any) -> tuple[list[Any], None]:
        values = [jnp.broadcast_to(rows, (task.runs, *rows.shape))]
        for kernel in kernels:
            values.append(values[-1] @ kernel)
        slope, changed = values.pop(), []
        for layer in reversed(range(len(kernels))):
            gradient = values[layer].swapaxes(1, 2) @ slope
            changed.append(kernels[layer] - 1e-9 * gradient)  # else it would not be computed
            slope = slope @ kernels[layer].swapaxes(1, 2) if layer else slope
        return changed[::-1], None

    program = jax.jit(lambda kernels, x: jax.lax.scan(step, kernels, x)[0])
    started = time.perf_counter()
    jax.block_until_ready(program(kernels, x))
    first = time.perf_counter() - started
    begun = time.perf_counter()
    for _ in range(task.epochs):
        kernels = program(kernels, x)
    jax.block_until_ready(kernels)
    return Outcome(first, (time.perf_counter() - begun) / task.epochs / task.runs, None)


@dataclass(frozen=True)
class Peer:
    """What trains, and which networks.

    Attributes:
        run_after_run: Whether it is timed on one run.
        is_dense: Whether it trains dense networks alone.
    """

    measure: Callable[[Case], Outcome]
    run_after_run: bool = False
    is_dense: bool = False


PEERS = {
    "jax": Peer(lambda case: by_engine(case, "jax")),
    "keras_fit": Peer(keras_fit, run_after_run=True),
    "torch": Peer(torch_loop, run_after_run=True, is_dense=True),
    "cpu": Peer(lambda case: by_engine(case, "numba"), is_dense=True),
    "products": Peer(products, is_dense=True),
}


def figures(cases: Sequence[Case], peers: Sequence[str]) -> Iterator[Figure]:
    """Every figure, peer by peer; what fails does not end the others."""
    for name in peers:
        peer, timed = PEERS[name], set[str]()
        for case in cases:
            kind, runs = case.kind, case.task.runs
            is_done = peer.run_after_run and (runs > 1 or kind in timed)
            if is_done or (peer.is_dense and kind != "dense"):
                continue
            timed.add(kind)
            try:
                outcome = peer.measure(case)
            except Exception as error:
                yield Figure(kind, name, runs, None, note=f"{type(error).__name__}: {error}")
                continue
            milliseconds = 1e3 * outcome.epoch
            yield Figure(kind, name, runs, milliseconds, outcome.first_epoch, outcome.first_loss)


def line_of(figure: Figure) -> str:
    """A row of the table."""
    first, loss = figure.first_epoch, figure.val_loss
    cells = (
        "failed" if figure.milliseconds is None else f"{figure.milliseconds:.2f}",
        "" if first is None else f"{first:.1f}",
        "" if loss is None else f"{loss:.4f}",
    )
    return (
        f"| {figure.kind} | {figure.peer} | {figure.runs} | {' | '.join(cells)} | {figure.note} |"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--runs", type=int, nargs="+", default=[1, 10, 60, 300], metavar="N")
    parser.add_argument("--samples", type=int, default=60_000, help="training samples")
    parser.add_argument("--hidden", type=int, default=128)
    parser.add_argument("--filters", type=int, nargs="+", default=[16, 32])
    parser.add_argument("--kinds", nargs="+", default=["dense", "convolutional"])
    parser.add_argument("--epochs", type=int, default=3, help="epochs timed")
    parser.add_argument("--peers", nargs="+", choices=PEERS, default=list(PEERS), metavar="PEER")
    parser.add_argument("--mnist", type=Path, metavar="FILE", help="npz; else random images")
    parser.add_argument("--json", type=Path, metavar="FILE", help="all numbers")
    arguments = parser.parse_args()
    import jax

    device = jax.devices()[0]
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary) / "data"
        if arguments.mnist:
            write_mnist(folder, arguments.mnist)
        else:
            write_random(folder, arguments.samples, SIDE**2)
        hidden = (arguments.hidden,)
        sizes = (str(folder), arguments.samples, 32, hidden, 128, 0.0)
        cases = [
            Case(kind, arguments.filters, Task(*sizes, runs, arguments.epochs))
            for kind in arguments.kinds
            for runs in arguments.runs
        ]
        print(f"{device.device_kind} ({device.platform}), milliseconds per epoch and run\n")
        print("| network | by | runs | ms | first epoch, s | validation loss | |")
        print("|---|---|---|---|---|---|---|", flush=True)
        measured = []
        for figure in figures(cases, arguments.peers):
            print(line_of(figure), flush=True)
            measured.append(asdict(figure))
    if arguments.json:
        document = {
            "device": device.device_kind,
            "platform": device.platform,
            "machine": machine(),
            "options": {key: str(value) for key, value in vars(arguments).items()},
            "measured": measured,
        }
        arguments.json.write_text(json.dumps(document, indent=2) + "\n")
    assert "tensorflow" not in sys.modules


if __name__ == "__main__":
    main()
