"""Places of settings, and of their names, in the plot of the metric against the noise level."""

from __future__ import annotations

import functools
import math
from collections.abc import Mapping, Sequence

from offset_autoencoder.config import Setting
from offset_autoencoder.evaluation import summary
from offset_autoencoder.evaluation.metrics import higher_is_better
from offset_autoencoder.reporting.wording import series


def shown_as(
    summaries: Sequence[summary.SettingSummary], baselines: Sequence[str]
) -> dict[str, str]:
    """The form in which each setting is drawn against its noise level, by label.

    On a ``line`` where its series has several levels; as a ``reference`` across the whole
    picture where it is a baseline without a level; else as a ``point`` by its own name.
    """
    settings = [item.setting for item in summaries]
    levels: dict[str, set[float | None]] = {}
    for setting in settings:
        levels.setdefault(series(setting), set()).add(setting.noise_level)

    def how(setting: Setting) -> str:
        if setting.noise_level is None:
            return "reference" if setting.model in baselines else "point"
        return "line" if len(levels[series(setting)] - {None}) > 1 else "point"

    return {setting.label: how(setting) for setting in settings}


def label_places(
    summaries: Sequence[summary.SettingSummary], shown: Mapping[str, str]
) -> dict[str, float]:
    """By setting, at which value the name of the line that ends there stands; apart from others."""
    finite = [item for item in summaries if math.isfinite(item.estimate.mean)]
    ends: dict[str, summary.SettingSummary] = {}
    for item in sorted(finite, key=lambda item: item.setting.noise_level or 0):
        how = shown[item.setting.label]
        if how != "point":
            ends[series(item.setting) if how == "line" else item.setting.label] = item
    if "line" not in shown.values() or not ends:
        return {}
    log = is_logarithmic(summaries)
    forth, back = (math.log10, functools.partial(pow, 10.0)) if log else (float, float)
    places = [forth(item.estimate.mean) for item in finite]
    # The height of a name is this share of that of its chart.
    apart = 0.036 * ((max(places) - min(places)) or 1.0)
    ordered = sorted(ends.values(), key=lambda item: item.estimate.mean)
    moved = spread([forth(item.estimate.mean) for item in ordered], apart)
    return {item.setting.label: back(at) for item, at in zip(ordered, moved, strict=True)}


def spread(places: Sequence[float], apart: float) -> list[float]:
    """Ascending places, moved as little as it takes for each to be ``apart`` from the next."""

    def bottom(group: Sequence[float]) -> float:
        return sum(group) / len(group) - apart * (len(group) - 1) / 2

    groups: list[list[float]] = []
    for place in places:
        groups.append([place])
        while (
            len(groups) > 1
            and bottom(groups[-1]) < bottom(groups[-2]) + apart * (len(groups[-2]) - 1) + apart
        ):
            last = groups.pop()
            groups[-1] += last
    return [bottom(group) + apart * index for group in groups for index in range(len(group))]


def is_logarithmic(summaries: Sequence[summary.SettingSummary]) -> bool:
    """True if the axis of these metrics is logarithmic: errors, all of them above zero."""
    positive = all(s.estimate.mean > 0 for s in summaries if math.isfinite(s.estimate.mean))
    return positive and not higher_is_better(summaries[0].metric)
