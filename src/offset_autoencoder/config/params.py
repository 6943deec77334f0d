"""The whole of params.yaml: validated, sweeps expanded, names resolved."""

from __future__ import annotations

import functools
import itertools
import math
import re
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, get_args, get_origin

from offset_autoencoder.config import values
from offset_autoencoder.config.anomaly import read_anomaly
from offset_autoencoder.config.data_schema import Data, Split
from offset_autoencoder.config.document import read_document
from offset_autoencoder.config.offset_kinds import OFFSETS, OffsetSection, ZeroOffset
from offset_autoencoder.config.schema import EXECUTORS, Evaluate, Network, Tracking, Train
from offset_autoencoder.config.systems import SYSTEMS, Model, find_conflict, sweep_value
from offset_autoencoder.errors import InputError, Obstacles, did_you_mean, named, short_repr

SECTIONS = (
    *("seeds", "data", "split", "offsets", "network"),
    *("train", "models", "evaluate", "tracking"),
)

_EXECUTOR = Annotated[str, values.member_of(EXECUTORS)]

MAX_RUNS = 100_000
"""More than anyone trains: a larger number is a slip of the keyboard."""

_SHARED: dict[str, type[values.Section]] = {"network": Network, "train": Train}
"""Sections whose keys a model may have, too."""
_KINDS = _SHARED | {"data": Data, "split": Split, "evaluate": Evaluate, "tracking": Tracking}

SweepValue = str | int | float | bool | tuple[int, ...] | None


def _takes_list(annotation: Any) -> bool:
    return get_origin(annotation) is list or any(map(_takes_list, get_args(annotation)))


# Keys whose single value is itself a list: only a list that holds lists is a sweep.
_LIST_VALUED = frozenset(
    key
    for section in (Network, Train, Model)
    for key, field in section.model_fields.items()
    if _takes_list(field.annotation)
)


@dataclass(frozen=True)
class Setting:
    """One model at one value of every key that it sweeps; with a seed, a run.

    ``sweep`` holds the swept keys and this setting's values, in the order of params.yaml; the
    sections are the shared ones with the model's own keys taken into account.
    """

    model: str
    sweep: tuple[tuple[str, SweepValue], ...]
    network: Network
    train: Train
    spec: Model

    @functools.cached_property
    def label(self) -> str:
        """The model's name and its swept values: ``"gaussian stddev=0.1"``."""
        return f"{self.model} {self.sweep_label()}".rstrip()

    def sweep_label(self, without: Sequence[str] = ()) -> str:
        """The swept values: ``"latent_dim=8 stddev=0.1"``; empty where it sweeps nothing."""
        return " ".join(f"{k}={format_value(v)}" for k, v in self.sweep if k not in without)

    @property
    def noise_level(self) -> float | None:
        """Root mean square per coordinate of what is added to the code, as params.yaml has it.

        That is ``rms`` where set (the noise added on top of it is the model's own), else
        ``stddev``; None where nothing is added, or an offset as it came.
        """
        return self.spec.rms if self.spec.rms is not None else self.spec.stddev or None


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
    if isinstance(value, bool):
        return str(value).lower()
    return "null" if value is None else str(value)


