"""The floor computes the products of forward and backward pass, and nothing less."""

import numpy as np
import pytest
from benchmarks.peers.matrix_products import Buffers, numpy_epoch


@pytest.mark.parametrize("runs", [1, 3])
def test_a_step_leaves_the_gradients_of_a_linear_network(runs: int) -> None:
    x = np.random.default_rng(1).standard_normal((8, 6), dtype=np.float32)
    buffers = Buffers.make(runs, [6, 4, 5, 6], 8)
    buffers.step(x[None])
    for run in range(runs):
        kernels = [kernel[run].astype(np.float64) for kernel in buffers.kernels]
        values = [x.astype(np.float64)]
        for kernel in kernels:
            values.append(values[-1] @ kernel)
        # The output stands for its own slope: the gradient of |output|² / 2.
        for layer in range(3):
            slope = values[-1]
            for later in reversed(kernels[layer + 1 :]):
                slope = slope @ later.T
            found = buffers.gradients[layer][run]
            np.testing.assert_allclose(found, values[layer].T @ slope, rtol=1e-3, atol=1e-6)


def test_an_epoch_multiplies_every_batch_the_last_and_smaller_one_too(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    seen: list[int] = []
    monkeypatch.setattr(Buffers, "step", lambda self, x: seen.append(x.shape[-2]))
    numpy_epoch([6, 4, 6], 8, 1, np.zeros((21, 6), np.float32))()
    assert seen == [8, 8, 5]
