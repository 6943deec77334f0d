from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from benchmarks.apply_offset import contained_product, fit, measure

from offset_autoencoder.config.offset_kinds import OFFSETS
from offset_autoencoder.io.files import read_npz
from offset_autoencoder.offsets.kind import Samples, Training, find_kind

X = np.random.default_rng(0).random((200, 12), dtype=np.float32)


@pytest.mark.parametrize("kind", ["random_projection", "pca"])
def test_a_linear_kind_is_the_product_it_is_measured_beside(kind: str) -> None:
    module = find_kind(kind, kind)
    state = module.fit(kind, OFFSETS[kind](), Training(X), 4)
    matrix: Any = contained_product(kind, state)
    vectors = module.applier(kind, state)(Samples(X))
    wanted = X.astype(np.float64) @ matrix
    np.testing.assert_allclose(vectors, wanted - X.mean(axis=0) @ matrix, atol=1e-5)


def test_turns_are_timed_on_the_rows_asked_for(tmp_path: Path) -> None:
    np.save(tmp_path / "x.npy", X)
    np.save(tmp_path / "y.npy", np.arange(200) % 10)
    fit("pca", tmp_path, 4)
    assert read_npz(tmp_path / "pca.npz")["components"].shape == (4, 12)
    applied = measure("pca", tmp_path, 150, 3)
    assert len(applied.apply) == len(applied.product or []) == len(applied.product64 or []) == 3
    assert min(applied.apply) > 0
