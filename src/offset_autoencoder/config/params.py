"""The whole of params.yaml: sections validated, sweeps expanded, names resolved."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from pydantic import TypeAdapter, ValidationError

from offset_autoencoder.config import schema
from offset_autoencoder.config.document import read_document
from offset_autoencoder.config.model import Model
from offset_autoencoder.config.sweep import Run, Setting, expand, is_sweep
from offset_autoencoder.config.validation import as_mapping, validate_section, validate_value
from offset_autoencoder.errors import InputError, did_you_mean

SECTIONS = (
    "seeds",
    "data",
    "split",
    "offsets",
    "network",
    "train",
    "models",
    "evaluate",
    "tracking",
)

S = TypeVar("S", bound=schema.Section)
_NAME: TypeAdapter[str] = TypeAdapter(schema.Name)
_SEED: TypeAdapter[int] = TypeAdapter(schema.Seed)
_SEED_COUNT: TypeAdapter[int] = TypeAdapter(schema.Count)


@dataclass(frozen=True)
class Params:
    """params.yaml, validated.

    Attributes:
        settings: Every model at every value that it sweeps, in the order of the file.
        seeds: The seeds, each once; ``seeds: 10`` is 0 to 9.
    """

    seeds: tuple[int, ...]
    data: schema.Data
    split: schema.Split
    offsets: dict[str, Any]
    settings: tuple[Setting, ...]
    evaluate: schema.Evaluate
    tracking: schema.Tracking

    @property
    def runs(self) -> tuple[Run, ...]:
        """Every run: each setting with each seed."""
        return tuple(Run(setting, seed) for setting in self.settings for seed in self.seeds)

    @property
    def models(self) -> tuple[str, ...]:
        """The models' names, in the order of the file."""
        return tuple(dict.fromkeys(setting.model for setting in self.settings))

    def latent_dims(self, offset: str) -> tuple[int, ...]:
        """The latent dims, ascending, of the models with this offset: it needs a table for each.

        An offset that no model adds is made for those of all models.
        """
        dims = {s.network.latent_dim for s in self.settings if s.spec.offset == offset}
        return tuple(sorted(dims or {s.network.latent_dim for s in self.settings}))


def load_params(path: Path = Path("params.yaml")) -> Params:
    """Read and validate a params file.

    Raises:
        InputError: for the first thing that is wrong, naming its key.
    """
    return parse_params(read_document(path), str(path))


def parse_params(document: Mapping[str, Any], origin: str = "params.yaml") -> Params:
    """Validate what a params file holds.

    Args:
        document: The sections.
        origin: The file's name, for messages.

    Raises:
        InputError: for the first thing that is wrong, naming its key.
    """
    for key in document:
        if key not in SECTIONS:
            raise InputError(
                f"{origin}: {key}", "unknown section", did_you_mean(str(key), SECTIONS)
            )
    for section in SECTIONS:
        if section not in document:
            raise InputError(
                f"{origin}: {section}", "missing section", f"write '{section}: {{}}' for defaults"
            )
    sections = {key: as_mapping(f"{origin}: {key}", document[key]) for key in SECTIONS[1:]}
    seeds = _seeds(f"{origin}: seeds", document["seeds"])
    data = validate_section(schema.Data, f"{origin}: data", sections["data"])
    split = validate_section(schema.Split, f"{origin}: split", sections["split"])
    offsets = {
        _name(f"{origin}: offsets", name): _offset(f"{origin}: offsets.{name}", value)
        for name, value in sections["offsets"].items()
    }
    settings = tuple(_settings(origin, sections, offsets))
    _check_matches(origin, settings)
    evaluate = validate_section(schema.Evaluate, f"{origin}: evaluate", sections["evaluate"])
    if "baselines" in sections["evaluate"]:
        for index, baseline in enumerate(evaluate.baselines):
            if baseline not in sections["models"]:
                raise InputError(
                    f"{origin}: evaluate.baselines[{index}]",
                    f"there is no model {baseline!r}",
                    did_you_mean(baseline, sections["models"]),
                )
    tracking = validate_section(schema.Tracking, f"{origin}: tracking", sections["tracking"])
    return Params(seeds, data, split, offsets, settings, evaluate, tracking)