@dataclass(frozen=True)
class Params:
    """params.yaml, validated; models, sweeps and seeds in the order of the file.

    ``executor`` names the member of :data:`.schema.EXECUTORS` that trains the runs.
    """

    seeds: tuple[int, ...]
    data: Data
    split: Split
    offsets: dict[str, Any]
    settings: tuple[Setting, ...]
    evaluate: Evaluate
    tracking: Tracking
    executor: str = "local"

    @property
    def runs(self) -> tuple[Run, ...]:
        """Every run: each setting with each seed."""
        return tuple(Run(setting, seed) for setting in self.settings for seed in self.seeds)

    @property
    def models(self) -> tuple[str, ...]:
        """The models' names, in the order of the file."""
        return tuple(dict.fromkeys(setting.model for setting in self.settings))

    @property
    def budget_warning(self) -> str:
        """Warning of models that ``evaluate.select`` has unequal numbers of settings of, or ``""``.

        A model that tries more settings has more chances of a good one.
        """
        keys = self.evaluate.selected_keys
        models: dict[int, list[str]] = {}
        for model in self.models:
            sweeps = [setting.sweep for setting in self.settings if setting.model == model]
            tried = {tuple(pair for pair in sweep if pair[0] in keys) for sweep in sweeps}
            models.setdefault(len(tried), []).append(model)
        if len(models) < 2:
            return ""
        counts = "; ".join(
            f"{count} of {', '.join(map(named, models[count]))}" for count in sorted(models)
        )
        return f"unequal budgets: evaluate.select takes the best setting out of {counts}"

    def latent_dims(self, offset: str) -> tuple[int, ...]:
        """The latent dims, ascending, of the models with this offset: it needs a table for each.

        An offset that no model adds is made for those of the first model.
        """
        users = [setting for setting in self.settings if setting.spec.offset == offset]
        users = users or [setting for setting in self.settings if setting.model == self.models[0]]
        return tuple(sorted({setting.network.latent_dim for setting in users}))


def load_params(path: Path = Path("params.yaml")) -> Params:
    """Read and validate a params file.

    Raises:
        InputError: for the first thing that is wrong, naming its key.
    """
    return parse_params(read_document(path), str(path))


def parse_params(document: Mapping[str, Any], origin: str = "params.yaml") -> Params:
    """Validate the sections of a params file, which errors call ``origin``.

    Raises:
        InputError: for the first thing that is wrong, naming its key.
    """
    places = {key: f"{origin}: {key}" for key in SECTIONS}
    obstacles = Obstacles()
    for key in document:
        if key not in (*SECTIONS, "executor"):
            hint = did_you_mean(str(key), (*SECTIONS, "executor"))
            obstacles.note(InputError(f"{origin}: {key}", "unknown section", hint))
    obstacles.raise_noted()  # one may be a missing section, mistyped
    for key, place in places.items():
        if key not in document:
            hint = f"write '{key}: {{}}' for defaults" if key != "seeds" else "write 'seeds: 20'"
            obstacles.note(InputError(place, "missing section", hint))
    obstacles.raise_noted()
    sections = {key: values.as_mapping(places[key], document[key]) for key in SECTIONS[1:]}
    sections = read_anomaly(places, sections)
    _check_keys(places, sections)
    seeds = values.validate_seeds(places["seeds"], document["seeds"], MAX_RUNS)
    data = values.validate_section(Data, places["data"], sections["data"])
    split = values.validate_section(Split, places["split"], sections["split"])
    where, network = places["offsets"], sections["network"]
    offsets = {
        check_name(where, name): _offset(f"{where}.{name}", value, network)
        for name, value in sections["offsets"].items()
    }
    _check_case(where, offsets)
    settings = _expand_models(places, sections, offsets, len(seeds))
    evaluate = values.validate_section(Evaluate, places["evaluate"], sections["evaluate"])
    # Baselines by default are those that there are.
    named = evaluate.baselines if "baselines" in sections["evaluate"] else ()
    _check_baselines(places["evaluate"], named, evaluate.own_baselines, sections["models"])
    _check_select(f"{places['evaluate']}.select", evaluate.select, settings)
    tracking = values.validate_section(Tracking, places["tracking"], sections["tracking"])
    where, named_executor = f"{origin}: executor", document.get("executor", "local")
    executor = values.validate_value(_EXECUTOR, where, named_executor)
    return Params(seeds, data, split, offsets, settings, evaluate, tracking, executor)


