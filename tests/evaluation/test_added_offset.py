from __future__ import annotations

import numpy as np

from offset_autoencoder.evaluation.run_evaluation import no_offset, scale_offset


def test_scaling_keeps_float32_and_the_table() -> None:
    stored = np.arange(12, dtype=np.float32).reshape(4, 3)
    stored.flags.writeable = False
    scaled = scale_offset(stored, 0.1)
    assert scaled.dtype == np.float32
    np.testing.assert_array_equal(scaled, stored * np.float32(0.1))


def test_no_offset_is_zeros() -> None:
    zeros = no_offset(5, 3)
    assert zeros.shape == (5, 3)
    assert zeros.dtype == np.float32
    assert not zeros.any()
