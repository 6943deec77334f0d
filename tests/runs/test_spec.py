from __future__ import annotations

import dataclasses
import importlib.metadata
import json
import re
from collections.abc import Callable
from typing import Any

import pytest
from tests.small_params import small_params

from offset_autoencoder.config import parse_params
from offset_autoencoder.config.schema import Network
from offset_autoencoder.config.systems import NoiseRange
from offset_autoencoder.errors import InputError
from offset_autoencoder.io.files import sha256_of_json
from offset_autoencoder.models.architecture import Architecture
from offset_autoencoder.runs import spec
from offset_autoencoder.runs.code_digest import library_versions
from offset_autoencoder.runs.spec import IdentifiedRun, identify

MakeRuns = Callable[..., list[IdentifiedRun]]
BEFORE = "0caa1aef80986967f266cb0c0e8a9a7238ca9f4a6a573f15b36ceef00a70c34a"
BEFORE_WITHOUT_NORM = "38b5c6da764ed11d6856778d89ba170c2781f1272a485a12b869c5bfc15e9320"
ONE: dict[str, Any] = {"seeds": [3], "models": {"m": {"offset": "frozen", "rms": 0.5}}}


def one(make_runs: MakeRuns, **sections: Any) -> IdentifiedRun:
    (run,) = make_runs(**{**ONE, **sections})
    return run


def model(**keys: Any) -> dict[str, Any]:
    return {"models": {"m": {"offset": "frozen", "rms": 0.5, **keys}}}


def test_an_id_is_the_digest_of_what_determines_the_run(make_runs: MakeRuns) -> None:
    run = one(make_runs)
    assert run.id == sha256_of_json(run.spec.fingerprint())
    assert set(run.spec.fingerprint()) == {
        *("architecture", "train", "offset_factor", "stddev", "table", "data", "seed"),
        *("code", "versions"),
    }
    assert one(make_runs).id == run.id


@pytest.mark.parametrize(
    "sections",
    [
        {"seeds": [4]},
        model(rms=0.6),
        model(rms=None),
        model(stddev=0.1),
        model(offset="none", rms=None),
        model(latent_dim=4),
        model(hidden=[5]),
        model(hidden=[4, 4]),
        model(activation="tanh"),
        model(normalize=False),
        model(loss="mean_squared_error"),
        model(loss="mean_squared_error", output="linear"),
        model(epochs=4),
        model(batch_size=9),
        model(optimizer="sgd"),
        model(learning_rate=0.002),
        model(patience=11),
        model(patience=None),
        {"offsets": {"frozen": {"kind": "hash", "seed": 1}}},
        model(kind="convolutional"),
        model(initializer="he_normal"),
        model(dropout=0.1),
        model(code_l1=0.1),
        model(normalize="none", code_l2=0.1),
        model(normalize="power"),
        model(schedule="cosine"),
        model(stddev={"low": 0.1, "high": 0.2}),
        model(system="concatenate"),
        model(system="ensemble"),
        model(system="vae"),
        {"models": {"m": {"system": "two_encoder", "rms": 0.5}}},
    ],
    ids=str,
)
def test_whatever_changes_the_run_changes_the_id(
    make_runs: MakeRuns, sections: dict[str, Any]
) -> None:
    assert one(make_runs, **sections).id != one(make_runs).id


@pytest.mark.parametrize(
    "sections",
    [
        {"models": {"another_name": {"offset": "frozen", "rms": 0.5}}},
        {
            "offsets": {"renamed": {"kind": "hash"}},
            "models": {"m": {"offset": "renamed", "rms": 0.5}},
        },
        model(stddev=0),
        model(normalize="unit", initializer="glorot_uniform", dropout=0, code_l1=0, code_l2=0),
        model(schedule="constant", schedule_end=0.5),
        model(rms="0.5"),
        model(latent_dim=3, batch_size="8"),
        model(filters=[7], kernel_size=5),  # of convolutional networks
        model(system="additive"),
        {"network": {}, **model(latent_dim=3, hidden=[4])},
        {"data": {"scale": "minmax"}, "split": {"seed": 9}},  # their digests count, not they
        {"evaluate": {"baselines": ["m"], "metric": "mae", "seed": 5}},
        {"tracking": {"experiment": "another"}},
    ],
    ids=str,
)
def test_nothing_else_changes_the_id(make_runs: MakeRuns, sections: dict[str, Any]) -> None:
    assert one(make_runs, **sections).id == one(make_runs).id


def test_a_run_has_the_id_that_it_had_before_a_key_came(
    make_runs: MakeRuns, monkeypatch: pytest.MonkeyPatch
) -> None:
    """But for code and versions."""
    monkeypatch.setattr(spec, "code_digest", lambda: "code")
    monkeypatch.setattr(spec, "library_versions", dict)
    assert one(make_runs).id == BEFORE
    assert one(make_runs, **model(stddev=0.25, normalize=False)).id == BEFORE_WITHOUT_NORM


def test_a_range_of_noise_is_read_back_as_one(make_runs: MakeRuns) -> None:
    run = one(make_runs, **model(stddev={"low": 0.1, "high": 0.2}))
    read = spec.RunSpec.parse(json.loads(json.dumps(run.spec.fingerprint())))
    assert read.stddev == NoiseRange(0.1, 0.2)
    assert read.id == run.id


