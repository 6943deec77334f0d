"""``network:``, ``train:`` and ``models:`` → every setting: a model at one value of each sweep."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, TypeVar

from pydantic import TypeAdapter, ValidationError

from offset_autoencoder.config.model import Model
from offset_autoencoder.config.offset_kinds import ZeroOffset
from offset_autoencoder.config.schema import Network, Section, Train
from offset_autoencoder.config.sweep import Setting, expand, format_value, is_sweep
from offset_autoencoder.config.validation import as_mapping, validate_section
from offset_autoencoder.config.values import Name
from offset_autoencoder.errors import InputError, did_you_mean

MAX_RUNS = 100_000
"""More than anyone trains: a larger number is a slip of the keyboard."""

S = TypeVar("S", bound=Section)
_NAME: TypeAdapter[str] = TypeAdapter(Name)


def expand_models(
    origin: str,
    sections: Mapping[str, dict[str, Any]],
    offsets: Mapping[str, Section],
    seeds: int,
) -> tuple[Setting, ...]:
    """Every model at every value that it sweeps, in the order of the file.

    Args:
        origin: The params file's name, for messages.
        sections: ``network``, ``train`` and ``models`` as they stand there.
        offsets: What stands under ``offsets:``, validated.
        seeds: How many seeds each setting has.

    Raises:
        InputError: for the first thing that is wrong, naming its key, or where there are more
            than :data:`MAX_RUNS` runs.
    """
    if not sections["models"]:
        raise InputError(f"{origin}: models", "names no model")
    shared = {
        **_keyed(origin, "network", Network, sections["network"]),
        **_keyed(origin, "train", Train, sections["train"]),
    }
    settings: list[Setting] = []
    for name, value in sections["models"].items():
        where = f"{origin}: models.{check_name(f'{origin}: models', name)}"
        own = as_mapping(where, value)
        _check_keys(where, own, Model, Network, Train)
        places = {key: place for key, (place, _) in shared.items()}
        places |= {key: f"{where}.{key}" for key in own}
        merged = {key: item for key, (_, item) in shared.items() if key not in own} | own
        sweeps = {key: len(item) for key, item in merged.items() if is_sweep(key, item)}
        for key, values in sweeps.items():
            if not values:
                raise InputError(places[key], "a sweep needs at least one value, got an empty list")
        runs = (len(settings) + math.prod(sweeps.values())) * seeds
        if runs > MAX_RUNS:
            raise InputError(
                where,
                f"brings the number of runs to {runs:,}, at most {MAX_RUNS:,} are allowed",
                "sweep fewer values, or take fewer seeds",
            )
        settings += _settings_of(str(name), where, places, merged, offsets)
    _check_matches(origin, settings)
    return tuple(settings)


def check_name(where: str, name: str) -> str:
    """A name that params.yaml gives, which is also that of a folder.

    Raises:
        InputError: where it has other characters than a name may have.
    """
    try:
        return _NAME.validate_python(name)
    except ValidationError:
        raise InputError(
            f"{where}.{name}",
            "a name is a letter, then letters, digits, '_' or '-', at most 64",
        ) from None


def _settings_of(
    name: str,
    where: str,
    places: Mapping[str, str],
    merged: Mapping[str, Any],
    offsets: Mapping[str, Section],
) -> Iterator[Setting]:
    seen: dict[str, dict[str, int]] = {}
    for combination, indices in expand(merged):
        at = {
            key: place + (f"[{indices[key]}]" if key in indices else "")
            for key, place in places.items()
        }
        network = _validate_keys(Network, where, at, combination)
        train = _validate_keys(Train, where, at, combination)
        spec = _validate_keys(Model, where, at, combination)
        _check_offset(at.get("offset", where), at.get("rms", where), spec, offsets)
        flat = {**network.model_dump(), **train.model_dump(), **spec.model_dump()}
        sweep = tuple(
            (key, tuple(flat[key]) if isinstance(flat[key], list) else flat[key]) for key in indices
        )
        setting = Setting(name, sweep, network, train, spec)
        if first := seen.get(setting.label):
            key = next(key for key in indices if indices[key] != first[key])
            value = format_value(dict(sweep)[key])
            raise InputError(places[key], f"a sweep names each value once, got {value} twice")
        seen[setting.label] = indices
        yield setting


def _keyed(
    origin: str, section: str, kind: type[Section], mapping: Mapping[str, Any]
) -> dict[str, tuple[str, Any]]:
    """Of each key its place and its value."""
    _check_keys(f"{origin}: {section}", mapping, kind)
    return {key: (f"{origin}: {section}.{key}", value) for key, value in mapping.items()}


def _check_keys(where: str, mapping: Mapping[str, Any], *kinds: type[Section]) -> None:
    known = [key for kind in kinds for key in kind.model_fields]
    for key in mapping:
        if key not in known:
            raise InputError(f"{where}.{key}", "unknown key", did_you_mean(str(key), known))


def _check_offset(where: str, where_rms: str, spec: Model, offsets: Mapping[str, Section]) -> None:
    if spec.offset is None:
        return
    if spec.offset not in offsets:
        raise InputError(
            where, f"there is no offset {spec.offset!r}", did_you_mean(spec.offset, offsets)
        )
    if spec.rms is not None and isinstance(offsets[spec.offset], ZeroOffset):
        raise InputError(
            where_rms, f"offset {spec.offset!r} is zero: it cannot be scaled to an rms"
        )


def _check_matches(origin: str, settings: Iterable[Setting]) -> None:
    systems = {setting.model: setting.spec.system for setting in settings}
    for setting in settings:
        match, where = setting.spec.match, f"{origin}: models.{setting.model}.match"
        if match is None:
            continue
        others = [name for name, system in systems.items() if system not in ("wide", "function")]
        if match not in systems:
            raise InputError(where, f"there is no model {match!r}", did_you_mean(match, others))
        if match not in others:
            raise InputError(
                where,
                f"model {match!r} is of system: {systems[match]}, whose parameters cannot be "
                "matched",
                "name a model of another system",
            )


def _validate_keys(
    kind: type[S], where: str, at: Mapping[str, str], combination: Mapping[str, Any]
) -> S:
    values = {key: value for key, value in combination.items() if key in kind.model_fields}
    return validate_section(kind, where, values, at)
