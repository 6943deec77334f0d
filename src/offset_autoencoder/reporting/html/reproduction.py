"""How to make the report again: params, digests, versions."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Any

import yaml

from offset_autoencoder.config.params import read_document
from offset_autoencoder.config.schema import SPLITS
from offset_autoencoder.io.files import read_json
from offset_autoencoder.offsets.table import INFO, folder_of
from offset_autoencoder.paths import MODELS, OFFSETS, PARAMS, PREPARED
from offset_autoencoder.reporting.html.source import Source
from offset_autoencoder.reporting.html.table import Cell, Column, Table, table
from offset_autoencoder.runs.files import SPEC
from offset_autoencoder.runs.store import runs_folder

# Where results are sent says nothing about them, and may hold a password.
_NOT_SHOWN = ("tracking",)
_STATISTICS = ("offset-autoencoder", "scipy", "scikit-learn")


@dataclass(frozen=True)
class Reproduction:
    """What it takes to make the report again.

    Attributes:
        commit: The git commit that the project stood at; None where it is not known.
        params: params.yaml, but for where results are sent.
        data: The data's splits and their digests.
        facts: Facts about the data, each with its name.
        offsets: The offset tables and their digests; None where there are none.
        versions: What was used, and in which version.
    """

    commit: str | None
    params: str
    data: Table
    facts: Sequence[tuple[str, str]]
    offsets: Table | None
    versions: Sequence[tuple[str, str]]


def reproduction(source: Source, root: Path, commit: str | None) -> Reproduction:
    """Gather it from the project's files.

    Args:
        source: The tables.
        root: The project's folder.
        commit: The git commit, where it is known.

    Raises:
        InputError: where a file is missing or damaged.
    """
    schema = read_json(root / PREPARED / "schema.json")
    return Reproduction(
        commit=commit,
        params=_params(root / PARAMS),
        data=_data_table(schema),
        facts=_facts(schema),
        offsets=_offset_table(source, root / OFFSETS),
        versions=_versions(source, root / MODELS),
    )


def _params(path: Path) -> str:
    document = {key: part for key, part in read_document(path).items() if key not in _NOT_SHOWN}
    text: str = yaml.safe_dump(
        document, sort_keys=False, default_flow_style=None, allow_unicode=True, width=88
    )
    return text


def _data_table(schema: Mapping[str, Any]) -> Table:
    cells = [
        [
            Cell(split),
            Cell(f"{schema['samples'][split]:,}", schema["samples"][split]),
            *(Cell(schema["digests"][split].get(part) or "none") for part in ("x", "y", "ids")),
        ]
        for split in SPLITS
    ]
    columns = [
        Column("split", "text"),
        Column("samples"),
        *(Column(f"SHA-256 of {what}", "text") for what in ("x", "labels", "ids")),
    ]
    file = "data/prepared/schema.json"
    return table("data-digests", "Digests of the data, split by split.", columns, cells, file=file)


def _facts(schema: Mapping[str, Any]) -> list[tuple[str, str]]:
    shape = schema.get("image_shape")
    classes = schema.get("classes")
    features = f"{schema['input_dim']:,}"
    if shape:
        features += f" ({' × '.join(str(side) for side in shape)} pixels)"
    return [
        ("source", str(schema["source"])),
        ("features", features),
        ("labels", f"{len(classes)} classes" if classes else "none"),
        ("scale", str(schema["scale"].get("kind", ""))),
    ]


def _offset_table(source: Source, folder: Path) -> Table | None:
    """A row an offset and latent dim that a model uses."""
    cells = []
    used = {setting.spec.offset for setting in source.params.settings}
    for name in source.params.offsets:
        if name not in used:
            continue
        for latent_dim in source.params.latent_dims(name):
            found = _description(folder, name, latent_dim)
            cells.append(
                [
                    Cell(name),
                    Cell(found["kind"]),
                    Cell(f"{latent_dim}", latent_dim),
                    Cell(f"{found['rms']:.6g}", found["rms"]),
                    Cell(found["digests"]["train"]),
                    Cell(found["digests"]["test"]),
                ]
            )
    if not cells:
        return None
    columns = [
        Column("offset", "text"),
        Column("kind", "text"),
        Column("latent dim"),
        Column("rms as it came"),
        Column("SHA-256, training split", "text"),
        Column("SHA-256, test split", "text"),
    ]
    caption = "The offset tables that a model uses."
    return table("offset-digests", caption, columns, cells, file="data/offsets/NAME/offset.json")


def _description(folder: Path, name: str, latent_dim: int) -> dict[str, Any]:
    """What offset.json says of a table; it has a folder of its own where latent dims are swept."""
    places = [folder_of(folder, name, latent_dim, swept=swept) / INFO for swept in (False, True)]
    return read_json(next((place for place in places if place.exists()), places[0]))


def _versions(source: Source, models: Path) -> list[tuple[str, str]]:
    """Versions of what trained the runs, as the runs say, and of what compared them."""
    said: dict[str, set[str]] = {}
    for row in source.runs:
        trained_by = read_json(runs_folder(models) / row["id"] / SPEC).get("fingerprint", {})
        for name, version in trained_by.get("versions", {}).items():
            said.setdefault(name, set()).add(str(version))
        said.setdefault("digest of the code that trains", set()).add(str(trained_by.get("code")))
    found = [(name, ", ".join(sorted(versions))) for name, versions in said.items()]
    known = {name for name, _ in found}
    for name in _STATISTICS:
        if name not in known:
            with contextlib.suppress(metadata.PackageNotFoundError):
                found.append((name, metadata.version(name)))
    return found