def _check_keys(places: Mapping[str, str], sections: Mapping[str, dict[str, Any]]) -> None:
    """Refuse unknown keys, those of all sections and models at once."""
    obstacles = Obstacles()
    for key, kind in _KINDS.items():
        with obstacles.noting():
            values.check_keys(places[key], sections[key], kind)
    for name, value in sections["models"].items():
        where = f"{places['models']}.{name}"
        with obstacles.noting():
            own = values.as_mapping(where, value)
            values.check_keys(where, own, Model, *_SHARED.values())
    obstacles.raise_noted()


def check_name(section: str, name: str, where: str = "") -> str:
    """The name of an offset or a model that stands in a section.

    Raises:
        InputError: at ``where``, by default the name's place in the section, where it is none.
    """
    if len(name) > values.MAX_NAME or not re.fullmatch(values.NAME_PATTERN, name):
        what = "a name is a letter, then letters, digits, '_' or '-', at most 64"
        raise InputError(where or f"{section}.{name}", what)
    return name


def _check_case(where: str, names: Iterable[str]) -> None:
    """Refuse names that file systems and databases may take for one."""
    first: dict[str, str] = {}
    for name in names:
        if (other := first.setdefault(name.lower(), name)) != name:
            what = f"differs from {other!r} in capitals alone, which some file systems take for one"
            raise InputError(f"{where}.{name}", what, "give it another name")


def _offset(where: str, value: Any, network: Mapping[str, Any]) -> OffsetSection:
    mapping = values.as_mapping(where, value)
    if "kind" not in mapping:
        raise InputError(where, "needs a kind", "for example kind: hash")
    kind = mapping["kind"]
    if not isinstance(kind, str) or kind not in OFFSETS:
        hint = did_you_mean(short_repr(kind), OFFSETS)
        raise InputError(f"{where}.kind", f"unknown kind {short_repr(kind)}", hint)
    section = OFFSETS[kind]
    return values.validate_section(section, where, section.completed(where, mapping, network))


def _expand_models(
    section_places: Mapping[str, str],
    sections: Mapping[str, dict[str, Any]],
    offsets: Mapping[str, OffsetSection],
    seeds: int,
) -> tuple[Setting, ...]:
    if not sections["models"]:
        raise InputError(section_places["models"], "names no model")
    shared: dict[str, Any] = {}
    shared_places: dict[str, str] = {}
    for section in _SHARED:
        shared |= sections[section]
        shared_places |= {key: f"{section_places[section]}.{key}" for key in sections[section]}
    settings: list[Setting] = []
    for name, value in sections["models"].items():
        where = f"{section_places['models']}.{check_name(section_places['models'], name)}"
        own = values.as_mapping(where, value)
        places = shared_places | {key: f"{where}.{key}" for key in own}
        # A model's own keys stand last: the order is that of the sweep.
        merged = {key: item for key, item in shared.items() if key not in own} | own
        sweeps = {key: item for key, item in merged.items() if _is_sweep(key, item)}
        for key, sweep in sweeps.items():
            if not sweep:
                raise InputError(places[key], "a sweep needs at least one value, got an empty list")
        runs = (len(settings) + math.prod(map(len, sweeps.values()))) * seeds
        if runs > MAX_RUNS:
            what = f"brings the number of runs to {runs:,}, at most {MAX_RUNS:,} are allowed"
            raise InputError(where, what, "sweep fewer values, or take fewer seeds")
        settings += _settings_of(name, where, places, merged, sweeps, offsets)
    _check_case(section_places["models"], sections["models"])
    _check_matches(section_places["models"], settings)
    return tuple(settings)


def _is_sweep(key: str, value: Any) -> bool:
    if not isinstance(value, list):
        return False
    return key not in _LIST_VALUED or any(isinstance(item, list) for item in value)


