from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from offset_autoencoder.config import Params
from offset_autoencoder.evaluation.comparison import match_baseline

MakeParams = Callable[..., Params]


def _matches(params: Params, baseline: str) -> dict[str, str | None]:
    pairs = {}
    for setting in params.settings:
        match = match_baseline(setting, params.settings, baseline)
        pairs[setting.label] = None if match is None else match.label
    return pairs


def test_gaussian_is_met_at_the_same_power_and_none_by_all(make_params: MakeParams) -> None:
    params = make_params()
    assert _matches(params, "gaussian") == {
        "none": None,
        "gaussian stddev=0.1": None,
        "gaussian stddev=0.2": None,
        "frozen rms=0.1": "gaussian stddev=0.1",
        "frozen rms=0.2": "gaussian stddev=0.2",
    }
    assert set(_matches(params, "none").values()) == {None, "none"}
    assert _matches(params, "none")["none"] is None


def test_a_power_that_gaussian_lacks_has_no_match(make_params: MakeParams) -> None:
    models = {
        "gaussian": {"offset": "none", "stddev": 0.1},
        "frozen": {"offset": "frozen", "rms": [0.1, 0.3]},
        "raw": {"offset": "frozen"},
    }
    assert _matches(make_params(models=models), "gaussian") == {
        "gaussian": None,
        "frozen rms=0.1": "gaussian",
        "frozen rms=0.3": None,
        "raw": None,
    }


def test_what_is_swept_for_all_is_the_same_on_both_sides(make_params: MakeParams) -> None:
    params = make_params(network={"latent_dim": [8, 16], "hidden": [[32], [64, 32]]})
    matches = _matches(params, "gaussian")
    for label, match in matches.items():
        if label.startswith("frozen"):
            assert match == label.replace("frozen", "gaussian").replace("rms", "stddev")
    assert _matches(params, "none")["frozen latent_dim=8 hidden=64-32 rms=0.2"] == (
        "none latent_dim=8 hidden=64-32"
    )


@pytest.mark.parametrize(
    "own", [{"hidden": [64]}, {"latent_dim": 4}, {"learning_rate": [0.1, 0.2]}]
)
def test_what_a_model_has_of_its_own_keeps_nothing_from_being_compared(
    make_params: MakeParams, own: dict[str, Any]
) -> None:
    models = {"none": {"offset": "none"}, "own": {"offset": "none", **own}}
    matches = _matches(make_params(models=models), "none")
    assert {match for label, match in matches.items() if label != "none"} == {"none"}


def test_a_key_that_only_the_baseline_sweeps_is_taken_at_the_models_value(
    make_params: MakeParams,
) -> None:
    models = {
        "none": {"offset": "none", "latent_dim": [8, 16]},
        "at": {"offset": "frozen", "rms": 0.1, "latent_dim": 16},
        "beside": {"offset": "frozen", "rms": 0.1, "latent_dim": 4},
    }
    matches = _matches(make_params(models=models), "none")
    assert (matches["at"], matches["beside"]) == ("none latent_dim=16", None)


def test_of_several_of_one_power_the_alike_one_is_taken(make_params: MakeParams) -> None:
    models = {
        "both": {"offset": "frozen", "rms": 0.1, "stddev": [0.0, 0.1]},
        "pca": {"offset": "pca", "rms": 0.1, "stddev": [0.1, 0.3]},
    }
    matches = _matches(make_params(models=models), "both")
    assert matches["pca stddev=0.1"] == "both stddev=0.1"
    assert matches["pca stddev=0.3"] is None


def test_power_is_rms_then_stddev(make_params: MakeParams) -> None:
    models = {
        "none": {"offset": "none"},
        "raw": {"offset": "pca"},
        "gaussian": {"offset": "none", "stddev": 0.3},
        "both": {"offset": "pca", "rms": 0.1, "stddev": 0.3},
    }
    assert [setting.noise_level for setting in make_params(models=models).settings] == [
        None,
        None,
        0.3,
        0.1,
    ]
