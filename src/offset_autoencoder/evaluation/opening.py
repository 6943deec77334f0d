"""Runs opened for evaluation, each with its offsets and what it is measured against."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from offset_autoencoder.config import SPLITS, Run, SplitName
from offset_autoencoder.evaluation import interventions
from offset_autoencoder.evaluation.controls import NOTHING, Controls, match_controls
from offset_autoencoder.evaluation.decoding import variance_of
from offset_autoencoder.evaluation.metrics import Array, Domain
from offset_autoencoder.evaluation.probes import Splits, Targets, prepare_targets
from offset_autoencoder.evaluation.sample_errors import TestedSamples
from offset_autoencoder.io.arrays import Rows, rows_per_chunk, take
from offset_autoencoder.models.inference import Encoded, RunInference
from offset_autoencoder.offsets.table import load_table
from offset_autoencoder.runs.load import FinishedRun, open_runs

_MOST_ROWS = 2**15  # of a split, for what is not added up in a pass over its samples

# From a run, the factor of its table, a split and rows of it to f(x) as added, (rows, L) float32.
Offsets = Callable[[Run, float, SplitName, "slice | Rows"], Array]


@dataclass(frozen=True)
class EvaluationSamples:
    """The samples that runs are evaluated on."""

    x: Mapping[SplitName, Array]  # each split (n, D) float32
    domain: Domain  # of the test split
    tested: TestedSamples
    y: Mapping[SplitName, NDArray[np.int64]] | None = None  # class indices (n,), which are probed

    @functools.cached_property
    def rows(self) -> dict[SplitName, Rows]:
        """The rows of each split for what takes more than a pass over it.

        All up to 32,768, and 64 MB of samples; of more, as many, drawn at random.
        """
        features = self.x["test"].shape[1]
        most = min(_MOST_ROWS, max(interventions.ENOUGH_ROWS, rows_per_chunk(features)))
        return {name: interventions.some_rows(len(x), most) for name, x in self.x.items()}

    @functools.cached_property
    def some(self) -> dict[SplitName, Array]:
        """The samples of those rows."""
        rows = self.rows
        return {n: x if len(x) == len(rows[n]) else take(x, rows[n]) for n, x in self.x.items()}

    @functools.cached_property
    def variances(self) -> dict[SplitName, float]:
        """The variance of each split: see :func:`.decoding.variance_of`."""
        return {name: variance_of(x) for name, x in self.x.items()}

    @functools.cached_property
    def targets(self) -> Targets:
        """The targets of probes, of those rows."""
        y = None if self.y is None else Splits(*(self.y[n][self.rows[n]] for n in SPLITS))
        return prepare_targets(Splits(*(self.some[name] for name in SPLITS)), y)


def run_offsets(folder: Path, samples: Mapping[SplitName, int], seed: int | None = None) -> Offsets:
    """Offsets from the tables of ``data/offsets``; zeros for a run without one.

    ``samples`` are the numbers of samples of each split, ``seed`` is that of their tables: see
    :func:`.table.load_table`.
    """
    table = functools.cache(functools.partial(load_table, folder, seed=seed))

    def offsets(run: Run, factor: float, split: SplitName, rows: slice | Rows) -> Array:
        name, latent_dim = run.setting.spec.offset, run.setting.network.latent_dim
        if name is None:
            count = len(range(samples[split])[rows]) if isinstance(rows, slice) else len(rows)
            return np.zeros((count, latent_dim), np.float32)
        stored = table(name, latent_dim).split(split)
        kept = stored[rows] if isinstance(rows, slice) else take(stored, rows)
        return np.asarray(kept, np.float32) * np.float32(factor)

    return offsets


@dataclass(frozen=True)
class OpenRun:
    """A run that is open for inference, and all that its evaluation needs.

    ``encoded`` are the rows of :attr:`EvaluationSamples.rows`; ``guests`` are by id the offsets of
    those of the test split and of some training samples.
    """

    seed: int
    trained: FinishedRun
    inference: RunInference
    offsets: Callable[[SplitName, slice], Array]
    encoded: Mapping[SplitName, Encoded]
    plain_code: Array | None
    guests: Mapping[str, Callable[[], Mapping[SplitName, Array]]]


def opened_runs(
    guests_of: Mapping[str, Sequence[str]],
    runs: Mapping[str, tuple[Run, FinishedRun]],
    offsets: Offsets,
    samples: EvaluationSamples,
    controls: Controls,
) -> Iterator[tuple[str, OpenRun]]:
    """Open some of the runs, each with the offsets of its guests; both are named by id."""
    handed = _handed_offsets(guests_of, runs, offsets, samples)
    plain_codes: dict[str | None, Array | None] = {}
    # Runs without anything added come first: the adaptation of the others is measured from theirs.
    plain = {controls.references[run_id].get(NOTHING) for run_id in guests_of}
    opened = [run_id for run_id in runs if run_id in guests_of or run_id in plain]
    ordered = sorted(opened, key=lambda run_id: run_id not in plain)
    for run_id, inference in open_runs({run_id: runs[run_id][1] for run_id in ordered}):
        run, trained = runs[run_id]
        own = functools.partial(offsets, run, trained.offset_factor)
        encoded = {
            name: inference.encode(samples.some[name], own(name, samples.rows[name]))
            for name in (SPLITS if run_id in guests_of else ("test",))
        }
        if run_id in plain:
            plain_codes[run_id] = encoded["test"].code
        if run_id not in guests_of:
            continue
        starts_as_plain = run.setting.spec.system_record.starts_as_plain
        plain_code = plain_codes.get(controls.references[run_id].get(NOTHING))
        guests = {guest: handed[guest] for guest in guests_of[run_id]}
        codes = encoded, plain_code if starts_as_plain else None
        yield run_id, OpenRun(run.seed, trained, inference, own, *codes, guests)


def controls_of(
    runs: Mapping[str, tuple[Run, FinishedRun]], offsets: Offsets, samples: EvaluationSamples
) -> Controls:
    """The controls of runs, by id as params.yaml names them and as trained."""
    of_table: dict[tuple[str | None, int], bool] = {}

    def has_offset(run: Run) -> bool:
        spec = run.setting.spec
        key = spec.offset, run.setting.network.latent_dim
        if key not in of_table:
            of_table[key] = bool(offsets(run, 1.0, "test", samples.rows["test"]).any())
        return spec.system_record.learns_offset or of_table[key]

    return match_controls({run_id: run for run_id, (run, _) in runs.items()}, has_offset)


def _handed_offsets(
    guests_of: Mapping[str, Sequence[str]],
    runs: Mapping[str, tuple[Run, FinishedRun]],
    offsets: Offsets,
    samples: EvaluationSamples,
) -> dict[str, Callable[[], Mapping[SplitName, Array]]]:
    """Functions that give the offsets of each run that is handed to a control.

    A table is read when it is needed. What a second encoder computes is computed beforehand, as
    its network may not stay open until the control is.
    """
    guests = dict.fromkeys(guest for ids in guests_of.values() for guest in ids)
    places: dict[SplitName, Any] = {
        "test": slice(None),
        "train": interventions.some_rows(len(samples.rows["train"])),
    }

    def table(run: Run, factor: float) -> dict[SplitName, Array]:
        rows = {split: samples.rows[split][kept] for split, kept in places.items()}
        return {split: offsets(run, factor, split, rows[split]) for split in places}

    handed: dict[str, Callable[[], Mapping[SplitName, Array]]] = {}
    learned = {}
    for guest in guests:
        run, trained = runs[guest]
        if run.setting.spec.system_record.learns_offset:
            learned[guest] = trained
        else:
            handed[guest] = functools.partial(table, run, trained.offset_factor)
    for guest, inference in open_runs(learned):
        added = table(runs[guest][0], learned[guest].offset_factor)
        encoded = {
            split: inference.encode(samples.some[split][kept], added[split]).offset
            for split, kept in places.items()
        }
        handed[guest] = functools.partial(dict, encoded)
    return handed
