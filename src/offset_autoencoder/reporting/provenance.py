"""Origin of a report: params, data, offset tables and versions, by which it can be made again."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Any

import yaml

from offset_autoencoder.config import Params
from offset_autoencoder.config.params import read_document
from offset_autoencoder.config.schema import SPLITS
from offset_autoencoder.data.prepared import Schema
from offset_autoencoder.io.files import read_json
from offset_autoencoder.offsets.table import INFO, folder_of
from offset_autoencoder.paths import MODELS, OFFSETS, PARAMS
from offset_autoencoder.reporting.tables import Cell, Column, Table
from offset_autoencoder.runs.files import SPEC
from offset_autoencoder.runs.store import runs_folder

# Where results are sent says nothing about them, and may hold a password.
_NOT_SHOWN = ("tracking",)
_STATISTICS = ("offset-autoencoder", "scipy", "scikit-learn")


@dataclass(frozen=True)
class Provenance:
    """Provenance of a report.

    Attributes:
        params: params.yaml, but for where results are sent.
        schema: That of the prepared data.
        offsets: The ``offset.json`` of each offset table that a model uses.
        versions: Names of what was used, each with its version.
        commit: The git commit that the project stood at; None where it is not known.
    """

    params: str
    schema: Schema
    offsets: Sequence[Mapping[str, Any]]
    versions: Sequence[tuple[str, str]]
    commit: str | None = None

    @property
    def facts(self) -> list[tuple[str, str]]:
        """Facts about the data, each with its name."""
        schema = self.schema
        features = f"{schema.input_dim:,}"
        if schema.image_shape:
            features += f" ({' × '.join(str(side) for side in schema.image_shape)} pixels)"
        return [
            ("source", schema.source),
            ("features", features),
            ("labels", f"{len(schema.classes)} classes" if schema.classes else "none"),
            ("scale", str(schema.scale.get("kind", ""))),
        ]

    @property
    def data_table(self) -> Table:
        """The splits of the data and their digests."""
        samples, digests = self.schema.samples, self.schema.digests
        cells = [
            [
                Cell(split),
                Cell(f"{samples[split]:,}", samples[split]),
                *(Cell(digests[split].get(part) or "none") for part in ("x", "y", "ids")),
            ]
            for split in SPLITS
        ]
        columns = [
            Column("split", "split", "text"),
            Column("samples", "samples"),
            *(Column(part, f"SHA-256 of {part}", "text") for part in ("x", "labels", "ids")),
        ]
        file = "data/prepared/schema.json"
        return Table("data-digests", "Digests of the data, split by split.", columns, cells, file)

    @property
    def offset_table(self) -> Table | None:
        """A row per offset table; None where there is none."""
        cells = [
            [
                Cell(info["name"]),
                Cell(info["kind"]),
                Cell(f"{info['latent_dim']}", info["latent_dim"]),
                Cell(f"{info['rms']:.6g}", info["rms"]),
                Cell(info["digests"]["train"]),
                Cell(info["digests"]["test"]),
            ]
            for info in self.offsets
        ]
        columns = [
            Column("name", "offset", "text"),
            Column("kind", "kind", "text"),
            Column("latent_dim", "latent dim"),
            Column("rms", "rms as it came"),
            Column("train", "SHA-256, training split", "text"),
            Column("test", "SHA-256, test split", "text"),
        ]
        caption = "The offset tables that a model uses."
        file = "data/offsets/NAME/offset.json"
        return Table("offset-digests", caption, columns, cells, file) if cells else None


def read_provenance(
    params: Params,
    schema: Schema,
    run_ids: Iterable[str],
    *,
    root: Path = Path(),
    commit: str | None = None,
) -> Provenance:
    """Gather the provenance of a report from the files of the project whose folder is ``root``.

    Raises:
        InputError: where a file is missing or damaged.
    """
    document = read_document(root / PARAMS)
    kept = {key: part for key, part in document.items() if key not in _NOT_SHOWN}
    used = {setting.spec.offset for setting in params.settings}
    return Provenance(
        params=yaml.safe_dump(
            kept, sort_keys=False, default_flow_style=None, allow_unicode=True, width=88
        ),
        schema=schema,
        offsets=[
            {"name": name, "latent_dim": size, **_offset_info(root / OFFSETS, name, size)}
            for name in params.offsets
            if name in used
            for size in params.latent_dims(name)
        ],
        versions=_versions(run_ids, root / MODELS),
        commit=commit,
    )


def _offset_info(folder: Path, name: str, latent_dim: int) -> dict[str, Any]:
    """``offset.json`` of a table; it has a folder of its own where latent dims are swept."""
    places = [folder_of(folder, name, latent_dim, swept=swept) / INFO for swept in (False, True)]
    return read_json(next((place for place in places if place.exists()), places[0]))


def _versions(run_ids: Iterable[str], models: Path) -> list[tuple[str, str]]:
    """Versions of what trained the runs, as the runs say, and of what compared them."""
    versions: dict[str, set[str]] = {}
    for run_id in run_ids:
        trained_by = read_json(runs_folder(models) / run_id / SPEC).get("fingerprint", {})
        for name, version in trained_by.get("versions", {}).items():
            versions.setdefault(name, set()).add(str(version))
        code = str(trained_by.get("code"))
        versions.setdefault("digest of the code that trains", set()).add(code)
    lines = [(name, ", ".join(sorted(used))) for name, used in versions.items()]
    for name in _STATISTICS:
        if name not in versions:
            with contextlib.suppress(metadata.PackageNotFoundError):
                lines.append((name, metadata.version(name)))
    return lines
