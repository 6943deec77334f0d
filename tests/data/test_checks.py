from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from offset_autoencoder.config import SplitName, parse_params
from offset_autoencoder.data.checks import check_shape, check_values
from offset_autoencoder.data.prepared import PreparedData, PreparedSplit, Schema, digests_of
from offset_autoencoder.errors import InputError

SIZES: dict[SplitName, int] = {"train": 20, "validation": 4, "test": 6}
LINEAR = {"loss": "mean_squared_error", "output": "linear"}


def check(low: float = 0.0, raw: Path = Path("raw"), **offset: Any) -> None:
    """Check an offset called mine on 20 training samples of 5 features, low or more."""
    generator = np.random.default_rng(0)
    splits = {
        name: PreparedSplit(
            x=low + generator.random((n, 5), dtype=np.float32), y=None, ids=np.arange(n)
        )
        for name, n in SIZES.items()
    }
    schema = Schema(
        source="file",
        samples=SIZES,
        input_dim=5,
        image_shape=None,
        scale={"kind": "none"},
        range=None,
        classes=None,
        ids="rows",
        digests=digests_of(splits),
    )
    params = parse_params(
        {
            "seeds": 1,
            "data": {"source": "file", "path": "x.npy", "scale": "none"},
            "split": {},
            "offsets": {"none": {"kind": "zero"}, "mine": offset},
            "network": {"latent_dim": [2, 6], **LINEAR},
            "train": {},
            "models": {"none": {"offset": "none"}},
            "evaluate": {"baselines": ["none"]},
            "tracking": {},
        }
    )
    data = PreparedData(**splits, schema=schema)
    extremes = {name: (split.x.min(), split.x.max()) for name, split in splits.items()}
    check_shape(params, raw, samples=20, features=5, labelled=False)
    check_values(params, data, extremes, lambda name, row, feature: f"{name} {row} {feature}")


@pytest.mark.parametrize(
    ("low", "offset", "expected"),
    [
        (0, {"kind": "kmeans", "n_clusters": 21}, "n_clusters: 21 clusters of 20 training samples"),
        (0, {"kind": "kmeans", "vectors": "pca"}, "at most 5 components, latent_dim 6 asks for"),
        (
            -1,
            {"kind": "encoder"},
            r"binary_crossentropy of the reference of offset mine needs \(set data\.scale: minmax, "
            r"or offsets\.mine\.loss: mean_squared_error with output: linear\)",
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
            r"^params\.yaml: offsets\.mine\.path: there is no file raw/trained\.keras",
        ),
        (
            0,
            {"kind": "file", "path": {"test": "t.npy"}},
            r"^params\.yaml: offsets\.mine\.path\.test: there is no file raw/t\.npy",
        ),
    ],
)
def test_offsets_that_the_data_cannot_serve(
    low: float, offset: dict[str, Any], expected: str
) -> None:
    with pytest.raises(InputError, match=expected):
        check(low, **offset)


@pytest.mark.parametrize(
    "offset",
    [
        {"kind": "kmeans", "n_clusters": 20},
        {"kind": "adversarial", **LINEAR},
        {"kind": "encoder", "path": "trained.keras"},  # no reference is fitted
        {"kind": "interference"},
    ],
)
def test_offsets_that_any_data_serve(offset: dict[str, Any], tmp_path: Path) -> None:
    (tmp_path / "trained.keras").write_bytes(b"read by the offset's own stage")
    check(-1, tmp_path, **offset)
