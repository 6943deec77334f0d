"""Records of a project, read from its files: the experiment, its settings, their runs.

To show something more in MLflow, add it to the params, metrics or tags that one of
:meth:`_Project.experiment_record`, :meth:`_Project.setting_record` and :func:`run_record` gives.
"""

from __future__ import annotations

import functools
import re
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from offset_autoencoder.config import Params, Run, Setting, format_value
from offset_autoencoder.errors import InputError
from offset_autoencoder.io.files import read_json, sha256_of_file, sha256_of_json
from offset_autoencoder.io.tables import Row, number, numbers_after, read_csv
from offset_autoencoder.paths import MODELS, OFFSETS, REPORTS
from offset_autoencoder.runs.files import HISTORY, read_saved_run
from offset_autoencoder.runs.spec import RunSpec, SavedRun
from offset_autoencoder.runs.store import INDEX, read_index, runs_folder
from offset_autoencoder.tracking import descriptions, record_types
from offset_autoencoder.tracking.record_types import Artifact, DataSet, Point, Record

_DESCRIPTION = "mlflow.note.content"
# A mean and the ends of its interval, as the columns of the reports end.
_ENDINGS = ("", "_low", "_high")
_EXCHANGES = ("permuted", "gaussian", "mean", "omitted")
# Columns of verdicts.csv that are shown as metrics of a setting.
_OF_OFFSETS = (
    *(f"{name}{split}" for split in ("", "_train") for name in _EXCHANGES),
    *("linear_decodability", "donor_shift"),
    *(f"against_{name}{noise}" for name in ("nothing", "noise") for noise in ("", "_as_trained")),
)
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


def run_name(run: Run) -> str:
    """The setting's name and the seed: ``"gaussian 0.1 seed 3"``."""
    return f"{setting_name(run.setting)} seed {run.seed}"


def setting_name(setting: Setting) -> str:
    """``"gaussian 0.1"`` where one number is swept, else the label: ``"wide hidden=64-32"``."""
    values = [value for _, value in setting.sweep]
    if len(values) == 1 and isinstance(values[0], int | float) and not isinstance(values[0], bool):
        return f"{setting.model} {format_value(values[0])}"
    return setting.label


def run_record(
    setting_params: Mapping[str, str], run: Run, spec: RunSpec, curve_points: int | None
) -> Record:
    """The record of a run as it is known from the moment that its training begins.

    ``setting_params`` are those of :func:`.descriptions.setting_params`.
    """
    return Record(
        role="run",
        key=record_types.run_key(run.setting.model, spec.id),
        name=run_name(run),
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

    folder: Path
    means: Mapping[str, Any]
    comparisons: Mapping[str, Sequence[Row]]  # of the chosen metric
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
        verdict = next(iter(reports.verdicts.get(setting.label, ())), {})
        seeds, diverged = [read.run.seed for read in members], _diverged(members)
        tags = {**_setting_tags(setting), "setting_sha256": key}
        tags["seeds"] = descriptions.as_ranges(seeds)
        if verdict.get("verdict"):
            tags["offset_used_as"] = verdict["verdict"]
        tags |= {
            f"against_{row['baseline']}": descriptions.short_verdict(row) for row in comparisons
        }
        tags[_DESCRIPTION] = descriptions.setting_description(seeds, diverged, comparisons, verdict)
        return Record(
            role="setting",
            key=key,
            name=setting_name(setting),
            status="FAILED" if diverged == len(members) else "FINISHED",
            params=descriptions.setting_params(self.params, setting),
            metrics={
                "seeds": float(len(members)),
                "diverged": float(diverged),
                **dict(_means(reports.means, setting)),
                **dict(_effects(reports.folder, comparisons, verdict)),
            },
            tags=tags,
            folders=tuple(read.folder for read in members),
            parent=("experiment", self.key),
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


def _means(means: Mapping[str, Any], setting: Setting) -> Iterator[tuple[str, float]]:
    """Mean over the seeds of each metric, and the ends of its interval."""
    node = means.get(setting.model, {})
    if setting.sweep and isinstance(node, Mapping):
        node = node.get(setting.sweep_label(), {})
    if not isinstance(node, Mapping):
        return
    for metric, values in node.items():
        for statistic, ending in zip(("mean", "low", "high"), _ENDINGS, strict=True):
            value = values.get(statistic) if isinstance(values, Mapping) else None
            if isinstance(value, int | float) and not isinstance(value, bool):
                yield _statistic_name(metric, ending), float(value)


def _effects(
    reports: Path, comparisons: Iterable[Row], verdict: Row
) -> Iterator[tuple[str, float]]:
    """Changes of the error, as shares: against each baseline, and by each intervention."""
    for row in comparisons:
        columns = [f"change{ending}" for ending in _ENDINGS]
        name = f"change/against_{row['baseline']}"
        yield from _interval(name, row, columns, reports / "comparison.csv")
    for name in _OF_OFFSETS:
        columns = [f"{name}{ending}" for ending in _ENDINGS]
        yield from _interval(f"offset/{name}", verdict, columns, reports / "verdicts.csv")


def _curves(reports: _Reports, setting: Setting) -> Iterator[Point]:
    path = reports.folder / "plots" / "learning_curves.csv"
    for position, row in enumerate(reports.curves.get(setting.label, ()), start=1):
        step = int(number(path, position, "epoch", row.get("epoch", "")))
        columns = ("mean", "low", "high")
        for name, value in _interval("best_val_loss", row, columns, path, position):
            yield Point(name, value, 0, step)


def _interval(
    metric: str, row: Row, columns: Sequence[str], path: Path, position: int = 0
) -> Iterator[tuple[str, float]]:
    """A mean and the ends of its interval, where a row has them."""
    for column, ending in zip(columns, _ENDINGS, strict=True):
        if cell := row.get(column):
            yield _statistic_name(metric, ending), number(path, position, column, cell)


def _statistic_name(metric: str, ending: str) -> str:
    """``mse`` for a mean, ``interval/mse_low`` for an end of its interval."""
    # MLflow's charts have a section for what stands before the slash: means are seen side by side.
    return f"interval/{metric.replace('/', '_')}{ending}" if ending else metric


def _read_runs(params: Params, root: Path) -> list[_ProjectRun]:
    """Every run of ``models/index.csv``, in its order."""
    models, path = root / MODELS, root / REPORTS / "runs.csv"
    of_params = {(run.setting.label, run.seed): run for run in params.runs}
    reports = {
        (row["setting"], row["seed"], row["id"]): (position, row)
        for position, row in enumerate(read_csv(path, ("id", "setting", "seed", "status")), start=1)
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
        position, report = reports.get((indexed.setting, str(indexed.seed), indexed.id), (0, None))
        if report is None:
            raise InputError(str(path), f"has no row for {run.label}", "run 'dvc repro evaluate'")
        metrics = numbers_after("status", path, position, report)
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
    comparison = read_csv(folder / "comparison.csv")
    return _Reports(
        folder,
        means,
        comparisons=_by_setting([row for row in comparison if row.get("metric") == metric]),
        verdicts=_by_setting(_if_written(folder / "verdicts.csv")),
        curves=_by_setting(_if_written(folder / "plots" / "learning_curves.csv")),
    )


def _if_written(path: Path) -> list[Row]:
    return read_csv(path) if path.exists() else []


def _by_setting(rows: Sequence[Row]) -> dict[str, list[Row]]:
    groups: dict[str, list[Row]] = defaultdict(list)
    for row in rows:
        groups[row.get("setting", "")].append(row)
    return groups
