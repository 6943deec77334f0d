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

from offset_autoencoder.cli.runs import PublishedRuns, read_published
from offset_autoencoder.config import load_params
from offset_autoencoder.errors import InputError
from offset_autoencoder.evaluation.metrics import VALIDATION
from offset_autoencoder.io.tables import read_csv
from offset_autoencoder.paths import MODELS, PARAMS, REPORTS, run_store
from offset_autoencoder.reporting.terminal import report_console
from offset_autoencoder.runs.files import is_valid, read_history, read_saved_run
from offset_autoencoder.runs.load import find_run
from offset_autoencoder.runs.store import IndexedRun, read_index

_PORTS = {"http": 80, "https": 443}
_BARS = "▁▂▃▄▅▆▇█"
_CURVE_WIDTH = 40


def show_run(name: str, *, as_json: bool, in_browser: bool) -> None:
    """Print what the project's files and the store say of a run.

    ``name`` is its id, the first digits of it, or its folder; ``in_browser`` opens its page in
    MLflow's UI, too.

    Raises:
        InputError: where no run or more than one answers to the name, a file of it is damaged,
            or its page cannot be opened.
    """
    folder = find_run(name, MODELS, run_store())
    if not is_valid(folder):
        raise InputError(str(folder), "is damaged", "dvc repro mends the runs of params.yaml")
    saved = read_saved_run(folder)
    index = read_index(MODELS) if (MODELS / "index.csv").exists() else []
    entries = [run for run in index if run.id == saved.id]
    published = read_published(load_params(PARAMS).tracking)
    pages = published.pages(saved.id) if published else []
    document = {
        "id": saved.id,
        "names": [run.label for run in entries],
        "folder": str(folder),
        "spec": saved.dump(),
        "losses": read_history(folder),
        "metrics": _test_metrics(entries),
        "files": {path.name: path.stat().st_size for path in sorted(folder.iterdir())},
        "pages": pages,
    }
    if as_json:
        print(json.dumps(document, indent=2, default=_plain))
    else:
        _print(report_console(), document)
    if in_browser:
        _open_page(published, pages)


def _test_metrics(entries: Sequence[IndexedRun]) -> dict[str, dict[str, float]]:
    """Test metrics of a run under each of its names."""
    path = REPORTS / "runs.csv"
    rows = read_csv(path, ("id", "setting", "status")) if path.exists() else []
    return {
        run.label: row.numbers_after("status")
        for run in entries
        for row in rows
        if (row["id"], row["setting"]) == (run.id, run.setting)
    }


def _plain(values: NDArray[np.float64]) -> list[float | None]:
    return [float(value) if np.isfinite(value) else None for value in values]


def _print(console: Console, document: Mapping[str, Any]) -> None:
    def section(title: str, lines: Mapping[str, str]) -> None:
        if lines:
            console.print(Text(title, style="bold"), soft_wrap=True)
        width = max(map(len, lines), default=0)
        for key, value in lines.items():
            line = Text.assemble("  ", (key.ljust(width), "dim"), "  ", value)
            console.print(line, soft_wrap=True, highlight=False)

    title = ", ".join(document["names"]) or "a run that params.yaml does not ask for now"
    spec = document["spec"]
    section(title, {"id": document["id"], "status": _status(spec), "folder": document["folder"]})
    section("determined by", dict(_flat(spec["fingerprint"])))
    section("losses", dict(_losses(document["losses"], spec["best_epoch"], console)))
    for name, metrics in document["metrics"].items():
        suffix = f" of {name}" if len(document["metrics"]) > 1 else ""
        for split, ends in (("test", False), ("validation", True)):
            own = {
                key: f"{v:.6g}" for key, v in metrics.items() if key.endswith(VALIDATION) == ends
            }
            section(f"{split} metrics{suffix}", own)
    sizes = {name: f"{size / 1024:.1f} kB" for name, size in document["files"].items()}
    section("files", sizes)
    pages = {f"page {number}": page for number, page in enumerate(document["pages"], start=1)}
    section("MLflow", pages or {"page": "none: not published"})


def _status(spec: Mapping[str, Any]) -> str:
    words = [f"{spec['status']} after {spec['epochs']} epochs"]
    if spec.get("engine"):
        words[0] += f" by engine {spec['engine']}"
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
    """Bar per value, thinned out to fit into a line."""
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


def _open_page(published: PublishedRuns | None, pages: Sequence[str]) -> None:
    if published is None or not pages:
        raise InputError("--open", "the run is not published", "dvc repro publishes it")
    address = urlsplit(pages[0])
    port = address.port or _PORTS.get(address.scheme, 0)
    try:
        socket.create_connection((address.hostname or "", port), timeout=5).close()
    except OSError:
        mend = "start one by offset-autoencoder ui"
        raise InputError(published.ui, "no MLflow UI answers there", mend) from None
    if not webbrowser.open(pages[0]):
        raise InputError("--open", f"no browser was found, open {pages[0]} in one of yours")
