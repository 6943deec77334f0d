"""The whole of params.yaml: sections validated, sweeps expanded, names resolved."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

from pydantic import Field, TypeAdapter

from offset_autoencoder.config import schema
from offset_autoencoder.config.document import read_document
from offset_autoencoder.config.offset_kinds import OFFSETS
from offset_autoencoder.config.settings import MAX_RUNS, check_name, expand_models
from offset_autoencoder.config.sweep import Run, Setting
from offset_autoencoder.config.tracking_uri import check_tracking_uri
from offset_autoencoder.config.validation import as_mapping, validate_section, validate_value
from offset_autoencoder.config.values import Count, Seed
from offset_autoencoder.errors import InputError, did_you_mean, short_repr

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

_SEED: TypeAdapter[int] = TypeAdapter(Seed)
_SEED_COUNT: TypeAdapter[int] = TypeAdapter(Annotated[Count, Field(le=MAX_RUNS)])


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
        check_name(f"{origin}: offsets", name): _offset(f"{origin}: offsets.{name}", value)
        for name, value in sections["offsets"].items()
    }
    settings = expand_models(origin, sections, offsets, len(seeds))
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
    if tracking.uri is not None:
        check_tracking_uri(f"{origin}: tracking.uri", tracking.uri)
    return Params(seeds, data, split, offsets, settings, evaluate, tracking)


def _offset(where: str, value: Any) -> schema.Section:
    mapping = as_mapping(where, value)
    if "kind" not in mapping:
        raise InputError(where, "needs a kind", "for example kind: hash")
    kind = mapping["kind"]
    if not isinstance(kind, str) or kind not in OFFSETS:
        raise InputError(
            f"{where}.kind",
            f"unknown kind {short_repr(kind)}",
            did_you_mean(short_repr(kind), OFFSETS),
        )
    return validate_section(OFFSETS[kind], where, mapping)


def _seeds(where: str, value: Any) -> tuple[int, ...]:
    if not isinstance(value, list):
        return tuple(range(validate_value(_SEED_COUNT, where, value)))
    if not 1 <= len(value) <= MAX_RUNS:
        what = f"needs at least one seed and at most {MAX_RUNS:,}, got a list of {len(value):,}"
        raise InputError(where, what)
    seeds = tuple(validate_value(_SEED, f"{where}[{i}]", seed) for i, seed in enumerate(value))
    if len(set(seeds)) < len(seeds):
        twice = next(seed for seed, times in Counter(seeds).items() if times > 1)
        raise InputError(where, f"names each seed once, got {twice} twice")
    return seeds
