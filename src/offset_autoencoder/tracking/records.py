"""Records of a project, read from its files: the experiment, its settings, their runs.

To show something more in MLflow, add it to the params, metrics or tags that one of
:meth:`_Project.experiment_record`, :meth:`_Project.setting_record` and :func:`run_record` gives.
"""

from __future__ import annotations

import functools
import hashlib
import json
import re
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from offset_autoencoder.config import Params, Run, Setting
from offset_autoencoder.errors import InputError
from offset_autoencoder.io.files import read_json, sha256_of_file, sha256_of_json
from offset_autoencoder.io.tables import Row, csv_text, read_csv
from offset_autoencoder.paths import MODELS, OFFSETS, REPORTS
from offset_autoencoder.runs.files import HISTORY, read_saved_run
from offset_autoencoder.runs.spec import RunSpec, SavedRun
from offset_autoencoder.runs.store import INDEX, read_index, runs_folder
from offset_autoencoder.tracking import descriptions, record_types
from offset_autoencoder.tracking.record_types import Artifact, DataSet, Point, Record

_DESCRIPTION = "mlflow.note.content"
# A mean and the ends of its interval, as the columns of the reports end.
_ENDINGS, _STATISTICS = ("", "_low", "_high"), ("mean", "low", "high")
# Baselines whose differences are metrics of a setting, which has a dozen at most. More, and all
# other metrics, stand in its artifacts.
_MOST_BASELINES = 6
_RESULTS = "results"
_SHA256 = re.compile(r"[0-9a-f]{64}")


def read_records(params: Params, root: Path) -> tuple[Record, ...]:
    """Everything that MLflow should hold, each record after the one it is nested under.

    Raises:
        InputError: where a file is missing or damaged, or the files are not of these params.
    """
    runs = _read_runs(params, root)
    # MLflow's params never change, so params that change are another experiment, with a record
    # of its own; when they are put back, the first record is brought back.
    keys = sorted(read.key for read in runs)
    key = sha256_of_json([descriptions.experiment_params(params), keys])
    splits_of = functools.cache(functools.partial(record_types.read_splits, root))
    project = _Project(params, root, key, runs, splits_of)
    reports = _read_reports(root / REPORTS, params.evaluate.metric)
    by_setting: dict[str, list[_ProjectRun]] = defaultdict(list)
    for read in runs:
        by_setting[read.run.setting.label].append(read)
    settings: dict[str, Record] = {}
    for label, members in by_setting.items():
        # Where splits vary, its key has the data of the lowest seed, in whatever order seeds stand.
        members.sort(key=lambda read: read.run.seed)
        others = {setting.key for setting in settings.values()}
        settings[label] = project.setting_record(_setting_key(members[0], others), members, reports)
    return (
        project.experiment_record(tuple(settings.values()), reports.comparisons),
        *settings.values(),
        *(project.run_record(read, settings[read.run.setting.label]) for read in runs),
    )


def run_record(
    setting_params: Mapping[str, str], run: Run, spec: RunSpec, curve_points: int | None
) -> Record:
    """The record of a run as it is known from the moment that its training begins.

    ``setting_params`` are those of :func:`.descriptions.setting_params`.
    """
    return Record(
        role="run",
        key=record_types.run_key(run.setting.model, spec.id),
        name=run.label,
        status="FINISHED",
        params={**setting_params, "seed": str(run.seed)},
        metrics={},
        tags={
            "run_id_sha256": spec.id,
            **_setting_tags(run.setting),
            "seed": str(run.seed),
            "dvc_stage": "train",
            "data_sha256": spec.data,
            "offset_sha256": str(spec.table),
            "code_sha256": spec.code,
        },
        curve_points=curve_points,
    )


@dataclass(frozen=True)
class _ProjectRun:
    """A row of ``models/index.csv`` with its ``spec.json`` and its row of ``reports/runs.csv``."""

    run: Run
    key: str  # model and id: a run under two names is shown under both, whatever its metrics
    saved: SavedRun
    metrics: Mapping[str, float]  # those of the test, and the facts of its spec
    folder: Path


@dataclass(frozen=True)
class _Reports:
    """Results of the settings: ``metrics.json``, and rows of tables by the setting's label."""

    means: Mapping[str, Any]
    metric: str  # the chosen one
    comparisons: Mapping[str, Sequence[Row]]  # of this metric
    all_comparisons: Mapping[str, Sequence[Row]]
    verdicts: Mapping[str, Sequence[Row]]
    curves: Mapping[str, Sequence[Row]]


