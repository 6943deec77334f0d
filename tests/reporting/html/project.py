"""A small finished project with made-up results, for tests of its report."""

from __future__ import annotations

import csv
import json
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any
from unittest.mock import patch

import numpy as np
import yaml
from tests.reporting.conftest import NOTHING, make_report, make_whole

from offset_autoencoder.config import SPLITS, Params
from offset_autoencoder.data.prepared import Schema
from offset_autoencoder.evaluation.examples import CodePoint, code_points
from offset_autoencoder.evaluation.results import ExperimentResults
from offset_autoencoder.reporting import reports
from offset_autoencoder.reporting.page import read_provenance, write_page

SECRET = "postgresql://user:hunter2@example.test/runs"
DOCUMENT = {"seeds": 3, "data": {"source": "digits"}, "tracking": {"uri": SECRET}}


@dataclass(frozen=True)
class Project:
    """A project folder, and what its report takes."""

    root: Path
    results: ExperimentResults
    schema: Schema

    @property
    def reports(self) -> Path:
        return self.root / "reports"

    def write(self, **more: Any) -> str:
        """Write the report and read it."""
        params, ids = self.results.params, [row.id for row in self.results.runs]
        provenance = read_provenance(params, self.schema, ids, root=self.root, **more)
        write_page(self.reports, self.results, provenance)
        return (self.reports / "index.html").read_text(encoding="utf-8")


def make_project(
    root: Path,
    *,
    labels: list[str] | None = None,
    source: str = "digits",
    samples: str = "images",
    codes: bool = True,
    diverged: bool = False,
    document: dict[str, Any] = DOCUMENT,
    **sections: Any,
) -> Project:
    """Write everything that a report is made of, but for its pictures.

    Args:
        root: An empty folder.
        labels: The labels of the codes, in turn; none without.
        source: Where the data are said to come from.
        samples: Whether they are ``"images"`` or ``"profiles"``, or ``"none"`` is shown.
        codes: Whether there are codes.
        diverged: Whether every run diverged.
        document: params.yaml, as it is shown.
        sections: Sections of the params, and how many ``seeds``.
    """
    made = make_report(diverged=diverged, **{"seeds": 3, **sections})
    whole = make_whole(made, samples=samples)
    if diverged:
        whole = replace(whole, curves=[], reconstructions=None, **NOTHING)
    points = _codes(made.params, labels) if codes else []
    whole = replace(whole, codes=points)
    with patch.object(reports, "draw_pictures"):  # the pictures beside the page take seconds
        reports.write_reports(root / "reports", whole)
    (root / "params.yaml").write_text(yaml.safe_dump(document))
    for name, offset in made.params.offsets.items():
        info = {"kind": offset.kind, "rms": 0.5, "digests": {"train": "a" * 64, "test": "b" * 64}}
        _write_json(root / "data" / "offsets" / name / "offset.json", info)
    trained_by = {"versions": {"keras": "3.15.1"}, "code": "c" * 64}
    for row in whole.runs:
        spec = {"id": row.id, "fingerprint": trained_by}
        _write_json(root / "models" / "runs" / row.id / "spec.json", spec)
    return Project(root, whole, _schema(source, labels))


def read_csv(path: Path) -> list[dict[str, str]]:
    with path.open(newline="") as stream:
        return list(csv.DictReader(stream))


def _codes(params: Params, labels: list[str] | None) -> list[CodePoint]:
    rng = np.random.default_rng(0)
    ids = np.arange(12)
    own = labels and [labels[i % len(labels)] for i in ids]
    return [
        point
        for setting in params.settings[:3]
        for point in code_points(setting.label, rng.normal(size=(12, 4)), ids, own)
    ]


def _schema(source: str, labels: list[str] | None) -> Schema:
    digests = {"x": "1" * 64, "y": "2" * 64 if labels else None, "ids": "3" * 64}
    return Schema(
        source=source,
        samples=dict.fromkeys(SPLITS, 1234),
        input_dim=64,
        image_shape=[8, 8],
        scale={"kind": "unit"},
        range=[0, 1],
        classes=labels,
        ids="rows",
        digests=dict.fromkeys(SPLITS, digests),
    )


def _write_json(path: Path, value: Any) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(value))
