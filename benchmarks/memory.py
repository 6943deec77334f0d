"""Memory of every stage and command, at 1, 4 and 16 times ``train.memory_limit`` of samples.

    python -m benchmarks.memory [--limit 64] [--times 1 4 16] [--allowed 1000] \
        [--keep docs/results-memory docs/faults.md]

A project of random samples, so many times the limit (MB), goes through each stage and command in a
memory cgroup of its own that allows the limit and a constant (``--allowed``, MB), children, files
in their cache and temporary file systems included. What would take more is killed. A row has the
largest memory that is no file's cache, which the system may not take back, and the exit status.
The rows are kept as csv, and the table written between the document's markers. Needs the right to
make a cgroup (version 1 or 2); without it nothing is killed, and the memory is that of processes.
"""

from __future__ import annotations

import argparse
import contextlib
import csv
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from benchmarks.results_table import with_table

FEATURES, LATENT_DIM, CLASSES = 256, 16, 10
_MB = 2**20
_SECONDS_BETWEEN_LOOKS = 0.02
_ROOTS = [Path("/sys/fs/cgroup/memory"), Path("/sys/fs/cgroup")]
_KINDS = ("random_projection", "pca", "kmeans", "class_code", "hash", "interference", "file")
PARAMS = """
seeds: 1
data: {{source: file, path: x.npy, label: y.npy, id: ids.npy, scale: standard}}
split: {{vary: false}}
offsets:
  none: {{kind: zero}}
{offsets}
  encoder: {{kind: encoder, epochs: 1}}
  adversarial: {{kind: adversarial, epochs: 1, steps: 1}}
  function: {{kind: function, function: "math_of_mine:f"}}
network: {{latent_dim: 16, hidden: [32], output: linear, loss: mean_squared_error}}
train: {{epochs: 1, batch_size: 1024, memory_limit: {limit} MB}}
models:
  none: {{offset: none}}
  random_projection: {{offset: random_projection, rms: 0.1}}
  two_encoder: {{system: two_encoder, rms: 0.1}}
  vae: {{system: vae}}
evaluate: {{baselines: [none]}}
tracking: {{}}
"""
COMMANDS = ("reconstruct", "encode", "offsets", "errors")
Row = dict[str, str | int | float]


@dataclass(frozen=True)
class Cgroup:
    """A memory cgroup, by the names of its files in one of the two versions."""

    folder: Path
    most: str
    held: str  # row of memory.stat

    def look(self) -> int:
        """Bytes held now by its processes, files' caches aside."""
        rows = (line.split() for line in (self.folder / "memory.stat").read_text().splitlines())
        return next(int(value) for name, value in rows if name == self.held)


@contextlib.contextmanager
def own_cgroup(allowed: int) -> Iterator[Cgroup | None]:
    """A cgroup that allows so many bytes; None where none can be made."""
    for root, most, held in zip(
        _ROOTS, ("memory.limit_in_bytes", "memory.max"), ("total_rss", "anon"), strict=True
    ):
        folder = root / f"offset-autoencoder-{os.getpid()}"
        try:
            folder.mkdir()
        except OSError:
            continue
        try:
            if (folder / most).exists():
                (folder / most).write_text(str(allowed))
                yield Cgroup(folder, most, held)
                return
        finally:
            folder.rmdir()
    yield None


def measure(command: Sequence[str], folder: Path, allowed: int) -> Row:
    """Run a module with its arguments in a cgroup: seconds, the most memory (MB), exit status."""
    with own_cgroup(allowed) as group, tempfile.TemporaryFile() as errors:
        enter = "" if group is None else f"echo $$ > {group.folder}/cgroup.procs && "
        started, most = time.perf_counter(), 0
        process = subprocess.Popen(
            ["sh", "-c", f'{enter}exec "$0" -m "$@"', sys.executable, *command],
            cwd=folder,
            stdout=subprocess.DEVNULL,
            stderr=errors,
        )
        while process.poll() is None:
            with contextlib.suppress(OSError):
                most = max(most, _held(process.pid) if group is None else group.look())
            time.sleep(_SECONDS_BETWEEN_LOOKS)
        seconds = time.perf_counter() - started
        if process.returncode:
            errors.seek(0)
            sys.stderr.write(errors.read().decode(errors="replace")[-2000:])
    return {"mb": round(most / _MB), "seconds": round(seconds, 1), "status": process.returncode}


def _held(pid: int) -> int:
    """Bytes of a process's own pages (Linux)."""
    line = Path(f"/proc/{pid}/status").read_text().partition("RssAnon:")[2]
    return 1024 * int(line.split()[0])


