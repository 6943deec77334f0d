"""Records of a project, read from its files: the experiment, its settings, their runs.

To show something more in MLflow, add it to the params, metrics or tags that one of
:func:`_experiment_record`, :func:`_setting_record` and :func:`_run_record` gives.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from offset_autoencoder.config import Params, Run, Setting, format_value
from offset_autoencoder.evaluation.summary import noise_level
from offset_autoencoder.io.files import sha256_of_json
from offset_autoencoder.io.tables import number
from offset_autoencoder.paths import REPORTS
from offset_autoencoder.runs.spec import RunSpec
from offset_autoencoder.tracking.descriptions import (
    experiment_description,
    setting_description,
    short_verdict,
)
from offset_autoencoder.tracking.project_files import (
    ProjectRun,
    Reports,
    datasets_of,
    project_artifacts,
    read_reports,
    read_runs,
    read_splits,
)
from offset_autoencoder.tracking.record_types import (
    DESCRIPTION,
    CurvePoint,
    DataSet,
    Record,
    RecordId,
    as_param,
    as_ranges,
)

_STATISTICS = {"mean": "", "low": "_low", "high": "_high"}
# Columns of verdicts.csv that are shown as metrics of a setting.
_OF_OFFSETS = ("permuted", "gaussian", "omitted", "linear_decodability", "donor_shift")
_OF_THE_MODEL = ("system", "offset", "rms", "stddev")


def read_records(params: Params, root: Path) -> tuple[Record, ...]:
    """Everything that MLflow should hold, each record after the one it is nested under.

    Args:
        params: The project's params.
        root: The project's folder.

    Raises:
        InputError: where a file is missing or damaged, or the files are not of these params.
    """
    runs = read_runs(params, root)
    splits = read_splits(root)
    reports = read_reports(root / REPORTS, params.evaluate.metric)
    experiment = ("experiment", _experiment_key(params, runs))
    by_setting: dict[str, list[ProjectRun]] = defaultdict(list)
    for read in runs:
        by_setting[read.run.setting.label].append(read)
    settings = {}
    keys: set[str] = set()
    for label, members in by_setting.items():
        key = _setting_key(members[0], keys)
        keys.add(key)
        settings[label] = _setting_record(params, key, members, reports, splits, experiment)
    return (
        _experiment_record(params, root, runs, tuple(settings.values()), reports, splits),
        *settings.values(),
        *(
            _run_record(params, read, splits, settings[read.run.setting.label].record_id)
            for read in runs
        ),
    )


def setting_name(setting: Setting) -> str:
    """``"gaussian 0.1"`` where one number is swept, else the label: ``"wide hidden=64-32"``."""
    values = [value for _, value in setting.sweep]
    if len(values) == 1 and isinstance(values[0], int | float) and not isinstance(values[0], bool):
        return f"{setting.model} {format_value(values[0])}"
    return setting.label


def run_name(run: Run) -> str:
    """The setting's name and the seed: ``"gaussian 0.1 seed 3"``."""
    return f"{setting_name(run.setting)} seed {run.seed}"


def run_params(params: Params, run: Run) -> dict[str, str]:
    """The params of a run: its setting's and the seed."""
    return {**_setting_params(params, run.setting), "seed": str(run.seed)}


def run_tags(run: Run, spec: RunSpec) -> dict[str, str]:
    """The tags that a run has from the moment that its training begins."""
    return {
        "run_id_sha256": spec.id,
        **_setting_tags(run.setting),
        "seed": str(run.seed),
        "dvc_stage": "train",
        "data_sha256": spec.data,
        "offset_sha256": str(spec.table),
        "code_sha256": spec.code,
    }


