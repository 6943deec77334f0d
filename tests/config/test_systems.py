"""``models.NAME:``: which keys go with which system, and the noise of a channel."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from tests.small_params import small_params

from offset_autoencoder.config import Setting, parse_params
from offset_autoencoder.config.systems import Model, NoiseRange
from offset_autoencoder.errors import InputError

# For every system a model of it that is complete, and the keys that no other system has.
COMPLETE: dict[str, dict[str, Any]] = {
    "additive": {},
    "concatenate": {"offset": "frozen"},
    "two_encoder": {},
    "ensemble": {},
    "wide": {"match": "plain"},
    "vae": {},
    "function": {"function": "custom.mine:build"},
}
OWN_KEYS: dict[str, dict[str, Any]] = {
    "additive": {},
    "concatenate": {},
    "two_encoder": {"second_hidden": [8], "second_activation": "tanh", "frozen": True},
    "ensemble": {"encoders": 3, "combine": "sum"},
    "wide": {"match": "plain"},
    "vae": {"beta": 0.5, "warmup": 3},
    "function": {"function": "custom.mine:build"},
}


def settings(**model: Any) -> list[Setting]:
    """The settings of one model beside a plain one."""
    document = small_params(models={"plain": {}, "m": model})
    return [setting for setting in parse_params(document).settings if setting.model == "m"]


def message(**model: Any) -> str:
    with pytest.raises(InputError) as caught:
        settings(**model)
    text = str(caught.value)
    assert "\n" not in text
    return text


@pytest.mark.parametrize("system", COMPLETE)
def test_a_system_takes_its_own_keys(system: str) -> None:
    (setting,) = settings(system=system, **(COMPLETE[system] | OWN_KEYS[system]))
    assert setting.spec.system == system
    assert setting.spec.options == OWN_KEYS[system]


@pytest.mark.parametrize("system", COMPLETE)
@pytest.mark.parametrize(
    ("key", "value", "owner"),
    [(key, value, owner) for owner, keys in OWN_KEYS.items() for key, value in keys.items()],
)
def test_a_key_of_another_system_is_an_error(system: str, key: str, value: Any, owner: str) -> None:
    if owner == system:
        return
    text = message(system=system, **COMPLETE[system], **{key: value})
    assert text.startswith("params.yaml: models.m")
    assert f"{key} goes with system: {owner}, not {system}" in text


def test_every_key_of_one_system_is_checked() -> None:
    shared = {"system", "offset", "rms", "stddev", "ebn0_db", "bits"}
    assert set(Model.model_fields) - shared == {key for own in OWN_KEYS.values() for key in own}


@pytest.mark.parametrize(
    ("model", "expected"),
    [
        ({"system": "wide"}, "models.m.system: system: wide needs the key match"),
        ({"system": "function"}, "system: function needs the key function"),
        ({"system": "concatenate"}, "system: concatenate needs an offset"),
        ({"system": "two_encoder", "offset": "frozen"}, "two_encoder learns its offset"),
        ({"system": "vae", "stddev": 0.1}, "system: vae learns its noise"),
        ({"system": "vae", "ebn0_db": 3, "bits": 4}, "system: vae learns its noise"),
        ({"system": "vae", "rms": 0.1}, "rms scales an offset, and the model names none"),
        ({"rms": 0.1}, "rms scales an offset, and the model names none"),
        ({"system": "doubled"}, "models.m.system: unknown value 'doubled'"),
        ({"system": "two_encoder", "second_hidden": [0]}, r"models.m.second_hidden[0]: "),
        ({"system": "two_encoder", "second_activation": "rel"}, "did you mean 'relu'?"),
        ({"system": "ensemble", "encoders": 1}, "models.m.encoders: "),
        ({"system": "ensemble", "combine": "median"}, "models.m.combine: unknown value 'median'"),
        ({"system": "vae", "beta": -1}, "models.m.beta: "),
        ({"system": "vae", "warmup": 1.5}, "models.m.warmup: "),
        ({"system": "function", "function": "no colon"}, "models.m.function: "),
        ({"ebn0_db": 3}, "ebn0_db and bits go together"),
        ({"bits": 4}, "ebn0_db and bits go together"),
        ({"ebn0_db": 3, "bits": 4, "stddev": 0.1}, "ebn0_db and stddev both state the noise"),
        ({"ebn0_db": 3, "bits": 0}, "models.m.bits: "),
        ({"ebn0_db": 1000, "bits": 4}, "models.m.ebn0_db: "),
        ({"ebn0_db": {"low": 0, "high": 1000}, "bits": 4}, "models.m.ebn0_db: "),
        ({"ebn0_db": {"low": 6, "high": 0}, "bits": 4}, "low must be below high, got 6 and 0"),
        (
            {"ebn0_db": 3, "bits": 4, "normalize": False},
            "models.m.ebn0_db: Eb/N0 is that of a code whose power is known, and normalize is none "
            "(set normalize: unit, or power)",
        ),
        ({"ebn0_db": 3, "bits": 4, "system": "ensemble"}, "ensemble sends more than a code of"),
        ({"ebn0_db": 3, "bits": 4, "system": "two_encoder"}, "two_encoder sends more than a code"),
    ],
    ids=str,
)
def test_what_a_model_lacks_or_cannot_have_is_one_line(
    model: dict[str, Any], expected: str
) -> None:
    assert expected in message(**model)


@pytest.mark.parametrize(
    ("match", "expected"),
    [
        ("plian", "there is no model 'plian' (did you mean 'plain'?)"),
        ("m", "model 'm' is of system: wide, whose parameters cannot be matched"),
    ],
)
def test_wide_matches_a_model_that_is_there(match: str, expected: str) -> None:
    text = message(system="wide", match=match)
    assert text.startswith("params.yaml: models.m.match: ")
    assert expected in text


def test_a_learned_second_encoder_is_scaled_by_rms() -> None:
    (setting,) = settings(system="two_encoder", rms="0.1")
    assert (setting.spec.rms, setting.spec.offset) == (0.1, None)


@pytest.mark.parametrize(
    ("decibels", "bits", "stddev"),
    [
        (0, 4, math.sqrt(1 / 8)),
        (0, 0.5, 1.0),
        (10, 2, math.sqrt(1 / 40)),
        (-10, 5, 1.0),
        ("3", "4", 0.2502966),  # 10^0.3 = 1.995262
    ],
)
def test_the_noise_of_a_channel(decibels: Any, bits: Any, stddev: float) -> None:
    (setting,) = settings(ebn0_db=decibels, bits=bits)
    assert setting.spec.stddev == pytest.approx(stddev, rel=1e-6)


def test_noise_of_a_range() -> None:
    first, second, fixed = settings(
        ebn0_db=[{"low": 0, "high": "6"}, {"low": -2, "high": 1.5}, 3], bits=4, normalize="power"
    )
    assert [one.label for one in (first, second, fixed)] == [
        *("m ebn0_db=0..6", "m ebn0_db=-2..1.5", "m ebn0_db=3")
    ]
    assert fixed.spec.noise_range is None
    levels = first.spec.noise_range
    assert levels is not None
    ends = [one.spec.stddev for one in settings(ebn0_db=[6, 3, 0], bits=4)]
    np.testing.assert_allclose(levels.at(np.array([0, 0.5, 1])), ends)
    drawn = levels.at(np.linspace(0, 1, 100_001))
    rms = np.sqrt(np.mean(np.square(drawn)))
    assert first.spec.stddev == first.noise_level == pytest.approx(rms, rel=1e-4)
    (plain,) = settings(stddev={"low": 0, "high": 0.2})
    drawn = np.linspace(0, 0.2, 100_001)
    assert plain.spec.noise_range == NoiseRange(0, 0.2)
    assert plain.spec.stddev == pytest.approx(np.sqrt(np.mean(np.square(drawn))), rel=1e-4)
    assert plain.label == "m"


def test_decibels_sweep_and_are_shown_as_given() -> None:
    found = settings(ebn0_db=[0, 6.5], bits=4)
    assert [setting.label for setting in found] == ["m ebn0_db=0", "m ebn0_db=6.5"]


def test_what_a_system_has_of_its_own_sweeps() -> None:
    found = settings(system="two_encoder", second_hidden=[[], [8, 4], None], frozen=[False, True])
    assert [setting.label for setting in found] == [
        f"m second_hidden={hidden} frozen={frozen}"
        for hidden in ("none", "8-4", "null")
        for frozen in ("false", "true")
    ]
    systems = settings(system=["additive", "concatenate"], offset="frozen")
    assert [setting.spec.system for setting in systems] == ["additive", "concatenate"]
