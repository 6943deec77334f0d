"""Runs written as served models' folders, by a process of its own that alone imports TensorFlow.

Run as ``python -m offset_autoencoder.serving.export`` in the project's folder. It reads a JSON list
of :class:`ExportOrder` from its input and answers each with a line of JSON: ``{"error": null}``, or
the reason why not.
"""

from __future__ import annotations

import json
import math
import shutil
import sys
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from offset_autoencoder.data.prepared import PreparedData
from offset_autoencoder.data.varying import PreparedSplits, load_splits
from offset_autoencoder.errors import InputError, run_command
from offset_autoencoder.io.files import replace_folder, write_npz
from offset_autoencoder.offsets.table import INFO, STATE
from offset_autoencoder.paths import PREPARED
from offset_autoencoder.serving.inference_model import (
    NETWORK,
    OFFSET,
    InferenceModel,
    load_model_folder,
    open_run,
)
from offset_autoencoder.serving.metadata import ExportOrder, write_metadata

# Sums over samples in another order differ by some 1e-7.
_TOLERANCE = 1e-4


def export(order: ExportOrder, root: Path, splits: PreparedSplits) -> None:
    """Write a run as a folder, and see that the folder does what ``evaluate`` measured.

    It is measured again on the test split of the run's own seed.

    Raises:
        InputError: where it cannot be written or does not; no folder is then left.
    """
    folder = Path(order.folder)
    model = open_run(order.run, root, order.model)
    save_model_folder(folder, model, order.test)
    try:
        data = splits.of(model.metadata.seed)
        mse = test_mse(load_model_folder(folder), data, model.offset_folder)
        if not math.isclose(mse, order.test["mse"], rel_tol=_TOLERANCE, abs_tol=1e-12):
            raise InputError(
                f"model {order.model}, run {order.run[:12]}",
                f"as it would be served its test mse is {mse:.6g}, "
                f"evaluate measured {order.test['mse']:.6g}",
                "run dvc repro evaluate",
            )
    except BaseException:
        shutil.rmtree(folder, ignore_errors=True)
        raise


def save_model_folder(
    folder: Path, model: InferenceModel, test: Mapping[str, float] | None = None
) -> None:
    """Write a model that was not applied yet as a folder, whole or not at all.

    A folder that is there is replaced; ``test`` are the metrics that it is to name.

    Raises:
        InputError: where the network cannot be saved.
    """
    network = model.network
    with replace_folder(folder) as new:
        try:
            network.model.save(new / NETWORK)
        except Exception as error:  # Keras raises whatever its parts raise
            reason = (str(error).strip().splitlines() or [type(error).__name__])[0]
            raise InputError(network.where, f"its network cannot be saved: {reason}") from error
        write_npz(new / "scale.npz", model.scale.stored)
        if model.offset_folder is not None:
            (new / OFFSET).mkdir()
            for name in (INFO, STATE):
                shutil.copyfile(model.offset_folder / name, new / OFFSET / name)
        # A model that was split can no longer be saved: only now.
        changes = {"has_code": network.has_code, "test": dict(test or {})}
        changes["thresholds"] = {name: {**own} for name, own in model.thresholds.items()}
        write_metadata(new, model.metadata.model_copy(update=changes))


def test_mse(model: InferenceModel, data: PreparedData, table_folder: Path | None) -> float:
    """Mean squared error over the scaled test split, gone through a block at a time.

    The folder of the run's offset table is read where the model cannot compute its offset.
    """
    errors = model.split_errors(data, "test", table_folder)["mse"]
    return float(np.mean(errors, dtype=np.float64))


def main() -> None:
    """Read orders, and answer each as it is done."""
    root = Path()
    for order in json.load(sys.stdin):
        reason = None
        try:
            export(ExportOrder(**order), root, load_splits(root / PREPARED))
        except InputError as error:
            reason = str(error)
        print(json.dumps({"error": reason}), flush=True)


if __name__ == "__main__":
    run_command(main)
