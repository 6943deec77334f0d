"""params.yaml → validated, frozen objects; sweeps expanded to runs."""

from offset_autoencoder.config.params import Params, load_params, parse_params
from offset_autoencoder.config.schema import SPLITS, SplitName
from offset_autoencoder.config.sweep import Run, Setting, SweepValue, format_value

__all__ = [
    "SPLITS",
    "Params",
    "Run",
    "Setting",
    "SplitName",
    "SweepValue",
    "format_value",
    "load_params",
    "parse_params",
]
