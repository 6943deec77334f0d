"""Rows of the csv files under ``reports/``; those of ``plots/`` are the data of the charts too."""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Mapping, Sequence
from operator import attrgetter
from typing import Any, Literal, TypeVar

from offset_autoencoder.config import Setting
from offset_autoencoder.evaluation.comparison import Comparison
from offset_autoencoder.evaluation.encoder_adaptation import EncoderAdaptationSummary
from offset_autoencoder.evaluation.interventions import InterventionSummary
from offset_autoencoder.evaluation.metrics import CONDITIONS, higher_is_better
from offset_autoencoder.evaluation.offset_verdict import OffsetVerdict
from offset_autoencoder.evaluation.probes import ProbeSummary
from offset_autoencoder.evaluation.statistics import Estimate
from offset_autoencoder.evaluation.summary import (
    Curve,
    GeneralizationGap,
    SettingSummary,
    noise_level,
    setting_cells,
    sweep_keys,
)
from offset_autoencoder.reporting.charts import spread
from offset_autoencoder.reporting.wording import PARTS, full_label, series, swept_values

T = TypeVar("T")
Row = Mapping[str, Any]
Rows = tuple[Sequence[str], Sequence[Row]]  # columns and rows; a row may lack a column
Fields = Mapping[str, Callable[[T], Any]]
Colours = Mapping[str, str]  # by model, or by what wording.swept_values gives
ShownAs = Literal["reference", "line", "point"]


def _estimate(
    name: str, get: Callable[[T], Estimate], factor: float = 1, *, ends: str | None = None
) -> Fields[T]:
    """A mean and its interval: ``NAME``, ``NAME_low`` and ``NAME_high``, or ``ends`` for NAME_."""
    start = f"{name}_" if ends is None else ends
    return {
        name: lambda item: factor * get(item).mean,
        f"{start}low": lambda item: factor * get(item).low,
        f"{start}high": lambda item: factor * get(item).high,
    }


def _exchange(name: str) -> Fields[OffsetVerdict]:
    return {
        **_estimate(name, attrgetter(f"{name}.change")),
        f"{name}_p_more": attrgetter(f"{name}.p_more"),
        f"{name}_p_less": attrgetter(f"{name}.p_less"),
        f"{name}_p_same": attrgetter(f"{name}.within.p_corrected"),
        f"{name}_shift": attrgetter(f"{name}.shift"),
    }


_COMPARISON: Fields[Comparison] = {
    "baseline": attrgetter("baseline.model"),
    "baseline_setting": attrgetter("baseline.label"),
    "metric": attrgetter("metric"),
    **_estimate("difference", attrgetter("difference"), ends=""),
    "p": attrgetter("p"),
    "p_corrected": attrgetter("p_corrected"),
    **_estimate("change", attrgetter("equivalence.change")),
    "margin": attrgetter("equivalence.margin"),
    "p_equivalence": attrgetter("equivalence.p"),
    "p_equivalence_corrected": attrgetter("equivalence.p_corrected"),
    "equivalent": lambda item: None if math.isnan(item.equivalence.p) else item.equivalence.shown,
    "seeds_needed": attrgetter("needed.seeds"),
    "needed_for": attrgetter("needed.finds"),
    "wins": attrgetter("wins"),
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
    **_estimate("linear_decodability", attrgetter("linear_decodability")),
    **_estimate("donor_shift", attrgetter("donor_shift")),
    "seeds_needed": attrgetter("seeds_needed"),
    "sentence": attrgetter("sentence"),
}
_INTERVENTION: Fields[InterventionSummary] = {
    "intervention": attrgetter("intervention.name"),
    "level": attrgetter("intervention.level"),
    "metric": attrgetter("metric"),
    **_estimate("mean", attrgetter("estimate"), ends=""),
    **_estimate("difference", attrgetter("difference")),
    **_estimate("relative", attrgetter("relative")),
    "runs": attrgetter("estimate.count"),
}
_ADAPTATION: Fields[EncoderAdaptationSummary] = {
    **_estimate("slope", attrgetter("slope")),
    **_estimate("plain_slope", attrgetter("plain_slope")),
    **_estimate("learnt_slope", attrgetter("learnt_slope")),
    **_estimate("code_explained_by_offset", attrgetter("explained")),
}
_GAP: Fields[GeneralizationGap] = {
    "generalization_gap_metric": attrgetter("metric"),
    **_estimate("train", attrgetter("train")),
    **_estimate("generalization_gap", attrgetter("gap")),
    **_estimate("generalization_gap_relative", attrgetter("relative")),
}


