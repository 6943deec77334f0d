from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from channel.dirty_paper import TRAINED_AT_DB
from channel.link import codebook, interference_of, make_link, no_interference
from channel.monte_carlo import count_block_errors
from channel.theory import noise_stddev

from offset_autoencoder.config import SPLITS
from offset_autoencoder.config.schema import Network
from offset_autoencoder.models.architecture import Architecture

MESSAGES, DIMENSIONS = 4, 3
NETWORK = Network(
    latent_dim=DIMENSIONS, hidden=[8], output="softmax", loss="categorical_crossentropy"
)


def build(system: str, seed: int = 0) -> Any:
    from offset_autoencoder.models.autoencoder import build_model

    function = "channel.dirty_paper:build" if system == "function" else None
    return build_model(
        Architecture.model_validate(
            {
                "system": system,
                "network": NETWORK.model_dump(),
                "input_dim": MESSAGES,
                "function": function,
            }
        ),
        seed,
    )


@pytest.mark.parametrize("system", ["additive", "function"])
def test_link_decides_as_the_whole_model(system: str) -> None:
    model = build(system)
    link = make_link(model, no_interference(DIMENSIONS), informed=system == "function")
    generator = np.random.default_rng(0)
    sent = generator.integers(MESSAGES, size=500)
    interference = generator.standard_normal((500, DIMENSIONS), np.float32)
    codes = link.transmit(sent, interference)
    np.testing.assert_allclose(np.linalg.norm(codes, axis=1), 1, rtol=1e-5)
    whole = model({"x": np.eye(MESSAGES, dtype=np.float32)[sent], "offset": interference})
    np.testing.assert_array_equal(link.receive(codes + interference), np.argmax(whole, axis=1))


def test_codes_of_mean_power_have_it_exactly_over_all_words() -> None:
    from offset_autoencoder.models.autoencoder import build_model

    network = NETWORK.model_copy(update={"normalize": "power"})
    model = build_model(Architecture(network=network, input_dim=MESSAGES), 3)
    model.get_layer("power_code").power.assign(7.0)  # whatever the last batches had
    link = make_link(model, no_interference(DIMENSIONS), informed=False)
    assert link.has_mean_power
    energies = np.square(link.transmit(np.arange(MESSAGES), np.zeros(0, np.float32))).sum(axis=1)
    assert energies.mean() == pytest.approx(1, rel=1e-6)
    assert energies.std() > 0.1
    (counted,) = count_block_errors(link, [20.0], at_least=1, most_blocks=4096)
    assert counted.blocks >= 2048  # words of unequal norm are not refused


def test_only_the_informed_encoder_adapts_to_the_interference() -> None:
    sent = np.array([1, 1])
    interference = np.array([[0, 0, 0], [1, -1, 1]], np.float32)
    for system, adapts in (("additive", False), ("function", True)):
        link = make_link(build(system), no_interference(DIMENSIONS), informed=adapts)
        silent, disturbed = link.transmit(sent, interference)
        assert np.array_equal(silent, disturbed) != adapts


def test_noise_of_the_informed_model_is_that_of_its_ebn0_and_unknown_to_its_encoder() -> None:
    from offset_autoencoder.models.backend import keras

    model = build("function")
    code, received = (model.get_layer(name).output for name in ("unit_code", "noise"))
    probe = keras.Model(model.input, [code, received])
    inputs = {
        "x": np.tile(np.eye(MESSAGES, dtype=np.float32), (2000, 1)),
        "offset": np.zeros((2000 * MESSAGES, DIMENSIONS), np.float32),
    }
    quiet, _ = (np.asarray(part) for part in probe(inputs, training=False))
    sent, arrived = (np.asarray(part) for part in probe(inputs, training=True))
    np.testing.assert_array_equal(sent, quiet)
    expected = float(noise_stddev(TRAINED_AT_DB, 2))
    assert np.std(arrived - sent) == pytest.approx(expected, rel=0.02)


def test_weights_of_the_informed_model_depend_on_the_seed_alone() -> None:
    first, again, other = (build("function", seed).get_weights() for seed in (1, 1, 2))
    assert all(np.array_equal(a, b) for a, b in zip(first, again, strict=True))
    assert not all(np.array_equal(a, b) for a, b in zip(first, other, strict=True))


def test_interference_is_new_for_every_block_and_says_nothing_of_the_message(
    tmp_path: Path,
) -> None:
    from offset_autoencoder.config.offset_kinds import InterferenceOffset
    from offset_autoencoder.offsets.interference import fit
    from offset_autoencoder.offsets.kind import Training
    from offset_autoencoder.offsets.table import write_table

    params = InterferenceOffset(signal="constellation")
    x = np.eye(MESSAGES, dtype=np.float32)
    state = fit("", params, Training(x), DIMENSIONS)
    rows = [np.zeros((MESSAGES, DIMENSIONS), np.float32)]
    info = {
        "name": "interference",
        "kind": "interference",
        "params": params.model_dump(),
        "latent_dim": DIMENSIONS,
        "input_dim": MESSAGES,
        "data": {},
    }
    write_table(tmp_path, info, dict.fromkeys(SPLITS, MESSAGES), dict.fromkeys(SPLITS, rows), state)
    interfere = interference_of(tmp_path, 0.5, MESSAGES)
    sent = np.repeat(np.arange(MESSAGES), 4000)
    added = interfere(np.random.default_rng(1), sent)
    assert set(np.unique(added)) == {np.float32(-0.5), np.float32(0.5)}
    means = [added[sent == message].mean(axis=0) for message in range(MESSAGES)]
    assert np.abs(means).max() < 0.05
    assert len(np.unique(added, axis=0)) == 2**DIMENSIONS


def test_codebook_is_that_of_an_undisturbed_link_only() -> None:
    model = build("additive")
    quiet = codebook(make_link(model, no_interference(DIMENSIONS), informed=False))
    assert quiet is not None
    assert quiet.shape == (MESSAGES, DIMENSIONS)

    def disturb(generator: np.random.Generator, messages: Any) -> Any:
        return np.ones((len(messages), DIMENSIONS), np.float32)

    assert codebook(make_link(model, disturb, informed=False)) is None
