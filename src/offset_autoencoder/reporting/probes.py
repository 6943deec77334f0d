"""What offset and code tell, as rows of ``reports/probes.csv``: one a setting."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from offset_autoencoder.config import Setting
from offset_autoencoder.evaluation.encoder_adaptation import EncoderAdaptationSummary
from offset_autoencoder.evaluation.probes import PARTS, ProbeSummary
from offset_autoencoder.evaluation.runs_table import setting_cells, sweep_keys
from offset_autoencoder.evaluation.statistics import Estimate
from offset_autoencoder.evaluation.summary import GeneralizationGap


def probe_rows(
    probes: Sequence[ProbeSummary],
    adaptations: Sequence[EncoderAdaptationSummary],
    gaps: Sequence[GeneralizationGap],
    settings: Sequence[Setting],
) -> tuple[list[str], list[dict[str, Any]]]:
    """Columns and rows of ``reports/probes.csv``.

    For each part (offset, code, their sum, both side by side) ``PART_explained`` is the share
    of the variance of x that a ridge regression reads from it on the test split, and
    ``PART_accuracy`` the share of the labels; ``offset_over`` says whether the offset's
    intervals are over seeds or, for one table shared by all seeds, over test samples. ``slope``
    to ``code_explained_by_offset`` are how the encoder adapts to the offset;
    ``encoder_adaptation`` is the word for ``learnt_slope``, ``unknown`` without one.
    ``generalization_gap`` is what training is better by. A cell is empty where a setting has no
    such part.

    Args:
        probes: What the parts tell.
        adaptations: How the encoders answer.
        gaps: The gaps between training and test, in one metric.
        settings: The settings, in the order of the report; one without any finding has no row.
    """
    keys = sweep_keys(settings)
    accuracy = any(item.accuracy is not None for item in probes)
    names = [
        f"{part}_{what}" for part in PARTS for what in ("explained", "accuracy")[: 1 + accuracy]
    ]
    names += ["slope", "plain_slope", "learnt_slope", "code_explained_by_offset"]
    columns = ["model", "setting", *keys, "runs", "offset_over", "encoder_adaptation"]
    columns += [name + end for name in names for end in ("", "_low", "_high")]
    columns += ["generalization_gap_metric", "train", "train_low", "train_high"]
    columns += [
        name + end
        for name in ("generalization_gap", "generalization_gap_relative")
        for end in ("", "_low", "_high")
    ]
    cells: dict[str, dict[str, Any]] = {}
    for item in probes:
        row = cells.setdefault(item.setting.label, {"runs": item.explained.count})
        row |= _cells(f"{item.part}_explained", item.explained)
        if item.accuracy is not None:
            row |= _cells(f"{item.part}_accuracy", item.accuracy)
        if item.part == "offset":
            row["offset_over"] = item.over
    for answer in adaptations:
        row = cells.setdefault(answer.setting.label, {"runs": answer.slope.count})
        row |= {
            **_cells("slope", answer.slope),
            **_cells("plain_slope", answer.plain_slope),
            **_cells("learnt_slope", answer.learnt_slope),
            **_cells("code_explained_by_offset", answer.explained),
            "encoder_adaptation": answer.word,
        }
    for gap in gaps:
        row = cells.setdefault(gap.setting.label, {"runs": gap.gap.count})
        row |= {
            "generalization_gap_metric": gap.metric,
            **_cells("train", gap.train),
            **_cells("generalization_gap", gap.gap),
            **_cells("generalization_gap_relative", gap.relative),
        }
    rows = [
        {**setting_cells(setting, keys), **cells[setting.label]}
        for setting in settings
        if setting.label in cells
    ]
    return columns, rows


def _cells(name: str, estimate: Estimate) -> dict[str, float]:
    return {name: estimate.mean, f"{name}_low": estimate.low, f"{name}_high": estimate.high}
