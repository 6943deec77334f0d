"""Runs in training, as the run store shows them: a checkpoint first, then a folder."""

from __future__ import annotations

import zipfile
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from offset_autoencoder.config import Params
from offset_autoencoder.errors import InputError
from offset_autoencoder.io.files import read_json
from offset_autoencoder.tracking.curves import Curves, Point, milliseconds, read_curves
from offset_autoencoder.tracking.names import run_name
from offset_autoencoder.tracking.runs import run_key, run_tags, setting_params

# As the trainer names it.
CHECKPOINTS = ".checkpoints"


@dataclass(frozen=True)
class LiveRun:
    """A run in training, and how its record will begin.

    Attributes:
        id: Its SHA-256.
        key: Of its record.
        name: In the UI.
        params: As published.
        tags: As published, as far as they are known.
        store: The run store.
    """

    id: str
    key: str
    name: str
    params: Mapping[str, str]
    tags: Mapping[str, str]
    store: Path

    @property
    def checkpoint(self) -> Path:
        """Where the trainer keeps its last checkpoint."""
        return self.store / CHECKPOINTS / f"{self.id}.npz"

    @property
    def folder(self) -> Path:
        """Where it lies once it has ended."""
        return self.store / self.id

    @property
    def has_ended(self) -> bool:
        """Whether its training has."""
        return (self.folder / "spec.json").exists()

    @property
    def has_points(self) -> bool:
        """Whether there is anything to show of it."""
        return self.has_ended or self.checkpoint.exists()

    @property
    def status(self) -> str:
        """How it ended, as MLflow says it."""
        spec = read_json(self.folder / "spec.json")
        return "FINISHED" if spec.get("status") == "finished" else "FAILED"

    def curves(self, now: int) -> Curves:
        """All of its curves, once it has ended; see :func:`.curves.read_curves`."""
        return read_curves(self.folder, now)

    def points(self) -> list[Point]:
        """What its last checkpoint tells; the same points that its history will.

        Empty where there is no checkpoint, or one that is just being replaced.
        """
        try:
            with np.load(self.checkpoint, allow_pickle=False) as archive:
                epochs = archive["epochs"]
        except (OSError, KeyError, ValueError, EOFError, zipfile.BadZipFile):
            return []
        if epochs.ndim != 2 or epochs.shape[1] < 4:
            return []
        # The history holds a float32's own shortest form.
        columns = epochs[:, :2].astype(np.float32)
        return [
            Point(key, float(str(value)), moment, step)
            for step, (values, moment) in enumerate(
                zip(columns, milliseconds(epochs[:, 3]), strict=True), start=1
            )
            for key, value in zip(("loss", "val_loss"), values, strict=True)
        ]


def live_runs(
    params: Params, handed: Iterable[Mapping[str, Any]], store: Path
) -> tuple[LiveRun, ...]:
    """The runs that a training names.

    Args:
        params: The project's params.
        handed: Of each run its label, its id and what determines that.
        store: The run store.

    Raises:
        InputError: where params.yaml has been changed since, and has no such run.
    """
    by_label = {run.label: run for run in params.runs}
    found = []
    for one in handed:
        run = by_label.get(one["label"])
        if run is None:
            raise InputError("params.yaml", f"has no run {one['label']} any more")
        tags = run_tags(run, one["id"], one["fingerprint"])
        found.append(
            LiveRun(
                id=one["id"],
                key=run_key(run.setting.model, one["id"]),
                name=run_name(run),
                params={**setting_params(params, run.setting), "seed": str(run.seed)},
                tags=tags,
                store=store,
            )
        )
    return tuple(found)