@dataclass(frozen=True)
class _Project:
    """A project's records, as far as they have the same source."""

    params: Params
    root: Path
    key: str
    runs: Sequence[_ProjectRun]
    splits_of: Callable[[int], tuple[DataSet, ...]]  # those of a seed

    @property
    def splits(self) -> tuple[DataSet, ...]:
        """Those of the first seed, which stand for the experiment."""
        return self.splits_of(self.params.seeds[0])

    def experiment_record(
        self, settings: Sequence[Record], comparisons: Mapping[str, Sequence[Row]]
    ) -> Record:
        params, runs, diverged = self.params, len(self.runs), _diverged(self.runs)
        counts = {"runs": runs, "settings": len(settings), "diverged": diverged}
        of_all = descriptions.experiment_params(params)
        description = descriptions.experiment_description(
            settings, comparisons, params.evaluate, runs, diverged
        )
        return Record(
            role="experiment",
            key=self.key,
            name=f"{params.data.source}: {len(params.models)} models, {runs} runs",
            status="FINISHED",
            # Params in which models differ are those of their settings.
            params={name: value for name, value in of_all.items() if "." not in name},
            metrics={name: float(count) for name, count in counts.items()},
            tags={
                "experiment_sha256": self.key,
                "dvc_stage": "publish",
                **{f"data_{split.context}_sha256": split.sha256 for split in self.splits},
                _DESCRIPTION: description,
            },
            folders=tuple(read.folder for read in self.runs),
            artifacts=tuple(record_types.read_artifacts(self.root)),
            datasets=self.splits,
        )

    def setting_record(self, key: str, members: Sequence[_ProjectRun], reports: _Reports) -> Record:
        setting = members[0].run.setting
        comparisons = reports.comparisons.get(setting.label, ())
        verdict = next(iter(reports.verdicts.get(setting.label, ())), Row((), ""))
        seeds, diverged = [read.run.seed for read in members], _diverged(members)
        tags = {**_setting_tags(setting), "setting_sha256": key}
        tags["seeds"] = descriptions.as_ranges(seeds)
        means = _means_of(reports.means, setting)
        metrics = dict(_interval(record_types.TEST.format(reports.metric), means, reports.metric))
        tags |= descriptions.outcome_tags(metrics, reports.metric, comparisons, verdict)
        tags[_DESCRIPTION] = descriptions.setting_description(seeds, diverged, comparisons, verdict)
        return Record(
            role="setting",
            key=key,
            name=setting.label,
            status="FAILED" if diverged == len(members) else "FINISHED",
            params=descriptions.setting_params(self.params, setting),
            # The first of them is what MLflow compares two settings by.
            metrics={
                **metrics,
                **dict(_changes(comparisons[:_MOST_BASELINES])),
                "seeds": float(len(members)),
                "diverged": float(diverged),
            },
            tags=tags,
            folders=tuple(read.folder for read in members),
            parent=("experiment", self.key),
            artifacts=tuple(_results(reports, means, setting)),
            curves=tuple(_curves(reports, setting)),
            datasets=self._datasets(members[0]),
        )

    def run_record(self, read: _ProjectRun, parent: Record) -> Record:
        most = self.params.tracking.curve_points
        record = run_record(parent.params, read.run, read.saved.spec, most)
        return replace(
            record,
            key=read.key,
            status="FAILED" if _diverged([read]) else "FINISHED",
            metrics=read.metrics,
            tags={**record.tags, "status": read.saved.status, "engine": str(read.saved.engine)},
            folders=(read.folder,),
            parent=parent.record_id,
            artifacts=_whole_history(read, most),
            datasets=self._datasets(read),
        )

    def _datasets(self, read: _ProjectRun) -> tuple[DataSet, ...]:
        """The splits, and the offset's table over those that it trains on, where there is one."""
        setting, table = read.run.setting, read.saved.spec.table
        offset, splits = setting.spec.offset, self.splits_of(read.run.seed)
        if offset is None or table is None:
            return splits
        shape = (sum(split.shape[0] for split in splits[:2]), setting.network.latent_dim)
        uri = (OFFSETS / offset).as_posix()
        return (*splits, DataSet(offset, "offset", uri, shape, table))


def _whole_history(read: _ProjectRun, curve_points: int | None) -> tuple[Artifact, ...]:
    """The history of a run whose curves do not show each epoch."""
    if curve_points is None or read.saved.epochs <= curve_points:
        return ()
    path = read.folder / HISTORY
    return (Artifact(HISTORY, path, read.saved.digests.get(HISTORY) or sha256_of_file(path)),)


def _diverged(runs: Iterable[_ProjectRun]) -> int:
    return sum(read.saved.status == "diverged" for read in runs)


def _setting_key(read: _ProjectRun, others: set[str]) -> str:
    """The digest of all that its runs' ids follow from, the seed apart."""
    setting, fingerprint = read.run.setting, read.saved.spec.fingerprint()
    seedless = {name: value for name, value in fingerprint.items() if name != "seed"}
    key = sha256_of_json([setting.model, seedless])
    # Two settings of one model that train the same are told apart by their labels.
    return sha256_of_json([key, setting.label]) if key in others else key


def _setting_tags(setting: Setting) -> dict[str, str]:
    return {"model": setting.model, "setting": setting.label}


