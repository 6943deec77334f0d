from __future__ import annotations

import contextlib
from typing import Any

import pytest
from hypothesis import assume, example, given, settings
from hypothesis import strategies as st
from tests.small_params import small_params

from offset_autoencoder.config import parse_params
from offset_autoencoder.config.schema import Network
from offset_autoencoder.errors import InputError
from offset_autoencoder.models.architecture import Architecture
from offset_autoencoder.models.resolve import matching_widths, one_bit_codes, resolve_architectures

WHERE = "params.yaml: models.wide.match"
WIDTHS = st.lists(st.integers(1, 40), min_size=1, max_size=3)


def resolve(
    models: dict[str, Any],
    *,
    network: dict[str, Any] | None = None,
    image_shape: list[int] | None = None,
    samples: int = 70,
    **shapes: Any,
) -> dict[str, Architecture]:
    network = network or {"latent_dim": 3, "hidden": [20]}
    document = small_params(network=network, train={"batch_size": 32}, models=models)
    parsed = parse_params(document).settings
    found = resolve_architectures(
        parsed, input_dim=24, image_shape=image_shape, samples=samples, **shapes
    )
    return dict(zip((setting.label for setting in parsed), found, strict=True))


def message(models: dict[str, Any], **options: Any) -> str:
    with pytest.raises(InputError) as caught:
        resolve(models, **options)
    assert "\n" not in str(caught.value)
    return str(caught.value)


@pytest.mark.parametrize(
    "matched",
    [
        {"system": "two_encoder"},
        {"system": "two_encoder", "second_hidden": []},
        {"system": "ensemble", "encoders": 3},
        {"system": "concatenate", "offset": "frozen"},
        {"system": "vae"},
        {},
    ],
    ids=str,
)
def test_a_wide_encoder_has_the_parameters_of_the_model_it_matches(matched: dict[str, Any]) -> None:
    network = {"latent_dim": 3, "hidden": [40]}
    found = resolve({"m": matched, "wide": {"system": "wide", "match": "m"}}, network=network)
    target = found["m"].trainable_parameters
    assert found["wide"].trainable_parameters == pytest.approx(target, rel=0.01)
    assert found["wide"].system == "additive"


def test_a_wide_encoder_matches_the_model_with_its_own_network() -> None:
    found = resolve(
        {"m": {"system": "two_encoder"}, "wide": {"system": "wide", "match": "m"}},
        network={"latent_dim": [3, 6], "hidden": [[20], [40, 30]]},
    )
    assert len(found) == 8
    for sweep in ("latent_dim=3 hidden=20", "latent_dim=6 hidden=40-30"):
        target = found[f"m {sweep}"].trainable_parameters
        assert found[f"wide {sweep}"].trainable_parameters == pytest.approx(target, rel=0.01)


def test_what_decides_no_parameter_may_be_swept_by_the_matched_model() -> None:
    models = {
        "m": {"system": "two_encoder", "rms": [0.1, 0.2], "stddev": [0.0, 0.1], "epochs": [1, 2]},
        "wide": {"system": "wide", "match": "m"},
    }
    assert resolve(models)["wide"].encoder_hidden is not None


