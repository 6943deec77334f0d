"""The records of the runs: ``models/index.csv``, each run's spec, and ``reports/runs.csv``."""

from __future__ import annotations

import contextlib
import re
from collections import Counter, defaultdict
from pathlib import Path
from typing import Any

from offset_autoencoder.config import Params, Run, SweepValue, format_value
from offset_autoencoder.errors import InputError
from offset_autoencoder.files import read_json
from offset_autoencoder.project import MODELS, REPORTS
from offset_autoencoder.tracking.records import Record, as_param
from offset_autoencoder.tracking.tables import number, read_table

_NOT_METRICS = frozenset({"id", "model", "seed", "status"})
_SHA256 = re.compile(r"[0-9a-f]{64}")


def run_records(params: Params, root: Path) -> tuple[Record, ...]:
    """The record of every run of ``models/index.csv``, in its order.

    A record's key is the model's name and the run's id: a run that stands under two names is
    shown under both, and a run whose metrics change stays the same record.

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
    records = []
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
        key = f"{which[0]} {which[1]}" + (f" {run.setting.label}" if seen[which] > 1 else "")
        records.append(_record(params, run, row, metrics, key, root / MODELS / "runs" / row["id"]))
    return tuple(records)


def _record(
    params: Params,
    run: Run,
    row: dict[str, str],
    metrics: dict[str, float],
    key: str,
    folder: Path,
) -> Record:
    spec = read_json(folder / "spec.json")
    setting = run.setting
    network, train = setting.network.relevant, setting.train.model_dump()
    offset = setting.spec.offset
    try:
        determined_by, status = spec["determined_by"], spec["status"]
        digests = {
            "data_sha256": determined_by["data"],
            "offset_sha256": determined_by["table"],
            "code_sha256": determined_by["code"],
        }
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
    return Record(
        role="run",
        key=key,
        name=run.label,
        status="FINISHED" if status == "finished" else "FAILED",
        params={
            "model": setting.model,
            "seed": str(run.seed),
            "system": setting.spec.system,
            "offset": as_param(offset),
            "offset_kind": as_param(offset and params.offsets[offset].kind),
            "rms": as_param(setting.spec.rms),
            "stddev": as_param(setting.spec.stddev),
            **{
                name: as_param(value)
                for name, value in {**setting.spec.options, **network, **train}.items()
            },
            "data": params.data.source,
            "scale": params.data.scale,
        },
        metrics=metrics | {name: float(fact) for name, fact in facts.items() if fact is not None},
        tags={
            "run_id_sha256": row["id"],
            "model": setting.model,
            "setting": setting.label,
            "seed": str(run.seed),
            "status": status,
            "dvc_stage": "train",
            **{name: str(digest) for name, digest in digests.items()},
        },
        folder=folder,
    )


class _Lookup:
    """Finds the run of params.yaml that a row of ``models/index.csv`` names."""

    def __init__(self, params: Params) -> None:
        self._runs: dict[tuple[str, int], list[Run]] = defaultdict(list)
        for run in params.runs:
            self._runs[run.setting.model, run.seed].append(run)

    def find(self, where: str, row: dict[str, str]) -> Run:
        with contextlib.suppress(ValueError):
            for run in self._runs[row["model"], int(row["seed"])]:
                if all(_same(row.get(key, ""), value) for key, value in run.setting.sweep):
                    return run
        raise InputError(
            where,
            f"params.yaml has no such run of model {row['model']!r}",
            "run 'dvc repro', which brings models/ in line with params.yaml",
        )


def _same(cell: str, value: SweepValue) -> bool:
    if cell == format_value(value) or cell == _plain(value) or (value is None and not cell):
        return True
    if isinstance(value, bool) or not isinstance(value, int | float):
        return False
    try:
        return float(cell) == value
    except ValueError:
        return False


def _plain(value: Any) -> str:
    return str(list(value)) if isinstance(value, tuple) else str(value)
