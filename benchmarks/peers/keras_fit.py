"""Stock Keras: ``fit`` on the model that the package builds, run after run.

What a user writes: ``build_autoencoder``, ``compile``, ``fit``. The loss is Keras's binary
cross-entropy, which takes the logits of a sigmoid by itself.
"""

from __future__ import annotations

import time
from typing import Any

import numpy as np
from benchmarks.peers.task import Outcome, Task, Turn


def start(task: Task) -> Turn:
    """A turn of stock ``fit``: a call of it, of which the first epoch is not timed."""
    return fit_turn(task)


def fit_turn(task: Task, **compiled: Any) -> Turn:
    """A turn of ``fit``, with arguments for ``compile``."""
    import keras

    from offset_autoencoder import build_autoencoder

    x, validation = task.x, task.validation
    inputs = {"x": x, "offset": task.offset(len(x))}
    held_out = {"x": validation, "offset": task.offset(len(validation))}
    keras.utils.set_random_seed(0)
    model = build_autoencoder(x.shape[1], task.latent_dim, task.hidden, stddev=task.stddev)
    model.compile(keras.optimizers.Adam(1e-3), "binary_crossentropy", **compiled)

    def turn() -> Outcome:
        ended: list[float] = []
        clock = keras.callbacks.LambdaCallback(
            on_epoch_end=lambda epoch, logs: ended.append(time.perf_counter())
        )
        started = time.perf_counter()
        history = model.fit(
            inputs,
            x,
            batch_size=task.batch_size,
            epochs=task.epochs + 1,
            verbose=0,
            validation_data=(held_out, validation),
            validation_batch_size=len(validation),
            callbacks=[clock],
        )
        return Outcome(
            first_epoch=ended[0] - started,
            epoch=float(np.diff(ended).mean()),
            first_loss=history.history["val_loss"][0],
        )

    return turn
