"""The records of the runs: ``models/index.csv``, each run's spec, and ``reports/runs.csv``."""

from __future__ import annotations

import contextlib
import json
import re
from collections import Counter, defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from offset_autoencoder.config import Params, Run, Setting
from offset_autoencoder.errors import InputError
from offset_autoencoder.evaluation.summary import noise_level
from offset_autoencoder.io.files import read_json
from offset_autoencoder.paths import MODELS, REPORTS
from offset_autoencoder.tracking.datasets import DataSet, offset_dataset
from offset_autoencoder.tracking.names import run_name
from offset_autoencoder.tracking.records import Record, Which, as_param
from offset_autoencoder.tracking.tables import number, read_table, same_value

_NOT_METRICS = frozenset({"id", "model", "seed", "status"})
_SHA256 = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True)
class ReadRun:
    """A row of ``models/index.csv`` and what the other files say of it.

    Attributes:
        run: The run of params.yaml.
        id: Its SHA-256.
        key: Says which record it is: the model's name and the id. A run that stands under two
            names is shown under both, and a run whose metrics change stays the same record.
        fingerprint: What the id follows from.
        status: ``finished`` or ``diverged``.
        metrics: Of ``reports/runs.csv``, and the facts of its spec.
        folder: ``models/runs/ID``.
    """

    run: Run
    id: str
    key: str
    fingerprint: Mapping[str, Any]
    status: str
    metrics: Mapping[str, float]
    folder: Path


def read_runs(params: Params, root: Path) -> tuple[ReadRun, ...]:
    """Every run of ``models/index.csv``, in its order.

    Args:
        params: The project's params; offsets are named in them alone.
        root: The project's folder.

    Raises:
        InputError: where a file is missing or damaged, or the files are not of these params.
    """
    index_path, reports_path = root / MODELS / "index.csv", root / REPORTS / "runs.csv"
    index = read_table(index_path, ("model", "seed", "id", "status"))
    of_params = _Lookup(params)
    reports: dict[tuple[str, str], list[tuple[int, dict[str, str]]]] = defaultdict(list)
    for position, row in enumerate(read_table(reports_path, ("id", "model")), start=1):
        reports[row["model"], row["id"]].append((position, row))
    seen: Counter[tuple[str, str]] = Counter()
    found = []
    for position, row in enumerate(index, start=1):
        where = f"{index_path}, row {position}"
        if not _SHA256.fullmatch(row["id"]):
            raise InputError(where, f"expected the SHA-256 of a run, got {row['id']!r}")
        run = of_params.find(where, row)
        which = (row["model"], row["id"])
        if len(reports[which]) <= seen[which]:
            raise InputError(
                str(reports_path), f"has no row for {run.label}", "run 'dvc repro evaluate'"
            )
        report_position, report = reports[which][seen[which]]
        seen[which] += 1
        sweep = {key for key, _ in run.setting.sweep} | (set(row) - _NOT_METRICS)
        metrics = {
            column: number(reports_path, report_position, column, cell)
            for column, cell in report.items()
            if cell and column not in _NOT_METRICS and column not in sweep
        }
        # One id at two settings of one model (a swept key that does not matter): tell them apart.
        key = run_key(*which) + (f" {run.setting.label}" if seen[which] > 1 else "")
        found.append(_read(run, key, metrics, root / MODELS / "runs" / row["id"]))
    return tuple(found)


def run_record(params: Params, read: ReadRun, parent: Which, splits: tuple[DataSet, ...]) -> Record:
    """The record of a run, under its setting's."""
    return Record(
        role="run",
        key=read.key,
        name=run_name(read.run),
        status="FINISHED" if read.status == "finished" else "FAILED",
        params={**setting_params(params, read.run.setting), "seed": str(read.run.seed)},
        metrics=read.metrics,
        tags={
            **run_tags(read.run, read.id, read.fingerprint),
            "status": read.status,
        },
        folder=read.folder,
        parent=parent,
        datasets=datasets_of(read, splits),
    )


