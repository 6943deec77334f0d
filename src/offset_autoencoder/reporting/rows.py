"""Rows of the csv files under ``reports/``.

A file is a table of fields: of each column its name, and what it takes from a result.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from operator import attrgetter
from typing import Any, TypeVar

from offset_autoencoder.config import Setting
from offset_autoencoder.evaluation.comparison import Comparison
from offset_autoencoder.evaluation.encoder_adaptation import EncoderAdaptationSummary
from offset_autoencoder.evaluation.interventions import InterventionSummary
from offset_autoencoder.evaluation.offset_verdict import OffsetVerdict
from offset_autoencoder.evaluation.probes import PARTS, ProbeSummary
from offset_autoencoder.evaluation.statistics import Estimate
from offset_autoencoder.evaluation.summary import GeneralizationGap, setting_cells, sweep_keys

T = TypeVar("T")
Row = Mapping[str, Any]
Rows = tuple[Sequence[str], Sequence[Row]]
"""Columns and rows of a csv file; a row may lack a column."""

Fields = Mapping[str, Callable[[T], Any]]
_ENDS = ("", "_low", "_high")


def estimate_fields(name: str, get: Callable[[T], Estimate], factor: float = 1) -> Fields[T]:
    """A mean and the ends of its interval: ``NAME``, ``NAME_low`` and ``NAME_high``."""
    return {
        f"{name}{ending}": _end(get, end, factor)
        for ending, end in (("", "mean"), ("_low", "low"), ("_high", "high"))
    }


def interval_fields(name: str, get: Callable[[T], Estimate], factor: float = 1) -> Fields[T]:
    """Fields of an estimate with the ends called ``low`` and ``high``."""
    return {
        column: _end(get, end, factor)
        for column, end in ((name, "mean"), ("low", "low"), ("high", "high"))
    }


def _end(get: Callable[[T], Estimate], end: str, factor: float) -> Callable[[T], float]:
    return lambda item: factor * getattr(get(item), end)


def _exchange(name: str) -> Fields[OffsetVerdict]:
    """Fields of an exchange of the offset."""
    return {
        **estimate_fields(name, attrgetter(f"{name}.change")),
        f"{name}_p_more": attrgetter(f"{name}.p_more"),
        f"{name}_p_less": attrgetter(f"{name}.p_less"),
        f"{name}_p_same": attrgetter(f"{name}.within.p_corrected"),
        f"{name}_shift": attrgetter(f"{name}.shift"),
    }


_COMPARISON: Fields[Comparison] = {
    "baseline": attrgetter("baseline.model"),
    "baseline_setting": attrgetter("baseline.label"),
    "metric": attrgetter("metric"),
    **interval_fields("difference", attrgetter("difference")),
    "p": attrgetter("p"),
    "p_corrected": attrgetter("p_corrected"),
    **estimate_fields("change", attrgetter("equivalence.change")),
    "margin": attrgetter("equivalence.margin"),
    "p_equivalence": attrgetter("equivalence.p"),
    "p_equivalence_corrected": attrgetter("equivalence.p_corrected"),
    "equivalent": lambda item: None if math.isnan(item.equivalence.p) else item.equivalence.shown,
    "seeds_needed": attrgetter("needed.seeds"),
    "needed_for": attrgetter("needed.finds"),
    "wins": attrgetter("wins.wins"),
    "pairs": attrgetter("pairs"),
    "verdict": attrgetter("verdict"),
}
_VERDICT: Fields[OffsetVerdict] = {
    "verdict": attrgetter("word"),
    "metric": attrgetter("metric"),
    "seeds": attrgetter("seeds"),
    "margin": attrgetter("permuted.within.margin"),
    **_exchange("permuted"),
    **_exchange("gaussian"),
    **_exchange("omitted"),
    **estimate_fields("linear_decodability", attrgetter("linear_decodability")),
    **estimate_fields("donor_shift", attrgetter("donor_shift")),
    "seeds_needed": attrgetter("seeds_needed"),
    "sentence": attrgetter("sentence"),
}
_INTERVENTION: Fields[InterventionSummary] = {
    "intervention": attrgetter("intervention.name"),
    "level": attrgetter("intervention.level"),
    "metric": attrgetter("metric"),
    **interval_fields("mean", attrgetter("estimate")),
    **estimate_fields("difference", attrgetter("difference")),
    **estimate_fields("relative", attrgetter("relative")),
    "runs": attrgetter("estimate.count"),
}
_ADAPTATION: Fields[EncoderAdaptationSummary] = {
    **estimate_fields("slope", attrgetter("slope")),
    **estimate_fields("plain_slope", attrgetter("plain_slope")),
    **estimate_fields("learnt_slope", attrgetter("learnt_slope")),
    **estimate_fields("code_explained_by_offset", attrgetter("explained")),
}
_GAP: Fields[GeneralizationGap] = {
    "generalization_gap_metric": attrgetter("metric"),
    **estimate_fields("train", attrgetter("train")),
    **estimate_fields("generalization_gap", attrgetter("gap")),
    **estimate_fields("generalization_gap_relative", attrgetter("relative")),
}


def _rows(fields: Fields[T], items: Sequence[T], settings: Sequence[Setting]) -> Rows:
    """A row per item, led by its model, its setting and the values of all swept keys."""
    keys = sweep_keys(settings)
    setting_of = attrgetter("setting")
    return [*_leading(keys), *fields], [
        {**setting_cells(setting_of(item), keys), **row_of(fields, item)} for item in items
    ]


def row_of(fields: Fields[T], item: T) -> dict[str, Any]:
    """The cells of one item."""
    return {column: get(item) for column, get in fields.items()}


def _leading(keys: Sequence[str]) -> list[str]:
    return ["model", "setting", *keys]


def comparison_rows(comparisons: Sequence[Comparison], settings: Sequence[Setting]) -> Rows:
    """``comparison.csv``; ``verdict`` is the sentence.

    ``change`` is the relative change of the error that equivalence is judged by, and
    ``needed_for`` says what ``seeds_needed`` seeds would show.
    """
    return _rows(_COMPARISON, comparisons, settings)


def verdict_rows(verdicts: Sequence[OffsetVerdict], settings: Sequence[Setting]) -> Rows:
    """``verdicts.csv``.

    For each of ``permuted``, ``gaussian`` and ``omitted`` the change of the error as a share of
    that with its own offset, its interval, the corrected one-sided p that it is above the
    margin, below its negative and within it, and which of them is shown; then the offset's
    linear decodability and its donor shift, with their intervals.
    """
    return _rows(_VERDICT, verdicts, settings)


def intervention_rows(
    summaries: Sequence[InterventionSummary], settings: Sequence[Setting]
) -> Rows:
    """``interventions.csv``.

    ``difference`` is the metric under the intervention − that of the same runs left as they
    are; ``relative`` is the change of the error behind it as a share: 0.05 is 5 % worse.
    """
    return _rows(_INTERVENTION, summaries, settings)


def probe_rows(
    probes: Sequence[ProbeSummary],
    adaptations: Sequence[EncoderAdaptationSummary],
    gaps: Sequence[GeneralizationGap],
    settings: Sequence[Setting],
) -> Rows:
    """``probes.csv``, a row per setting.

    For each part (offset, code, their sum, both side by side) ``PART_explained`` is the share
    of the variance of x that a ridge regression reads from it on the test split, and
    ``PART_accuracy`` the share of the labels; ``offset_over`` says whether the offset's
    intervals are over seeds or, for one table shared by all seeds, over test samples. ``slope``
    to ``code_explained_by_offset`` measure how the encoder adapts to the offset;
    ``encoder_adaptation`` is the word for ``learnt_slope``, ``unknown`` without one.
    ``generalization_gap`` is by what the training split is better. A cell is empty where a
    setting has no such part.

    Args:
        probes: Results of the probes.
        adaptations: Adaptation of the encoders to the offsets.
        gaps: Gaps between training and test, in one metric.
        settings: The settings, in the order of the report; one without any result has no row.
    """
    keys = sweep_keys(settings)
    kinds = ("explained", "accuracy")[: 1 + any(item.accuracy is not None for item in probes)]
    names = [f"{part}_{kind}{end}" for part in PARTS for kind in kinds for end in _ENDS]
    columns = [*_leading(keys), "runs", "offset_over", "encoder_adaptation"]
    columns += [*names, *_ADAPTATION, *_GAP]
    cells: dict[str, dict[str, Any]] = {}
    for probe in probes:
        row = cells.setdefault(probe.setting.label, {"runs": probe.explained.count})
        for kind in kinds:
            if getattr(probe, kind) is not None:
                fields: Fields[Any] = estimate_fields(f"{probe.part}_{kind}", attrgetter(kind))
                row |= row_of(fields, probe)
        if probe.part == "offset":
            row["offset_over"] = probe.over
    for adaptation in adaptations:
        row = cells.setdefault(adaptation.setting.label, {"runs": adaptation.slope.count})
        row |= {**row_of(_ADAPTATION, adaptation), "encoder_adaptation": adaptation.word}
    for gap in gaps:
        row = cells.setdefault(gap.setting.label, {"runs": gap.gap.count})
        row |= row_of(_GAP, gap)
    return columns, [
        {**setting_cells(setting, keys), **cells[setting.label]}
        for setting in settings
        if setting.label in cells
    ]
