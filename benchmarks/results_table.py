"""Table of results in a Markdown file, made from the reports of an experiment.

    python -m benchmarks.results_table reports README.md docs/results

writes it between the file's two markers, and keeps the rows behind it in a folder beside the
documents, so that whoever reads a figure can look up the row that it comes from.
"""

from __future__ import annotations

import csv
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path

BEGIN, END = "<!-- results: begin -->", "<!-- results: end -->"
SOURCES = ("plots/settings.csv", "comparison.csv", "verdicts.csv")
_WORDS = ("better", "worse", "equivalent", "inconclusive", "too few seeds", "diverged")

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
    words = {row["setting"]: row["verdict"] for row in verdicts}
    nothing = {row["setting"]: row for row in _against(comparisons, "none", "mse")}
    noise = {row["setting"]: row for row in _against(comparisons, "gaussian", "mse_as_trained")}
    lines = [
        "| | error, 1e-3 | against nothing added | against noise of that level, noise on "
        "| what the offset is to its network |",
        "|---|---|---|---|---|",
    ]
    for row in settings:
        label = row["setting"]
        mean, low, high = (1000 * float(row[key] or "nan") for key in ("mean", "low", "high"))
        cells = [
            f"`{label}`",
            f"{mean:.2f} ± {(high - low) / 2:.2f}",
            *(_change(row) if row else "" for row in (nothing.get(label), noise.get(label))),
            words.get(label, ""),
        ]
        lines.append(f"| {' | '.join(cells)} |")
    sentences = [_sentence("nothing added", nothing), _sentence("noise, noise on", noise)]
    sentences += [
        f"- `{row['setting']}` against `{row['baseline']}`: {_change(row)}."
        for row in comparisons
        if row["metric"] == "mse" and row["baseline"] not in ("none", "gaussian")
    ]
    return "\n".join([*lines, "", *(line for line in sentences if line)])


def _against(comparisons: Iterable[Row], baseline: str, metric: str) -> list[Row]:
    return [row for row in comparisons if (row["baseline"], row["metric"]) == (baseline, metric)]


def _word(comparison: Row) -> str:
    sentence = comparison["verdict"]
    return next((word for word in _WORDS if sentence.startswith(word)), "not comparable")


def _change(comparison: Row) -> str:
    if not comparison["change"]:
        return _word(comparison)
    mean, low, high = (
        100 * float(comparison[key] or "nan") for key in ("change", "change_low", "change_high")
    )
    return f"{mean:+.1f} % [{low:+.1f}, {high:+.1f}] {_word(comparison)}"


def _sentence(baseline: str, comparisons: Mapping[str, Row]) -> str:
    """The settings of each word against a baseline."""
    of_word = {
        word: [f"`{label}`" for label, row in comparisons.items() if _word(row) == word]
        for word in _WORDS
    }
    parts = [f"**{word}**: {', '.join(labels)}" for word, labels in of_word.items() if labels]
    return f"- Against {baseline}: {'; '.join(parts)}." if parts else ""


def _rows(path: Path) -> list[Row]:
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def _kept_rows(path: Path) -> str:
    """The rows of a csv file that the table rests on: of comparisons those of two metrics."""
    lines = path.read_text(encoding="utf-8").splitlines(keepends=True)
    if path.name != "comparison.csv":
        return "".join(lines)
    metrics = [row["metric"] for row in _rows(path)]
    kept = (line for line, metric in zip(lines[1:], metrics, strict=True) if metric in _METRICS)
    return lines[0] + "".join(kept)


_METRICS = ("mse", "mse_as_trained")

if __name__ == "__main__":
    main()
