"""The data behind the plot of settings by the noise_level of what is added."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal

from offset_autoencoder.config import Setting, format_value
from offset_autoencoder.evaluation.runs_table import noise_level
from offset_autoencoder.evaluation.summary import SettingSummary, sweep_label

SETTING_COLUMNS = (
    "setting",
    "model",
    "series",
    "shown_as",
    "noise_level",
    "metric",
    "mean",
    "low",
    "high",
    "runs",
    "diverged",
    "colour",
)

_POWER_KEYS = frozenset({"rms", "stddev", "ebn0_db"})

ShownAs = Literal["reference", "line", "point"]


def series(setting: Setting) -> str:
    """The line a setting belongs to when it is drawn against its noise_level.

    The model and what else it sweeps: ``"pca"``, ``"pca latent_dim=8"``. A model with both rms
    and noise has its noise_level from rms, so its stddev stays in the name.
    """
    axis = ("rms",) if setting.spec.rms is not None else ("stddev", "ebn0_db")
    values = sweep_label(setting, without=axis)
    return f"{setting.model} {values}".strip()


def swept_values(setting: Setting) -> str:
    """A setting's swept values, the same word for rms and stddev: ``"noise_level=0.1"``.

    So settings that add the same noise_level have one colour, whichever key it comes from.
    """
    axis = "rms" if setting.spec.rms is not None else "stddev"
    return " ".join(
        f"{'noise_level' if key == axis else key}={format_value(value)}"
        for key, value in setting.sweep
    )


def with_power(setting: Setting) -> str:
    """A setting's label, and the noise_level it has without sweeping it: ``"centroid rms=0.1"``."""
    added = noise_level(setting)
    if added is None or _POWER_KEYS & dict(setting.sweep).keys():
        return setting.label
    return f"{setting.label} {'rms' if setting.spec.rms is not None else 'stddev'}={added:g}"


def shown_as(summaries: Sequence[SettingSummary], baselines: Sequence[str]) -> list[ShownAs]:
    """How each setting is drawn against its noise_level.

    On a ``line`` where its series has several powers; as a ``reference`` across the whole
    picture where it is a baseline without a noise_level; else as a ``point`` by its own name.

    Args:
        summaries: The settings in one metric.
        baselines: The models that others are compared with.
    """
    powers: dict[str, set[float]] = {}
    for summary in summaries:
        if (added := noise_level(summary.setting)) is not None:
            powers.setdefault(series(summary.setting), set()).add(added)
    drawn: list[ShownAs] = []
    for summary in summaries:
        setting = summary.setting
        if len(powers.get(series(setting), ())) > 1 and noise_level(setting) is not None:
            drawn.append("line")
        elif setting.model in baselines and noise_level(setting) is None:
            drawn.append("reference")
        else:
            drawn.append("point")
    return drawn


def setting_rows(
    summaries: Sequence[SettingSummary], *, baselines: Sequence[str], colours: Mapping[str, str]
) -> list[dict[str, Any]]:
    """Rows of ``reports/plots/settings.csv``; no level where nothing is added or it is unknown.

    Args:
        summaries: The settings in one metric.
        baselines: The models that others are compared with.
        colours: By model.
    """
    drawn = shown_as(summaries, baselines)
    return [
        {
            "setting": summary.setting.label,
            "model": summary.setting.model,
            "series": series(summary.setting),
            "shown_as": how,
            "noise_level": noise_level(summary.setting),
            "metric": summary.metric,
            "mean": summary.estimate.mean,
            "low": summary.estimate.low,
            "high": summary.estimate.high,
            "runs": summary.estimate.count,
            "diverged": summary.diverged,
            "colour": colours[summary.setting.model],
        }
        for summary, how in zip(summaries, drawn, strict=True)
    ]
