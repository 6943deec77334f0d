"""Columns of ``reports/verdicts.csv``."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from operator import attrgetter
from typing import Any

from offset_autoencoder.evaluation.controls import CONTROLS, Network
from offset_autoencoder.evaluation.offset_effects import AGAINST, CHANGES, DONOR_SHIFT
from offset_autoencoder.evaluation.offset_verdict import BEYOND, OffsetVerdict

Get = Callable[[OffsetVerdict], Any]

_ENDS = {"": "mean", "_low": "low", "_high": "high"}
_TESTED = {end: f"change.{path}" for end, path in _ENDS.items()} | {
    f"_{path}": path for path in ("p_more", "p_less", "p_same", "shift")
}


def short_name(control: Network) -> str:
    """A control in the names of columns: ``nothing``, ``noise``."""
    return control.rpartition(" ")[2]


def _columns(name: str, paths: Mapping[str, str], get: Get) -> dict[str, Get]:
    """Columns by the ends of their names; empty where a verdict has nothing to get."""

    def value_at(path: str) -> Get:
        return lambda item: None if (found := get(item)) is None else attrgetter(path)(found)

    return {f"{name}{end}": value_at(path) for end, path in paths.items()}


def _effect(name: str) -> dict[str, Get]:
    return _columns(name, _TESTED, lambda item: item.effects[name])


def _beyond(name: str, control: Network) -> dict[str, Get]:
    column = f"{name}_beyond_{short_name(control)}"
    return _columns(column, _TESTED, lambda item: item.beyond.get(control, {}).get(name))


def _against(name: str) -> dict[str, Get]:
    return _columns(name, _ENDS, lambda item: item.against.get(name))


def _unit(item: OffsetVerdict) -> str:
    return "trained with nothing" if item.has_baseline else "own clean error"


_FAMILIES = (
    *(_effect(name) for name in (*CHANGES, DONOR_SHIFT)),
    *(_beyond(name, control) for control in CONTROLS for name in BEYOND),
    *(_against(name) for name in AGAINST),
)
# Of each exchange, on unseen samples and, `_train`, on training samples, the change of the error in
# the unit, the error of the run trained with nothing where there is one; the corrected one-sided p
# that it is above the margin, below its negative and within it; and which is shown. Then by how
# much some of them exceed those of the controls. `against_`: the error less that of the other, as a
# share of that, as deployed (noise off) and as trained (noise on).
VERDICT: Mapping[str, str | Get] = {
    "verdict": "word",
    "metric": "metric",
    "seeds": "seeds",
    "margin": "margin",
    "unit": _unit,
    **{column: get for family in _FAMILIES for column, get in family.items()},
    **{f"linear_decodability{end}": f"linear_decodability.{path}" for end, path in _ENDS.items()},
    "unsettled": "unsettled",
    "seeds_needed": "seeds_needed",
    "sentence": "sentence",
}
