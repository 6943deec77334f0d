from __future__ import annotations

from collections.abc import Callable
from typing import Any

from offset_autoencoder.config import Params, Run
from offset_autoencoder.evaluation.controls import NOISE, NOTHING, match_controls

MakeParams = Callable[..., Params]

MODELS: dict[str, Any] = {
    "none": {"offset": "none"},
    "gaussian": {"offset": "none", "stddev": [0.1, 0.2]},
    "frozen": {"offset": "frozen", "rms": [0.1, 0.3]},
    "shaken": {"offset": "frozen", "rms": 0.2, "stddev": 0.1},
    "as_it_came": {"offset": "frozen"},
    "deeper": {"offset": "frozen", "rms": 0.1, "hidden": [8, 8]},
    "concatenate": {"system": "concatenate", "offset": "frozen", "rms": 0.1},
    "two_encoder": {"system": "two_encoder", "rms": 0.1},
    "wide": {"system": "wide", "match": "two_encoder", "offset": "frozen", "rms": 0.1},
    "vae": {"system": "vae", "offset": "frozen"},
}


def has_offset(run: Run) -> bool:
    spec = run.setting.spec
    return spec.offset == "frozen" or spec.system == "two_encoder"


def test_a_run_is_matched_by_network_training_seed_and_rms(make_params: MakeParams) -> None:
    params = make_params(models=MODELS, seeds=2)
    found = match_controls({run.label: run for run in params.runs}, has_offset)
    matches = {
        label.removesuffix(" seed=1"): {
            name: match.removesuffix(" seed=1") for name, match in of_run.items()
        }
        for label, of_run in found.references.items()
        if label.endswith("seed=1")
    }
    at = {level: {NOTHING: "none", NOISE: f"gaussian stddev={level}"} for level in (0.1, 0.2)}
    nothing = {NOTHING: "none"}
    assert matches == {
        "none": nothing,
        "gaussian stddev=0.1": nothing,
        "gaussian stddev=0.2": nothing,
        "frozen rms=0.1": at[0.1],
        "frozen rms=0.3": nothing,  # no noise of that level
        "shaken": at[0.2],
        "as_it_came": nothing,
        "deeper": {},
        "concatenate": at[0.1],
        "two_encoder": at[0.1],
        "wide": at[0.1],
        "vae": nothing,
    }
    guests = {
        label.removesuffix(" seed=0"): [guest.removesuffix(" seed=0") for guest in of_run]
        for label, of_run in found.guests.items()
        if label.endswith("seed=0")
    }
    # A decoder of both side by side and a code on a scale of its own compare with no other's.
    added = ["frozen rms=0.1", "frozen rms=0.3", "shaken", "as_it_came", "two_encoder", "wide"]
    assert guests == {
        "none": added,
        "gaussian stddev=0.1": ["frozen rms=0.1", "two_encoder", "wide"],
        "gaussian stddev=0.2": ["shaken"],
    }


def test_what_an_offset_is_added_to_is_no_control(make_params: MakeParams) -> None:
    """A table without rms is added as it came: only zeros are nothing."""
    params = make_params(models={"a": {"offset": "frozen"}, "b": {"offset": "none"}}, seeds=1)
    runs = {run.label: run for run in params.runs}
    assert match_controls(runs, has_offset).references["a seed=0"] == {NOTHING: "b seed=0"}
    assert match_controls(runs, lambda run: True).references["a seed=0"] == {}
