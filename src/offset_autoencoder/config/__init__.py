"""params.yaml → validated, frozen objects; sweeps expanded to runs."""

from offset_autoencoder.config.params import (
    Params,
    Run,
    Setting,
    SweepValue,
    format_value,
    load_params,
    parse_params,
)
from offset_autoencoder.config.schema import SPLITS, SplitName

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
