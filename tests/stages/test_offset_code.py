"""The digest of an offset's code: of what decides its bytes, and of nothing else."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

import offset_autoencoder
from offset_autoencoder.config.offset_kinds import OFFSETS
from offset_autoencoder.runs import code_digest
from offset_autoencoder.stages.offset_code import code_of_kind

PACKAGE = Path(offset_autoencoder.__file__).parent


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of the package, which digests are taken of."""
    copy = tmp_path / "package"
    shutil.copytree(PACKAGE, copy, ignore=shutil.ignore_patterns("__pycache__"))
    monkeypatch.setattr(code_digest, "_PACKAGE", copy)
    return copy


def digests() -> dict[str, str]:
    return {kind: code_digest.digest_of(code_of_kind(kind)) for kind in OFFSETS}


def changed_by_an_edit(path: Path) -> set[str]:
    """The kinds of offsets whose digest an edit changes."""
    before, text = digests(), path.read_text()
    path.write_text(f"{text}\nEDITED = 1\n")
    after = digests()
    path.write_text(text)
    return {kind for kind in OFFSETS if before[kind] != after[kind]}


@pytest.mark.parametrize(
    "module",
    ["training/pool.py", "runs/store.py", "runs/files.py", "runs/load.py", "offsets/table.py"],
)
def test_an_edit_of_what_schedules_keeps_or_finds_runs_changes_no_offset(
    package: Path, module: str
) -> None:
    assert changed_by_an_edit(package / module) == set()


@pytest.mark.parametrize(
    "module",
    [
        "models/dense.py",
        "models/layers.py",
        "offsets/reference.py",
        "training/batches.py",
        "training/keras_engine.py",
        "training/numba_engine/epoch.py",
        "training/numba_engine/kernels.py",
        "training/state.py",
    ],
)
def test_an_edit_of_arithmetic_changes_the_offsets_that_train_alone(
    package: Path, module: str
) -> None:
    assert changed_by_an_edit(package / module) == {"encoder", "adversarial"}


def test_an_edit_of_linear_maps_changes_the_offsets_that_use_them_alone(package: Path) -> None:
    linear = {"kmeans", "pca", "random_projection"}
    assert changed_by_an_edit(package / "offsets/linear.py") == linear


def test_an_edit_of_a_kind_changes_that_kind_alone(package: Path) -> None:
    for kind in OFFSETS:
        assert changed_by_an_edit(package / "offsets" / f"{kind}.py") == {kind}
