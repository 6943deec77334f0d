"""Short names of settings and runs, as MLflow's tables and charts show them."""

from __future__ import annotations

from offset_autoencoder.config import Run, Setting, format_value


def setting_name(setting: Setting) -> str:
    """``"gaussian 0.1"`` where one number is swept, else the label: ``"wide hidden=64-32"``."""
    values = [value for _, value in setting.sweep]
    if len(values) == 1 and isinstance(values[0], int | float) and not isinstance(values[0], bool):
        return f"{setting.model} {format_value(values[0])}"
    return setting.label


def run_name(run: Run) -> str:
    """The setting's name and the seed: ``"gaussian 0.1 seed 3"``."""
    return f"{setting_name(run.setting)} seed {run.seed}"
