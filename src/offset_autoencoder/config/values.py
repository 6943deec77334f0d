"""Values of params.yaml: their types and bounds, and the error that names a wrong one's key."""

from __future__ import annotations

import os
import re
from collections import Counter
from collections.abc import Collection, Iterable, Mapping
from importlib.metadata import entry_points
from typing import Annotated, Any, ClassVar, Literal, TypeVar

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ByteSize,
    ConfigDict,
    Field,
    StringConstraints,
    TypeAdapter,
    ValidationError,
)
from pydantic_core import PydanticKnownError

from offset_autoencoder.config.registries import ACTIVATIONS, ALIASES
from offset_autoencoder.errors import InputError, Obstacles, did_you_mean, short_repr

# Looked for in every installed package, which takes longer than to read params.yaml.
os.environ.setdefault("PYDANTIC_DISABLE_PLUGINS", "__all__")


class Section(BaseModel):
    """A part of params.yaml: unknown keys are errors, values cannot be changed.

    Attributes:
        later_keys: Keys that ids of runs do not have while they are at their default, so that
            those made before these keys came stay as they are.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, defer_build=True)
    later_keys: ClassVar[tuple[str, ...]] = ()

    def relevant_values(self, exclude: set[str]) -> dict[str, Any]:
        """The values by key, without those left out and the later ones at their default."""
        fields = type(self).model_fields
        unset = {key for key in self.later_keys if getattr(self, key) == fields[key].default}
        return self.model_dump(exclude=exclude | unset)


class WrongTogether(ValueError):
    """Keys of one section that do not go together; the first that is given is to blame."""

    def __init__(self, message: str, *keys: str) -> None:
        self.keys = keys
        super().__init__(message)


_SMALLEST, _LARGEST = 2.0**-126, 2.0**128 * (1 - 2.0**-24)


def _refuse_bool(value: Any) -> Any:
    if isinstance(value, bool):
        raise ValueError("must be a number, not true or false")
    return value


def _fits_float32(value: float) -> float:
    if value and not _SMALLEST <= abs(value) <= _LARGEST:
        raise ValueError(f"must be of a size that float32 holds, 1.2e-38 to 3.4e38, got {value:g}")
    return value


def _at_least_1_mb(size: ByteSize) -> ByteSize:
    if size < 10**6:
        given = size.human_readable(decimal=True, separator=" ")
        raise ValueError(f"must be at least 1 MB, got {given}")
    return size


def each_once(values: list[Any]) -> list[Any]:
    """Refuse a list that holds a value twice."""
    for index, value in enumerate(values):
        if value in values[:index]:
            raise ValueError(f"names each value once, got {value!r} twice")
    return values


def member_of(names: Collection[str]) -> BeforeValidator:
    """A validator that refuses what is not one of the names, as pydantic does for a Literal."""

    def check(value: Any) -> Any:
        if not isinstance(value, str) or value not in names:
            expected = ", ".join(repr(name) for name in names)
            raise PydanticKnownError("literal_error", {"expected": expected})
        return value

    return BeforeValidator(check, json_schema_input_type=Literal.__getitem__(tuple(names)))


def norm_of_bool(value: Any) -> Any:
    """A norm of the code, or what the older names true and false stand for."""
    words = {"true": "unit", "false": "none"}
    return "none" if value in NULL_WORDS else words.get(str(value).lower(), value)


T = TypeVar("T")
NULL_WORDS = (None, "null", "None", "~", "")  # what YAML or DVC may write for it
Nullable = Annotated[
    T | None, BeforeValidator(lambda value: None if value in NULL_WORDS else value)
]
NOT_BOOL = BeforeValidator(_refuse_bool)  # which Python takes for 1 and 0
FEW = (Field(max_length=100), AfterValidator(each_once))
FunctionName = Annotated[str, StringConstraints(pattern=r"^[\w.]+:[\w.]+$")]
NAME_PATTERN, MAX_NAME = r"^[A-Za-z][A-Za-z0-9_-]*$", 64
Name = Annotated[str, StringConstraints(pattern=NAME_PATTERN, max_length=MAX_NAME)]
# The upper bounds are far beyond use: what exceeds them is a slip that would eat all memory.
Count = Annotated[int, NOT_BOOL, Field(ge=1, lt=2**31)]
Width = Annotated[Count, Field(le=2**20)]
Epochs = Annotated[Count, Field(le=10**6)]
WholeNumber = Annotated[int, NOT_BOOL, Field(ge=0, lt=2**31)]
Seed = Annotated[int, NOT_BOOL, Field(ge=0, lt=2**32)]
Number = Annotated[float, NOT_BOOL, Field(allow_inf_nan=False), AfterValidator(_fits_float32)]
Positive = Annotated[Number, Field(gt=0)]
NonNegative = Annotated[Number, Field(ge=0)]
Bytes = Annotated[ByteSize, NOT_BOOL, AfterValidator(_at_least_1_mb)]
Share = Annotated[float, NOT_BOOL, Field(gt=0, lt=1)]
Decibels = Annotated[float, NOT_BOOL, Field(ge=-100, le=100)]
# What YAML and DVC make of a label: 3, 3.0, "3" or true.
Label = Annotated[
    bool | int | str,
    BeforeValidator(lambda v: int(v) if isinstance(v, float) and v.is_integer() else v),
]
Activation = Annotated[
    str,
    member_of(ACTIVATIONS),
    BeforeValidator(lambda name: ALIASES.get(name, name) if isinstance(name, str) else name),
]

ENVIRONMENT = "MLFLOW_TRACKING_URI"
_SERVERS = ("http", "https")
_DATABASES = ("sqlite", "postgresql", "mysql", "mssql")
_EXAMPLES = "for example sqlite:///mlflow.db, http://127.0.0.1:5000, or null for the default"


def _can_be_opened(uri: str) -> str:
    """Refuse, without importing MLflow, a URI of a store that MLflow 3 or its plugins lack."""
    scheme, colon, rest = uri.partition(":")
    dialect, *drivers = scheme.split("+")
    schemes = [*_SERVERS, *_DATABASES, "databricks", *_plugins()]
    wrong, mend = None, _EXAMPLES
    # One letter is the drive of a path of Windows.
    if not colon or len(scheme) == 1 or not re.fullmatch(r"[\w.+-]+", scheme) or scheme == "file":
        allowed = os.environ.get("MLFLOW_ALLOW_FILE_STORE", "").lower() in ("true", "1")
        if uri != "databricks" and not allowed:
            wrong = f"{short_repr(uri)} names a folder, which MLflow 3 no longer takes for a store"
    elif scheme not in schemes and not (dialect in _DATABASES and len(drivers) == 1):
        wrong = f"MLflow knows no store of the scheme {short_repr(scheme)}"
        mend = did_you_mean(scheme, schemes)
    elif dialect == "sqlite" and not re.match(r"///[^?]", rest):
        wrong = f"{short_repr(uri)} names no file after sqlite:///"
    elif scheme in _SERVERS and not re.match(r"//[^/?#]", rest):
        wrong = f"{short_repr(uri)} names no server"
    if wrong:
        raise ValueError(f"{wrong} ({mend})")
    return uri


def _plugins() -> list[str]:
    return [entry.name for entry in entry_points(group="mlflow.tracking_store")]


TrackingUri = Annotated[str, AfterValidator(_can_be_opened)]


def check_environment() -> None:
    """Refuse a tracking URI in the environment that MLflow cannot open.

    Raises:
        InputError: naming the variable.
    """
    if uri := os.environ.get(ENVIRONMENT):
        validate_value(TrackingUri, ENVIRONMENT, uri)


S = TypeVar("S", bound=Section)


def validate_section(kind: type[S], where: str, values: Any) -> S:
    """Validate a section that stands at ``where``, such as ``"params.yaml: train"``.

    Raises:
        InputError: for the first key that is unknown or wrong.
    """
    mapping = as_mapping(where, values)
    check_keys(where, mapping, kind)
    return validate_keys(kind, where, mapping, {})


def check_keys(where: str, mapping: Mapping[str, Any], *kinds: type[Section]) -> None:
    """Refuse keys that no section of these kinds has.

    Raises:
        InputError: for all of them.
    """
    known = [key for kind in kinds for key in kind.model_fields]
    obstacles = Obstacles()
    for key in mapping:
        if key not in known:
            hint = did_you_mean(key, known)
            obstacles.note(InputError(f"{where}.{key}", "unknown key", hint))
    obstacles.raise_noted()


def validate_keys(
    kind: type[S], where: str, mapping: Mapping[str, Any], places: Mapping[str, str]
) -> S:
    """Validate those keys of a mapping that a section has.

    ``places`` are those of keys that do not stand at ``where``, for errors.

    Raises:
        InputError: for all that are wrong.
    """
    values = {key: value for key, value in mapping.items() if key in kind.model_fields}
    try:
        return kind.model_validate(values)
    except ValidationError as error:
        obstacles, seen = Obstacles(), set()
        for one in error.errors(include_url=False):
            key, *inner = one["loc"] or (None,)
            if key in seen:  # each member of a union has an error of its own
                continue
            seen.add(key)
            wrong = one.get("ctx", {}).get("error")
            if isinstance(wrong, WrongTogether):
                key = next((key for key in wrong.keys if key in values), None)
            place = where if key is None else places.get(str(key), f"{where}.{key}")
            obstacles.note(InputError(place + _indices(inner), *_explain(one)))
        raise obstacles.noted() from None


def validate_value(kind: Any, where: str, value: Any) -> Any:
    """Validate one value of a type.

    Raises:
        InputError: where it, or the first item of it, is wrong.
    """
    try:
        return TypeAdapter(kind).validate_python(value)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        raise InputError(where + _indices(first["loc"]), *_explain(first)) from None


def as_mapping(where: str, value: Any) -> dict[str, Any]:
    """A section as a mapping; an empty one may be left blank.

    Raises:
        InputError: where it is anything else.
    """
    if value is None:
        return {}
    if not isinstance(value, Mapping):
        raise InputError(where, f"must be a mapping of keys, got {short_repr(value)}")
    return {str(key): item for key, item in value.items()}


def _indices(location: Iterable[int | str]) -> str:
    # In a union pydantic also names the member that it tried, which is no key.
    return "".join(f"[{part}]" for part in location if isinstance(part, int))


def _explain(error: Any) -> tuple[str, str | None]:
    kind, context, value = error["type"], error.get("ctx", {}), short_repr(error["input"])
    if kind == "literal_error":
        known = context["expected"].replace("'", "").replace(" or ", ", ").split(", ")
        return f"unknown value {value}", did_you_mean(value, known)
    if kind == "value_error":
        return str(context["error"]), None
    if kind == "missing":
        return "is missing", None
    message = error["msg"].removeprefix("Input ")
    return f"{message[0].lower()}{message[1:]}, got {value}", None


def validate_seeds(where: str, value: Any, most: int) -> tuple[int, ...]:
    """Validate the seeds: a list of them, or their number, both of at most ``most``.

    Raises:
        InputError: where there are none, too many, or one stands twice.
    """
    if not isinstance(value, list):
        return tuple(range(validate_value(Annotated[Count, Field(le=most)], where, value)))
    if not 1 <= len(value) <= most:
        what = f"needs at least one seed and at most {most:,}, got a list of {len(value):,}"
        raise InputError(where, what)
    seeds = validate_value(list[Seed], where, value)
    twice, times = Counter(seeds).most_common(1)[0]
    if times > 1:
        raise InputError(where, f"names each seed once, got {twice} twice")
    return tuple(seeds)
