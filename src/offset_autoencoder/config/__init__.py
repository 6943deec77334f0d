"""params.yaml → validated, frozen objects; sweeps expanded to runs."""

from offset_autoencoder.config.data_schema import SPLITS as SPLITS
from offset_autoencoder.config.data_schema import SplitName as SplitName
from offset_autoencoder.config.params import Params as Params
from offset_autoencoder.config.params import Run as Run
from offset_autoencoder.config.params import Setting as Setting
from offset_autoencoder.config.params import SweepValue as SweepValue
from offset_autoencoder.config.params import format_value as format_value
from offset_autoencoder.config.params import load_params as load_params
from offset_autoencoder.config.params import parse_params as parse_params