def _offset(where: str, value: Any) -> schema.Section:
    mapping = as_mapping(where, value)
    if "kind" not in mapping:
        raise InputError(where, "needs a kind", "for example kind: hash")
    kind = mapping["kind"]
    if not isinstance(kind, str) or kind not in schema.OFFSETS:
        raise InputError(
            f"{where}.kind", f"unknown kind {kind!r}", did_you_mean(str(kind), schema.OFFSETS)
        )
    return validate_section(schema.OFFSETS[kind], where, mapping)


def _settings(
    origin: str, sections: Mapping[str, dict[str, Any]], offsets: Mapping[str, Any]
) -> Iterator[Setting]:
    shared = {**_keyed(origin, "network", sections), **_keyed(origin, "train", sections)}
    if not sections["models"]:
        raise InputError(f"{origin}: models", "names no model")
    for name, value in sections["models"].items():
        where = f"{origin}: models.{_name(f'{origin}: models', name)}"
        own = as_mapping(where, value)
        _check_keys(where, own, Model, schema.Network, schema.Train)
        places = {key: f"{origin}: {section}.{key}" for key, (section, _) in shared.items()}
        places |= {key: f"{where}.{key}" for key in own}
        merged = {key: item for key, (_, item) in shared.items() if key not in own} | own
        for key, item in merged.items():
            if is_sweep(key, item) and not item:
                raise InputError(places[key], "a sweep needs at least one value, got an empty list")
        labels = set()
        for combination, indices in expand(merged):
            at = {
                key: place + (f"[{indices[key]}]" if key in indices else "")
                for key, place in places.items()
            }
            network = _validate_keys(schema.Network, where, at, combination)
            train = _validate_keys(schema.Train, where, at, combination)
            spec = _validate_keys(Model, where, at, combination)
            _check_offset(at.get("offset", where), at.get("rms", where), spec, offsets)
            flat = {**network.model_dump(), **train.model_dump(), **spec.model_dump()}
            sweep = tuple(
                (key, tuple(flat[key]) if isinstance(flat[key], list) else flat[key])
                for key in indices
            )
            setting = Setting(str(name), sweep, network, train, spec)
            if setting.label in labels:
                raise InputError(
                    where, f"a sweep names each value once, got {setting.label!r} twice"
                )
            labels.add(setting.label)
            yield setting


def _keyed(
    origin: str, section: str, sections: Mapping[str, dict[str, Any]]
) -> dict[str, tuple[str, Any]]:
    kinds: dict[str, type[schema.Section]] = {"network": schema.Network, "train": schema.Train}
    _check_keys(f"{origin}: {section}", sections[section], kinds[section])
    return {key: (section, value) for key, value in sections[section].items()}


def _check_keys(where: str, mapping: Mapping[str, Any], *kinds: type[schema.Section]) -> None:
    known = [key for kind in kinds for key in kind.model_fields]
    for key in mapping:
        if key not in known:
            raise InputError(f"{where}.{key}", "unknown key", did_you_mean(str(key), known))


def _check_offset(where: str, where_rms: str, spec: Model, offsets: Mapping[str, Any]) -> None:
    if spec.offset is None:
        return
    if spec.offset not in offsets:
        raise InputError(
            where, f"there is no offset {spec.offset!r}", did_you_mean(spec.offset, offsets)
        )
    if spec.rms is not None and isinstance(offsets[spec.offset], schema.ZeroOffset):
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


def _name(where: str, name: str) -> str:
    try:
        return str(_NAME.validate_python(name))
    except ValidationError:
        raise InputError(
            f"{where}.{name}",
            "a name is a letter, then letters, digits, '_' or '-', at most 64",
        ) from None


def _seeds(where: str, value: Any) -> tuple[int, ...]:
    if not isinstance(value, list):
        return tuple(range(validate_value(_SEED_COUNT, where, value)))
    if not value:
        raise InputError(where, "needs at least one seed, got an empty list")
    seeds = tuple(validate_value(_SEED, f"{where}[{i}]", seed) for i, seed in enumerate(value))
    if len(set(seeds)) < len(seeds):
        raise InputError(where, f"names each seed once, got {list(seeds)}")
    return seeds
