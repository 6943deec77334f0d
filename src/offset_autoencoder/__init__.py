"""Experiments with what is added to an autoencoder's code.

The names below are imported when they are first used, so that ``import offset_autoencoder``
costs nothing and TensorFlow is loaded only by what needs it.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from offset_autoencoder.api.comparing import compare as compare
    from offset_autoencoder.api.examining import examine as examine
    from offset_autoencoder.api.results import load_results as load_results
    from offset_autoencoder.config import load_params as load_params
    from offset_autoencoder.data.prepared import load_prepared as load_prepared
    from offset_autoencoder.data.varying import load_splits as load_splits
    from offset_autoencoder.errors import InputError as InputError
    from offset_autoencoder.models.building import build_autoencoder as build_autoencoder
    from offset_autoencoder.models.layers import CodeNoise as CodeNoise
    from offset_autoencoder.models.layers import UnitNorm as UnitNorm
    from offset_autoencoder.offsets.kind import apply_offset as apply_offset
    from offset_autoencoder.offsets.table import load_table as load_table
    from offset_autoencoder.runs.load import load_run as load_run

_HOMES = {
    "CodeNoise": "models.layers",
    "InputError": "errors",
    "UnitNorm": "models.layers",
    "apply_offset": "offsets.kind",
    "build_autoencoder": "models.building",
    "compare": "api.comparing",
    "examine": "api.examining",
    "load_params": "config",
    "load_prepared": "data.prepared",
    "load_results": "api.results",
    "load_run": "runs.load",
    "load_splits": "data.varying",
    "load_table": "offsets.table",
}

__all__ = list(_HOMES)


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{_HOMES[name]}"), name)


def __dir__() -> list[str]:
    return sorted(_HOMES)
