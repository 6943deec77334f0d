from __future__ import annotations

import json
from typing import Any

import pytest
from tests.small_params import small_params

from offset_autoencoder.config import Setting, parse_params
from offset_autoencoder.models.architecture import Architecture
from offset_autoencoder.models.resolve import resolve_architecture

DENSE: dict[str, Any] = {"latent_dim": 3, "hidden": [8, 5]}
IMAGES: dict[str, Any] = {"kind": "convolutional", "latent_dim": 3, "filters": [4]}


def setting(network: dict[str, Any] = DENSE, **model: Any) -> Setting:
    document = small_params(network=network, models={"plain": {}, "m": model})
    return parse_params(document).settings[1]


def resolved(network: dict[str, Any] = DENSE, **model: Any) -> Architecture:
    return resolve_architecture(
        setting(network, **model), input_dim=24, image_shape=[4, 6], samples=7 * 32
    )


@pytest.mark.parametrize(
    ("network", "given", "hidden"),
    [
        (DENSE, {}, [8, 5]),
        (DENSE, {"second_hidden": None}, [8, 5]),
        (DENSE, {"second_hidden": [6]}, [6]),
        (DENSE, {"second_hidden": []}, []),
        (IMAGES, {}, None),
        (IMAGES, {"second_hidden": [6]}, [6]),
        (IMAGES, {"second_hidden": []}, []),
    ],
)
def test_a_second_encoder_is_like_the_first_unless_its_widths_are_given(
    network: dict[str, Any], given: dict[str, Any], hidden: list[int] | None
) -> None:
    assert resolved(network, system="two_encoder", **given).second_hidden == hidden


def test_what_is_left_open_is_filled_in() -> None:
    second = resolved(system="two_encoder", activation="tanh", rms=0.2)
    assert (second.second_activation, second.second_rms, second.frozen) == ("tanh", 0.2, False)
    assert resolved(system="vae", warmup=3).warmup_steps == 21
    wide = resolve_architecture(
        setting(system="wide", match="plain"),
        input_dim=24,
        image_shape=None,
        samples=7 * 32,
        encoder_hidden=(16, 10),
    )
    assert (wide.system, wide.encoder_hidden) == ("additive", [16, 10])


def test_only_what_reads_images_depends_on_their_shape() -> None:
    assert resolved().image_shape is None
    assert resolved(IMAGES).image_shape == [4, 6]


@pytest.mark.parametrize(
    ("changes", "same"),
    [
        ({"system": "additive"}, True),
        ({"offset": "frozen", "rms": 0.5}, True),  # a table, not a layer
        ({"stddev": 0.3}, True),  # noise is folded in, not built
        ({"epochs": 5, "batch_size": 5}, True),
        ({"filters": [9]}, True),  # says nothing about a dense network
        ({"hidden": [8, 6]}, False),
        ({"system": "concatenate", "offset": "frozen"}, False),
        ({"system": "two_encoder"}, False),
        ({"system": "ensemble"}, False),
        ({"system": "vae"}, False),
    ],
    ids=str,
)
def test_the_key_tells_architectures_apart(changes: dict[str, Any], same: bool) -> None:
    assert (resolved(**changes).key == resolved().key) is same


@pytest.mark.parametrize(
    "model",
    [
        {},
        {"system": "two_encoder", "second_hidden": [], "rms": 0.1, "frozen": True},
        {"system": "ensemble"},
        {"system": "vae", "warmup": 2},
        {"system": "function", "function": "json:loads"},
    ],
    ids=str,
)
@pytest.mark.parametrize("network", [DENSE, IMAGES], ids=["dense", "convolutional"])
def test_comes_back_from_what_a_run_keeps_of_it(
    network: dict[str, Any], model: dict[str, Any]
) -> None:
    architecture = resolved(network, **model)
    kept = json.loads(json.dumps(architecture.dump()))
    assert Architecture.model_validate(kept).dump() == architecture.dump()