_PLOT: Fields[Any] = {
    "setting": attrgetter("setting.label"),
    "model": attrgetter("setting.model"),
}


def _row(fields: Fields[T], item: T) -> dict[str, Any]:
    return {column: get(item) for column, get in fields.items()}


def _table(fields: Fields[T], items: Sequence[T]) -> Rows:
    return list(fields), [_row(fields, item) for item in items]


def _rows(fields: Fields[Any], items: Sequence[Any], settings: Sequence[Setting]) -> Rows:
    """A row per item, led by its model, its setting and the values of all swept keys."""
    keys = sweep_keys(settings)
    return ["model", "setting", *keys, *fields], [
        {**setting_cells(item.setting, keys), **_row(fields, item)} for item in items
    ]


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


def intervention_rows(items: Sequence[InterventionSummary], settings: Sequence[Setting]) -> Rows:
    """``interventions.csv``.

    ``difference`` is the metric under the intervention − that of the same runs left as they
    are; ``relative`` is the change of the error behind it as a share: 0.05 is 5 % worse.
    """
    return _rows(_INTERVENTION, items, settings)


def probe_rows(
    probes: Sequence[ProbeSummary],
    adaptations: Sequence[EncoderAdaptationSummary],
    gaps: Sequence[GeneralizationGap],
    settings: Sequence[Setting],
) -> Rows:
    """``probes.csv``, a row per setting that has any result, in the order of the settings.

    For each part (offset, code, their sum, both side by side) ``PART_explained`` is the share
    of the variance of x that a ridge regression reads from it on the test split, and
    ``PART_accuracy`` the share of the labels; ``offset_over`` says whether the offset's
    intervals are over seeds or, for one table shared by all seeds, over test samples. ``slope``
    to ``code_explained_by_offset`` measure how the encoder adapts to the offset;
    ``encoder_adaptation`` is the word for ``learnt_slope``, ``unknown`` without one.
    ``generalization_gap`` is by what the training split is better. A cell is empty where a
    setting has no such part.
    """
    keys = sweep_keys(settings)
    kinds = ("explained", "accuracy")[: 1 + any(item.accuracy is not None for item in probes)]
    shares: dict[tuple[str, str], Fields[ProbeSummary]] = {
        (part, kind): _estimate(f"{part}_{kind}", attrgetter(kind))
        for part in PARTS
        for kind in kinds
    }
    cells: dict[str, dict[str, Any]] = {}
    for probe in probes:
        row = cells.setdefault(probe.setting.label, {"runs": probe.explained.count})
        for kind in kinds:
            if getattr(probe, kind) is not None:
                row |= _row(shares[probe.part, kind], probe)
        if probe.part == "offset":
            row["offset_over"] = probe.over
    for adaptation in adaptations:
        row = cells.setdefault(adaptation.setting.label, {"runs": adaptation.slope.count})
        row |= {**_row(_ADAPTATION, adaptation), "encoder_adaptation": adaptation.word}
    for gap in gaps:
        row = cells.setdefault(gap.setting.label, {"runs": gap.gap.count})
        row |= _row(_GAP, gap)
    columns = ["model", "setting", *keys, "runs", "offset_over", "encoder_adaptation"]
    columns += [name for fields in (*shares.values(), _ADAPTATION, _GAP) for name in fields]
    return columns, [
        {**setting_cells(setting, keys), **cells[setting.label]}
        for setting in settings
        if setting.label in cells
    ]


