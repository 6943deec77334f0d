"""The record of the experiment: the root of settings and runs, with reports and verdicts."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from offset_autoencoder.config import Params
from offset_autoencoder.io.files import sha256_of_file, sha256_of_json
from offset_autoencoder.paths import PARAMS, REPORTS
from offset_autoencoder.tracking.datasets import DataSet
from offset_autoencoder.tracking.note import experiment_note
from offset_autoencoder.tracking.records import Artifact, Record, as_param, as_ranges
from offset_autoencoder.tracking.runs import ReadRun
from offset_autoencoder.tracking.settings import Findings
from offset_autoencoder.tracking.tables import rows_of

_BESIDE_THE_MODELS = ("system", "offset", "rms", "stddev")


def experiment_key(params: Params, runs: Sequence[ReadRun]) -> str:
    """The digest of the experiment's params and its runs.

    MLflow's params never change, so params that change are another experiment, with a record of
    its own; when they are put back, the first record is brought back.
    """
    return sha256_of_json([dict(_params(params)), sorted(run.key for run in runs)])


def experiment_record(
    params: Params,
    runs: Sequence[ReadRun],
    settings: Sequence[Record],
    findings: Findings,
    splits: tuple[DataSet, ...],
) -> Record:
    """The root of all records.

    Args:
        params: The project's params.
        runs: All runs.
        settings: The records of all settings.
        findings: What the reports say.
        splits: The data sets.
    """
    diverged = sum(run.status == "diverged" for run in runs)
    evaluate, reports = params.evaluate, findings.root / REPORTS
    comparisons = {
        setting.label: rows_of(findings.comparisons.get(setting.model, ()), setting)
        for setting in params.settings
    }
    note = experiment_note(
        settings,
        comparisons,
        evaluate.baselines,
        evaluate.metric,
        evaluate.confidence,
        len(runs),
        diverged,
    )
    key = experiment_key(params, runs)
    digests = {
        f"data_{split.context}_sha256": json.loads(split.profile)["sha256"] for split in splits
    }
    return Record(
        role="experiment",
        key=key,
        name=f"{params.data.source}: {len(params.models)} models, {len(runs)} runs",
        status="FINISHED",
        # What differs between models is told by their settings.
        params={name: value for name, value in _params(params) if "." not in name},
        metrics={
            "runs": float(len(runs)),
            "settings": float(len(settings)),
            "diverged": float(diverged),
        },
        tags={
            "experiment_sha256": key,
            "dvc_stage": "publish",
            **digests,
            "mlflow.note.content": note,
        },
        artifacts=(*_reports(reports), *_params_file(findings.root)),
        datasets=splits,
        spans=tuple(run.folder for run in runs),
    )


def _params(params: Params) -> Iterator[tuple[str, str]]:
    yield "seeds", as_ranges(params.seeds)
    yield "data", params.data.source
    yield "scale", params.data.scale
    for key, value in params.split.model_dump().items():
        yield ("split_seed" if key == "seed" else key), as_param(value)
    for name, offset in params.offsets.items():
        for key, value in offset.model_dump(exclude_none=True).items():
            yield f"offsets.{name}" if key == "kind" else f"offsets.{name}.{key}", as_param(value)
    of_model: dict[str, list[dict[str, Any]]] = {}
    for setting in params.settings:
        of_model.setdefault(setting.model, []).append(
            {
                **setting.network.relevant,
                **setting.train.relevant,
                **setting.spec.common,
                **setting.spec.options,
            }
        )
    everywhere = [values for settings in of_model.values() for values in settings]
    for key in dict.fromkeys(key for values in everywhere for key in values):
        shared = _distinct(values.get(key) for values in everywhere)
        if len(shared) == 1 and key not in _BESIDE_THE_MODELS:
            yield key, shared[0]
            continue
        for model, settings in of_model.items():
            if of_this := [values[key] for values in settings if key in values]:
                yield f"{model}.{key}", "; ".join(_distinct(of_this))
    yield "metric", params.evaluate.metric
    yield "baselines", as_param(params.evaluate.baselines)
    yield "confidence", as_param(params.evaluate.confidence)


def _distinct(values: Any) -> list[str]:
    return list(dict.fromkeys(as_param(value) for value in values))


def _params_file(root: Path) -> Iterator[Artifact]:
    path = root / PARAMS
    if path.is_file():
        yield Artifact(PARAMS.name, path, sha256_of_file(path))


def _reports(folder: Path) -> Iterator[Artifact]:
    """The reports; pictures in a folder of their own, which is what people open."""
    for path in sorted(folder.rglob("*")):
        inside = path.relative_to(folder)
        if path.is_file() and not any(part.startswith(".") for part in inside.parts):
            name = (
                f"pictures/{path.name}" if path.suffix == ".png" else f"reports/{inside.as_posix()}"
            )
            yield Artifact(name, path, sha256_of_file(path))
