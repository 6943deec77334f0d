"""A run of the project, with the scale and the offset that it was trained with."""

from __future__ import annotations

import functools
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from offset_autoencoder.config import SplitName
from offset_autoencoder.data.prepared import load_prepared, load_scale
from offset_autoencoder.data.scaling import ShiftAndFactor
from offset_autoencoder.errors import InputError
from offset_autoencoder.io.files import sha256_of_json
from offset_autoencoder.models.inference import KerasNetwork
from offset_autoencoder.offsets.table import INFO, read_info
from offset_autoencoder.paths import MODELS, OFFSETS, PREPARED
from offset_autoencoder.runs.files import read_saved_run
from offset_autoencoder.runs.load import find_run, load_run
from offset_autoencoder.serving.applied import AppliedModel
from offset_autoencoder.serving.facts import FORMAT, Facts, needs_of_kind
from offset_autoencoder.serving.stored_offset import stored_offset

_TRAINED_ON: tuple[SplitName, ...] = ("train", "validation")


@dataclass(frozen=True)
class RunParts:
    """What a run is applied with.

    Attributes:
        folder: The run's own, ``models/runs/ID``.
        facts: What it is.
        scale: Shift and factor.
        offset: The folder of its offset table; None for a run without one.
    """

    folder: Path
    facts: Facts
    scale: ShiftAndFactor
    offset: Path | None


def open_run(run: str | Path, root: Path = Path(), model: str | None = None) -> AppliedModel:
    """A trained run of the project, to be applied to new samples.

    Args:
        run: The run's id, the first digits of it, or its folder.
        root: The project's folder, with ``models``, ``data/prepared`` and ``data/offsets``.
        model: The model's name, where it is known.

    Raises:
        InputError: where there is no such run, it diverged, or the project no longer holds the
            data or the offset that it was trained with.
    """
    parts = parts_of_run(run, root, model)
    return AppliedModel(
        parts.facts,
        parts.scale,
        stored_offset(parts.offset, parts.facts),
        functools.partial(_network, parts),
    )


def parts_of_run(run: str | Path, root: Path = Path(), model: str | None = None) -> RunParts:
    """Find what a run is applied with; arguments and errors as :func:`open_run`."""
    folder = find_run(run, root / MODELS)
    saved = read_saved_run(folder)
    spec, architecture = saved.spec, saved.spec.architecture
    if saved.status != "finished":
        raise InputError(str(folder), "the run diverged: it has no weights")
    data = load_prepared(root / PREPARED)
    schema = data.schema
    if spec.data != sha256_of_json({name: schema.digests[name]["x"] for name in _TRAINED_ON}):
        raise InputError(
            str(folder),
            f"was trained on other samples than {PREPARED} holds: its scale is not known",
            "put the params of its experiment back and run dvc repro",
        )
    latent_dim = architecture.network.latent_dim
    offset = None
    if spec.table is not None:
        offset = _find_table(root / OFFSETS, spec.table, latent_dim, folder)
    facts = Facts(
        format=FORMAT,
        run=saved.id,
        model=model,
        system=architecture.system,
        function=architecture.function,
        seed=spec.seed,
        input_dim=architecture.input_dim,
        columns=schema.columns,
        image_shape=schema.image_shape,
        latent_dim=latent_dim,
        offset_kind=None if offset is None else str(read_info(offset)["kind"]),
        offset_factor=spec.offset_factor,
        scale=str(schema.scale.get("kind")),
        classes=schema.classes,
        text_ids=data.test.ids.dtype.kind == "U",
        has_code=not architecture.system_record.is_users,
        test_samples_sha256=str(schema.digests["test"]["x"]),
        test={},
    )
    return RunParts(folder, facts, load_scale(root / PREPARED), offset)


def _network(parts: RunParts) -> KerasNetwork:
    return KerasNetwork(load_run(parts.folder), parts.facts.system, str(parts.folder))


def _find_table(offsets: Path, digest: str, latent_dim: int, run: Path) -> Path:
    """The table of a digest; of two alike, one that says what it is of new samples."""
    found: list[tuple[bool, Path]] = []
    for path in sorted(offsets.rglob(INFO)):
        info: dict[str, Any] = read_info(path.parent)
        digests = {split: info["digests"].get(split) for split in _TRAINED_ON}
        if info["latent_dim"] == latent_dim and sha256_of_json(digests) == digest:
            found.append((needs_of_kind(info["kind"]) == "offset", path.parent))
    if not found:
        raise InputError(
            str(run),
            f"{offsets} does not hold the offset that it was trained with",
            "put the params of its experiment back and run dvc repro",
        )
    return min(found)[1]
