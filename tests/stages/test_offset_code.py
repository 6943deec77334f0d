"""The digest of an offset's code: of what decides its bytes, and of nothing else."""

from __future__ import annotations

from typing import Any

import pytest

from offset_autoencoder.config.offset_kinds import OFFSETS
from offset_autoencoder.runs import code_digest
from offset_autoencoder.stages.offset_code import code_of_kind

TRAINED = {"encoder", "adversarial"}
CHANGED: dict[str, set[str]] = {
    # What schedules, keeps or finds runs changes no offset.
    "training/pool.py": set(),
    "offsets/table.py": set(),
    **{f"runs/{name}.py": set() for name in ("store", "files", "load")},
    # Arithmetic changes those that train, and linear maps those that use them.
    **{f"models/{name}.py": TRAINED for name in ("dense", "layers")},
    **{f"training/{name}.py": TRAINED for name in ("batches", "programs", "state")},
    **{f"training/numba_engine/{name}.py": TRAINED for name in ("epoch", "kernels")},
    "offsets/reference.py": TRAINED,
    "offsets/linear.py": {"kmeans", "pca", "random_projection"},
    **{f"offsets/{kind}.py": {kind} for kind in OFFSETS},
}


def digests() -> dict[str, str]:
    return {kind: code_digest.digest_of(code_of_kind(kind)) for kind in OFFSETS}


@pytest.mark.parametrize("module", CHANGED)
def test_an_edit_changes_the_offsets_whose_bytes_it_decides(after_edit: Any, module: str) -> None:
    before, after = digests(), after_edit(module, digests)
    assert {kind for kind in OFFSETS if before[kind] != after[kind]} == CHANGED[module]
