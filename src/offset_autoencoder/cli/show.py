"""``show``: one run, on the terminal, as JSON, or its page in MLflow's UI."""

from __future__ import annotations

import json
import socket
import webbrowser
from collections.abc import Iterator, Mapping, Sequence
from typing import Any
from urllib.parse import urlsplit

import numpy as np
from numpy.typing import NDArray
from rich.console import Console
from rich.text import Text

from offset_autoencoder.cli.found_run import find_run
from offset_autoencoder.cli.published import Published, read_published
from offset_autoencoder.config import load_params
from offset_autoencoder.errors import InputError
from offset_autoencoder.paths import MODELS, PARAMS, REPORTS
from offset_autoencoder.reporting.terminal import report_console
from offset_autoencoder.tracking.tables import number, read_table
from offset_autoencoder.training.run_files import is_whole, read_history, read_spec
from offset_autoencoder.training.run_store import IndexedRun, read_index

_PORTS = {"http": 80, "https": 443}
_BARS = "▁▂▃▄▅▆▇█"
_CURVE_WIDTH = 40
_NOT_METRICS = frozenset({"id", "model", "seed", "status"})
_KB = 1024


def show_run(name: str, *, as_json: bool, in_browser: bool) -> None:
    """Print all that the project's files and the store say of a run.

    Args:
        name: The run's id, the first digits of it, or its folder.
        as_json: Whether to print JSON.
        in_browser: Whether to open its page in MLflow's UI, too.

    Raises:
        InputError: where no run or more than one answers to the name, a file of it is damaged,
            or its page is wanted and cannot be had.
    """
    folder = find_run(name)
    if not is_whole(folder):
        raise InputError(str(folder), "is damaged", "dvc repro mends the runs of params.yaml")
    spec = read_spec(folder)
    run_id = str(spec.get("id", folder.name))
    index = read_index(MODELS) if (MODELS / "index.csv").exists() else []
    names = [run for run in index if run.id == run_id]
    published = read_published(load_params(PARAMS).tracking)
    pages = [] if published is None else [published.page(run) for run in published.of(run_id)]
    found = {
        "id": run_id,
        "names": [run.label for run in names],
        "folder": str(folder),
        "spec": spec,
        "losses": read_history(folder),
        "metrics": _metrics(run_id, names),
        "files": {path.name: path.stat().st_size for path in sorted(folder.iterdir())},
        "pages": pages,
    }
    if as_json:
        print(json.dumps(found, indent=2, default=_plain))
    else:
        _print(report_console(), found)
    if in_browser:
        _open(published, pages)


def _metrics(run_id: str, names: Sequence[IndexedRun]) -> dict[str, dict[str, float]]:
    """Of each of the run's names, its test metrics."""
    path = REPORTS / "runs.csv"
    rows = read_table(path, ("id", "model")) if path.exists() else []
    return {
        run.label: {
            key: number(path, position, key, cell)
            for key, cell in row.items()
            if cell and key not in _NOT_METRICS and key not in run.sweep
        }
        for run in names
        for position, row in enumerate(rows, start=1)
        if (row["id"], row["model"]) == (run_id, run.model)
    }


def _plain(values: NDArray[np.float64]) -> list[float | None]:
    return [float(value) if np.isfinite(value) else None for value in values]


def _print(console: Console, found: Mapping[str, Any]) -> None:
    def section(title: str, lines: Mapping[str, str]) -> None:
        if not lines:
            return
        console.print(Text(title, style="bold"), soft_wrap=True)
        width = max(map(len, lines))
        for key, value in lines.items():
            line = Text.assemble("  ", (key.ljust(width), "dim"), "  ", value)
            console.print(line, soft_wrap=True, highlight=False)

    title = ", ".join(found["names"]) or "a run that params.yaml does not ask for now"
    spec = found["spec"]
    section(title, {"id": found["id"], "status": _status(spec), "folder": found["folder"]})
    section("determined by", dict(_flat(spec["determined_by"])))
    section("losses", dict(_losses(found["losses"], spec["best_epoch"], console)))
    for name, metrics in found["metrics"].items():
        several = f" of {name}" if len(found["metrics"]) > 1 else ""
        section(f"test metrics{several}", {key: f"{value:.6g}" for key, value in metrics.items()})
    section("files", {name: f"{size / _KB:.1f} kB" for name, size in found["files"].items()})
    pages = {f"page {number}": page for number, page in enumerate(found["pages"], start=1)}
    section("MLflow", pages or {"page": "none: not published"})


def _status(spec: Mapping[str, Any]) -> str:
    words = [f"{spec['status']} after {spec['epochs']} epochs"]
    if spec["best_epoch"] is not None:
        words.append(f"weights of epoch {spec['best_epoch']}")
    if spec["stopped_early"]:
        words.append("stopped early")
    if spec["parameters"] is not None:
        words.append(f"{spec['parameters']} parameters")
    return ", ".join(words)


def _flat(values: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, str]]:
    """``train.epochs``, ``architecture.network.hidden`` and so on, with their values."""
    for key, value in values.items():
        if isinstance(value, Mapping):
            yield from _flat(value, f"{prefix}{key}.")
        else:
            yield prefix + key, value if isinstance(value, str) else json.dumps(value)


def _losses(
    history: Mapping[str, NDArray[np.float64]], best: int | None, console: Console
) -> Iterator[tuple[str, str]]:
    for key, values in history.items():
        if key == "epoch" or not len(values):
            continue
        at_best = "" if best is None else f", {values[best - 1]:.4g} at epoch {best}"
        curve = _curve(values) if console.encoding.lower().startswith("utf") else ""
        yield key, f"{values[0]:.4g} → {values[-1]:.4g}{at_best}  {curve}".rstrip()


def _curve(values: NDArray[np.float64]) -> str:
    """The values in bars, thinned out to a line's part."""
    thinned = values[np.linspace(0, len(values) - 1, min(len(values), _CURVE_WIDTH)).astype(int)]
    finite = thinned[np.isfinite(thinned)]
    if not len(finite):
        return ""
    low, spread = finite.min(), np.ptp(finite)
    levels = [
        "×" if not np.isfinite(value) else _BARS[int((value - low) / (spread or 1) * 7)]
        for value in thinned
    ]
    return "".join(levels)


def _open(published: Published | None, pages: Sequence[str]) -> None:
    if published is None or not pages:
        raise InputError("--open", "the run is not published", "dvc repro publishes it")
    address = urlsplit(pages[0])
    port = address.port or _PORTS.get(address.scheme, 0)
    try:
        socket.create_connection((address.hostname or "", port), timeout=5).close()
    except OSError:
        raise InputError(
            published.ui, "no MLflow UI answers there", "start one by offset-autoencoder ui"
        ) from None
    if not webbrowser.open(pages[0]):
        raise InputError("--open", f"no browser was found, open {pages[0]} in one of yours")
