from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from offset_autoencoder.config.offset_kinds import AdversarialOffset
from offset_autoencoder.models.dense import forward
from offset_autoencoder.offsets import adversarial
from offset_autoencoder.offsets.kind import Float32, Samples, State, Training
from offset_autoencoder.offsets.reference import encode, layers_of

WHERE = "params.yaml: offsets.mine"
RNG = np.random.default_rng(0)
L = 4
X = (RNG.random((160, 3)) @ RNG.random((3, 12)) / 3).astype(np.float32)


def random_directions(n: int, seed: int = 0) -> NDArray[np.float64]:
    rows = np.random.default_rng(seed).standard_normal((n, L))
    return rows * np.sqrt(L) / np.linalg.norm(rows, axis=1, keepdims=True)


def losses(state: State, directions: NDArray[np.floating]) -> NDArray[np.float64]:
    """Binary cross-entropy of each sample, computed here once more, in NumPy."""
    code = encode(state, X) + state["radius"] * directions
    hidden, output = layers_of("decoder", state)
    logits = forward(code, [(*hidden, "relu"), (*output, "linear")])
    return np.asarray((np.logaddexp(0, logits) - X * logits).mean(axis=1))


@pytest.fixture(scope="module")
def fitted() -> State:
    params = AdversarialOffset(hidden=[16], epochs=40, learning_rate=1e-2, steps=60)
    training = Training(X[:100], x_validation=X[100:])
    return adversarial.fit(WHERE, params, training, L)


@pytest.fixture(scope="module")
def directions(fitted: State) -> Float32:
    return adversarial.load(WHERE, fitted)(Samples(X))


def test_chunks_share_one_program(
    fitted: State, directions: Float32, monkeypatch: pytest.MonkeyPatch
) -> None:
    compiled: list[int] = []
    original = adversarial._compile_climb

    def counted(state: State) -> Any:
        compiled.append(1)
        return original(state)

    monkeypatch.setattr(adversarial, "_compile_climb", counted)
    apply = adversarial.KIND.applier(WHERE, fitted)
    parts = [apply(Samples(x)) for x in (X[:70], X[70:71], X[71:])]
    np.testing.assert_allclose(np.concatenate(parts), directions, rtol=1e-4, atol=1e-4)
    assert compiled == [1]


def test_power_is_one_a_coordinate(directions: Float32) -> None:
    assert directions.dtype == np.float32
    np.testing.assert_allclose(np.square(directions).mean(axis=1), 1, rtol=1e-5)


def test_hurts_much_more_than_random_directions_of_the_same_power(
    fitted: State, directions: Float32
) -> None:
    own = losses(fitted, np.zeros((len(X), L)))
    worst = losses(fitted, directions) - own
    random = np.stack([losses(fitted, random_directions(len(X), k)) - own for k in range(20)])
    assert worst.mean() > 2 * random.mean()
    assert (worst > random.max(axis=0) - 1e-4).mean() > 0.97


def test_is_a_local_maximum_but_for_a_few_at_a_kink(fitted: State, directions: Float32) -> None:
    worst = losses(fitted, directions)
    gain = np.zeros(len(X))
    for seed in range(20):
        near = directions + 0.02 * random_directions(len(X), seed)
        near *= np.sqrt(L) / np.linalg.norm(near, axis=1, keepdims=True)
        gain = np.maximum(gain, losses(fitted, near) - worst)
    assert (gain > 1e-5).mean() < 0.05
    assert gain.max() < 1e-3


def test_for_a_linear_decoder_is_its_first_singular_direction() -> None:
    generator = np.random.default_rng(1)
    left = np.linalg.qr(generator.standard_normal((12, L)))[0]
    right = np.linalg.qr(generator.standard_normal((L, L)))[0]
    decoder = (left * [3.0, 2.0, 1.0, 0.5]) @ right.T  # (12, L): x' = decoder · code
    # A code of least squares, whose residual no step of the code can reach.
    state: State = {
        "activation": np.array("linear"),
        "normalize": np.array(False),
        "encoder.1.kernel": np.linalg.pinv(decoder).T.astype(np.float32),
        "encoder.1.bias": np.zeros(L, np.float32),
        "decoder.1.kernel": decoder.T.astype(np.float32),
        "decoder.1.bias": np.zeros(12, np.float32),
        "output": np.array("linear"),
        "loss": np.array("mean_squared_error"),
        "starts": random_directions(2) / np.sqrt(L),
        "radius": np.array(0.1),
        "steps": np.array(100),
        "step": np.array(1.0),
    }
    found = adversarial.load(WHERE, state)(Samples(X)) / np.sqrt(L)
    np.testing.assert_allclose(np.abs(found @ right[:, 0]), 1, atol=1e-6)


def test_more_restarts_are_never_worse(fitted: State, directions: Float32) -> None:
    one = {**fitted, "starts": fitted["starts"][:1]}
    single = adversarial.load(WHERE, one)(Samples(X))
    assert (losses(fitted, directions) >= losses(fitted, single) - 1e-7).all()
