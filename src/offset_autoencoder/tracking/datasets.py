"""The data sets behind a run, as MLflow shows them: our digests and shapes."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from offset_autoencoder.config import SPLITS
from offset_autoencoder.errors import InputError
from offset_autoencoder.io.files import read_json
from offset_autoencoder.paths import OFFSETS, PREPARED

# MLflow keeps 36 characters of a digest.
_DIGITS = 32


@dataclass(frozen=True)
class DataSet:
    """A data set that a run used.

    Attributes:
        name: The data's source, or the offset's name.
        digest: The first half of our SHA-256: 32 hex digits.
        context: ``train``, ``validation``, ``test`` or ``offset``.
        source: JSON: its file or folder in the project.
        schema: JSON: dtype and shape, as MLflow writes it for tensors.
        profile: JSON: how many rows, and the whole digest.
    """

    name: str
    digest: str
    context: str
    source: str
    schema: str
    profile: str


def split_datasets(root: Path) -> tuple[DataSet, ...]:
    """The splits of ``data/prepared``, by ``schema.json``.

    Raises:
        InputError: where that file is missing or damaged.
    """
    path = root / PREPARED / "schema.json"
    schema = read_json(path)
    try:
        name = str(schema.get("source", "data"))[:500]
        return tuple(
            _dataset(
                name,
                split,
                f"{PREPARED.as_posix()}/{split}/x.npy",
                schema["digests"][split]["x"],
                (schema["samples"][split], schema["input_dim"]),
            )
            for split in SPLITS
        )
    except (AttributeError, KeyError, TypeError) as error:
        raise InputError(str(path), f"lacks {error}", "run 'dvc repro prepare'") from None


def offset_dataset(name: str, shape: tuple[int, int], digest: Any) -> DataSet:
    """An offset's table.

    Args:
        name: The offset's name.
        shape: Rows of the splits that a run trains on, and the latent dim.
        digest: SHA-256 of those splits' digests, as the run's spec gives it.
    """
    return _dataset(name, "offset", f"{OFFSETS.as_posix()}/{name}", digest, shape)


def _dataset(name: str, context: str, source: str, digest: Any, shape: tuple[int, int]) -> DataSet:
    features = {"type": "tensor", "tensor-spec": {"dtype": "float32", "shape": [-1, shape[1]]}}
    schema = {"mlflow_tensorspec": {"features": json.dumps([features]), "targets": None}}
    profile = {"num_rows": shape[0], "shape": list(shape), "sha256": str(digest)}
    return DataSet(
        name=name,
        digest=str(digest)[:_DIGITS],
        context=context,
        source=json.dumps({"uri": source}),
        schema=json.dumps(schema),
        profile=json.dumps(profile),
    )
