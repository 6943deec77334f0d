"""Runs written as served models' folders, by a process of its own that alone imports TensorFlow.

Run as ``python -m offset_autoencoder.serving.export`` in the project's folder. It reads a JSON list
of :class:`ExportOrder` from its input and answers each with a line of JSON: ``{"error": null}``, or
the reason why not. The package's own source goes along as one file, since a served model is
computed by the code it came with; Python imports from a zip file as from a folder.
"""

from __future__ import annotations

import dataclasses
import json
import math
import shutil
import sys
import zipfile
from pathlib import Path

import numpy as np

from offset_autoencoder.data.prepared import PreparedData, load_prepared
from offset_autoencoder.errors import InputError
from offset_autoencoder.io.arrays import chunks
from offset_autoencoder.io.files import atomic_write, replace_folder, write_npz
from offset_autoencoder.models.inference import KerasNetwork
from offset_autoencoder.offsets.table import INFO, STATE
from offset_autoencoder.paths import CUSTOM, PREPARED
from offset_autoencoder.runs.load import load_run
from offset_autoencoder.serving.inference_model import (
    NETWORK,
    OFFSET,
    InferenceModel,
    ServableRun,
    SideInputs,
    find_servable_run,
    load_model_folder,
)
from offset_autoencoder.serving.metadata import ExportOrder, write_metadata

CODE = "code.zip"
_SCALE = "scale.npz"
_ZIP_EPOCH = (1980, 1, 1, 0, 0, 0)

# Sums over samples in another order differ by some 1e-7.
_TOLERANCE = 1e-4


def export(order: ExportOrder, root: Path, data: PreparedData) -> None:
    """Write a run as a folder, and see that the folder does what ``evaluate`` measured.

    Raises:
        InputError: where it cannot be written or does not; no folder is then left.
    """
    run = find_servable_run(order.run, root, order.model)
    run = dataclasses.replace(run, metadata=dataclasses.replace(run.metadata, test=order.test))
    folder = Path(order.folder)
    save_model_folder(folder, run)
    try:
        mse = test_mse(load_model_folder(folder), data, run)
        if not math.isclose(mse, order.test["mse"], rel_tol=_TOLERANCE, abs_tol=1e-12):
            raise InputError(
                f"model {order.model}, run {order.run[:12]}",
                f"as it would be served its test mse is {mse:.6g}, "
                f"evaluate measured {order.test['mse']:.6g}",
                "run dvc repro evaluate",
            )
        write_code(folder / CODE, root, is_custom=run.metadata.user_code)
    except BaseException:
        shutil.rmtree(folder, ignore_errors=True)
        raise


def save_model_folder(folder: Path, run: ServableRun) -> None:
    """Write a run as a folder, whole or not at all; one that is there is replaced.

    Raises:
        InputError: where the network cannot be saved.
    """
    with replace_folder(folder) as new:
        model = load_run(run.folder)
        try:
            model.save(new / NETWORK)
        except Exception as error:  # Keras raises whatever its parts raise
            reason = (str(error).strip().splitlines() or [type(error).__name__])[0]
            raise InputError(str(run.folder), f"its network cannot be saved: {reason}") from error
        write_npz(new / _SCALE, {"shift": run.scale[0], "factor": run.scale[1]})
        if run.offset is not None:
            (new / OFFSET).mkdir()
            for name in (INFO, STATE):
                shutil.copyfile(run.offset / name, new / OFFSET / name)
        # A model that was split can no longer be saved: only now.
        has_code = KerasNetwork(model, run.metadata.system).has_code
        write_metadata(new, dataclasses.replace(run.metadata, has_code=has_code))


def test_mse(model: InferenceModel, data: PreparedData, run: ServableRun) -> float:
    """Mean squared error over the scaled test split, gone through a chunk at a time."""
    split, classes, total = data.test, data.schema.classes, 0.0
    table = None
    if run.metadata.needs == "offset" and run.offset is not None:
        table = np.load(run.offset / "test.npy", mmap_mode="r", allow_pickle=False)
    for start, x in chunks(split.x):
        rows = slice(start, start + len(x))
        side: SideInputs = {"is_scaled": True, "ids": split.ids[rows]}
        if classes is not None and split.y is not None:
            side["labels"] = np.asarray(classes)[split.y[rows]]
        if table is not None:
            side["offset"] = np.asarray(table[rows])
        error = model.reconstruct(x, **side) - x.astype(np.float64)
        total += float(np.square(error).sum())
    return total / split.x.size


def write_code(path: Path, root: Path, *, is_custom: bool) -> None:
    """Write the archive of the source; the same sources give the same bytes.

    Args:
        path: The archive.
        root: The project's folder.
        is_custom: Whether the user's ``src/custom`` is needed too.
    """
    packages = [Path(__file__).parents[1], *([root / CUSTOM] if is_custom else [])]
    with atomic_write(path) as stream, zipfile.ZipFile(stream, "w") as archive:
        for package in packages:
            for source in sorted(package.rglob("*.py")):
                name = f"{package.name}/{source.relative_to(package).as_posix()}"
                member = zipfile.ZipInfo(name, _ZIP_EPOCH)
                archive.writestr(member, source.read_bytes(), zipfile.ZIP_DEFLATED)


def main() -> None:
    """Read orders, and answer each as it is done."""
    root = Path()
    orders = [ExportOrder(**order) for order in json.load(sys.stdin)]
    data: PreparedData | None = None
    for order in orders:
        reason = None
        try:
            data = data or load_prepared(root / PREPARED)
            export(order, root, data)
        except InputError as error:
            reason = str(error)
        print(json.dumps({"error": reason}), flush=True)


if __name__ == "__main__":
    main()
