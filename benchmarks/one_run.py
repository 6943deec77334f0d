"""A run as one would do it without this project: a process of its own, ``fit``, MLflow.

    python one_run.py '{"offset": "pca", "rms": 0.1, "stddev": 0, "seed": 3, ...}'

It is run in a project whose data and offsets are made, and takes the public functions alone.
Every epoch's losses go to MLflow as the epoch ends, the way Keras's callbacks are meant for;
the epochs it trained are printed.
"""

from __future__ import annotations

import json
import os
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class OneRun:
    """Settings of a run.

    Attributes:
        store: The MLflow tracking URI.
        offset: The name of an offset, or None.
        rms: To which the offset is scaled; None takes it as it came.
    """

    store: str
    seed: int
    offset: str | None
    rms: float | None
    stddev: float
    latent_dim: int
    hidden: list[int]
    epochs: int
    batch_size: int
    learning_rate: float
    patience: int | None


def main() -> None:
    run = OneRun(**json.loads(sys.argv[1]))
    os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"
    import keras
    import mlflow
    import numpy as np

    from offset_autoencoder import build_autoencoder, load_prepared, load_table

    data = load_prepared()
    table = load_table(Path("data/offsets"), run.offset, run.latent_dim) if run.offset else None
    factor = 1 if table is None or run.rms is None else run.rms / table.rms

    def inputs(split: Any) -> tuple[dict[str, Any], Any]:
        x = np.asarray(data.split(split).x)
        zeros = np.zeros((len(x), run.latent_dim), np.float32)
        offset = zeros if table is None else table.split(split) * np.float32(factor)
        return {"x": x, "offset": offset}, x

    keras.utils.set_random_seed(run.seed)
    model = build_autoencoder(
        data.schema.input_dim, run.latent_dim, run.hidden, stddev=run.stddev, seed=run.seed
    )
    model.compile(keras.optimizers.Adam(run.learning_rate), "binary_crossentropy")
    mlflow.set_tracking_uri(run.store)
    with mlflow.start_run(run_name=f"{run.offset} seed={run.seed}"):
        mlflow.log_params({key: value for key, value in vars(run).items() if key != "store"})
        callbacks = [
            keras.callbacks.LambdaCallback(
                on_epoch_end=lambda epoch, logs: mlflow.log_metrics(logs, step=epoch)
            )
        ]
        if run.patience is not None:
            callbacks.append(
                keras.callbacks.EarlyStopping(patience=run.patience, restore_best_weights=True)
            )
        history = model.fit(
            *inputs("train"),
            batch_size=run.batch_size,
            epochs=run.epochs,
            validation_data=inputs("validation"),
            callbacks=callbacks,
            verbose=0,
        )
        x, target = inputs("test")
        error = np.mean(np.square(model.predict(x, verbose=0) - target))
        mlflow.log_metric("mse", float(error))
    print(len(history.epoch))


if __name__ == "__main__":
    main()
