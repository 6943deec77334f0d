"""The description of the experiment in MLflow: its verdicts, in Markdown."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Mapping

# MLflow cuts a longer tag off without a word.
_LONGEST_TAG = 8000


def note(
    comparison: Iterable[Mapping[str, str]],
    metric: str,
    confidence: float,
    runs: int,
    diverged: int,
) -> str:
    """Describe what came out.

    Args:
        comparison: The rows of ``reports/comparison.csv``.
        metric: The metric whose verdicts are shown.
        confidence: The intervals' share, 0.95 for 95 %.
        runs: How many runs there are.
        diverged: How many of them diverged.

    Returns:
        Markdown, at most as long as MLflow keeps; rows that do not fit are counted in its last
        line.
    """
    head = f"{runs} runs" + (f", {diverged} of them diverged" if diverged else "")
    rows = [row for row in comparison if row.get("metric") == metric]
    if not rows:
        return f"{head}.\n"
    lines = [
        f"{head}. Test {metric}, compared pairwise by seed, {100 * confidence:g} % intervals:",
        "",
        "| model | against | difference | interval | p, corrected | verdict |",
        "|---|---|---|---|---|---|",
    ]
    text = "\n".join(lines)
    for shown, row in enumerate(rows):
        line = "\n" + _row(row)
        rest = f"\n\n{len(rows) - shown} more rows: reports/comparison.csv\n"
        if len(text) + len(line) + len(rest) > _LONGEST_TAG:
            return text + rest
        text += line
    return text + "\n"


def _row(row: Mapping[str, str]) -> str:
    # The swept keys stand between the model and its baseline.
    before = itertools.takewhile(lambda item: item[0] != "baseline", row.items())
    swept = [f"{key}={cell}" for key, cell in before if key != "model" and cell]
    cells = [
        " ".join([row.get("model", ""), *swept]),
        row.get("baseline_setting") or row.get("baseline", ""),
        _short(row.get("difference", "")),
        f"{_short(row.get('low', ''))} to {_short(row.get('high', ''))}",
        _short(row.get("p_corrected", "")),
        row.get("verdict", ""),
    ]
    return "| " + " | ".join(cell.replace("|", "/") for cell in cells) + " |"


def _short(cell: str) -> str:
    try:
        return f"{float(cell):.3g}"
    except ValueError:
        return cell
