"""Lines of ``prepare`` and ``check`` on the data set: its size, and what was done to it."""

from __future__ import annotations

import itertools
import unicodedata
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from offset_autoencoder.config import Params
from offset_autoencoder.config.data_schema import SPLITS, Data, Split
from offset_autoencoder.data.checks import LINEAR, WrittenSplits
from offset_autoencoder.data.samples import Samples
from offset_autoencoder.data.splits import LEFT_OUT, SplitRows, group_leakage
from offset_autoencoder.errors import first_names

_NAMED = 3
_MANY, _ROWS = 10, 3  # levels that are many where fewer rows than so many have each


def summary_line(summaries: Sequence[WrittenSplits], samples: Samples, note: str) -> str:
    """One line: ``"digits, 1797 × 64, train 1168 / validation 270 / test 359, 10 classes"``."""
    schema = summaries[0].schema
    sizes = {name: sorted({s.schema.samples[name] for s in summaries}) for name in SPLITS}
    counts = " / ".join(f"{name} {_span(sizes[name])}" for name in SPLITS)
    number = len(schema.classes or ())
    classes = f"{number or 'no'} {'labels' if not number else 'class' + 'es' * (number > 1)}"
    size = f"{sum(schema.samples.values())} × {schema.input_dim}"
    line = f"{schema.source}, {size}, {counts}, {classes}"
    constants = sorted({len(s.scale.constant) for s in summaries})
    if most := constants[-1]:
        line += f", {_span(constants)} constant feature{'s' * (most != 1)} set to 0"
        if schema.columns is not None:
            features = sorted({feature for s in summaries for feature in s.scale.constant})
            names = first_names(map(samples.tables[0].feature_name, features), _NAMED)
            line += f" ({names})"
    return line + note


def treatment_lines(
    summaries: Sequence[WrittenSplits], samples: Samples, data: Data, *, varies: bool
) -> list[str]:
    """Lines on the rows, columns and values that are not as the files have them."""
    lines, levels = [], samples.preprocessing.levels
    if samples.dropped:
        rows = len(samples.x) + samples.dropped
        lines.append(f"{samples.dropped} of {rows} rows have a missing cell and are left out")
    if levels:
        names = first_names(f"{column!r} ({len(levels[column])})" for column in levels)
        lines.append(f"columns of text, a feature per level: {names}")
    if samples.left_out:
        where = "the training split" + " of a seed" * varies
        features = samples.x.shape[1] + len(samples.left_out)
        line = f"{len(samples.left_out)} of {features} features are constant over {where} and left "
        lines.append(f"{line}out: {first_names(samples.left_out, _NAMED)}")
    if data.clip:
        up_to = "up to " * (len(summaries) > 1)
        counts = {n: max(s.statistics[n].clipped for s in summaries) for n in SPLITS[1:]}
        size = {name: summaries[0].schema.samples[name] * samples.x.shape[1] for name in counts}
        clauses = [f"{up_to}{n} of {size[name]} in {name}" for name, n in counts.items()]
        lines.append(f"values clipped to the range of the training split: {', '.join(clauses)}")
    return lines


def _span(numbers: Sequence[int]) -> str:
    """``"3 to 7"``, or ``"3"`` where the first and the last of ascending numbers are one."""
    first, last = numbers[0], numbers[-1]
    return f"{last}" if first == last else f"{first} to {last}"


def leakage_warning(summaries: Sequence[WrittenSplits]) -> list[str]:
    """Line where samples stand in more than one split: ``"... 3 of 270 in validation"``."""
    worst = {name: max(summaries, key=lambda s: s.leakage[name]) for name in SPLITS[1:]}
    up_to = "up to " * (len(summaries) > 1)
    clauses = [
        f"{up_to}{summary.leakage[name]} of {summary.schema.samples[name]} in {name}"
        for name, summary in worst.items()
        if summary.leakage[name]
    ]
    warning = f"warning: samples that also stand in an earlier split: {', '.join(clauses)}"
    return [warning] if clauses else []


