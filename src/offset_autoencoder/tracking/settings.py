"""The records of the settings: mean and interval over the seeds, curves, verdicts."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from offset_autoencoder.config import Params, Setting
from offset_autoencoder.errors import InputError
from offset_autoencoder.io.files import read_json, sha256_of_json
from offset_autoencoder.paths import REPORTS
from offset_autoencoder.tracking.datasets import DataSet
from offset_autoencoder.tracking.names import setting_name
from offset_autoencoder.tracking.note import setting_note
from offset_autoencoder.tracking.records import CurvePoint, Record, Which, as_ranges
from offset_autoencoder.tracking.runs import ReadRun, datasets_of, setting_params, setting_tags
from offset_autoencoder.tracking.tables import number, read_table, rows_of
from offset_autoencoder.tracking.verdicts import short_verdict

_STATISTICS = {"mean": "", "low": "_low", "high": "_high"}
_OF_VERDICTS = {
    "permuted": "offset/of_another",
    "gaussian": "offset/as_noise",
    "omitted": "offset/left_out",
    "linear_decodability": "offset/linear_decodability",
    "donor_shift": "offset/donor_shift",
}


@dataclass(frozen=True)
class Findings:
    """What the reports say of settings.

    Attributes:
        root: The project's folder, for messages.
        tree: ``reports/metrics.json``.
        comparisons: The rows of ``reports/comparison.csv``, by model, of the chosen metric.
        verdicts: The rows of ``reports/verdicts.csv``, by model.
        curves: The rows of ``reports/plots/learning_curves.csv``, by setting.
    """

    root: Path
    tree: Mapping[str, Any]
    comparisons: Mapping[str, list[dict[str, str]]]
    verdicts: Mapping[str, list[dict[str, str]]]
    curves: Mapping[str, list[dict[str, str]]]


def read_findings(root: Path, metric: str) -> Findings:
    """Read the reports.

    Args:
        root: The project's folder.
        metric: The metric whose comparisons are told.

    Raises:
        InputError: where a report is damaged, or one that every evaluation writes is missing.
    """
    reports = root / REPORTS
    path = reports / "metrics.json"
    tree = read_json(path)
    if not isinstance(tree, Mapping):
        raise InputError(str(path), f"expected an object of models, got {tree!r:.40}")
    comparison = read_table(reports / "comparison.csv")
    return Findings(
        root=root,
        tree=tree,
        comparisons=_by("model", [row for row in comparison if row.get("metric") == metric]),
        verdicts=_by("model", _table(reports / "verdicts.csv")),
        curves=_by("setting", _table(reports / "plots" / "learning_curves.csv")),
    )


def setting_records(
    params: Params,
    runs: Sequence[ReadRun],
    findings: Findings,
    splits: tuple[DataSet, ...],
    parent: Which,
) -> tuple[list[Record], dict[str, Which]]:
    """The record of every setting, under the experiment's.

    A setting's key follows from all that its runs' ids follow from, the seed apart: a setting
    gets more seeds, and is another when its params, data or the code that trains are.

    Args:
        params: The project's params.
        runs: All runs.
        findings: What the reports say.
        splits: The data sets.
        parent: The experiment.

    Returns:
        The records, and of each run's key the setting's record.
    """
    members: dict[str, list[ReadRun]] = defaultdict(list)
    for read in runs:
        members[read.run.setting.label].append(read)
    records: list[Record] = []
    of_run: dict[str, Which] = {}
    taken: set[str] = set()
    for group in members.values():
        setting = group[0].run.setting
        key = sha256_of_json([setting.model, _without_seed(group[0].fingerprint)])
        # Two settings of one model that train the same: tell them apart.
        key = sha256_of_json([key, setting.label]) if key in taken else key
        taken.add(key)
        record = _record(params, key, group, findings, splits, parent)
        records.append(record)
        of_run |= {read.key: record.which for read in group}
    return records, of_run


def _record(
    params: Params,
    key: str,
    group: Sequence[ReadRun],
    findings: Findings,
    splits: tuple[DataSet, ...],
    parent: Which,
) -> Record:
    setting = group[0].run.setting
    comparisons = rows_of(findings.comparisons.get(setting.model, ()), setting)
    verdict = next(iter(rows_of(findings.verdicts.get(setting.model, ()), setting)), {})
    seeds = [read.run.seed for read in group]
    diverged = sum(read.status == "diverged" for read in group)
    metrics = {"seeds": float(len(group)), "diverged": float(diverged)}
    metrics |= dict(_means(findings, setting))
    metrics |= dict(_effects(findings.root / REPORTS, comparisons, verdict))
    tags = {**setting_tags(setting), "setting_sha256": key, "seeds": as_ranges(seeds)}
    if verdict.get("verdict"):
        tags["offset_used_as"] = verdict["verdict"]
    tags |= {f"against_{row['baseline']}": short_verdict(row) for row in comparisons}
    tags["mlflow.note.content"] = setting_note(seeds, diverged, comparisons, verdict)
    return Record(
        role="setting",
        key=key,
        name=setting_name(setting),
        status="FAILED" if diverged == len(group) else "FINISHED",
        params=setting_params(params, setting),
        metrics=metrics,
        tags=tags,
        parent=parent,
        curves=tuple(_curves(findings, setting)),
        datasets=datasets_of(group[0], splits),
        spans=tuple(read.folder for read in group),
    )


def statistic_name(metric: str, ending: str) -> str:
    """``mse`` for a mean, ``interval/mse_low`` for an end of its interval.

    MLflow's charts have a section for what stands before the slash, so that the means are seen
    side by side and not between their intervals.

    Args:
        metric: The metric.
        ending: Nothing, ``_low`` or ``_high``.
    """
    return f"interval/{metric.replace('/', '_')}{ending}" if ending else metric


def _without_seed(fingerprint: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in fingerprint.items() if name != "seed"}


def _means(findings: Findings, setting: Setting) -> Iterator[tuple[str, float]]:
    """``mse`` is the mean over the seeds; see :func:`statistic_name`."""
    node = findings.tree.get(setting.model, {})
    if setting.sweep and isinstance(node, Mapping):
        node = node.get(setting.label.removeprefix(setting.model).strip(), {})
    if not isinstance(node, Mapping):
        return
    for metric, values in node.items():
        for statistic, ending in _STATISTICS.items():
            value = values.get(statistic) if isinstance(values, Mapping) else None
            if isinstance(value, int | float) and not isinstance(value, bool):
                yield statistic_name(metric, ending), float(value)


def _effects(
    reports: Path, comparisons: Sequence[Mapping[str, str]], verdict: Mapping[str, str]
) -> Iterator[tuple[str, float]]:
    """Changes of the error, as shares: against each baseline, and by what is done to the offset."""
    for row in comparisons:
        for ending in _STATISTICS.values():
            if cell := row.get(f"change{ending}"):
                value = number(reports / "comparison.csv", 0, f"change{ending}", cell)
                yield statistic_name(f"change/against_{row['baseline']}", ending), value
    for column, name in _OF_VERDICTS.items():
        for ending in _STATISTICS.values():
            if cell := verdict.get(f"{column}{ending}"):
                value = number(reports / "verdicts.csv", 0, f"{column}{ending}", cell)
                yield statistic_name(name, ending), value


def _curves(findings: Findings, setting: Setting) -> Iterator[CurvePoint]:
    path = findings.root / REPORTS / "plots" / "learning_curves.csv"
    for position, row in enumerate(findings.curves.get(setting.label, ()), start=1):
        step = int(number(path, position, "epoch", row.get("epoch", "")))
        for statistic, ending in _STATISTICS.items():
            if cell := row.get(statistic):
                value = number(path, position, statistic, cell)
                yield CurvePoint(statistic_name("best_val_loss", ending), value, step)


def _table(path: Path) -> list[dict[str, str]]:
    return read_table(path) if path.exists() else []


def _by(column: str, rows: Sequence[dict[str, str]]) -> dict[str, list[dict[str, str]]]:
    found: dict[str, list[dict[str, str]]] = defaultdict(list)
    for row in rows:
        found[row.get(column, "")].append(row)
    return found
