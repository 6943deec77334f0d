"""Offsets that ``prepare`` refuses for the data, and those that it lets pass."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from tests.small_params import small_params

from offset_autoencoder.errors import InputError
from offset_autoencoder.stages.prepare import main

LINEAR = {"loss": "mean_squared_error", "output": "linear"}


@pytest.fixture(autouse=True)
def _in_project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "data" / "raw").mkdir(parents=True)


def prepare(low: float = 0.0, **offset: Any) -> None:
    """Prepare 20 training samples of 5 features, low or more, for an offset called mine."""
    splits = np.array(["train"] * 20 + ["validation"] * 4 + ["test"] * 6)
    x = low + np.random.default_rng(0).random((30, 5), dtype=np.float32)
    np.savez("data/raw/x.npz", x=x, part=splits)
    params = small_params(
        data={"source": "file", "path": "x.npz", "split": "part", "scale": "none"},
        offsets={"none": {"kind": "zero"}, "mine": offset},
        network={"latent_dim": [2, 6], **LINEAR},
    )
    Path("params.yaml").write_text(yaml.safe_dump(params))
    main()


@pytest.mark.parametrize(
    ("low", "offset", "expected"),
    [
        (
            0,
            {"kind": "class_code"},
            r"^params\.yaml: offsets\.mine: kind class_code needs labels, and the data has none",
        ),
        (
            0,
            {"kind": "pca"},
            r"offsets\.mine: pca of 20 training samples with 5 features has at most 5 components, "
            r"latent_dim 6 asks for more",
        ),
        (0, {"kind": "kmeans", "n_clusters": 21}, "n_clusters: 21 clusters of 20 training samples"),
        (0, {"kind": "kmeans", "vectors": "pca"}, "at most 5 components, latent_dim 6 asks for"),
        (
            -1,
            {"kind": "encoder", "loss": "binary_crossentropy"},
            r"binary_crossentropy of the reference of offset mine needs; in all .*\(set "
            r"data\.scale: minmax with data\.clip: true, or offsets\.mine\.loss: "
            r"mean_squared_error with output: linear\)",
        ),
        (
            -1,
            {"kind": "adversarial", "loss": "poisson", "output": "softplus"},
            r"^data/raw/x\.npz, row 0, column 0: -0\.\d+ in the train split, scaled by "
            r"data\.scale: none, is below 0, which loss: poisson of the reference of offset mine "
            r"needs \(set data\.scale: minmax with data\.clip: true, or offsets\.mine\.loss: mean",
        ),
        (
            0,
            {"kind": "adversarial", "loss": "categorical_crossentropy", "output": "softmax"},
            r"categorical_crossentropy of the reference of offset mine needs .* another "
            r"offsets\.mine\.loss",
        ),
        (
            0,
            {"kind": "encoder", "path": "trained.keras"},
            r"^params\.yaml: offsets\.mine\.path: there is no file data/raw/trained\.keras",
        ),
        (
            0,
            {"kind": "file", "path": {"test": "t.npy"}},
            r"^params\.yaml: offsets\.mine\.path\.test: there is no file data/raw/t\.npy",
        ),
    ],
)
def test_offsets_that_the_data_cannot_serve(
    low: float, offset: dict[str, Any], expected: str
) -> None:
    with pytest.raises(InputError, match=expected):
        prepare(low, **offset)
    assert not Path("data/prepared").exists()


@pytest.mark.parametrize(
    "offset",
    [
        {"kind": "kmeans", "n_clusters": 20},
        {"kind": "adversarial", **LINEAR},
        {"kind": "adversarial"},  # its loss is that of network:
        {"kind": "encoder"},
        {"kind": "encoder", "path": "trained.keras"},  # no reference is fitted
        {"kind": "interference"},
    ],
)
def test_offsets_that_any_data_serve(offset: dict[str, Any]) -> None:
    Path("data/raw/trained.keras").write_bytes(b"read by the offset's own stage")
    prepare(-1, **offset)