@pytest.mark.parametrize(
    ("models", "options", "expected"),
    [
        (
            {"m": {"hidden": [9]}, "wide": {"system": "wide", "match": "m"}},
            {},
            "models.wide.match: model 'm' has no setting with the network of 'wide': hidden is [9] "
            "there, [20] here (let both",
        ),
        (
            {
                "m": {"latent_dim": [2, 4], "activation": "tanh"},
                "wide": {"system": "wide", "match": "m"},
            },
            {},
            "of 'wide': latent_dim is 2 or 4 there, 3 here; activation is tanh there, relu here (",
        ),
        (
            {
                "m": {"system": "ensemble", "encoders": [2, 3]},
                "wide": {"system": "wide", "match": "m"},
            },
            {},
            "models.wide.match: model 'm' sweeps what decides its parameters",
        ),
        (
            {"m": {}, "wide": {"system": "wide", "match": "m"}},
            {"network": {"kind": "convolutional"}, "image_shape": [4, 6]},
            "models.wide.match: names a convolutional model",
        ),
        (
            {"m": {"system": "ensemble"}, "wide": {"system": "wide", "match": "m"}},
            {"network": {"latent_dim": 3, "hidden": []}},
            "models.wide.match: needs a dense network with a hidden layer",
        ),
        (
            {"m": {}, "c": {"kind": "convolutional"}},
            {},
            "models.c: network.kind: convolutional needs samples that are images",
        ),
        (
            {"m": {"system": "function", "function": "no_such_module:build"}},
            {},
            "models.m.function: there is no module 'no_such_module'",
        ),
        (
            {"m": {"system": "function", "function": "math:sqr"}},
            {},
            "models.m.function: math has no 'sqr' (did you mean 'sqrt'?)",
        ),
        (
            {"m": {"kind": "convolutional", "filters": [[8, 8, 8], [8, 8, 8, 8]]}},
            {"image_shape": [4, 6]},
            "models.m: network.filters: [8, 8, 8, 8] are 4 convolutions, each of which halves the "
            "image: 4 × 6 is a single pixel after 3 (name at most 3 filters)",
        ),
        (
            {"m": {"kind": "convolutional"}},
            {"image_shape": [1, 1]},
            "models.m: network.filters: [16, 32] are 2 convolutions, each of which halves the "
            "image: 1 × 1 is a single pixel after 0 (take network.kind: dense)",
        ),
        (
            {"m": {"kind": "convolutional", "kernel_size": [6, 7]}},
            {"image_shape": [4, 6, 1]},
            "models.m: network.kernel_size: 7 is larger than the images, 4 × 6 (at most 6)",
        ),
        (
            {"m": {"kind": "recurrent"}},
            {},
            "models.m: network.kind: recurrent needs samples that are sequences (set data."
            "sequence_shape: [steps, channels], [24, 1] for one channel)",
        ),
        (
            {"m": {"kind": "recurrent"}},
            {"network": {"hidden": []}, "sequence_shape": [12, 2]},
            "models.m: network.hidden: [] leaves network.kind: recurrent without a layer",
        ),
        (
            {"m": {"kind": "convolutional_1d", "filters": [2] * 5}},
            {"sequence_shape": [12, 2]},
            "halves the sequence: 12 steps is a single step after 4 (name at most 4 filters)",
        ),
        (
            {"m": {"kind": "convolutional_1d", "kernel_size": 5}},
            {"sequence_shape": [8, 3], "channels_first": True},
            "models.m: network.kernel_size: 5 is larger than the sequences, 3 steps (at most 3)",
        ),
    ],
)
def test_what_cannot_be_resolved_is_one_line(
    models: dict[str, Any], options: dict[str, Any], expected: str
) -> None:
    assert expected in message(models, **options)


@pytest.mark.parametrize(("side", "deepest"), [(2, 1), (3, 2), (4, 2), (5, 3), (8, 3), (9, 4)])
def test_as_deep_as_the_image_can_be_halved(side: int, deepest: int) -> None:
    models = {"m": {"kind": "convolutional", "filters": [2] * deepest, "kernel_size": 2}}
    for image_shape in ([side, 1], [1, side, 3]):
        assert resolve(models, image_shape=image_shape)["m"].image_shape == image_shape
        deeper = {"m": {**models["m"], "filters": [2] * (deepest + 1)}}
        assert "a single pixel" in message(deeper, image_shape=image_shape)


def test_a_network_keeps_the_shape_that_it_reads_and_no_other() -> None:
    shapes: dict[str, Any] = {"image_shape": [4, 6], "sequence_shape": [4, 6]}
    models = {"c": {"kind": "convolutional"}, "r": {"kind": "recurrent"}, "d": {}}
    for first in (False, True):
        found = resolve(models, **shapes, channels_first=first)
        own = {"channels_first": True} if first else {}
        for name, kept in (("c", "image_shape"), ("r", "sequence_shape"), ("d", None)):
            dumped = found[name].dump()
            stands = {key: dumped[key] for key in (*shapes, "channels_first") if key in dumped}
            assert stands == ({kept: [4, 6], **own} if kept else {})


def test_what_a_recurrent_network_does_not_read_is_no_part_of_it() -> None:
    models = {"r": {"kind": "recurrent", "activation": ["relu", "tanh"], "kernel_size": [3, 5]}}
    found = resolve(models, sequence_shape=[12, 2])
    assert len({architecture.key for architecture in found.values()}) == 1
    assert resolve({"r": {"kind": "recurrent", "cell": "lstm"}}, sequence_shape=[12, 2])[
        "r"
    ].key not in {architecture.key for architecture in found.values()}


@pytest.mark.parametrize(
    ("sections", "named"),
    [
        ({"models": {"m": {}}}, "model m"),
        ({"models": {"m": {"normalize": False}}}, None),
        ({"models": {"m": {"latent_dim": 2}}}, None),
        ({"models": {"m": {"latent_dim": [1, 2]}}}, "model m latent_dim=1"),
        ({"models": {"m": {"system": "vae"}}}, None),
        ({"models": {"m": {"system": "ensemble"}}}, None),
        (
            {
                "models": {"m": {"normalize": False, "offset": "e"}},
                "offsets": {"e": {"kind": "encoder"}},
            },
            "the reference of offset e",
        ),
    ],
    ids=str,
)
def test_a_code_of_one_bit_is_a_warning(sections: dict[str, Any], named: str | None) -> None:
    document = small_params(**{"network": {"latent_dim": 1}, "offsets": {}, **sections})
    warning = one_bit_codes(parse_params(document))
    assert bool(warning) == (named is not None)
    if named is not None:
        assert f"({named}): set normalize: none" in warning