def _settings_of(
    name: str,
    where: str,
    places: Mapping[str, str],
    keys: Mapping[str, Any],
    sweeps: Mapping[str, list[Any]],
    offsets: Mapping[str, OffsetSection],
) -> Iterator[Setting]:
    """Settings of the product of the sweeps, the last key varying fastest."""
    seen: dict[str, Sequence[int]] = {}
    for indices in itertools.product(*(range(len(sweep)) for sweep in sweeps.values())):
        chosen = dict(zip(sweeps, indices, strict=True))
        single = {**keys, **{key: sweeps[key][index] for key, index in chosen.items()}}
        at = {**places, **{key: f"{places[key]}[{index}]" for key, index in chosen.items()}}
        network = values.validate_keys(Network, where, single, at)
        train = values.validate_keys(Train, where, single, at)
        spec = values.validate_keys(Model, where, single, at)
        _check_offset(at.get("offset", where), at.get("rms", where), spec, offsets)
        if conflict := find_conflict(spec, network):
            raise InputError(at.get(conflict[0], where), conflict[1])
        flat = dict([*network, *train, *spec])
        sweep = tuple((key, sweep_value(single[key], flat[key])) for key in sweeps)
        setting = Setting(name, sweep, network, train, spec)
        if first := seen.get(setting.label):
            key, value = next(
                pair for pair, i, j in zip(sweep, indices, first, strict=True) if i != j
            )
            what = f"a sweep names each value once, got {format_value(value)} twice"
            raise InputError(places[key], what)
        seen[setting.label] = indices
        yield setting


def _check_offset(
    where: str, where_rms: str, spec: Model, offsets: Mapping[str, OffsetSection]
) -> None:
    if spec.offset is None:
        return
    if spec.offset not in offsets:
        hint = did_you_mean(spec.offset, offsets)
        raise InputError(where, f"there is no offset {spec.offset!r}", hint)
    if spec.rms is not None and isinstance(offsets[spec.offset], ZeroOffset):
        what = f"offset {spec.offset!r} is zero: it cannot be scaled to an rms"
        raise InputError(where_rms, what)


def _check_matches(where: str, settings: Sequence[Setting]) -> None:
    systems = {setting.model: setting.spec.system for setting in settings}
    others = [name for name, system in systems.items() if SYSTEMS[system].can_be_matched]
    for setting in settings:
        match = setting.spec.match
        if match is None or match in others:
            continue
        place = f"{where}.{setting.model}.match"
        if match not in systems:
            raise InputError(place, f"there is no model {match!r}", did_you_mean(match, others))
        what = f"is of system: {systems[match]}, whose parameters cannot be matched"
        raise InputError(place, f"model {match!r} {what}", "name a model of another system")


def _check_baselines(
    where: str, named: Sequence[str], own: Mapping[str, str], models: Collection[str]
) -> None:
    places = [(f"{where}.baselines[{index}]", name) for index, name in enumerate(named)]
    places += [(f"{where}.own_baselines", name) for name in own]
    places += [(f"{where}.own_baselines.{model}", name) for model, name in own.items()]
    for place, name in places:
        if name not in models:
            raise InputError(place, f"there is no model {name!r}", did_you_mean(name, models))
    for model, name in own.items():
        if name == model or name in named:
            what = "the model itself" if name == model else "a baseline of every model already"
            mend = "name another model, or leave the line out"
            raise InputError(f"{where}.own_baselines.{model}", f"{name!r} is {what}", mend)


def _check_select(where: str, select: Sequence[str], settings: Sequence[Setting]) -> None:
    """Refuse a name that is no key, or the key of no sweep."""
    names = {
        key: f"{section.__name__.lower()}.{key}"
        for section in (Network, Train)
        for key in section.model_fields
    }
    names |= {key: key for key in Model.model_fields}
    swept = dict.fromkeys(names[key] for setting in settings for key, _ in setting.sweep)
    for index, name in enumerate(select):
        if name in swept:
            continue
        if name in names.values():
            what, mend = f"no model sweeps {name}", "give the key a list of values, or leave it out"
        else:
            what, mend = f"unknown key {short_repr(name)}", did_you_mean(name, names.values())
        raise InputError(f"{where}[{index}]", what, mend)
