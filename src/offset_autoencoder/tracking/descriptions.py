"""Descriptions in MLflow, in Markdown: outcomes of an experiment and of a setting."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence

from offset_autoencoder.tracking.record_types import Record, as_ranges

# MLflow cuts a longer tag off without a word.
_LONGEST_TAG = 8000
# Where a verdict's figures and reasons begin.
_REASON = re.compile(r" by [\d.]|: | \(|, neither ")

Row = Mapping[str, str]


def short_verdict(row: Row) -> str:
    """Verdict of a row of ``comparison.csv`` without its figures: ``"worse than none"``."""
    return _REASON.split(row.get("verdict", ""), maxsplit=1)[0]


def experiment_description(
    settings: Sequence[Record],
    comparisons: Mapping[str, Sequence[Row]],
    baselines: Sequence[str],
    metric: str,
    confidence: float,
    runs: int,
    diverged: int,
) -> str:
    """Describe the outcome of an experiment: a table with a row per setting.

    Args:
        settings: Their records.
        comparisons: Rows of ``reports/comparison.csv`` by the setting's label.
        baselines: The models that others are compared with.
        metric: The metric whose means and verdicts are shown.
        confidence: The intervals' share, 0.95 for 95 %.
        runs: Number of runs.
        diverged: Number of those that diverged.

    Returns:
        Markdown, at most as long as MLflow keeps; rows that do not fit are counted in its last
        line.
    """
    head = _counted(runs, diverged)
    if not settings:
        return f"{head}.\n"
    columns = ["setting", f"test {metric}", *(f"against {name}" for name in baselines)]
    has_offsets = any("offset_used_as" in record.tags for record in settings)
    columns += ["its offset is used as"] if has_offsets else []
    text = "\n".join(
        [
            f"{head}. Test {metric}: mean and {100 * confidence:g} % interval over the seeds; "
            "changes of it are compared pairwise by seed.",
            "",
            *_offset_uses(settings),
            _line(columns),
            _line(["---"] * len(columns)),
        ]
    )
    for position, record in enumerate(settings):
        rows = comparisons.get(record.tags["setting"], ())
        cells = [record.name, _mean(record.metrics, metric)]
        cells += [_against(rows, name) for name in baselines]
        cells += [record.tags.get("offset_used_as", "")] if has_offsets else []
        line = "\n" + _line(cells)
        rest = f"\n\n{len(settings) - position} more settings: reports/metrics.json\n"
        if len(text) + len(line) + len(rest) > _LONGEST_TAG:
            return text + rest
        text += line
    return text + "\n"


def setting_description(
    seeds: Sequence[int], diverged: int, comparisons: Iterable[Row], verdict: Row
) -> str:
    """Describe the outcome of a setting: its verdicts, in sentences.

    Args:
        seeds: Its seeds.
        diverged: Number of its runs that diverged.
        comparisons: Its rows of ``reports/comparison.csv``.
        verdict: Its row of ``reports/verdicts.csv``; empty where it has no offset.
    """
    sentences = [f"Seeds {as_ranges(seeds)}: {_counted(len(seeds), diverged)}."]
    if sentence := verdict.get("sentence"):
        sentences.append(f"**Its offset is used as: {verdict.get('verdict', '')}.** {sentence}")
    sentences += [f"**{_verdict_word(row)}** {row.get('verdict', '')}" for row in comparisons]
    text = "\n\n".join(sentences)
    return text if len(text) <= _LONGEST_TAG else text[: _LONGEST_TAG - 1] + "…"


def _verdict_word(row: Row) -> str:
    """The short verdict without the baseline: ``"worse"``, ``"equivalent within 5 %"``."""
    baseline = row.get("baseline_setting") or row.get("baseline", "")
    pattern = rf" (than|to|from|with|against) {re.escape(baseline)}(?= |$)"
    return re.sub(pattern, "", short_verdict(row))


def _offset_uses(settings: Sequence[Record]) -> list[str]:
    """The part of a long description that MLflow's page shows: offsets by their use."""
    names: dict[str, list[str]] = {}
    for record in settings:
        if verdict := record.tags.get("offset_used_as"):
            names.setdefault(verdict, []).append(record.name)
    uses = [f"**{verdict}**: {', '.join(of_use)}" for verdict, of_use in sorted(names.items())]
    return ["Offsets are used as " + "; ".join(uses) + ".", ""] if uses else []


def _counted(runs: int, diverged: int) -> str:
    counted = f"{runs} run" + ("s" if runs != 1 else "")
    return counted + (f", {diverged} of them diverged" if diverged else "")


def _mean(metrics: Mapping[str, float], metric: str) -> str:
    ends = (f"interval/{metric}_low", f"interval/{metric}_high")
    mean, low, high = (metrics.get(name) for name in (metric, *ends))
    if mean is None:
        return ""
    return f"{mean:.4g}" + (f" [{low:.4g}, {high:.4g}]" if None not in (low, high) else "")


def _against(rows: Iterable[Row], baseline: str) -> str:
    for row in rows:
        if row.get("baseline") == baseline:
            change = row.get("change")
            signed = f", {100 * float(change):+.1f} %" if change else ""
            return _verdict_word(row) + signed
    return ""


def _line(cells: Iterable[str]) -> str:
    return "| " + " | ".join(cell.replace("|", "/") for cell in cells) + " |"