def write_project(folder: Path, rows: int, limit: int) -> None:
    """Samples that lie near a plane, in clusters, with labels, ids and vectors, and params.yaml."""
    raw = folder / "data" / "raw"
    raw.mkdir(parents=True)
    rng = np.random.default_rng(0)
    np.save(raw / "y.npy", y := rng.integers(0, CLASSES, rows))
    np.save(raw / "ids.npy", rng.permutation(rows))
    basis = rng.random((CLASSES, FEATURES), dtype=np.float32)
    for name, columns in (("x", FEATURES), ("table", LATENT_DIM)):
        file = np.lib.format.open_memmap(raw / f"{name}.npy", "w+", np.float32, (rows, columns))
        for start in range(0, rows, 2**14):
            block = file[start : start + 2**14]
            block[:] = rng.random(block.shape, dtype=np.float32)
            block += basis[y[start : start + 2**14], :columns]
        file.flush()
    extra = {"file": ", path: table.npy, id: ids.npy", "kmeans": ", n_clusters: 4"}
    offsets = "\n".join(f"  {kind}: {{kind: {kind}{extra.get(kind, '')}}}" for kind in _KINDS)
    (folder / "params.yaml").write_text(PARAMS.format(offsets=offsets, limit=limit))
    (folder / "math_of_mine.py").write_text("def f(x, n, rng): return x[:, :n] ** 2\n")


def steps(folder: Path) -> Iterator[tuple[str, list[str]]]:
    """Every stage and command, by name, in order; what they are run on is there when they are."""
    stages, app = "offset_autoencoder.stages.", "offset_autoencoder.cli.app"
    yield "check", [app, "check"]
    yield "prepare", [f"{stages}prepare"]
    yield "offset_code", [f"{stages}offset_code"]
    for name in ("none", *_KINDS, "encoder", "adversarial", "function"):
        yield f"offsets@{name}", [f"{stages}offsets", name]
    for name in ("train", "evaluate", "publish"):
        yield name, [f"{stages}{name}"]
    with (folder / "models" / "index.csv").open(newline="") as stream:
        ids = {row["model"]: row["id"] for row in csv.DictReader(stream)}
    applied = [app, ids["random_projection"], "data/raw/x.npy"]
    for name in COMMANDS:
        yield name, [app, name, *applied[1:], "out.npy", "--force"]
    for suffix in ("parquet", "csv"):
        yield f"errors to {suffix}", [app, "errors", *applied[1:], f"out.{suffix}", "--force"]
    yield "reconstruct to parquet", [app, "reconstruct", *applied[1:], "x.parquet", "--force"]
    yield "errors of parquet", [app, "errors", applied[1], "x.parquet", "out.npy", "--force"]
    yield "errors of champion", [app, "errors", "champion", applied[2], "out.npy", "--force"]
    yield "runs", [app, "runs"]
    yield "show", [app, "show", applied[1]]


def table_of(rows: Sequence[Mapping[str, str | int | float]], limit: int, allowed: int) -> str:
    """Markdown of the rows: a line per step, a column per size."""
    times = list(dict.fromkeys(int(row["times"]) for row in rows))
    heading = " | ".join(f"{n} × {limit} MB" for n in times)
    lines = [
        f"| MB (in a cgroup of {limit + allowed} MB) | {heading} |",
        "|---" * (1 + len(times)) + "|",
    ]
    cells: dict[str, dict[int, str]] = {}
    for row in rows:
        ended = "" if int(row["status"]) == 0 else f", exit status {row['status']}"
        cells.setdefault(str(row["step"]), {})[int(row["times"])] = f"{row['mb']}{ended}"
    lines += [
        f"| `{name}` | {' | '.join(own.get(n, 'not measured') for n in times)} |"
        for name, own in cells.items()
    ]
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--limit", type=int, default=64, help="train.memory_limit, MB")
    parser.add_argument("--times", type=int, nargs="+", default=[1, 4, 16])
    parser.add_argument("--allowed", type=int, default=1000, help="MB beyond the limit")
    parser.add_argument("--only", nargs="+", help="steps to measure; others run, too")
    parser.add_argument("--folder", type=Path, help="where the projects are written, and left")
    parser.add_argument("--keep", type=Path, nargs=2, metavar=("FOLDER", "DOCUMENT"))
    arguments = parser.parse_args()
    rows: list[Row] = []
    with contextlib.ExitStack() as stack:
        place = arguments.folder or Path(stack.enter_context(tempfile.TemporaryDirectory()))
        for times in arguments.times:
            folder = place / str(times)
            if not folder.exists():
                write_project(
                    folder, times * arguments.limit * _MB // (4 * FEATURES), arguments.limit
                )
            for name, command in steps(folder):
                if arguments.only and name not in arguments.only:
                    continue
                cost = measure(command, folder, (arguments.limit + arguments.allowed) * _MB)
                rows.append({"step": name, "times": times, **cost})
                print(*rows[-1].values(), sep="\t", flush=True)
    table = table_of(rows, arguments.limit, arguments.allowed)
    print(table)
    if arguments.keep:
        kept, document = arguments.keep
        kept.mkdir(parents=True, exist_ok=True)
        with (kept / "memory.csv").open("w", newline="") as stream:
            writer = csv.DictWriter(stream, list(rows[0]), lineterminator="\n")
            writer.writeheader()
            writer.writerows(rows)
        document.write_text(with_table(document.read_text(), table))


if __name__ == "__main__":
    main()