def shown_comparisons(
    comparisons: Sequence[Comparison], metric: str
) -> dict[tuple[str, str], list[Comparison]]:
    """The comparisons in a metric that are shown, by baseline model and condition.

    As deployed; against a baseline that is trained with noise also as trained and clean, since
    as deployed its noise is off while an offset is on.

    """
    noisy = {item.baseline.model for item in comparisons if trained_with_noise(item.baseline)}
    groups: dict[tuple[str, str], list[Comparison]] = {}
    for item in comparisons:
        groups.setdefault((item.baseline.model, item.metric), []).append(item)
    return {
        (baseline, condition): groups[baseline, metric + suffix]
        for baseline in dict.fromkeys(item.baseline.model for item in comparisons)
        for suffix, condition in CONDITIONS.items()
        if (baseline, metric + suffix) in groups and (not suffix or baseline in noisy)
    }


def trained_with_noise(setting: Setting) -> bool:
    """True if training draws noise that the deployed model is without."""
    return setting.spec.stddev > 0 or setting.spec.system_record.learns_noise


def comparison_plot(comparisons: Sequence[Comparison], metric: str) -> Rows:
    """``plots/comparison.csv``, of one metric; ``verdict`` is the word.

    ``change``, ``low`` and ``high`` are the change of the error in percent of the baseline's;
    ``difference`` is that of the metric itself.
    """
    fields: Fields[Comparison] = {
        **_PLOT,
        "baseline": attrgetter("baseline.model"),
        "baseline_setting": attrgetter("baseline.label"),
        "metric": lambda _: metric,
        "condition": lambda item: CONDITIONS[item.metric.removeprefix(metric)],
        **_estimate("change", attrgetter("equivalence.change"), 100, ends=""),
        "difference": attrgetter("difference.mean"),
        "p_corrected": attrgetter("p_corrected"),
        "verdict": attrgetter("outcome"),
    }
    families = shown_comparisons(comparisons, metric).values()
    return _table(fields, [item for family in families for item in family])


def shown_in(
    plot: str, summaries: Sequence[InterventionSummary], metric: str
) -> list[InterventionSummary]:
    """The interventions that a plot shows in one metric."""
    return [i for i in summaries if i.metric == metric and i.intervention.kind.plot == plot]


def change_plot(summaries: Sequence[InterventionSummary], metric: str, colours: Colours) -> Rows:
    """``plots/interventions.csv``: changes of the error behind a metric, in % of the own."""
    fields: Fields[InterventionSummary] = {
        **_PLOT,
        "intervention": attrgetter("intervention.name"),
        "panel": attrgetter("intervention.kind.label"),
        "metric": attrgetter("metric"),
        **_estimate("change", attrgetter("relative"), 100, ends=""),
        "runs": attrgetter("relative.count"),
        "colour": lambda item: colours[item.setting.model],
    }
    return _table(fields, shown_in("interventions", summaries, metric))


def probe_plot(probes: Sequence[ProbeSummary], colours: Colours) -> list[Row]:
    """Rows of the picture of the probes: shares in %, those of labels read right ``open``."""
    return [
        {
            "setting": probe.setting.label,
            "panel": PARTS[probe.part],
            "open": kind == "accuracy",
            **_row(_estimate("mean", attrgetter(kind), 100, ends=""), probe),
            "colour": colours[probe.setting.model],
        }
        for probe in probes
        for kind in ("accuracy", "explained")
        if getattr(probe, kind) is not None
    ]


def level_plot(
    summaries: Sequence[InterventionSummary], metric: str, plot: str, colours: Colours
) -> Rows:
    """``plots/robustness.csv`` and ``plots/offset_scales.csv``, by setting and ascending level."""
    fields: Fields[InterventionSummary] = {
        **_PLOT,
        "values": lambda item: swept_values(item.setting),
        "level": attrgetter("intervention.level"),
        "metric": attrgetter("metric"),
        **_estimate("mean", attrgetter("estimate"), ends=""),
        "runs": attrgetter("estimate.count"),
        "colour": lambda item: colours[swept_values(item.setting)],
    }
    items = shown_in(plot, summaries, metric)
    order = [item.setting.label for item in items]
    items.sort(key=lambda i: (order.index(i.setting.label), i.intervention.level or 0.0))
    return _table(fields, items)


