"""Files of the project that MLflow's records are built from: runs, splits and reports."""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from offset_autoencoder.config import SPLITS, Params, Run
from offset_autoencoder.errors import InputError
from offset_autoencoder.io.files import read_json, sha256_of_file
from offset_autoencoder.io.tables import number, read_csv
from offset_autoencoder.paths import MODELS, OFFSETS, PARAMS, PREPARED, REPORTS
from offset_autoencoder.runs.files import read_saved_run
from offset_autoencoder.runs.spec import SavedRun
from offset_autoencoder.tracking.record_types import Artifact, DataSet, run_key

_NOT_METRICS = frozenset({"id", "model", "setting", "seed", "status"})
_SHA256 = re.compile(r"[0-9a-f]{64}")

Rows = Mapping[str, Sequence[Mapping[str, str]]]


@dataclass(frozen=True)
class ProjectRun:
    """A row of ``models/index.csv`` with its spec and its row of ``reports/runs.csv``.

    Attributes:
        run: The run of params.yaml.
        key: Key of its record: the model's name and the id. A run that stands under two names
            is shown under both, and a run whose metrics change stays the same record.
        saved: Its ``spec.json``.
        metrics: Test metrics, and the facts of its spec.
        folder: ``models/runs/ID``.
    """

    run: Run
    key: str
    saved: SavedRun
    metrics: Mapping[str, float]
    folder: Path

    @property
    def diverged(self) -> bool:
        """True if it has no weights."""
        return self.saved.status == "diverged"


@dataclass(frozen=True)
class Reports:
    """Results of the settings, in the reports.

    Attributes:
        folder: ``reports/``.
        means: ``metrics.json``.
        comparisons: Rows of ``comparison.csv`` of the chosen metric, by setting.
        verdicts: Rows of ``verdicts.csv`` by setting.
        curves: Rows of ``plots/learning_curves.csv`` by setting.
    """

    folder: Path
    means: Mapping[str, Any]
    comparisons: Rows
    verdicts: Rows
    curves: Rows


def read_runs(params: Params, root: Path) -> tuple[ProjectRun, ...]:
    """Every run of ``models/index.csv``, in its order."""
    index_path, reports_path = root / MODELS / "index.csv", root / REPORTS / "runs.csv"
    index = read_csv(index_path, ("model", "setting", "seed", "id", "status"))
    of_params = {(run.setting.label, str(run.seed)): run for run in params.runs}
    reports = {
        (row["setting"], row["seed"], row["id"]): (position, row)
        for position, row in enumerate(read_csv(reports_path, ("id", "setting", "seed")), start=1)
    }
    seen: Counter[str] = Counter()
    runs = []
    for position, row in enumerate(index, start=1):
        where, run_id = f"{index_path}, row {position}", row["id"]
        if not _SHA256.fullmatch(run_id):
            raise InputError(where, f"expected the SHA-256 of a run, got {run_id!r}")
        run = of_params.get((row["setting"], row["seed"]))
        if run is None:
            raise InputError(
                where,
                f"params.yaml has no such run of model {row['model']!r}",
                "run 'dvc repro', which brings models/ in line with params.yaml",
            )
        report_position, report = reports.get((row["setting"], row["seed"], run_id), (0, None))
        if report is None:
            raise InputError(
                str(reports_path), f"has no row for {run.label}", "run 'dvc repro evaluate'"
            )
        others = _NOT_METRICS | row.keys()
        metrics = {
            column: number(reports_path, report_position, column, cell)
            for column, cell in report.items()
            if cell and column not in others
        }
        folder = root / MODELS / "runs" / run_id
        saved = read_saved_run(folder)
        key = run_key(run.setting.model, run_id)
        seen[key] += 1
        # One id at two settings of one model (a swept key that does not matter).
        key += f" {run.setting.label}" if seen[key] > 1 else ""
        runs.append(ProjectRun(run, key, saved, metrics | _facts(saved), folder))
    return tuple(runs)


def _facts(saved: SavedRun) -> dict[str, float]:
    facts = {
        "epochs_trained": saved.epochs,
        "best_epoch": saved.best_epoch,
        "diverged_epoch": saved.diverged_epoch,
        "parameters": saved.parameters,
    }
    return {name: float(fact) for name, fact in facts.items() if fact is not None}


def read_splits(root: Path) -> tuple[DataSet, ...]:
    """The splits of ``data/prepared``, by ``schema.json``."""
    path = root / PREPARED / "schema.json"
    schema = read_json(path)
    try:
        name = str(schema.get("source", "data"))[:500]
        return tuple(
            DataSet(
                name=name,
                context=split,
                uri=f"{PREPARED.as_posix()}/{split}/x.npy",
                sha256=str(schema["digests"][split]["x"]),
                shape=(schema["samples"][split], schema["input_dim"]),
            )
            for split in SPLITS
        )
    except (AttributeError, KeyError, TypeError) as error:
        raise InputError(str(path), f"lacks {error}", "run 'dvc repro prepare'") from None


def read_reports(folder: Path, metric: str) -> Reports:
    """Read the reports; ``metric`` is the one whose comparisons count."""
    path = folder / "metrics.json"
    means = read_json(path)
    if not isinstance(means, Mapping):
        raise InputError(str(path), f"expected an object of models, got {means!r:.40}")
    comparison = read_csv(folder / "comparison.csv")
    return Reports(
        folder,
        means,
        comparisons=_by_setting([row for row in comparison if row.get("metric") == metric]),
        verdicts=_by_setting(_if_written(folder / "verdicts.csv")),
        curves=_by_setting(_if_written(folder / "plots" / "learning_curves.csv")),
    )


def _if_written(path: Path) -> list[dict[str, str]]:
    return read_csv(path) if path.exists() else []


def _by_setting(rows: Sequence[dict[str, str]]) -> dict[str, list[dict[str, str]]]:
    groups: dict[str, list[dict[str, str]]] = defaultdict(list)
    for row in rows:
        groups[row.get("setting", "")].append(row)
    return groups


def datasets_of(read: ProjectRun, splits: tuple[DataSet, ...]) -> tuple[DataSet, ...]:
    """The splits, and the offset's table over those that it trains on, where there is one."""
    setting, table = read.run.setting, read.saved.spec.table
    if setting.spec.offset is None or table is None:
        return splits
    shape = (sum(split.shape[0] for split in splits[:2]), setting.network.latent_dim)
    folder = (OFFSETS / setting.spec.offset).as_posix()
    return (*splits, DataSet(setting.spec.offset, "offset", folder, shape, table))


def project_artifacts(root: Path, reports: Path) -> Iterator[Artifact]:
    """The reports and params.yaml; pictures in a folder of their own, which people open."""
    for path in sorted(reports.rglob("*")):
        inside = path.relative_to(reports)
        if path.is_file() and not any(part.startswith(".") for part in inside.parts):
            is_picture = path.suffix == ".png"
            name = f"pictures/{path.name}" if is_picture else f"reports/{inside.as_posix()}"
            yield Artifact(name, path, sha256_of_file(path))
    if (path := root / PARAMS).is_file():
        yield Artifact(PARAMS.name, path, sha256_of_file(path))