def text_warnings(samples: Samples) -> list[str]:
    """Lines on text that hardly tells categories, and on text that differs in blanks or capitals.

    That is in columns of text (see :class:`.Preprocessing`), in labels and in groups.
    """
    levels, rows, texts = samples.preprocessing.levels, len(samples.x), []
    many = {column: len(own) for column, own in levels.items() if _MANY <= len(own) > rows / _ROWS}
    if many:
        counts = ", ".join(f"{column!r} has {count} levels" for column, count in many.items())
        what = f"column {counts} in {rows} rows, each a feature of few samples"
        mend = f"if it holds names or sentences, set data.exclude: [{', '.join(many)}]"
        texts.append(f"{what}: {mend}")
    values: dict[str, Sequence[Any]] = {"labels": samples.classes or ()}
    values |= {f"levels of column {column!r}": own for column, own in levels.items()}
    if samples.groups is not None:
        values["groups (split.group)"] = np.unique(samples.groups).tolist()
    return [*texts, *filter(None, itertools.starmap(alike_text, values.items()))]


def alike_text(noun: str, values: Sequence[Any]) -> str:
    """Line on values that differ in blanks or capitals alone; ``""`` where none do."""
    alike: dict[str, list[str]] = {}
    for value in (value for value in values if isinstance(value, str)):
        plain = "".join(unicodedata.normalize("NFKC", value).casefold().split())
        alike.setdefault(plain, []).append(repr(value))
    pairs = [" and ".join(some) for some in alike.values() if len(some) > 1]
    if not pairs:
        return ""
    what = f"{noun} that differ in blanks or capitals alone are not the same"
    mend = "write them alike, by table[NAME].str.strip().str.lower() of pandas, say"
    return f"{what}: {first_names(pairs)}: {mend}"


def anomaly_lines(
    params: Params, rows: SplitRows, is_anomaly: NDArray[np.bool_] | None
) -> list[str]:
    """Lines on the samples that are left out, on what hides anomalies and on what tells of them.

    ``is_anomaly`` is ``(n,)``; None where none are to be detected.
    """
    if is_anomaly is None:
        return []
    test, out = rows["test"], len(rows.get(LEFT_OUT, ()))
    line = f"anomalies: {is_anomaly[test].sum()} of {len(test)} test samples; {out} more "
    lines = [f"{line}left out of train and validation"]
    if params.data.clip:
        what = "data.clip brings values beyond the range of the training split to its end, so that "
        what += f"anomalies that lie there look ordinary: set data.clip: false with {LINEAR}"
        lines.append(f"warning: {what}")
    told = [name for name, offset in params.offsets.items() if offset.needs == "labels"]
    models = dict.fromkeys(s.model for s in params.settings if s.spec.offset in told)
    return lines + [
        f"warning: {name} is given the labels, by which anomalies are told apart" for name in models
    ]


def kept_whole(split: Split, samples: Samples) -> str:
    """Clause on what the splits go by beside the ids, or ``""``."""
    is_stratified = split.stratify and samples.y is not None
    if samples.groups is not None:
        groups = len(np.unique(samples.groups))
        about = ", classes shared out as evenly as they allow" if is_stratified else ""
        return f", {groups} groups ({_named(split, 'group')}) kept whole{about}"
    if samples.moments is not None:
        about = ", not stratified" if is_stratified else ""
        return f", one split in the order of {_named(split, 'order')}{about}"
    return ""


def broken_splits(split: Split, samples: Samples, rows: SplitRows) -> list[str]:
    """Lines where splits that the data bring part a group, or do not follow each other in time."""
    texts: list[str] = []
    if (groups := samples.groups) is not None:
        clauses = [
            f"{parted} of {len(np.unique(groups[rows[name]]))} in {name}"
            for name, parted in group_leakage(groups, rows).items()
            if parted
        ]
        if clauses:
            what = f"groups ({_named(split, 'group')}) that also stand in an earlier split"
            texts.append(f"{what}: {', '.join(clauses)}")
    if samples.moments is not None:
        for name, later in itertools.pairwise(SPLITS):
            moments = samples.moments[rows[name]]
            if late := int(np.sum(moments >= samples.moments[rows[later]].min())):
                what = f"samples of {name} that do not lie before {later} in"
                texts.append(f"{what} {_named(split, 'order')}: {late} of {len(moments)}")
    return texts


def _named(split: Split, key: str) -> str:
    value = getattr(split, key)
    return str(value if isinstance(value, str) else value["train"])
