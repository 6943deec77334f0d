"""What one value of params.yaml may be: its type and its bounds."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BeforeValidator, ByteSize, Field, StringConstraints

_SMALLEST, _LARGEST = 2.0**-126, 2.0**128 * (1 - 2.0**-24)


def refuse_bool(value: Any) -> Any:
    """A value as it is, unless it is true or false, which Python takes for 1 and 0."""
    if isinstance(value, bool):
        raise ValueError("must be a number, not true or false")
    return value


def null_word(value: Any) -> Any:
    """None for what YAML or DVC may write for it."""
    return None if value in ("null", "None", "~", "") else value


def _fits_float32(value: float) -> float:
    if value and not _SMALLEST <= abs(value) <= _LARGEST:
        raise ValueError(f"must be of a size that float32 holds, 1.2e-38 to 3.4e38, got {value:g}")
    return value


def _each_once(values: list[Any]) -> list[Any]:
    for index, value in enumerate(values):
        if value in values[:index]:
            raise ValueError(f"names each value once, got {value!r} twice")
    return values


FEW = (Field(max_length=100), AfterValidator(_each_once))
Name = Annotated[str, StringConstraints(pattern=r"^[A-Za-z][A-Za-z0-9_-]*$", max_length=64)]
# The upper bounds are far beyond use: what exceeds them is a slip that would eat all memory.
Count = Annotated[int, BeforeValidator(refuse_bool), Field(ge=1, lt=2**31)]
Width = Annotated[Count, Field(le=2**20)]
Epochs = Annotated[Count, Field(le=10**6)]
WholeNumber = Annotated[int, BeforeValidator(refuse_bool), Field(ge=0, lt=2**31)]
Seed = Annotated[int, BeforeValidator(refuse_bool), Field(ge=0, lt=2**32)]
Number = Annotated[
    float,
    BeforeValidator(refuse_bool),
    Field(allow_inf_nan=False),
    AfterValidator(_fits_float32),
]
Positive = Annotated[Number, Field(gt=0)]
NonNegative = Annotated[Number, Field(ge=0)]
Bytes = Annotated[ByteSize, BeforeValidator(refuse_bool), Field(ge=2**20)]
Share = Annotated[float, BeforeValidator(refuse_bool), Field(gt=0, lt=1)]
Decibels = Annotated[float, BeforeValidator(refuse_bool), Field(ge=-100, le=100)]
Activation = Literal["relu", "tanh", "sigmoid", "elu", "gelu", "selu", "silu", "linear"]