@pytest.mark.parametrize(("samples", "steps"), [(64, 2), (70, 3), (1, 1)])
def test_the_warm_up_is_counted_in_batches(samples: int, steps: int) -> None:
    found = resolve({"m": {"system": "vae", "warmup": 5}}, samples=samples)
    assert found["m"].warmup_steps == 5 * steps


def test_a_users_own_model_is_known_by_its_code(tmp_path: Any, monkeypatch: Any) -> None:
    monkeypatch.syspath_prepend(str(tmp_path))
    (tmp_path / "users_known.py").write_text("def build(): ...\n")
    models = {"m": {"system": "function", "function": "users_known:build"}}
    before = resolve(models)["m"]
    (tmp_path / "users_known.py").write_text("def build(): pass\n")
    after = resolve(models)["m"]
    assert before.function_sha256 != after.function_sha256
    assert before.key != after.key


def parameters_of(network: Network, input_dim: int, widths: list[int]) -> int:
    wide = Architecture(network=network, input_dim=input_dim, encoder_hidden=widths)
    return wide.trainable_parameters


def test_counts_kernels_and_biases() -> None:
    network = Network(latent_dim=3, hidden=[5, 4])
    encoder, decoder = 10 * 5 + 5 + 5 * 4 + 4 + 4 * 3 + 3, 3 * 4 + 4 + 4 * 5 + 5 + 5 * 10 + 10
    assert Architecture(network=network, input_dim=10).trainable_parameters == encoder + decoder


@pytest.mark.parametrize(
    "architecture",
    [
        Architecture(network=Network(kind="convolutional"), input_dim=16, image_shape=[4, 4]),
        Architecture(system="function", network=Network(), input_dim=16, function="m:f"),
    ],
)
def test_what_it_cannot_count_is_an_error(architecture: Architecture) -> None:
    with pytest.raises(ValueError, match="only dense networks"):
        _ = architecture.trainable_parameters


@settings(deadline=None)
@given(WIDTHS, st.integers(1, 90), st.integers(1, 20), st.integers(1, 40_000))
@example([1], 1, 1, 1)
@example([3, 1], 60, 4, 30_000)
@example([2, 2], 72, 20, 797)
def test_comes_within_a_hundredth_or_says_that_it_cannot(
    hidden: list[int], input_dim: int, latent_dim: int, target: int
) -> None:
    network = Network(latent_dim=latent_dim, hidden=hidden)
    with contextlib.suppress(InputError):
        widths = matching_widths(WHERE, network, input_dim, target)
        assert len(widths) == len(hidden)
        assert min(widths) >= 1
        assert abs(parameters_of(network, input_dim, widths) - target) <= 0.01 * target


@settings(deadline=None)
@given(st.integers(1, 60), st.integers(1, 90), st.integers(1, 20), st.integers(1, 300))
def test_a_single_width_that_exists_is_found(
    hidden: int, input_dim: int, latent_dim: int, wanted: int
) -> None:
    network = Network(latent_dim=latent_dim, hidden=[hidden])
    target = parameters_of(network, input_dim, [wanted])
    assert matching_widths(WHERE, network, input_dim, target) == [wanted]


@settings(deadline=None)
@given(WIDTHS, st.integers(16, 90), st.integers(2, 20), st.integers(2, 5))
def test_an_ensemble_can_be_matched(
    hidden: list[int], input_dim: int, latent_dim: int, encoders: int
) -> None:
    assume(min(hidden) >= 16)
    network = Network(latent_dim=latent_dim, hidden=hidden)
    target = Architecture(
        system="ensemble", network=network, input_dim=input_dim, encoders=encoders
    ).trainable_parameters
    step = parameters_of(network, input_dim, [hidden[0] + 1, *hidden[1:]]) - parameters_of(
        network, input_dim, hidden
    )
    assume(step <= 0.01 * target)  # or the nearest width may be further off than 1 %
    widths = matching_widths(WHERE, network, input_dim, target)
    assert abs(parameters_of(network, input_dim, widths) - target) <= 0.01 * target
    assert all(wide >= narrow for wide, narrow in zip(widths, hidden, strict=True))


@pytest.mark.parametrize(
    ("network", "target", "expected"),
    [
        (Network(hidden=[]), 5000, "needs a dense network with a hidden layer"),
        (Network(kind="convolutional"), 5000, "needs a dense network with a hidden layer"),
        (Network(hidden=[32]), 10, "no encoder comes within 1 % of 10 parameters"),
    ],
)
def test_what_cannot_be_matched_is_one_line(network: Network, target: int, expected: str) -> None:
    with pytest.raises(InputError, match=expected) as caught:
        matching_widths(WHERE, network, 64, target)
    assert str(caught.value).startswith(f"{WHERE}: ")