def test_a_run_has_one_id_whichever_sweep_it_stands_in(make_runs: MakeRuns) -> None:
    alone = one(make_runs)
    swept = make_runs(
        seeds=[1, 3],
        models={
            "wide": {"offset": "frozen", "rms": [0.1, 0.5], "learning_rate": [0.1, 1e-3]},
            "none": {"offset": "none"},
        },
    )
    assert len({run.id for run in swept}) == len(swept)
    assert [run.run.label for run in swept if run.id == alone.id] == [
        "wide rms=0.5 learning_rate=0.001 seed=3"
    ]


@pytest.mark.parametrize(
    ("system", "first", "second"),
    [
        ("two_encoder", {"second_hidden": [4]}, {"second_hidden": []}),
        ("two_encoder", {}, {"second_activation": "tanh"}),
        ("two_encoder", {}, {"rms": 0.5}),
        ("two_encoder", {"rms": 0.5}, {"rms": 0.5, "frozen": True}),
        ("ensemble", {}, {"encoders": 3}),
        ("ensemble", {}, {"combine": "sum"}),
        ("vae", {}, {"beta": 0.5}),
        ("vae", {}, {"warmup": 1}),
        ("vae", {"warmup": 1}, {"warmup": 1, "batch_size": 9}),
    ],
)
def test_what_a_system_has_of_its_own_changes_the_id(
    make_runs: MakeRuns, system: str, first: dict[str, Any], second: dict[str, Any]
) -> None:
    runs = make_runs(
        seeds=[3], models={"a": {"system": system, **first}, "b": {"system": system, **second}}
    )
    assert runs[0].id != runs[1].id


def test_noise_in_decibels_is_the_noise_that_they_state(make_runs: MakeRuns) -> None:
    runs = make_runs(
        seeds=[3], models={"a": {"stddev": 0.5}, "b": {"ebn0_db": 0, "bits": 2}, "c": {}}
    )
    assert runs[0].id == runs[1].id != runs[2].id


def test_a_wide_encoder_is_known_by_its_widths(make_runs: MakeRuns) -> None:
    runs = make_runs(
        seeds=[3],
        models={
            "two": {"system": "ensemble", "encoders": 2},
            "free": {"system": "two_encoder"},
            "more": {"system": "ensemble", "encoders": 3},
            "wide": {"system": "wide", "match": "two"},
            "same": {"system": "wide", "match": "free"},
            "wider": {"system": "wide", "match": "more"},
        },
        network={"latent_dim": 3, "hidden": [16]},
    )
    by_name = {run.run.setting.model: run for run in runs}
    assert by_name["wide"].id == by_name["same"].id != by_name["wider"].id
    plain, wide = (by_name[name].spec.architecture for name in ("two", "wide"))
    assert wide.encoder_hidden is not None
    assert wide.encoder_hidden[0] > plain.network.hidden[0]


def changed(**changes: Any) -> str:
    (run,) = parse_params(small_params()).runs
    facts: dict[str, Any] = {
        "architecture": Architecture(network=run.setting.network, input_dim=6),
        "data": {"train": "a", "validation": "b"},
        "table": {"train": "c", "validation": "d"},
        "offset_factor": 1.0,
        **changes,
    }
    return identify(run, **facts).id


def test_data_and_table_digests_count() -> None:
    ids = [
        changed(),
        changed(data={"train": "x", "validation": "b"}),
        changed(data={"train": "a", "validation": "x"}),
        changed(table={"train": "x", "validation": "d"}),
        changed(table={"train": "c", "validation": "x"}),
        changed(table=None),
        changed(architecture=Architecture(network=Network(), input_dim=7)),
        changed(offset_factor=2.0),
    ]
    assert len(set(ids)) == len(ids)


def test_code_and_versions_count(monkeypatch: pytest.MonkeyPatch) -> None:
    before = changed()
    with monkeypatch.context() as patch:
        patch.setattr(spec, "code_digest", lambda: "other")
        assert changed() != before
    versions = library_versions()
    assert {"tensorflow", "keras", "numpy", "numba", "scipy"} <= set(versions)
    for library in versions:
        with monkeypatch.context() as patch:
            other = {**versions, library: "0"}
            patch.setattr(spec, "library_versions", lambda other=other: other)
            assert changed() != before
    assert changed() == before


def test_a_run_keeps_its_name_beside_its_id(make_runs: MakeRuns) -> None:
    run = one(make_runs)
    assert run.run.label == "m seed=3"
    assert run.spec.offset_factor == 0.5
    with pytest.raises(dataclasses.FrozenInstanceError):
        run.spec.seed = 1  # type: ignore[misc]


def test_an_engine_that_is_named_adds_the_versions_of_its_libraries(
    make_runs: MakeRuns, monkeypatch: pytest.MonkeyPatch
) -> None:
    versions = {"jax": "1.0", "jaxlib": "1.0"}
    installed = {**library_versions(), **versions}
    monkeypatch.setattr(importlib.metadata, "version", installed.__getitem__)
    runs = {name: one(make_runs, train={"engine": name}) for name in ("auto", "numba", "jax")}
    for name, run in runs.items():
        assert run.spec.versions == library_versions() | (versions if name == "jax" else {})
        assert spec.RunSpec.parse(json.loads(json.dumps(run.spec.fingerprint()))).id == run.id


def test_an_engine_that_is_not_installed_is_one_line(
    make_runs: MakeRuns, monkeypatch: pytest.MonkeyPatch
) -> None:
    def version(name: str) -> str:
        raise importlib.metadata.PackageNotFoundError(name)

    monkeypatch.setattr(importlib.metadata, "version", version)
    expected = "train.engine: jax needs jax, which is not installed (in a clone of the "
    with pytest.raises(InputError, match=re.escape(expected)):
        one(make_runs, train={"engine": "jax"})