def _experiment_record(
    params: Params,
    root: Path,
    runs: Sequence[ProjectRun],
    settings: Sequence[Record],
    reports: Reports,
    splits: tuple[DataSet, ...],
) -> Record:
    diverged = sum(read.diverged for read in runs)
    evaluate = params.evaluate
    key = _experiment_key(params, runs)
    description = experiment_description(
        settings,
        reports.comparisons,
        evaluate.baselines,
        evaluate.metric,
        evaluate.confidence,
        len(runs),
        diverged,
    )
    return Record(
        role="experiment",
        key=key,
        name=f"{params.data.source}: {len(params.models)} models, {len(runs)} runs",
        status="FINISHED",
        # Params in which models differ are those of their settings.
        params={name: value for name, value in _params(params) if "." not in name},
        metrics={
            "runs": float(len(runs)),
            "settings": float(len(settings)),
            "diverged": float(diverged),
        },
        tags={
            "experiment_sha256": key,
            "dvc_stage": "publish",
            **{f"data_{split.context}_sha256": split.sha256 for split in splits},
            DESCRIPTION: description,
        },
        artifacts=tuple(project_artifacts(root, reports.folder)),
        datasets=splits,
        spans=tuple(read.folder for read in runs),
    )


def _setting_record(
    params: Params,
    key: str,
    members: Sequence[ProjectRun],
    reports: Reports,
    splits: tuple[DataSet, ...],
    parent: RecordId,
) -> Record:
    setting = members[0].run.setting
    comparisons = reports.comparisons.get(setting.label, ())
    verdict = next(iter(reports.verdicts.get(setting.label, ())), {})
    seeds = [read.run.seed for read in members]
    diverged = sum(read.diverged for read in members)
    tags = {**_setting_tags(setting), "setting_sha256": key, "seeds": as_ranges(seeds)}
    if verdict.get("verdict"):
        tags["offset_used_as"] = verdict["verdict"]
    tags |= {f"against_{row['baseline']}": short_verdict(row) for row in comparisons}
    tags[DESCRIPTION] = setting_description(seeds, diverged, comparisons, verdict)
    return Record(
        role="setting",
        key=key,
        name=setting_name(setting),
        status="FAILED" if diverged == len(members) else "FINISHED",
        params=_setting_params(params, setting),
        metrics={
            "seeds": float(len(members)),
            "diverged": float(diverged),
            **dict(_means(reports.means, setting)),
            **dict(_effects(reports.folder, comparisons, verdict)),
        },
        tags=tags,
        parent=parent,
        curves=tuple(_curves(reports, setting)),
        datasets=datasets_of(members[0], splits),
        spans=tuple(read.folder for read in members),
    )


def _run_record(
    params: Params, read: ProjectRun, splits: tuple[DataSet, ...], parent: RecordId
) -> Record:
    return Record(
        role="run",
        key=read.key,
        name=run_name(read.run),
        status="FAILED" if read.diverged else "FINISHED",
        params=run_params(params, read.run),
        metrics=read.metrics,
        tags={
            **run_tags(read.run, read.saved.spec),
            "status": read.saved.status,
        },
        folder=read.folder,
        parent=parent,
        datasets=datasets_of(read, splits),
    )


def _experiment_key(params: Params, runs: Sequence[ProjectRun]) -> str:
    """The digest of the experiment's params and its runs.

    MLflow's params never change, so params that change are another experiment, with a record of
    its own; when they are put back, the first record is brought back.
    """
    return sha256_of_json([dict(_params(params)), sorted(read.key for read in runs)])


def _setting_key(read: ProjectRun, others: set[str]) -> str:
    """The digest of all that its runs' ids follow from, the seed apart.

    A setting gets more seeds, and is another when its params, data or the code that trains are.
    """
    setting, fingerprint = read.run.setting, read.saved.spec.fingerprint()
    seedless = {name: value for name, value in fingerprint.items() if name != "seed"}
    key = sha256_of_json([setting.model, seedless])
    # Two settings of one model that train the same are told apart by their labels.
    return sha256_of_json([key, setting.label]) if key in others else key