def curve_plot(curves: Sequence[Curve], colours: Colours) -> Rows:
    """``plots/learning_curves.csv``, a row per point."""
    columns = ["setting", "model", "values", "epoch", "mean", "low", "high", "runs", "colour"]
    rows = []
    for curve in curves:
        values = swept_values(curve.setting)
        lead = [curve.setting.label, curve.setting.model, values]
        points = (part.tolist() for part in (curve.epochs, curve.mean, curve.low, curve.high))
        for point in zip(*points, strict=True):
            cells = (*lead, *point, curve.runs, colours[values])
            rows.append(dict(zip(columns, cells, strict=True)))
    return columns, rows


def shown_as(summaries: Sequence[SettingSummary], baselines: Sequence[str]) -> list[ShownAs]:
    """The form in which each setting is drawn against its noise level.

    On a ``line`` where its series has several levels; as a ``reference`` across the whole
    picture where it is a baseline without a level; else as a ``point`` by its own name.
    """
    levels: dict[str, set[float]] = {}
    for summary in summaries:
        if (added := noise_level(summary.setting)) is not None:
            levels.setdefault(series(summary.setting), set()).add(added)
    drawn: list[ShownAs] = []
    for setting in (summary.setting for summary in summaries):
        if noise_level(setting) is None:
            drawn.append("reference" if setting.model in baselines else "point")
        else:
            drawn.append("line" if len(levels[series(setting)]) > 1 else "point")
    return drawn


def setting_plot(
    summaries: Sequence[SettingSummary], *, baselines: Sequence[str], colours: Colours
) -> Rows:
    """``plots/settings.csv``; no noise level where nothing is added or it is unknown.

    ``label_at`` is where on the axis of the metric the name of a line stands, in the row of its
    end; empty elsewhere.
    """
    drawn = shown_as(summaries, baselines)
    names = _label_places(summaries, drawn)
    fields: Fields[tuple[SettingSummary, ShownAs]] = {
        "setting": lambda at: at[0].setting.label,
        "model": lambda at: at[0].setting.model,
        "series": lambda at: series(at[0].setting),
        "name": lambda at: full_label(at[0].setting),
        "shown_as": lambda at: at[1],
        "noise_level": lambda at: noise_level(at[0].setting),
        "metric": lambda at: at[0].metric,
        **_estimate("mean", lambda at: at[0].estimate, ends=""),
        "runs": lambda at: at[0].estimate.count,
        "diverged": lambda at: at[0].diverged,
        "label_at": lambda at: names.get(at[0].setting.label),
        "colour": lambda at: colours[at[0].setting.model],
    }
    return _table(fields, list(zip(summaries, drawn, strict=True)))


def _label_places(
    summaries: Sequence[SettingSummary], drawn: Sequence[ShownAs]
) -> dict[str, float]:
    """By setting, at which value the name of the line that ends there stands; apart from others."""
    ends: dict[str, SettingSummary] = {}
    pairs = zip(summaries, drawn, strict=True)
    finite = [pair for pair in pairs if math.isfinite(pair[0].estimate.mean)]
    for item, how in sorted(finite, key=lambda at: noise_level(at[0].setting) or 0):
        if how != "point":
            ends[series(item.setting) if how == "line" else item.setting.label] = item
    if "line" not in drawn or not ends:
        return {}
    log = is_logarithmic(summaries)
    forth, back = (math.log10, functools.partial(pow, 10.0)) if log else (float, float)
    places = [forth(item.estimate.mean) for item, _ in finite]
    # The height of a name is this share of that of its chart.
    apart = 0.036 * ((max(places) - min(places)) or 1.0)
    ordered = sorted(ends.values(), key=lambda item: item.estimate.mean)
    moved = spread([forth(item.estimate.mean) for item in ordered], apart)
    return {item.setting.label: back(at) for item, at in zip(ordered, moved, strict=True)}


def is_logarithmic(summaries: Sequence[SettingSummary]) -> bool:
    """True if the axis of these metrics is logarithmic: errors, all of them above zero."""
    positive = all(s.estimate.mean > 0 for s in summaries if math.isfinite(s.estimate.mean))
    return positive and not higher_is_better(summaries[0].metric)
