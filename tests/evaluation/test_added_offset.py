from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from offset_autoencoder.config import Params
from offset_autoencoder.evaluation import run_evaluation


def test_an_offset_is_the_scaled_table_and_zeros_without_one(
    make_params: Callable[..., Params], monkeypatch: pytest.MonkeyPatch
) -> None:
    models = {"frozen": {"offset": "frozen"}, "second": {"system": "two_encoder"}}
    frozen, second = make_params(models=models, network={"latent_dim": 3}, seeds=1).runs
    stored = np.arange(12, dtype=np.float32).reshape(4, 3)
    stored.flags.writeable = False
    table = SimpleNamespace(split=lambda _: stored)
    monkeypatch.setattr(run_evaluation, "load_table", lambda *_: table)
    offsets = run_evaluation.run_offsets(Path(), {"train": 9, "validation": 5, "test": 4})
    scaled, zeros = offsets(frozen, 0.1, "test"), offsets(second, 1.0, "validation")
    assert scaled.dtype == zeros.dtype == np.float32
    np.testing.assert_array_equal(scaled, stored * np.float32(0.1))
    np.testing.assert_array_equal(zeros, np.zeros((5, 3)))
