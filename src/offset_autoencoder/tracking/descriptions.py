"""Text that MLflow shows of an experiment and its settings: params, and outcomes in Markdown."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from offset_autoencoder.config import Params, Setting
from offset_autoencoder.config.schema import Evaluate
from offset_autoencoder.io.tables import Row
from offset_autoencoder.tracking.record_types import (
    AGAINST,
    DIFFERENCE,
    INTERVAL,
    OFFSET_USE,
    TEST,
    Record,
)

# MLflow cuts a longer tag, and a longer param, off without a word.
_LONGEST_TAG = 8000
_LONGEST_PARAM = 6000
_OF_THE_MODEL = ("system", "offset", "rms", "stddev")


def experiment_params(params: Params) -> dict[str, str]:
    """The params of an experiment; those in which models differ as ``MODEL.KEY``."""
    values: dict[str, Any] = {
        "seeds": as_ranges(params.seeds),
        "data": params.data.source,
        "scale": params.data.scale,
    }
    for key, value in params.split.relevant.items():
        values["split_seed" if key == "seed" else key] = value
    for name, offset in params.offsets.items():
        for key, value in offset.model_dump(exclude_none=True).items():
            values[f"offsets.{name}" if key == "kind" else f"offsets.{name}.{key}"] = value
    by_model: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for setting in params.settings:
        spec = setting.spec
        by_model[setting.model].append(
            {**setting.network.relevant, **setting.train.relevant, **spec.common, **spec.options}
        )
    everywhere = [options for settings in by_model.values() for options in settings]
    for key in dict.fromkeys(key for options in everywhere for key in options):
        texts = _distinct(options.get(key) for options in everywhere)
        if len(texts) == 1 and key not in _OF_THE_MODEL:
            values[key] = texts[0]
            continue
        for model, settings in by_model.items():
            if of_model := [options[key] for options in settings if key in options]:
                values[f"{model}.{key}"] = "; ".join(_distinct(of_model))
    evaluate = params.evaluate
    values |= {"metric": evaluate.metric, "baselines": evaluate.baselines}
    values["confidence"] = evaluate.confidence
    return {name: as_param(value) for name, value in values.items()}


def setting_params(params: Params, setting: Setting) -> dict[str, str]:
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
        "noise_range": spec.noise_range,
        "noise_level": setting.noise_level,
        **spec.options,
        **setting.network.relevant,
        **setting.train.relevant,
        "data": params.data.source,
        "scale": params.data.scale,
    }
    return {name: as_param(value) for name, value in values.items() if value is not None}


def experiment_description(
    settings: Sequence[Record],
    comparisons: Mapping[str, Sequence[Row]],
    evaluate: Evaluate,
    runs: int,
    diverged: int,
) -> str:
    """Describe the outcome of an experiment: a table with a row per setting, in Markdown.

    It is at most as long as MLflow keeps; rows that do not fit are counted in its last line.
    ``comparisons`` are rows of ``reports/comparison.csv`` by the setting's label, ``runs`` and
    ``diverged`` numbers of runs.
    """
    head, metric = _counted(runs, diverged), evaluate.metric
    if not settings:
        return f"{head}.\n"
    baselines = evaluate.all_baselines
    columns = ["setting", f"test {metric}", *(f"against {name}" for name in baselines)]
    names_by_use: dict[str, list[str]] = {}
    for record in settings:
        if use := record.tags.get(OFFSET_USE):
            names_by_use.setdefault(use, []).append(record.name)
    uses = [f"**{use}**: {', '.join(names)}" for use, names in sorted(names_by_use.items())]
    columns += ["its offset is used as"] if uses else []
    text = "\n".join(
        [
            f"{head}. Test {metric}: mean and {100 * evaluate.confidence:g} % interval over the "
            "seeds; changes of it are compared pairwise by seed.",
            "",
            # MLflow's page shows the beginning of a long description.
            *(["Offsets are used as " + "; ".join(uses) + ".", ""] if uses else []),
            _line(columns),
            _line(["---"] * len(columns)),
        ]
    )
    for position, record in enumerate(settings):
        rows = comparisons.get(record.tags["setting"], ())
        cells = [record.name, _mean(record.metrics, metric)]
        cells += [_against(rows, name) for name in baselines]
        cells += [record.tags.get(OFFSET_USE, "")] if uses else []
        line = "\n" + _line(cells)
        rest = f"\n\n{len(settings) - position} more settings: reports/metrics.json\n"
        if len(text) + len(line) + len(rest) > _LONGEST_TAG:
            return text + rest
        text += line
    return text + "\n"


def setting_description(
    seeds: Sequence[int], diverged: int, comparisons: Iterable[Row], verdict: Row
) -> str:
    """Describe the outcome of a setting: its verdicts; ``verdict`` is empty without an offset."""
    sentences = [f"Seeds {as_ranges(seeds)}: {_counted(len(seeds), diverged)}."]
    if sentence := verdict.get("sentence"):
        sentences.append(f"**Its offset is used as: {verdict.get('verdict', '')}.** {sentence}")
    sentences += [f"**{row.get('outcome', '')}** {row.get('verdict', '')}" for row in comparisons]
    text = "\n\n".join(sentences)
    return text if len(text) <= _LONGEST_TAG else text[: _LONGEST_TAG - 1] + "…"


def outcome_tags(
    metrics: Mapping[str, float], metric: str, comparisons: Iterable[Row], verdict: Row
) -> dict[str, str]:
    """Outcome of a setting as cells of MLflow's table: interval, differences and verdicts.

    ``metrics`` are the setting's; ``verdict`` is empty without an offset.
    """
    tags = {}
    if interval := _ends(metrics, metric):
        tags[INTERVAL] = interval
    for row in comparisons:
        baseline = row["baseline"]
        if change := _share(row.get("change")):
            low, high = _share(row.get("change_low")), _share(row.get("change_high"))
            interval = f" [{low}, {high}]" if low and high else ""
            tags[DIFFERENCE.format(baseline)] = f"{change} %{interval}"
        tags[AGAINST.format(baseline)] = row.get("outcome", "")
    if verdict.get("verdict"):
        tags[OFFSET_USE] = verdict["verdict"]
    return tags


def _share(cell: str | None) -> str:
    """A share as a percentage with its sign: ``"+25.0"``; empty where there is none."""
    return f"{100 * float(cell):+.1f}" if cell else ""


def _counted(runs: int, diverged: int) -> str:
    counted = f"{runs} run" + ("s" if runs != 1 else "")
    return counted + (f", {diverged} of them diverged" if diverged else "")


def _mean(metrics: Mapping[str, float], metric: str) -> str:
    mean = metrics.get(TEST.format(metric))
    return "" if mean is None else f"{mean:.4g} {_ends(metrics, metric)}".rstrip()


def _ends(metrics: Mapping[str, float], metric: str) -> str:
    name = TEST.format(metric)
    low, high = metrics.get(f"{name}_low"), metrics.get(f"{name}_high")
    return "" if low is None or high is None else f"[{low:.4g}, {high:.4g}]"


def _against(rows: Iterable[Row], baseline: str) -> str:
    for row in rows:
        if row.get("baseline") == baseline:
            change = _share(row.get("change"))
            return row.get("outcome", "") + (f", {change} %" if change else "")
    return ""


def _line(cells: Iterable[str]) -> str:
    return "| " + " | ".join(cell.replace("|", "/") for cell in cells) + " |"


def as_ranges(numbers: Iterable[int]) -> str:
    """Whole numbers with neighbours joined: ``0-9``, ``3, 7, 11-20``."""
    ranges: list[list[int]] = []
    for value in sorted(numbers):
        if ranges and value == ranges[-1][1] + 1:
            ranges[-1][1] = value
        else:
            ranges.append([value, value])
    return _joined([str(low) if low == high else f"{low}-{high}" for low, high in ranges])


def _distinct(values: Iterable[Any]) -> list[str]:
    return list(dict.fromkeys(as_param(value) for value in values))


def as_param(value: Any) -> str:
    """A params value as MLflow shows it: ``0.001``, ``true``, ``null``, ``64, 32``.

    A list too long for MLflow is cut at an item, and says how many there are.
    """
    if value is None:
        return "null"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, Mapping):
        return _joined([f"{key}={as_param(item)}" for key, item in value.items()])
    if isinstance(value, list | tuple):
        return _joined([as_param(item) for item in value])
    return str(value)


def _joined(items: Sequence[str]) -> str:
    text = ", ".join(items) or "none"
    if len(text) <= _LONGEST_PARAM:
        return text
    tail = f", … ({len(items)} in all)"
    return text[: text.rindex(", ", 0, _LONGEST_PARAM - len(tail))] + tail