def _means_of(means: Mapping[str, Any], setting: Setting) -> Mapping[str, Any]:
    """The mean of each metric over the seeds, with its interval, as ``metrics.json`` has them."""
    node = means.get(setting.model, {})
    if setting.sweep and isinstance(node, Mapping):
        node = node.get(setting.sweep_label(), {})
    return node if isinstance(node, Mapping) else {}


def _interval(name: str, means: Mapping[str, Any], metric: str) -> Iterator[tuple[str, float]]:
    """A mean and the ends of its interval, as far as they are known."""
    values = means.get(metric)
    for statistic, ending in zip(_STATISTICS, _ENDINGS, strict=True):
        value = values.get(statistic) if isinstance(values, Mapping) else None
        if isinstance(value, int | float) and not isinstance(value, bool):
            yield f"{name}{ending}", float(value)


def _changes(comparisons: Iterable[Row]) -> Iterator[tuple[str, float]]:
    """Difference from each baseline, as a share of its error."""
    for row in comparisons:
        if row.get("change"):
            yield record_types.CHANGE.format(row["baseline"]), row.number("change")


def _results(reports: _Reports, means: Mapping[str, Any], setting: Setting) -> Iterator[Artifact]:
    """What the reports have of a setting, in files named as theirs."""
    contents = {"metrics.json": json.dumps(means, indent=2) + "\n"} if means else {}
    tables = {"comparison.csv": reports.all_comparisons, "verdicts.csv": reports.verdicts}
    for name, table in tables.items():
        if rows := table.get(setting.label):
            contents[name] = csv_text(list(rows[0]), rows)
    for name, text in contents.items():
        content = text.encode()
        digest = hashlib.sha256(content).hexdigest()
        yield Artifact(f"{_RESULTS}/{name}", content, digest)


def _curves(reports: _Reports, setting: Setting) -> Iterator[Point]:
    for row in reports.curves.get(setting.label, ()):
        if row.get("mean"):
            step = int(row.number("epoch"))
            yield Point(record_types.BEST_LOSS, row.number("mean"), 0, step)


def _read_runs(params: Params, root: Path) -> list[_ProjectRun]:
    """Every run of ``models/index.csv``, in its order."""
    models, path = root / MODELS, root / REPORTS / "runs.csv"
    of_params = {(run.setting.label, run.seed): run for run in params.runs}
    reports = {
        (row["setting"], row["seed"], row["id"]): row
        for row in read_csv(path, ("id", "setting", "seed", "status"))
    }
    seen: Counter[str] = Counter()
    runs = []
    for index, indexed in enumerate(read_index(models), start=1):
        where = f"{models / INDEX}, row {index}"
        if not _SHA256.fullmatch(indexed.id):
            raise InputError(where, f"expected the SHA-256 of a run, got {indexed.id!r}")
        run = of_params.get((indexed.setting, indexed.seed))
        if run is None:
            raise InputError(
                where,
                f"params.yaml has no such run of model {indexed.model!r}",
                "run 'dvc repro', which brings models/ in line with params.yaml",
            )
        report = reports.get((indexed.setting, str(indexed.seed), indexed.id))
        if report is None:
            raise InputError(str(path), f"has no row for {run.label}", "run 'dvc repro evaluate'")
        metrics = report.numbers_after("status")
        folder = runs_folder(models) / indexed.id
        saved = read_saved_run(folder)
        facts = {
            "epochs_trained": saved.epochs,
            "best_epoch": saved.best_epoch,
            "diverged_epoch": saved.diverged_epoch,
            "parameters": saved.parameters,
        }
        metrics |= {name: float(fact) for name, fact in facts.items() if fact is not None}
        key = record_types.run_key(run.setting.model, indexed.id)
        seen[key] += 1
        # One id at two settings of one model (a swept key that does not matter).
        key += f" {run.setting.label}" if seen[key] > 1 else ""
        runs.append(_ProjectRun(run, key, saved, metrics, folder))
    return runs


def _read_reports(folder: Path, metric: str) -> _Reports:
    """Read the reports; ``metric`` is the one whose comparisons count."""
    path = folder / "metrics.json"
    means = read_json(path)
    if not isinstance(means, Mapping):
        raise InputError(str(path), f"expected an object of models, got {means!r:.40}")
    comparisons = _by_setting(folder / "comparison.csv", is_needed=True)
    return _Reports(
        means,
        metric,
        comparisons={
            setting: [row for row in rows if row.get("metric") == metric]
            for setting, rows in comparisons.items()
        },
        all_comparisons=comparisons,
        verdicts=_by_setting(folder / "verdicts.csv"),
        curves=_by_setting(folder / "plots" / "learning_curves.csv"),
    )


def _by_setting(path: Path, *, is_needed: bool = False) -> dict[str, list[Row]]:
    """The rows of a table by setting; none of one that need not be there, and is not."""
    groups: dict[str, list[Row]] = defaultdict(list)
    for row in read_csv(path) if is_needed or path.exists() else ():
        groups[row.get("setting", "")].append(row)
    return groups
