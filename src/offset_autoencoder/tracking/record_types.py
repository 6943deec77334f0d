"""Records that MLflow should hold, with the reading of their parts from files; what it holds."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from offset_autoencoder.config import SPLITS
from offset_autoencoder.data.varying import load_splits
from offset_autoencoder.errors import InputError
from offset_autoencoder.io.files import read_json, read_npz, sha256_of_file, sha256_of_json
from offset_autoencoder.paths import PARAMS, PREPARED, REPORTS, run_store
from offset_autoencoder.runs.files import TIMES, read_history

RecordId = tuple[str, str]  # role and key

# The tags that say which MLflow run is which record, and how far it was written.
KEY = "record_key"
ROLE = "role"
CONTENT = "content_sha256"
CURVES = "curves_sha256"
CURRENT = "current"
PARENT = "mlflow.parentRunId"
# The tag of an MLflow experiment in which MLflow's UI finds the view of its settings.
VIEW = "mlflow.sharedViewState.results"

# Tags and metrics of a setting; the mean over its seeds of a test metric, and its interval.
INTERVAL = "interval"
OFFSET_USE = "offset_used_as"
BEST_LOSS = "best_val_loss"
TEST = "test_{}"
# The same, by baseline: the verdict against it, and the difference from it as a share.
AGAINST = "against_{}"
DIFFERENCE = "difference_from_{}"
CHANGE = "change_against_{}"


class Artifact(NamedTuple):
    """A file that is kept with a record, under a name such as ``"reports/comparison.csv"``."""

    name: str
    source: Path | bytes  # the file that is copied, or what is written
    sha256: str


class DataSet(NamedTuple):
    """A data set that a run used."""

    name: str  # the data's source, or the offset's name
    context: str  # train, validation, test or offset
    uri: str  # its file or folder in the project
    shape: tuple[int, int]  # rows, and numbers per row; float32
    sha256: str  # our digest, of which MLflow shows the first half


class Point(NamedTuple):
    """One value of a curve; ``step`` is the epoch from 1, ``timestamp`` in ms since 1970."""

    key: str
    value: float
    timestamp: int
    step: int


@dataclass(frozen=True)
class Record:
    """Content of one MLflow run.

    A setting is a model at one value of each swept key. ``folders`` are ``models/runs/ID``: that of
    the run, which holds its curves, or those of all runs that the record stands for. Each curve of
    a run has at most ``curve_points`` points; None: one per epoch.
    """

    role: Literal["experiment", "setting", "run"]
    key: str  # identity of the record: stays the same when metrics or tags change
    name: str
    status: Literal["FINISHED", "FAILED"]  # FAILED for a run that diverged
    params: Mapping[str, str]
    metrics: Mapping[str, float]  # final values
    tags: Mapping[str, str]
    folders: tuple[Path, ...] = ()
    parent: RecordId | None = None
    artifacts: tuple[Artifact, ...] = ()
    curves: tuple[Point, ...] = ()  # of a setting over its seeds, not yet timed
    datasets: tuple[DataSet, ...] = ()  # trained and tested on; the key determines them
    curve_points: int | None = None

    @property
    def record_id(self) -> RecordId:
        """Role and key."""
        return self.role, self.key

    @property
    def curves_digest(self) -> str:
        """The SHA-256 of the curves over the seeds."""
        return sha256_of_json([[key, repr(value), step] for key, value, _, step in self.curves])

    @property
    def content(self) -> str:
        """The SHA-256 of all that may differ between two publications under the same key.

        A run's curves are left out, since the run's id and ``curve_points`` determine them: they
        stay as they were published. So are the times, since a colleague's copy of the run does not
        bring them.
        """
        return sha256_of_json(
            [
                self.name,
                self.status,
                dict(self.params),
                {name: repr(value) for name, value in self.metrics.items()},
                dict(self.tags),
                {artifact.name: artifact.sha256 for artifact in self.artifacts},
                self.curves_digest if self.curves else None,
            ]
        )


@dataclass(frozen=True)
class StoredRun:
    """An MLflow run of ours that is in the store and not deleted."""

    mlflow_id: str
    status: str  # RUNNING, FINISHED, FAILED or KILLED
    artifact_uri: str
    tags: Mapping[str, str]  # without those that MLflow shows alone

    @property
    def record_id(self) -> RecordId:
        """Role and key of the record that it holds."""
        return self.tags.get(ROLE, ""), self.tags[KEY]

    @property
    def is_complete(self) -> bool:
        """True if it was written to its end, which its status says last."""
        return CONTENT in self.tags and self.status in ("FINISHED", "FAILED")

    @property
    def is_shown_live(self) -> bool:
        """True if it was shown while its training went on, up to its last epoch."""
        return CONTENT not in self.tags and CURVES in self.tags and self.status != "KILLED"

    @property
    def is_current(self) -> bool:
        """True if it is tagged as standing in the project's files."""
        return self.tags.get(CURRENT) == "true"

    @property
    def parent_id(self) -> str | None:
        """The MLflow run under which it is nested."""
        return self.tags.get(PARENT)