def run_key(model: str, run_id: str) -> str:
    """What says which record a run's is."""
    return f"{model} {run_id}"


def setting_params(params: Params, setting: Setting) -> dict[str, str]:
    """The params of a setting and of each of its runs; one that is not given is left out.

    ``noise_level`` is the root mean square per coordinate of what is added, rms or stddev: the one
    axis that offsets and noise have in common.
    """
    spec = setting.spec
    offset = params.offsets[spec.offset].model_dump() if spec.offset else {}
    values: dict[str, Any] = {
        "model": setting.model,
        "system": spec.system,
        "offset": spec.offset,
        **{f"offset_{name}": value for name, value in offset.items()},
        "rms": spec.rms,
        "stddev": spec.stddev,
        "noise_level": noise_level(setting),
        **spec.options,
        **setting.network.relevant,
        **setting.train.relevant,
        "data": params.data.source,
        "scale": params.data.scale,
    }
    return {name: as_param(value) for name, value in values.items() if value is not None}


def run_tags(run: Run, run_id: str, fingerprint: Mapping[str, Any]) -> dict[str, str]:
    """The tags that a run has from the moment that its training begins."""
    return {
        "run_id_sha256": run_id,
        **setting_tags(run.setting),
        "seed": str(run.seed),
        "dvc_stage": "train",
        "data_sha256": str(fingerprint["data"]),
        "offset_sha256": str(fingerprint["table"]),
        "code_sha256": str(fingerprint["code"]),
    }


def setting_tags(setting: Setting) -> dict[str, str]:
    """The tags that say which setting it is."""
    return {"model": setting.model, "setting": setting.label}


def datasets_of(read: ReadRun, splits: tuple[DataSet, ...]) -> tuple[DataSet, ...]:
    """The splits, and the offset's table where there is one."""
    setting, table = read.run.setting, read.fingerprint["table"]
    if setting.spec.offset is None or table is None:
        return splits
    rows = sum(json.loads(split.profile)["num_rows"] for split in splits[:2])
    shape = (rows, setting.network.latent_dim)
    return (*splits, offset_dataset(setting.spec.offset, shape, table))


def _read(run: Run, key: str, metrics: dict[str, float], folder: Path) -> ReadRun:
    spec = read_json(folder / "spec.json")
    try:
        fingerprint, status = spec["fingerprint"], spec["status"]
        run_tags(run, spec["id"], fingerprint)
        facts = {
            "epochs_trained": spec["epochs"],
            "best_epoch": spec["best_epoch"],
            "diverged_epoch": spec["diverged_epoch"],
            "parameters": spec["parameters"],
        }
    except (KeyError, TypeError) as error:
        raise InputError(str(folder / "spec.json"), f"lacks {error}", "run 'dvc repro'") from None
    if status not in ("finished", "diverged"):
        raise InputError(
            str(folder / "spec.json"), f"expected status finished or diverged, got {status!r}"
        )
    known = {name: float(fact) for name, fact in facts.items() if fact is not None}
    return ReadRun(run, folder.name, key, fingerprint, status, metrics | known, folder)


class _Lookup:
    """Finds the run of params.yaml that a row of ``models/index.csv`` names."""

    def __init__(self, params: Params) -> None:
        self._runs: dict[tuple[str, int], list[Run]] = defaultdict(list)
        for run in params.runs:
            self._runs[run.setting.model, run.seed].append(run)

    def find(self, where: str, row: dict[str, str]) -> Run:
        with contextlib.suppress(ValueError):
            for run in self._runs[row["model"], int(row["seed"])]:
                if all(same_value(row.get(key, ""), value) for key, value in run.setting.sweep):
                    return run
        raise InputError(
            where,
            f"params.yaml has no such run of model {row['model']!r}",
            "run 'dvc repro', which brings models/ in line with params.yaml",
        )