def _setting_params(params: Params, setting: Setting) -> dict[str, str]:
    """The params of a setting and of each of its runs; one that is not given is left out.

    ``noise_level`` is the root mean square per coordinate of what is added, rms or stddev: the
    one axis that offsets and noise have in common.
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


def _setting_tags(setting: Setting) -> dict[str, str]:
    return {"model": setting.model, "setting": setting.label}


def _params(params: Params) -> Iterator[tuple[str, str]]:
    """The experiment's params; those in which models differ as ``MODEL.KEY``."""
    yield "seeds", as_ranges(params.seeds)
    yield "data", params.data.source
    yield "scale", params.data.scale
    for key, value in params.split.model_dump().items():
        yield ("split_seed" if key == "seed" else key), as_param(value)
    for name, offset in params.offsets.items():
        for key, value in offset.model_dump(exclude_none=True).items():
            yield f"offsets.{name}" if key == "kind" else f"offsets.{name}.{key}", as_param(value)
    by_model: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for setting in params.settings:
        spec = setting.spec
        by_model[setting.model].append(
            {**setting.network.relevant, **setting.train.relevant, **spec.common, **spec.options}
        )
    everywhere = [values for settings in by_model.values() for values in settings]
    for key in dict.fromkeys(key for values in everywhere for key in values):
        texts = _distinct(values.get(key) for values in everywhere)
        if len(texts) == 1 and key not in _OF_THE_MODEL:
            yield key, texts[0]
            continue
        for model, settings in by_model.items():
            if of_model := [values[key] for values in settings if key in values]:
                yield f"{model}.{key}", "; ".join(_distinct(of_model))
    yield "metric", params.evaluate.metric
    yield "baselines", as_param(params.evaluate.baselines)
    yield "confidence", as_param(params.evaluate.confidence)


def _distinct(values: Any) -> list[str]:
    return list(dict.fromkeys(as_param(value) for value in values))


def _statistic_name(metric: str, ending: str) -> str:
    """``mse`` for a mean, ``interval/mse_low`` for an end of its interval.

    MLflow's charts have a section for what stands before the slash, so that the means are seen
    side by side and not between their intervals.
    """
    return f"interval/{metric.replace('/', '_')}{ending}" if ending else metric


def _means(means: Mapping[str, Any], setting: Setting) -> Iterator[tuple[str, float]]:
    """Mean over the seeds of each metric, and the ends of its interval."""
    node = means.get(setting.model, {})
    if setting.sweep and isinstance(node, Mapping):
        node = node.get(setting.label.removeprefix(setting.model).strip(), {})
    if not isinstance(node, Mapping):
        return
    for metric, values in node.items():
        for statistic, ending in _STATISTICS.items():
            value = values.get(statistic) if isinstance(values, Mapping) else None
            if isinstance(value, int | float) and not isinstance(value, bool):
                yield _statistic_name(metric, ending), float(value)


def _effects(
    reports: Path, comparisons: Sequence[Mapping[str, str]], verdict: Mapping[str, str]
) -> Iterator[tuple[str, float]]:
    """Changes of the error, as shares: against each baseline, and by each intervention."""
    for row in comparisons:
        for ending in _STATISTICS.values():
            if cell := row.get(f"change{ending}"):
                value = number(reports / "comparison.csv", 0, f"change{ending}", cell)
                yield _statistic_name(f"change/against_{row['baseline']}", ending), value
    for column in _OF_OFFSETS:
        for ending in _STATISTICS.values():
            if cell := verdict.get(f"{column}{ending}"):
                value = number(reports / "verdicts.csv", 0, f"{column}{ending}", cell)
                yield _statistic_name(f"offset/{column}", ending), value


def _curves(reports: Reports, setting: Setting) -> Iterator[CurvePoint]:
    path = reports.folder / "plots" / "learning_curves.csv"
    for position, row in enumerate(reports.curves.get(setting.label, ()), start=1):
        step = int(number(path, position, "epoch", row.get("epoch", "")))
        for statistic, ending in _STATISTICS.items():
            if cell := row.get(statistic):
                value = number(path, position, statistic, cell)
                yield CurvePoint(_statistic_name("best_val_loss", ending), value, step)
