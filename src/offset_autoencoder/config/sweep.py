"""A list is a sweep: one model's mapping → the product of its lists."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from offset_autoencoder.config.model import Model
from offset_autoencoder.config.schema import Network, Train

SweepValue = str | int | float | bool | tuple[int, ...] | None

# Keys whose single value is itself a list: only a list that holds lists is a sweep.
LIST_VALUED = frozenset({"hidden", "second_hidden", "filters"})


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
    """A swept value as it is shown in labels, tables and tags."""
    if isinstance(value, float):
        return f"{value:.12g}"
    if isinstance(value, tuple):
        return "-".join(str(item) for item in value) or "none"
    return (
        "null" if value is None else str(value).lower() if isinstance(value, bool) else str(value)
    )


def is_sweep(key: str, value: Any) -> bool:
    """Whether the value of a key is a list of values to sweep."""
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
