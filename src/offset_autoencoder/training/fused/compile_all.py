"""Compiles all loops and leaves them on disk: ``python -m ...training.fused.compile_all``."""

from __future__ import annotations

import numpy as np

from offset_autoencoder.training.fused.optimizers import OPTIMIZERS
from offset_autoencoder.training.fused.program import (
    DENSE,
    SQUARED_ERROR,
    Layout,
    Operation,
    Program,
    X,
)
from offset_autoencoder.training.fused.sharing import train_randomly

_WIDTHS = (2, 1, 0, 2)  # of x, offset, noise, and of the only layer


def main() -> None:
    """Train the smallest network that there is: all others run the same code."""
    layer = Operation(DENSE, out=3, first=X, kernel=0, bias=4, trains=1)
    program = Program(
        operations=np.array([layer], np.int64),
        constants=np.zeros(1, np.float32),
        columns=np.concatenate([[0], np.cumsum(_WIDTHS)]).astype(np.int64),
        widths=np.array(_WIDTHS, np.int64),
        trained=6,
        loss=SQUARED_ERROR,
        kl_weight=0.0,
        warmup_steps=0,
        steps_at=-1,
    )
    layout = Layout(("kernel", "bias"), ((2, 2), (2,)), (0, 4), 6)
    train_randomly(program, layout, 2, OPTIMIZERS["adam"], (2, 2), 1)


if __name__ == "__main__":
    main()
