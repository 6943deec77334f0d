"""The whole of params.yaml: sections validated, sweeps expanded, names resolved."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from pydantic import TypeAdapter, ValidationError

from offset_autoencoder.config import schema
from offset_autoencoder.config.document import read_document
from offset_autoencoder.config.sweep import LIST_VALUED, Run, Setting, expand, is_sweep
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

T = TypeVar("T")
_OFFSET: TypeAdapter[Any] = TypeAdapter(schema.Offset)
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

    @property
    def latent_dims(self) -> tuple[int, ...]:
        """Every latent dim that a model asks for, ascending: an offset needs a table for each."""
        return tuple(sorted({setting.network.latent_dim for setting in self.settings}))


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
            raise InputError(f"{origin}: {key}", "unknown section", did_you_mean(str(key), SECTIONS))
    for section in SECTIONS:
        if section not in document:
            raise InputError(
                f"{origin}: {section}", "missing section", f"write '{section}: {{}}' for defaults"
            )
    sections = {key: _mapping(f"{origin}: {key}", document[key]) for key in SECTIONS[1:]}
    offsets = {
        _name(f"{origin}: offsets", name): _validate(
            _OFFSET.validate_python, f"{origin}: offsets.{name}", value
        )
        for name, value in sections["offsets"].items()
    }
    settings = tuple(_settings(origin, sections, offsets))
    evaluate = _validate(
        schema.Evaluate.model_validate, f"{origin}: evaluate", sections["evaluate"]
    )
    for index, baseline in enumerate(sections["evaluate"].get("baselines") or ()):
        if baseline not in sections["models"]:
            raise InputError(
                f"{origin}: evaluate.baselines[{index}]",
                f"there is no model {baseline!r}",
                did_you_mean(str(baseline), sections["models"]),
            )
    return Params(
        seeds=_seeds(f"{origin}: seeds", document["seeds"]),
        data=_validate(schema.Data.model_validate, f"{origin}: data", sections["data"]),
        split=_validate(schema.Split.model_validate, f"{origin}: split", sections["split"]),
        offsets=offsets,
        settings=settings,
        evaluate=evaluate,
        tracking=_validate(
            schema.Tracking.model_validate, f"{origin}: tracking", sections["tracking"]
        ),
    )


def _settings(
    origin: str, sections: Mapping[str, dict[str, Any]], offsets: Mapping[str, Any]
) -> Iterator[Setting]:
    shared = {**_keyed(origin, "network", sections), **_keyed(origin, "train", sections)}
    if not sections["models"]:
        raise InputError(f"{origin}: models", "names no model")
    for name, value in sections["models"].items():
        where = f"{origin}: models.{_name(f'{origin}: models', name)}"
        own = _mapping(where, value)
        _check_keys(where, own, schema.Model, schema.Network, schema.Train)
        places = {key: f"{origin}: {section}.{key}" for key, (section, _) in shared.items()}
        places |= {key: f"{where}.{key}" for key in own}
        merged = {key: item for key, (_, item) in shared.items()} | own
        for key, item in merged.items():
            if is_sweep(key, item):
                _check_sweep(places[key], item)
        for combination, indices in expand(merged):
            at = {
                key: place + (f"[{indices[key]}]" if key in indices else "")
                for key, place in places.items()
            }
            network = _section(schema.Network, where, at, combination)
            train = _section(schema.Train, where, at, combination)
            spec = _section(schema.Model, where, at, combination)
            _check_offset(at.get("offset", where), at.get("rms", where), spec, offsets)
            flat = {**network.model_dump(), **train.model_dump(), **spec.model_dump()}
            sweep = tuple(
                (key, tuple(flat[key]) if key in LIST_VALUED else flat[key]) for key in indices
            )
            yield Setting(str(name), sweep, network, train, spec)


def _keyed(
    origin: str, section: str, sections: Mapping[str, dict[str, Any]]
) -> dict[str, tuple[str, Any]]:
    kind = {"network": schema.Network, "train": schema.Train}[section]
    _check_keys(f"{origin}: {section}", sections[section], kind)
    return {key: (section, value) for key, value in sections[section].items()}


def _check_keys(where: str, mapping: Mapping[str, Any], *kinds: type[schema.Section]) -> None:
    known = [key for kind in kinds for key in kind.model_fields]
    for key in mapping:
        if key not in known:
            raise InputError(f"{where}.{key}", "unknown key", did_you_mean(str(key), known))


def _check_sweep(where: str, values: list[Any]) -> None:
    if not values:
        raise InputError(where, "a sweep needs at least one value, got an empty list")
    if len({str(value) for value in values}) < len(values):
        raise InputError(where, f"a sweep names each value once, got {values}")


def _check_offset(
    where: str, where_rms: str, spec: schema.Model, offsets: Mapping[str, Any]
) -> None:
    if spec.offset not in offsets:
        raise InputError(
            where, f"there is no offset {spec.offset!r}", did_you_mean(spec.offset, offsets)
        )
    if spec.rms is not None and isinstance(offsets[spec.offset], schema.ZeroOffset):
        raise InputError(where_rms, f"offset {spec.offset!r} is zero: it cannot be scaled to an rms")


def _section(
    kind: type[T], where: str, at: Mapping[str, str], combination: Mapping[str, Any]
) -> T:
    fields = kind.model_fields  # type: ignore[attr-defined]
    values = {key: value for key, value in combination.items() if key in fields}
    return _validate(kind.model_validate, where, values, at)  # type: ignore[attr-defined]


def _validate(
    validate: Any, where: str, value: Any, places: Mapping[str, str] | None = None
) -> Any:
    """Run a pydantic validation; the first failure becomes an InputError that names its key."""
    try:
        return validate(value)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        # Pydantic's location also names the tag or member of a union, which is no key.
        keys = [part for part in first["loc"] if not _is_union_part(part, value, first["loc"])]
        place = where
        if keys and places and str(keys[0]) in places:
            place, keys = places[str(keys[0])], keys[1:]
        for part in keys:
            place += f"[{part}]" if isinstance(part, int) else f".{part}"
        raise InputError(place, *_explain(first, value)) from None


def _is_union_part(part: int | str, value: Any, location: tuple[int | str, ...]) -> bool:
    if isinstance(part, int) or not isinstance(value, Mapping):
        return False
    if part in value:
        return False
    is_tag = part == value.get("kind") and location[0] == part
    return is_tag or part in ("str", "int", "float", "list[str]") or part.startswith("dict[")


def _explain(error: Any, value: Any) -> tuple[str, str | None]:
    kind, context = error["type"], error.get("ctx", {})
    if kind == "extra_forbidden":
        tag = value.get("kind") if isinstance(value, Mapping) else None
        known = [
            key
            for section in _sections_of(tag, error["loc"], value)
            for key in section.model_fields
        ]
        return "unknown key", did_you_mean(str(error["loc"][-1]), known) if known else None
    if kind == "union_tag_invalid":
        known = context["expected_tags"].replace("'", "").split(", ")
        return f"unknown kind {context['tag']!r}", did_you_mean(context["tag"], known)
    if kind == "union_tag_not_found":
        return "needs a kind", "for example kind: hash"
    if kind == "literal_error" and isinstance(error["input"], str):
        known = context["expected"].replace("'", "").replace(" or ", ", ").split(", ")
        return f"unknown value {error['input']!r}", did_you_mean(error["input"], known)
    if kind == "value_error":
        return str(context["error"]), None
    if kind == "missing":
        return "is missing", None
    message = error["msg"].removeprefix("Input ").removeprefix("Value error, ")
    return f"{message}, got {error['input']!r}", None


def _sections_of(tag: Any, location: tuple[Any, ...], value: Any) -> list[type[schema.Section]]:
    kinds = [schema.Data, schema.Split, schema.Evaluate, schema.Tracking]
    kinds += [
        schema.ZeroOffset,
        schema.HashOffset,
        schema.RandomProjectionOffset,
        schema.PcaOffset,
        schema.ClassCodeOffset,
        schema.FileOffset,
        schema.FunctionOffset,
    ]
    if tag is not None:
        return [kind for kind in kinds if kind.model_fields.get("kind", None) is not None
                and kind.model_fields["kind"].default == tag]
    return [kind for kind in kinds[:4] if set(value) & set(kind.model_fields)]


def _mapping(where: str, value: Any) -> dict[str, Any]:
    if value is None:
        return {}
    if not isinstance(value, Mapping):
        raise InputError(where, f"must be a mapping of keys, got {value!r}")
    return dict(value)


def _name(where: str, name: Any) -> str:
    try:
        return _NAME.validate_python(name)
    except ValidationError:
        raise InputError(
            f"{where}.{name}",
            "a name is a letter, then letters, digits, '_' or '-', at most 64",
        ) from None


def _seeds(where: str, value: Any) -> tuple[int, ...]:
    if not isinstance(value, list):
        return tuple(range(_validate(_SEED_COUNT.validate_python, where, value)))
    if not value:
        raise InputError(where, "needs at least one seed, got an empty list")
    seeds = tuple(
        _validate(_SEED.validate_python, f"{where}[{i}]", seed) for i, seed in enumerate(value)
    )
    if len(set(seeds)) < len(seeds):
        raise InputError(where, f"names each seed once, got {list(seeds)}")
    return seeds
