"""One kind of offset, fitted or applied in a process of its own: a part of ``offsets.py``.

    python -m benchmarks.apply_offset fit KIND FOLDER LATENT_DIM
    python -m benchmarks.apply_offset time KIND FOLDER ROWS REPEATS

``time`` prints a line of JSON: the seconds of applying the kind and of the bare product that it
contains, turn by turn, and the memory that applying took beyond the data.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from benchmarks.turns import rotated
from numpy.typing import NDArray

from offset_autoencoder.config.offset_kinds import OFFSETS
from offset_autoencoder.io.files import read_npz, write_npz
from offset_autoencoder.offsets.kind import Samples, State, Training, find_kind
from offset_autoencoder.offsets.reference import layers_of

FITTED_ON, CLASSES = 4096, 10
_RESIDENT = 2**16  # rows of the float64 product: 400 MB at 784 features


@dataclass(frozen=True)
class Applied:
    """Seconds for all rows, a number a repeat, and memory.

    Attributes:
        apply: Of the kind's ``apply``.
        product: Of the bare product in float32, ``x @ matrix``; None where it contains none.
        product64: Of the same in float64, the data converted beforehand.
        peak: Bytes that the first ``apply`` took beyond the data, its result included.
    """

    apply: list[float]
    product: list[float] | None
    product64: list[float] | None
    peak: int


def fit(kind: str, folder: Path, latent_dim: int) -> None:
    """Fit a kind on the first rows, and store what it learned."""
    x = np.array(np.load(folder / "x.npy", mmap_mode="r")[:FITTED_ON])
    y = np.load(folder / "y.npy")[:FITTED_ON]
    training = Training(x, y, np.arange(len(x)), n_classes=CLASSES, x_validation=x[:256])
    section = OFFSETS[kind]
    few = {"epochs": 2} if "epochs" in section.model_fields else {}
    params = section.model_validate({"kind": kind, **few})
    write_npz(folder / f"{kind}.npz", find_kind(kind, kind).fit(kind, params, training, latent_dim))


def measure(kind: str, folder: Path, rows: int, repeats: int) -> Applied:
    """Apply a kind to data in memory, in turns with the product that it contains."""
    state = read_npz(folder / f"{kind}.npz")
    samples = Samples(_rows(folder / "x.npy", rows), _rows(folder / "y.npy", rows), np.arange(rows))
    module, before = find_kind(kind, kind), _peak()
    module.applier(kind, state)(samples)
    peak = _peak() - before
    cases: dict[str, Callable[[], Any]] = {
        "apply": lambda: module.applier(kind, state)(samples),
        **_products(contained_product(kind, state), samples.x),
    }
    seconds: dict[str, list[float]] = {name: [] for name in cases}
    for repeat in range(repeats):
        for name in rotated(list(cases), repeat):
            started = time.perf_counter()
            cases[name]()
            seconds[name].append(time.perf_counter() - started)
    return Applied(seconds["apply"], seconds.get("product"), seconds.get("product64"), peak)


def contained_product(kind: str, state: State) -> NDArray[Any] | None:
    """The matrix that a kind multiplies the samples with, (features, columns)."""
    if kind == "random_projection":
        return state["projection"]
    if kind == "pca":
        return state["components"].T * state["scale"]
    if kind == "kmeans":
        return state["centroids"].T
    return layers_of("encoder", state)[0][0] if kind == "encoder" else None


def _products(matrix: NDArray[Any] | None, x: NDArray[np.float32]) -> dict[str, Callable[[], Any]]:
    if matrix is None:
        return {}
    narrow, wide = np.asarray(matrix, np.float32), np.ascontiguousarray(matrix, np.float64)
    resident = x[:_RESIDENT].astype(np.float64)

    def product64() -> None:
        for start in range(0, len(x), _RESIDENT):
            resident[: len(x) - start] @ wide

    return {"product": lambda: x @ narrow, "product64": product64}


def _rows(path: Path, rows: int) -> NDArray[Any]:
    """The first rows of an array in memory; no page of the file stays mapped."""
    with path.open("rb") as stream:
        np.lib.format.read_magic(stream)
        shape, _, dtype = np.lib.format.read_array_header_1_0(stream)
        count = rows * int(np.prod(shape[1:]))
        return np.fromfile(stream, dtype, count).reshape(rows, *shape[1:])


def _peak() -> int:
    """The most memory that this process ever held, bytes."""
    # Not ru_maxrss, which begins with that of the process that started this one.
    status = Path("/proc/self/status").read_text()
    return 1024 * int(status.partition("VmHWM:")[2].split()[0])


def main() -> None:
    task, kind, folder, *numbers = sys.argv[1:]
    if task == "fit":
        fit(kind, Path(folder), int(numbers[0]))
    else:
        rows, repeats = map(int, numbers)
        print(json.dumps(asdict(measure(kind, Path(folder), rows, repeats))))


if __name__ == "__main__":
    main()
