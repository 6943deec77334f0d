"""Runs written as served models' folders, by a process of its own that alone imports TensorFlow.

Run as ``python -m offset_autoencoder.serving.export`` in the project's folder. It reads a JSON list
of :class:`Order` from its input and answers each with a line of JSON: ``{"error": null}``, or why
not.
"""

from __future__ import annotations

import dataclasses
import json
import math
import shutil
import sys
from pathlib import Path

import numpy as np

from offset_autoencoder.data.prepared import PreparedData, load_prepared
from offset_autoencoder.errors import InputError
from offset_autoencoder.io.arrays import chunks
from offset_autoencoder.paths import PREPARED
from offset_autoencoder.serving.applied import AppliedModel, Beside
from offset_autoencoder.serving.code_archive import CODE, write_code
from offset_autoencoder.serving.folder import load_model_folder
from offset_autoencoder.serving.from_run import RunParts, parts_of_run
from offset_autoencoder.serving.order import Order

# Sums over samples in another order differ by some 1e-7.
_TOLERANCE = 1e-4


def export(order: Order, root: Path, data: PreparedData) -> None:
    """Write a run as a folder, and see that the folder does what ``evaluate`` measured.

    Raises:
        InputError: where it cannot be written or does not; no folder is then left.
    """
    from offset_autoencoder.serving.saving import save_model_folder

    parts = parts_of_run(order.run, root, order.model)
    parts = dataclasses.replace(parts, facts=dataclasses.replace(parts.facts, test=order.test))
    folder = Path(order.folder)
    save_model_folder(folder, parts)
    try:
        found = test_mse(load_model_folder(folder), data, parts)
        if not math.isclose(found, order.test["mse"], rel_tol=_TOLERANCE, abs_tol=1e-12):
            raise InputError(
                f"model {order.model}, run {order.run[:12]}",
                f"as it would be served its test mse is {found:.6g}, "
                f"evaluate measured {order.test['mse']:.6g}",
                "run dvc repro evaluate",
            )
        is_custom = parts.facts.function is not None or parts.facts.offset_kind == "function"
        write_code(folder / CODE, root, is_custom=is_custom)
    except BaseException:
        shutil.rmtree(folder, ignore_errors=True)
        raise


def test_mse(model: AppliedModel, data: PreparedData, parts: RunParts) -> float:
    """Mean squared error over the scaled test split, gone through a chunk at a time."""
    split, classes, total = data.test, data.schema.classes, 0.0
    table = None
    if parts.facts.needs == "offset" and parts.offset is not None:
        table = np.load(parts.offset / "test.npy", mmap_mode="r", allow_pickle=False)
    for start, x in chunks(split.x):
        rows = slice(start, start + len(x))
        beside: Beside = {"is_scaled": True, "ids": split.ids[rows]}
        if classes is not None and split.y is not None:
            beside["labels"] = np.asarray(classes)[split.y[rows]]
        if table is not None:
            beside["offset"] = np.asarray(table[rows])
        error = model.reconstruct(x, **beside) - x.astype(np.float64)
        total += float(np.square(error).sum())
    return total / split.x.size


def main() -> None:
    """Read orders, and answer each as it is done."""
    root = Path()
    orders = [Order(**order) for order in json.load(sys.stdin)]
    data: PreparedData | None = None
    for order in orders:
        error = None
        try:
            data = data or load_prepared(root / PREPARED)
            export(order, root, data)
        except InputError as wrong:
            error = str(wrong)
        print(json.dumps({"error": error}), flush=True)


if __name__ == "__main__":
    main()
