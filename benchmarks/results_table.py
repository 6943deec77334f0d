"""Table of results in a Markdown file, made from the reports of an experiment.

    python -m benchmarks.results_table reports docs/reading-results.md docs/results

writes it between the file's two markers, and keeps the rows behind it in a folder beside the
documents, so that whoever reads a figure can look up the row that it comes from. Where one split
is used, as for data with a test split of their own, it has the intervals over seeds and test
samples, too.
"""

from __future__ import annotations

import csv
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path

from offset_autoencoder.evaluation.metrics import higher_is_better
from offset_autoencoder.reporting.wording import exponent_of

BEGIN, END = "<!-- results: begin -->", "<!-- results: end -->"
SOURCES = ("plots/settings.csv", "comparison.csv", "verdicts.csv")
_WORDS = ("better", "worse", "equivalent", "inconclusive", "too few seeds", "diverged")
_FAMILIES = {
    "nothing added": ("none", ""),
    "`gaussian` at the same level, tested without noise": ("gaussian", ""),
    "`gaussian` at the same level, tested with noise": ("gaussian", "_as_trained"),
}
"""Comparisons with a column of their own: the baseline, and the condition compared."""

_NONE_SETTLES = "no number of seeds would settle"

Row = Mapping[str, str]


def main() -> None:
    """Write the table of a folder of reports, and keep its rows."""
    reports, document, kept = map(Path, sys.argv[1:])
    kept.mkdir(parents=True, exist_ok=True)
    for source in SOURCES:
        (kept / Path(source).name).write_text(_kept_rows(reports / source), encoding="utf-8")
    text = document.read_text(encoding="utf-8")
    document.write_text(with_table(text, results_table(kept)), encoding="utf-8")


def with_table(text: str, table: str) -> str:
    """A document with a table between its markers; ValueError where it lacks them."""
    before, begin, rest = text.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not (begin and end):
        raise ValueError(f"the document has no markers {BEGIN} and {END}")
    return f"{before}{begin}\n{table}\n{end}{after}"


def results_table(folder: Path) -> str:
    """Markdown of the kept rows: a line per setting, then the words of the comparisons."""
    settings, comparisons, verdicts = (_rows(folder / Path(source).name) for source in SOURCES)
    metric = settings[0]["metric"]
    exponent = exponent_of(float(row["mean"] or "nan") for row in settings)
    unit, factor = (f", 1e{exponent}", 10.0**-exponent) if exponent else ("", 1.0)
    families = {
        called: {row["setting"]: row for row in _against(comparisons, baseline, metric + suffix)}
        for called, (baseline, suffix) in _FAMILIES.items()
    }
    error = metric if higher_is_better(metric) else "error"
    columns = {f"{error}{unit}": [_mean(row, "mean", factor) for row in settings]}
    columns["over test samples too"] = [_mean(row, "mean", factor, "two_way_") for row in settings]
    for called, family in families.items():
        rows = [family.get(row["setting"], {}) for row in settings]
        columns[f"against {called}"] = [_change(row) for row in rows]
        columns[f"difference from {called}{unit}, over test samples too"] = [
            _mean(row, "difference", factor, "two_way_", sign="+") for row in rows
        ]
    words = {row["setting"]: row["verdict"] for row in verdicts}
    columns["what the offset is to its network"] = [
        words.get(row["setting"], "") for row in settings
    ]
    columns = {heading: cells for heading, cells in columns.items() if any(cells)}
    lines = [f"| | {' | '.join(columns)} |", f"|{'---|' * (1 + len(columns))}"]
    for row, *cells in zip(settings, *columns.values(), strict=True):
        label = f"`{row['setting']}`"
        lines.append(f"| {' | '.join([label, *cells])} |")
    sentences = [_sentence(called, family) for called, family in families.items()]
    sentences += [
        f"- `{row['setting']}` against `{row['baseline']}`: {_change(row)}."
        for row in comparisons
        if row["metric"] == metric
        and row["baseline"] not in {baseline for baseline, _ in _FAMILIES.values()}
    ]
    return "\n".join([*lines, "", *(line for line in sentences if line)])


def _against(comparisons: Iterable[Row], baseline: str, metric: str) -> list[Row]:
    return [row for row in comparisons if (row["baseline"], row["metric"]) == (baseline, metric)]


def _word(comparison: Row) -> str:
    sentence = comparison["verdict"]
    return next((word for word in _WORDS if sentence.startswith(word)), "not comparable")


def _mean(row: Row, name: str, factor: float, ends: str = "", sign: str = "") -> str:
    """A mean and half its interval, or its ends where it is cut; empty where a row lacks it."""
    if ends and not row.get(f"{ends}low"):
        return ""
    keys = (name, f"{ends}low", f"{ends}high")
    mean, low, high = (factor * float(row[key] or "nan") for key in keys)
    if abs(low + high - 2 * mean) > 0.02:  # it ends at a bound of the metric
        return f"{mean:{sign}.2f} [{low:{sign}.2f}, {high:{sign}.2f}]"
    return f"{mean:{sign}.2f} ± {(high - low) / 2:.2f}"


def _change(comparison: Row) -> str:
    if not comparison:
        return ""
    if not comparison["change"]:
        return _word(comparison)
    mean, low, high = (
        100 * float(comparison[key] or "nan") for key in ("change", "change_low", "change_high")
    )
    return f"{mean:+.1f} % [{low:+.1f}, {high:+.1f}] {_word(comparison)}"


def _sentence(baseline: str, comparisons: Mapping[str, Row]) -> str:
    """The settings of each word against a baseline, and those that no number of seeds settles."""
    of_word = {
        word: [f"`{label}`" for label, row in comparisons.items() if _word(row) == word]
        for word in _WORDS
    }
    parts = [f"**{word}**: {', '.join(labels)}" for word, labels in of_word.items() if labels]
    never = [f"`{label}`" for label, row in comparisons.items() if _NONE_SETTLES in row["verdict"]]
    more = (
        f" If means and spreads are as seen, {_NONE_SETTLES} {', '.join(never)}." if never else ""
    )
    return f"- Against {baseline}: {'; '.join(parts)}.{more}" if parts else ""


def _rows(path: Path) -> list[Row]:
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def _kept_rows(path: Path) -> str:
    """The rows of a csv file that the table rests on: of comparisons those of two conditions."""
    lines = path.read_text(encoding="utf-8").splitlines(keepends=True)
    if path.name != "comparison.csv":
        return "".join(lines)
    metric = _rows(path.parent / SOURCES[0])[0]["metric"]
    metrics = {metric + suffix for _, suffix in _FAMILIES.values()}
    own = [row["metric"] for row in _rows(path)]
    kept = (line for line, of in zip(lines[1:], own, strict=True) if of in metrics)
    return lines[0] + "".join(kept)


if __name__ == "__main__":
    main()
