"""Descriptions in MLflow, in Markdown: what came out."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from offset_autoencoder.tracking.records import Record, as_ranges
from offset_autoencoder.tracking.verdicts import signed_percent, verdict_word

# MLflow cuts a longer tag off without a word.
_LONGEST_TAG = 8000

Row = Mapping[str, str]


def experiment_note(
    settings: Sequence[Record],
    comparisons: Mapping[str, Sequence[Row]],
    baselines: Sequence[str],
    metric: str,
    confidence: float,
    runs: int,
    diverged: int,
) -> str:
    """Describe what came out of an experiment: a row a setting.

    Args:
        settings: Their records.
        comparisons: Of each setting's label its rows of ``reports/comparison.csv``.
        baselines: The models that others are compared with.
        metric: The metric whose means and verdicts are shown.
        confidence: The intervals' share, 0.95 for 95 %.
        runs: How many runs there are.
        diverged: How many of them diverged.

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
            *_used_as(settings),
            _line(columns),
            _line(["---"] * len(columns)),
        ]
    )
    for shown, record in enumerate(settings):
        rows = comparisons.get(record.tags["setting"], ())
        cells = [record.name, _mean(record.metrics, metric)]
        cells += [_against(rows, name) for name in baselines]
        cells += [record.tags.get("offset_used_as", "")] if has_offsets else []
        line = "\n" + _line(cells)
        rest = f"\n\n{len(settings) - shown} more settings: reports/metrics.json\n"
        if len(text) + len(line) + len(rest) > _LONGEST_TAG:
            return text + rest
        text += line
    return text + "\n"


def setting_note(
    seeds: Sequence[int], diverged: int, comparisons: Iterable[Row], verdict: Row
) -> str:
    """Describe what came out of a setting: its verdicts, in sentences.

    Args:
        seeds: Its seeds.
        diverged: How many of its runs diverged.
        comparisons: Its rows of ``reports/comparison.csv``.
        verdict: Its row of ``reports/verdicts.csv``; empty where it has no offset.
    """
    said = [f"Seeds {as_ranges(seeds)}: {_counted(len(seeds), diverged)}."]
    if sentence := verdict.get("sentence"):
        said.append(f"**Its offset is used as: {verdict.get('verdict', '')}.** {sentence}")
    said += [f"**{verdict_word(row)}** {row.get('verdict', '')}" for row in comparisons]
    text = "\n\n".join(said)
    return text if len(text) <= _LONGEST_TAG else text[: _LONGEST_TAG - 1] + "…"


def _used_as(settings: Sequence[Record]) -> list[str]:
    """What MLflow's page shows of a long description: which offsets are used as what."""
    used: dict[str, list[str]] = {}
    for record in settings:
        if verdict := record.tags.get("offset_used_as"):
            used.setdefault(verdict, []).append(record.name)
    said = [f"**{verdict}**: {', '.join(names)}" for verdict, names in sorted(used.items())]
    return ["Offsets are used as " + "; ".join(said) + ".", ""] if said else []


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
            change = signed_percent(row.get("change", ""))
            return verdict_word(row) + (f", {change}" if change else "")
    return ""


def _line(cells: Iterable[str]) -> str:
    return "| " + " | ".join(cell.replace("|", "/") for cell in cells) + " |"
