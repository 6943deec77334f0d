"""Values of params.yaml: their types and bounds, and the error that names a wrong one's key."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Annotated, Any, TypeVar

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

from offset_autoencoder.config.registries import ACTIVATIONS
from offset_autoencoder.errors import InputError, did_you_mean, short_repr


class Section(BaseModel):
    """A part of params.yaml: unknown keys are errors, values cannot be changed."""

    model_config = ConfigDict(extra="forbid", frozen=True)


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


def _each_once(values: list[Any]) -> list[Any]:
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

    return BeforeValidator(check)


T = TypeVar("T")
NULL_WORDS = (None, "null", "None", "~", "")  # what YAML or DVC may write for it
Nullable = Annotated[
    T | None, BeforeValidator(lambda value: None if value in NULL_WORDS else value)
]
NOT_BOOL = BeforeValidator(_refuse_bool)  # which Python takes for 1 and 0
FEW = (Field(max_length=100), AfterValidator(_each_once))
FunctionName = Annotated[str, StringConstraints(pattern=r"^[\w.]+:[\w.]+$")]
Name = Annotated[str, StringConstraints(pattern=r"^[A-Za-z][A-Za-z0-9_-]*$", max_length=64)]
# The upper bounds are far beyond use: what exceeds them is a slip that would eat all memory.
Count = Annotated[int, NOT_BOOL, Field(ge=1, lt=2**31)]
Width = Annotated[Count, Field(le=2**20)]
Epochs = Annotated[Count, Field(le=10**6)]
WholeNumber = Annotated[int, NOT_BOOL, Field(ge=0, lt=2**31)]
Seed = Annotated[int, NOT_BOOL, Field(ge=0, lt=2**32)]
Number = Annotated[float, NOT_BOOL, Field(allow_inf_nan=False), AfterValidator(_fits_float32)]
Positive = Annotated[Number, Field(gt=0)]
NonNegative = Annotated[Number, Field(ge=0)]
Bytes = Annotated[ByteSize, NOT_BOOL, Field(ge=2**20)]
Share = Annotated[float, NOT_BOOL, Field(gt=0, lt=1)]
Decibels = Annotated[float, NOT_BOOL, Field(ge=-100, le=100)]
Activation = Annotated[str, member_of(ACTIVATIONS)]

S = TypeVar("S", bound=Section)


def validate_section(
    kind: type[S], where: str, values: Any, places: Mapping[str, str] | None = None
) -> S:
    """Validate a section at ``where``, ``"params.yaml: train"``; ``places`` are those of its keys.

    Raises:
        InputError: for the first key that is unknown or wrong.
    """
    mapping = as_mapping(where, values)
    places = {key: f"{where}.{key}" for key in mapping} | dict(places or {})
    for key in mapping:
        if key not in kind.model_fields:
            raise InputError(places[key], "unknown key", did_you_mean(key, kind.model_fields))
    try:
        return kind.model_validate(mapping)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        location = first["loc"]
        name, inner = (str(location[0]), location[1:]) if location else ("", ())
        place = places.get(name, f"{where}.{name}") if name else where
        if not name and isinstance(wrong := first.get("ctx", {}).get("error"), WrongTogether):
            place = next((places[key] for key in wrong.keys if key in mapping), where)
        # In a union pydantic also names the member that it tried, which is no key.
        value = mapping.get(name)
        for part in inner:
            if isinstance(part, int):
                place += f"[{part}]"
            elif isinstance(value, Mapping) and part in value:
                place += f".{part}"
        raise InputError(place, *_explain(first, value)) from None


def validate_value(adapter: TypeAdapter[Any], where: str, value: Any) -> Any:
    """Validate one value.

    Raises:
        InputError: where it is wrong.
    """
    try:
        return adapter.validate_python(value)
    except ValidationError as error:
        raise InputError(where, *_explain(error.errors(include_url=False)[0], value)) from None


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


def _explain(error: Any, value: Any) -> tuple[str, str | None]:
    kind, context, given = error["type"], error.get("ctx", {}), error["input"]
    if kind == "literal_error" and len(error["loc"]) <= 2:
        known = context["expected"].replace("'", "").replace(" or ", ", ").split(", ")
        return f"unknown value {short_repr(given)}", did_you_mean(short_repr(given), known)
    if kind == "literal_error" or (kind == "string_type" and isinstance(value, Mapping)):
        expected = "must be a path, or a path for each of train, validation, test"
        return f"{expected}, got {short_repr(value)}", None
    if kind == "value_error":
        return str(context["error"]), None
    if kind == "missing":
        return "is missing", None
    message = error["msg"].removeprefix("Input ")
    return f"{message[0].lower()}{message[1:]}, got {short_repr(given)}", None
