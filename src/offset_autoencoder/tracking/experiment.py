"""The record of the experiment: the parent of its runs, with the reports and the verdicts."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from offset_autoencoder.config import SPLITS, Params
from offset_autoencoder.errors import InputError
from offset_autoencoder.files import read_json, sha256_of_file, sha256_of_json
from offset_autoencoder.project import PREPARED, REPORTS
from offset_autoencoder.tracking.note import note
from offset_autoencoder.tracking.records import Artifact, Record, as_param, as_ranges
from offset_autoencoder.tracking.tables import read_table

_BESIDE_THE_MODELS = ("system", "offset", "rms", "stddev")


def experiment_record(params: Params, runs: Sequence[Record], root: Path) -> Record:
    """The parent record.

    Its key is the digest of its params and its runs: MLflow's params never change, so params
    that change are another experiment, with a parent of its own; when they are put back, the
    first parent is brought back.

    Args:
        params: The project's params.
        runs: The records of all runs.
        root: The project's folder.

    Raises:
        InputError: where a report or the data's schema is missing or damaged.
    """
    schema_path = root / PREPARED / "schema.json"
    schema = read_json(schema_path)
    try:
        data = {f"{split}_samples": as_param(schema["samples"][split]) for split in SPLITS}
        data["input_dim"] = as_param(schema["input_dim"])
        digests = {f"data_{split}_sha256": str(schema["digests"][split]["x"]) for split in SPLITS}
    except (KeyError, TypeError) as error:
        raise InputError(str(schema_path), f"lacks {error}", "run 'dvc repro prepare'") from None
    flat = dict(_params(params)) | data
    key = sha256_of_json([flat, sorted(run.key for run in runs)])
    diverged = sum(run.status == "FAILED" for run in runs)
    comparison = read_table(root / REPORTS / "comparison.csv")
    return Record(
        role="experiment",
        key=key,
        name=f"{params.data.source}: {len(params.models)} models, {len(runs)} runs",
        status="FINISHED",
        params=flat,
        metrics={
            "runs": float(len(runs)),
            "diverged": float(diverged),
            **dict(_metrics(root / REPORTS / "metrics.json", params.evaluate.metric)),
        },
        tags={
            "experiment_sha256": key,
            "dvc_stage": "publish",
            **digests,
            "mlflow.note.content": note(
                comparison,
                params.evaluate.metric,
                params.evaluate.confidence,
                len(runs),
                diverged,
            ),
        },
        artifacts=tuple(_reports(root / REPORTS)),
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
                **setting.train.model_dump(),
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


def _metrics(path: Path, metric: str) -> Iterator[tuple[str, float]]:
    """``mse/gaussian stddev 0.1`` is a setting's mean; the interval's ends lie beside it."""
    models = read_json(path)
    if not isinstance(models, Mapping):
        raise InputError(str(path), f"expected an object of models, got {models!r:.40}")
    for model, settings in models.items():
        of_setting = {"": settings} if metric in settings else settings
        for label, metrics in of_setting.items():
            values = metrics.get(metric) if isinstance(metrics, Mapping) else None
            name = re.sub(r"[^\w.\- ]", " ", f"{model} {label}").strip()
            for statistic, group in (("mean", metric), ("low", "low"), ("high", "high")):
                value = values.get(statistic) if isinstance(values, Mapping) else None
                if isinstance(value, int | float):
                    prefix = metric if statistic == "mean" else f"{metric} {group}"
                    yield f"{prefix}/{name}", float(value)


def _reports(folder: Path) -> Iterator[Artifact]:
    for path in sorted(folder.rglob("*")):
        inside = path.relative_to(folder)
        if path.is_file() and not any(part.startswith(".") for part in inside.parts):
            yield Artifact(f"reports/{inside.as_posix()}", path, sha256_of_file(path))