@dataclass(frozen=True)
class StoreState:
    """Content of a store: an experiment, with our runs in it, and its models where any are served.

    Attributes:
        experiment_id: Its id; None: there is no such experiment, or no store yet.
        is_deleted: Whether the experiment is in MLflow's bin.
        artifacts: URI at which the experiment keeps its artifacts.
        models: Ids of the experiment's logged models.
        champions: By alias the version of the registered model that is a champion, unless its
            model was deleted.
        view: The view of the settings that MLflow's UI offers; None: none.
    """

    experiment_id: str | None = None
    is_deleted: bool = False
    runs: tuple[StoredRun, ...] = ()
    artifacts: str | None = None
    models: tuple[str, ...] = ()
    champions: Mapping[str, str] = field(default_factory=dict)
    view: str | None = None


def run_key(model: str, run_id: str) -> str:
    """Key of a run's record."""
    return f"{model} {run_id}"


def curve_spacing(epochs: int, most: int | None) -> int:
    """Epochs from one point of a curve to the next: 1, or the power of two that leaves few enough.

    These are at most ``most`` of so many epochs, the best and the last among them. Of fewer epochs
    the spacing is the same or divides it, so that a training which may still stop early, by the
    spacing of all of its epochs, shows nothing that the finished run does not.
    """
    spacing = 1
    if most is not None and epochs > most:
        while -(-epochs // spacing) > most - 2:
            spacing *= 2
    return spacing


def thinned(val_loss: NDArray[np.float64], most: int | None) -> list[int]:
    """Rows of a finished history that its curves show: evenly spaced, the best and the last."""
    epochs = len(val_loss)
    best = int(np.nanargmin(val_loss)) if np.isfinite(val_loss).any() else 0
    return sorted({*range(0, epochs, curve_spacing(epochs, most)), best, epochs - 1})


def read_curves(folder: Path, now: int, most: int | None = None) -> tuple[list[Point], bool]:
    """Read the curves of a run: ``history.csv`` with the times at which its epochs ended.

    Of more than ``most`` epochs those of :func:`thinned` are taken.

    The times are the machine's own and are not handed on with the run, so a run that DVC has
    checked out lacks them; the local run store may know them still. Where ``times.npz`` is
    missing in both or does not fit the history, every point carries ``now``, in ms since 1970.

    Returns:
        The points epoch by epoch, and whether they carry the times at which it happened.

    Raises:
        InputError: where ``history.csv`` is missing or damaged.
    """
    history = read_history(folder)
    epochs = history.pop("epoch").astype(int)
    ended = _epoch_ends(folder, len(epochs))
    points = [
        Point(key, float(values[row]), ended[row] if ended else now, int(epochs[row]))
        for row in thinned(history["val_loss"], most)
        for key, values in history.items()
    ]
    return points, ended is not None


def read_span(folders: Iterable[Path]) -> tuple[int, int] | None:
    """End of the first epoch of the first of several runs, and of the last of the last.

    Both are in ms since 1970; None where they are known of no run.
    """
    spans = [ended for folder in folders if (ended := _epoch_ends(folder)) is not None]
    return (min(ended[0] for ended in spans), max(ended[-1] for ended in spans)) if spans else None


def milliseconds(moments: NDArray[np.float64]) -> list[int]:
    """Moments in s since 1970 as MLflow wants them, in ms."""
    return [int(moment) for moment in np.rint(moments * 1000)]


def _epoch_ends(folder: Path, epochs: int | None = None) -> list[int] | None:
    """Ends of a run's epochs in ms since 1970; None where they are not known."""
    for path in (folder / TIMES, run_store() / folder.name / TIMES):
        try:
            ended = read_npz(path)["ended"]
        except (InputError, KeyError):
            continue
        is_usable = ended.ndim == 1 and ended.dtype == np.float64 and len(ended) > 0
        if is_usable and np.isfinite(ended).all() and epochs in (None, len(ended)):
            return milliseconds(ended)
    return None


def read_splits(root: Path, seed: int) -> tuple[DataSet, ...]:
    """The splits of ``data/prepared`` that the runs of a seed have, by ``schema.json``.

    Raises:
        InputError: where it is missing or damaged.
    """
    splits = load_splits(root / PREPARED)
    path = splits.folder_of(seed) / "schema.json"
    folder = path.parent.relative_to(root).as_posix()
    file = "x.npy" if splits.key(seed) is None else "rows.npy"
    schema = read_json(path)
    try:
        return tuple(
            DataSet(
                name=str(schema.get("source", "data"))[:500],
                context=split,
                uri=f"{folder}/{split}/{file}",
                sha256=str(schema["digests"][split]["x"]),
                shape=(schema["samples"][split], schema["input_dim"]),
            )
            for split in SPLITS
        )
    except (AttributeError, KeyError, TypeError) as error:
        raise InputError(str(path), f"lacks {error}", "run 'dvc repro prepare'") from None


def read_artifacts(root: Path) -> Iterator[Artifact]:
    """The reports and params.yaml; pictures in a folder of their own, which people open."""
    reports = root / REPORTS
    for path in sorted(reports.rglob("*")):
        inside = path.relative_to(reports)
        if path.is_file() and not any(part.startswith(".") for part in inside.parts):
            is_picture = path.suffix == ".png"
            name = f"pictures/{path.name}" if is_picture else f"reports/{inside.as_posix()}"
            yield Artifact(name, path, sha256_of_file(path))
    if (path := root / PARAMS).is_file():
        yield Artifact(PARAMS.name, path, sha256_of_file(path))
