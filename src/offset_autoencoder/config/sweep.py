"""Settings and runs: the lists of a model in params.yaml, expanded to their product."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, get_args, get_origin

from offset_autoencoder.config.schema import Network, Train
from offset_autoencoder.config.systems import Model

SweepValue = str | int | float | bool | tuple[int, ...] | None


def _takes_list(annotation: Any) -> bool:
    return get_origin(annotation) is list or any(map(_takes_list, get_args(annotation)))


# Keys whose single value is itself a list: only a list that holds lists is a sweep.
LIST_VALUED = frozenset(
    key
    for section in (Network, Train, Model)
    for key, field in section.model_fields.items()
    if _takes_list(field.annotation)
)


@dataclass(frozen=True)
class Setting:
    """One model at one value of every key that it sweeps; with a seed, a run.

    Attributes:
        model: The name under ``models:``.
        sweep: The swept keys and this setting's values, in the order of params.yaml.
        network: The network, the model's own keys taken into account.
        train: The training, the model's own keys taken into account.
        spec: The system, its offset and its noise.
    """

    model: str
    sweep: tuple[tuple[str, SweepValue], ...]
    network: Network
    train: Train
    spec: Model

    @property
    def label(self) -> str:
        """The model's name and its swept values: ``"gaussian stddev=0.1"``."""
        return " ".join(
            [self.model, *(f"{key}={format_value(value)}" for key, value in self.sweep)]
        )


@dataclass(frozen=True)
class Run:
    """A setting and a seed: what is trained once."""

    setting: Setting
    seed: int

    @property
    def label(self) -> str:
        """The setting's label and the seed: ``"gaussian stddev=0.1 seed=3"``."""
        return f"{self.setting.label} seed={self.seed}"


def format_value(value: SweepValue) -> str:
    """A swept value as labels, tables and tags have it."""
    if isinstance(value, float):
        return f"{value:.12g}"
    if isinstance(value, tuple):
        return "-".join(str(item) for item in value) or "none"
    return (
        "null" if value is None else str(value).lower() if isinstance(value, bool) else str(value)
    )


def is_sweep(key: str, value: Any) -> bool:
    """True where the value of a key is a list of values to sweep."""
    if not isinstance(value, list):
        return False
    return key not in LIST_VALUED or any(isinstance(item, list) for item in value)


def expand(mapping: Mapping[str, Any]) -> Iterator[tuple[dict[str, Any], dict[str, int]]]:
    """The product of a mapping's lists.

    Yields:
        For each combination, in the order of the lists (the last key varies fastest): the
        mapping with one value a key, and the index taken of each swept key.
    """
    swept = [key for key, value in mapping.items() if is_sweep(key, value)]
    combinations = itertools.product(*(range(len(mapping[key])) for key in swept))
    for indices in combinations:
        chosen = dict(zip(swept, indices, strict=True))
        yield {**mapping, **{key: mapping[key][i] for key, i in chosen.items()}}, chosen
