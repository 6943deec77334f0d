from __future__ import annotations

import contextlib

import pytest
from hypothesis import assume, example, given, settings
from hypothesis import strategies as st

from offset_autoencoder.config.schema import Network
from offset_autoencoder.errors import InputError
from offset_autoencoder.models.architecture import Architecture
from offset_autoencoder.models.resolve import matching_widths

WHERE = "params.yaml: models.wide.match"
WIDTHS = st.lists(st.integers(1, 40), min_size=1, max_size=3)


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
