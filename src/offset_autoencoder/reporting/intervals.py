"""The data behind the plot of settings by the power of what is added."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from offset_autoencoder.config import Setting, format_value
from offset_autoencoder.evaluation.matching import power
from offset_autoencoder.evaluation.summary import SettingSummary, sweep_label

SETTING_COLUMNS = (
    "setting",
    "model",
    "series",
    "power",
    "metric",
    "mean",
    "low",
    "high",
    "runs",
    "diverged",
)


def series(setting: Setting) -> str:
    """The line a setting belongs to when it is drawn against its power.

    The model and what else it sweeps: ``"pca"``, ``"pca latent_dim=8"``. A model with both rms
    and noise has its power from rms, so its stddev stays in the name.
    """
    axis = "rms" if setting.spec.rms is not None else "stddev"
    values = sweep_label(setting, without=(axis,))
    return f"{setting.model} {values}".strip()


def swept_values(setting: Setting) -> str:
    """A setting's swept values, the same word for rms and stddev: ``"power=0.1"``.

    So settings that add the same power have one colour, whichever key it comes from.
    """
    axis = "rms" if setting.spec.rms is not None else "stddev"
    return " ".join(
        f"{'power' if key == axis else key}={format_value(value)}" for key, value in setting.sweep
    )


def setting_rows(summaries: Sequence[SettingSummary]) -> list[dict[str, Any]]:
    """Rows of ``reports/plots/settings.csv``; no power where nothing is added or it is unknown."""
    return [
        {
            "setting": summary.setting.label,
            "model": summary.setting.model,
            "series": series(summary.setting),
            "power": power(summary.setting),
            "metric": summary.metric,
            "mean": summary.estimate.mean,
            "low": summary.estimate.low,
            "high": summary.estimate.high,
            "runs": summary.estimate.count,
            "diverged": summary.diverged,
        }
        for summary in summaries
    ]
