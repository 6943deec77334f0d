"""The picture of the comparisons: how each setting's error differs from that of each baseline."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from offset_autoencoder.evaluation.comparison import Comparison
from offset_autoencoder.evaluation.verdict_wording import OUTCOMES, percent
from offset_autoencoder.reporting.axes import ROW_HEIGHT, draw_row, percent_axis, rows_by_name
from offset_autoencoder.reporting.colours import OUTCOME_COLOURS
from offset_autoencoder.reporting.comparisons import shown_comparisons
from offset_autoencoder.reporting.figure import WIDTH, written_figure
from offset_autoencoder.reporting.metric_names import error_name


def draw_comparison(
    path: Path, comparisons: Sequence[Comparison], *, metric: str, confidence: float
) -> bool:
    """Draw the change of each setting's error against each baseline, with its interval.

    A panel a baseline; against one that is trained with noise a panel a condition.

    Args:
        path: Where the PNG goes.
        comparisons: The comparisons; those in other metrics are passed over.
        metric: The metric whose error to draw: its change in percent of the baseline's, on an
            axis that is linear up to 10 % and logarithmic beyond.
        confidence: The share of intervals that hold the true change, for the caption.

    Returns:
        Whether there was anything to draw; nothing is written otherwise.
    """
    chosen = shown_comparisons(comparisons, metric)
    if not chosen:
        return False
    items = [item for group in chosen.values() for item in group]
    labels = list(dict.fromkeys(item.setting.label for item in items))
    margin = items[0].equivalence.margin
    with written_figure(path, (WIDTH, 1.6 + ROW_HEIGHT * len(labels))) as figure:
        panels = rows_by_name(figure, labels, _titles(list(chosen)))
        for panel, group in zip(panels, chosen.values(), strict=True):
            panel.axvspan(-100 * margin, 100 * margin, color="#dddddd", linewidth=0)
            panel.axvline(0, color="black", linewidth=1)
            for item in group:
                colour = OUTCOME_COLOURS[item.outcome]
                draw_row(panel, item.equivalence.change, labels.index(item.setting.label), colour)
        percent_axis(panels[0], [item.equivalence.change for item in items])
        figure.supxlabel(f"change of the {error_name(metric)}, % of the baseline's", fontsize=10)
        shown = [outcome for outcome in OUTCOMES if any(i.outcome == outcome for i in items)]
        for outcome in shown:
            panels[0].plot([], [], "o-", color=OUTCOME_COLOURS[outcome], label=outcome)
        figure.legend(
            loc="outside upper center",
            ncols=len(shown),
            frameon=False,
            title=f"setting against baseline at the same seed, mean and {percent(confidence)} "
            f"interval; left of zero is better; grey: within ± {100 * margin:g} %",
        )
    return True


def _titles(shown: Sequence[tuple[str, str]]) -> list[str]:
    """The baseline of each panel; the condition too, where it has several."""
    baselines = [baseline for baseline, _ in shown]
    return [
        f"against {baseline}" + (f"\n{condition}" if baselines.count(baseline) > 1 else "")
        for baseline, condition in shown
    ]
