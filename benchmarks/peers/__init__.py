"""The peers of the training benchmark: each trains the same network in its own way.

One file a peer. It has ``start(task)``, which builds network and optimizer and returns a
turn: a function that trains some epochs and says how long one took. A worker process per peer
(:mod:`benchmarks.peers.worker`) takes turns with the others. Nothing here imports a library
that trains; a peer's own file does.
"""

from __future__ import annotations

import importlib.util
import shutil
from dataclasses import dataclass


@dataclass(frozen=True)
class Peer:
    """Properties of a peer, known without importing it.

    Attributes:
        name: Its module here, and its name on the command line.
        title: Its name in the table.
        package: The import it needs.
        run_after_run: Whether it trains one run at a time with all cores, so that its time per run
            is that of a single one.
        needs_compiler: Whether it calls the machine's C++ compiler.
    """

    name: str
    title: str
    package: str
    run_after_run: bool = False
    needs_compiler: bool = False

    @property
    def missing(self) -> str | None:
        """Reason that it cannot run here; None where it can."""
        if importlib.util.find_spec(self.package) is None:
            return f"{self.package} is not installed"
        if self.needs_compiler and not (shutil.which("g++") or shutil.which("clang++")):
            return "no C++ compiler"
        return None


OURS = "population"
FLOOR = "matrix_products"

PEERS = {
    peer.name: peer
    for peer in (
        Peer(OURS, "this project", "tensorflow"),
        Peer("keras_fit", "Keras fit", "tensorflow", run_after_run=True),
        Peer("keras_jit", "Keras fit, jit", "tensorflow", run_after_run=True),
        Peer("torch_eager", "PyTorch", "torch", run_after_run=True),
        Peer("torch_compile", "torch.compile", "torch", run_after_run=True, needs_compiler=True),
        Peer("jax_scan", "JAX", "jax"),
        Peer(FLOOR, "floor", "tensorflow"),
    )
}
