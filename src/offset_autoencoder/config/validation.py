"""pydantic's findings → one InputError that names the key."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeVar

from pydantic import TypeAdapter, ValidationError

from offset_autoencoder.config.schema import Section, WrongTogether
from offset_autoencoder.errors import InputError, did_you_mean, short_repr

S = TypeVar("S", bound=Section)


def validate_section(
    kind: type[S], where: str, values: Any, places: Mapping[str, str] | None = None
) -> S:
    """Validate the keys of one section.

    Args:
        kind: The section's model.
        where: The section's place, for messages: ``"params.yaml: train"``.
        values: Its keys.
        places: The place of a key, where it is not ``where.key``.

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
    """What is wrong, and how to mend it."""
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
