"""``train``: every run of params.yaml that does not exist yet → ``models/``.

The command of that name trains a share of them into the run store, on any machine that has it.
"""

from __future__ import annotations

import hashlib
import os
import re
import signal
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from offset_autoencoder.config import Params, Run, Setting, SplitName, load_params
from offset_autoencoder.config.document import read_document
from offset_autoencoder.config.registries import load
from offset_autoencoder.config.schema import EXECUTORS
from offset_autoencoder.data.prepared import FLOAT32_BYTES, Schema
from offset_autoencoder.data.varying import PreparedSplits, load_splits
from offset_autoencoder.errors import InputError, run_command
from offset_autoencoder.models.architecture import Architecture
from offset_autoencoder.models.resolve import resolve_architectures
from offset_autoencoder.offsets.table import OffsetTable, load_table, scale_factor
from offset_autoencoder.paths import HERE, MODELS, OFFSETS, PARAMS, PREPARED, Project, run_store
from offset_autoencoder.reporting.terminal import progress
from offset_autoencoder.runs.spec import IdentifiedRun, identify
from offset_autoencoder.runs.store import (
    clean,
    export_runs,
    import_runs,
    missing_ids,
    pull_runs,
    runs_folder,
)
from offset_autoencoder.tracking.following import following
from offset_autoencoder.training.batches import chunks_of
from offset_autoencoder.training.jax_process import call_on_jax, engine_in_id, trains_on_jax
from offset_autoencoder.training.state import SampleSizes, TrainingData

PULL = "OFFSET_AUTOENCODER_PULL"
"""Set by ``src/stage.sh`` where DVC was told to pull what it lacks."""
LOCK = Path("dvc.lock")
TRAINED_ON: tuple[SplitName, ...] = ("train", "validation")


def main(project: Project = HERE) -> None:
    """Import the runs that exist, train the missing ones, export those of the params to models/."""
    params, models, store = load_params(project.params), project.models, project.runs
    splits = load_splits(project.prepared)
    runs = identify_runs(params, splits, project.offsets)
    clean(store)
    by_id = {run.id: run for run in runs}
    valid = import_runs(models, store, current=by_id)
    invalid = [id for id in by_id if id not in valid]
    in_models = {id for id in invalid if (runs_folder(models) / id).exists()}
    in_store = {id for id in invalid if (store / id).exists()}
    missing = missing_ids(store, invalid)
    damaged = in_models | in_store.intersection(missing)
    if missing and os.environ.get(PULL):
        pull_runs(store, missing)
        missing = missing_ids(store, missing)
    for id in (id for id in invalid if id in damaged):
        remedy = "trained anew" if id in missing else "replaced by the copy that is kept"
        print(f"damaged: {by_id[id].run.label} ({id[:12]}) is {remedy}", flush=True)
    if new := [by_id[id] for id in missing]:
        with following(new, params.tracking.live_after):
            are_alike = params.split.group is None
            train(new, splits, project, are_alike=are_alike, executor=params.executor)
    rows = export_runs(models, store, runs, valid)
    for row in rows:
        if row.status == "diverged":
            print(f"diverged: {row.label} ({row.id[:12]})")
    print(f"runs: {len(runs)} ({len(new)} trained, {len(runs) - len(new)} reused)")


@dataclass(frozen=True)
class Share:
    """A share of the runs: those whose id, as a number, leaves this remainder.

    Which runs these are depends on nothing else, so that processes which start at different times
    share no run, and together leave out none.
    """

    number: int
    of: int

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read ``"3/16"``, the fourth of sixteen shares.

        Raises:
            InputError: where it is none.
        """
        match = re.fullmatch(r"(\d{1,9})/(\d{1,9})", text, re.ASCII)
        if not match or int(match[1]) >= int(match[2]):
            expected = "K/N, the share K of N, counted from 0: the first of 16 is 0/16"
            raise InputError("--share", f"is {text!r}, expected {expected}")
        return cls(int(match[1]), int(match[2]))

    def has(self, id: str) -> bool:
        """True if the run of this id is one of the share."""
        return int(id, 16) % self.of == self.number


def train_share(share: Share) -> None:
    """Train the runs of a share that do not exist yet, into the run store and nothing else.

    Any number of processes may do so at once. SIGTERM, by which schedulers end a job, does what
    Ctrl-C does: each run in training leaves a checkpoint, from which the next process goes on.

    Raises:
        InputError: where data/prepared or an offset is not that of params.yaml as it is.
    """
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    params = load_params(PARAMS)
    _check_is_current({s.spec.offset for s in params.settings if s.spec.offset})
    splits = load_splits(PREPARED)
    runs = {run.id: run for run in identify_runs(params, splits) if share.has(run.id)}
    import_runs(MODELS, run_store(), current=runs)
    new = [runs[id] for id in missing_ids(run_store(), [*runs])]
    if new:
        train(new, splits, are_alike=params.split.group is None)
    name = "" if share.of == 1 else f"share {share.number}/{share.of}, "
    print(f"{name}runs: {len(runs)} ({len(new)} trained, {len(runs) - len(new)} reused)")


def _check_is_current(offsets: Iterable[str]) -> None:
    """Check by dvc.lock that ``prepare`` and the offsets ran with params.yaml as it is.

    DVC itself would: this command is no stage, and holds no lock of DVC's. Without a dvc.lock
    nothing is known.
    """
    if not LOCK.exists():
        return
    remedy = "run dvc repro prepare offsets first"
    stages, document = read_document(LOCK).get("stages", {}), read_document(PARAMS)

    def digest(stage: str, key: str, path: Path) -> str | None:
        entries = stages.get(stage, {}).get(key, [])
        return next((entry["md5"] for entry in entries if entry["path"] == path.as_posix()), None)

    md5 = hashlib.md5(PARAMS.read_bytes(), usedforsecurity=False).hexdigest()
    if digest("prepare", "deps", PARAMS) != md5:
        raise InputError(str(PARAMS), f"has changed since {PREPARED} was made", remedy)
    for name in sorted(offsets):
        made_with = stages.get(f"offsets@{name}", {}).get("params", {}).get(str(PARAMS), {})
        is_of_params = made_with.get(f"offsets.{name}") == document["offsets"][name]
        of_data = digest(f"offsets@{name}", "deps", PREPARED)
        if not is_of_params or of_data != digest("prepare", "outs", PREPARED):
            what = f"is not of {PARAMS} and {PREPARED} as they are"
            raise InputError(str(OFFSETS / name), what, remedy)


def load_tables(
    settings: Iterable[Setting], seed: int | None, offsets: Path = OFFSETS
) -> dict[tuple[str, int], OffsetTable]:
    """Tables of the settings' offsets, by offset and latent dim, of the split of a seed.

    They are mapped files, which stay open as long as they are used.
    """
    keys = {(s.spec.offset, s.network.latent_dim): None for s in settings if s.spec.offset}
    return {key: load_table(offsets, *key, seed) for key in keys}


def architectures_of(settings: Sequence[Setting], schema: Schema) -> dict[str, Architecture]:
    """Architectures of settings for prepared data, by label."""
    architectures = resolve_architectures(
        settings,
        input_dim=schema.input_dim,
        image_shape=schema.image_shape,
        sequence_shape=schema.sequence_shape,
        channels_first=schema.channels_first,
        samples=schema.samples["train"],
    )
    return dict(zip((setting.label for setting in settings), architectures, strict=True))


def identify_runs(
    params: Params, splits: PreparedSplits, offsets: Path = OFFSETS
) -> list[IdentifiedRun]:
    """Every run of the params with its id; ``offsets`` is ``data/offsets``."""
    is_here = EXECUTORS[params.executor].is_here
    identified: dict[tuple[str, int], IdentifiedRun] = {}
    by_size: dict[int, dict[str, Architecture]] = {}
    for seed in params.seeds:
        schema = splits.schema(seed)
        digests, samples = schema.digests, schema.samples["train"]
        if samples not in by_size:
            by_size[samples] = architectures_of(params.settings, schema)
        tables = load_tables(params.settings, splits.key(seed), offsets)
        for setting in params.settings:
            spec, train = setting.spec, setting.train
            architecture = by_size[samples][setting.label]
            table = tables[spec.offset, setting.network.latent_dim] if spec.offset else None
            identified[setting.label, seed] = identify(
                Run(setting, seed),
                architecture=architecture,
                data={split: digests[split]["x"] for split in TRAINED_ON},
                table=table and {split: table.digests[split] for split in TRAINED_ON},
                offset_factor=scale_factor(table, spec.rms) if table else 1.0,
                chunks=chunks_of(
                    train.memory_limit,
                    samples,
                    schema.input_dim * FLOAT32_BYTES,
                    train.batch_size,
                ),
                engine=engine_in_id(train.engine, architecture, or_on_a_gpu=is_here),
            )
    return [identified[run.setting.label, run.seed] for run in params.runs]


def train(
    runs: Sequence[IdentifiedRun],
    splits: PreparedSplits,
    project: Project = HERE,
    *,
    are_alike: bool = True,
    executor: str = "local",
) -> None:
    """Train runs into the run store of a project, those on JAX in a process of their own.

    ``are_alike``: the splits of all seeds are of the same sizes. Those on JAX are trained on this
    machine whatever the executor.
    """
    by_backend: dict[bool, list[IdentifiedRun]] = {True: [], False: []}
    for run in runs:
        by_backend[trains_on_jax(run.spec)].append(run)
    try:
        if by_backend[True]:  # first: TensorFlow would take the GPU's memory, and keep it
            on_jax = by_backend[True], splits, project, are_alike, " on JAX"
            call_on_jax(_train_by, "local", *on_jax)
        if by_backend[False]:
            _train_by(executor, by_backend[False], splits, project, are_alike)
    except KeyboardInterrupt:
        kept = "finished runs are kept, and those in training go on from here the next time"
        raise KeyboardInterrupt(kept) from None


def _train_by(
    executor: str,
    runs: Sequence[IdentifiedRun],
    splits: PreparedSplits,
    project: Project,
    are_alike: bool,
    backend: str = "",
) -> None:
    by = backend if EXECUTORS[executor].is_here else f" by {executor}"
    print(f"training {len(runs)} {'run' if len(runs) == 1 else 'runs'}{by}", flush=True)
    train_runs = load(EXECUTORS[executor].train)

    settings = list({run.run.setting.label: run.run.setting for run in runs}.values())

    def data_of(seed: int) -> TrainingData:
        data, tables = splits.of(seed), load_tables(settings, splits.key(seed), project.offsets)
        return TrainingData(
            x=data.train.x,
            x_validation=data.validation.x,
            tables={key: (table.train, table.validation) for key, table in tables.items()},
        )

    seeds = dict.fromkeys(run.run.seed for run in runs)
    schemas = [splits.schema(seed) for seed in ([*seeds][:1] if are_alike else seeds)]
    samples, validation = (max(schema.samples[name] for schema in schemas) for name in TRAINED_ON)
    row_bytes = schemas[0].input_dim * FLOAT32_BYTES
    sizes = SampleSizes(samples, validation, row_bytes, splits.varies, are_alike=are_alike)
    one = None if splits.varies else data_of(runs[0].run.seed)
    work = float(sum(run.run.setting.train.epochs for run in runs))
    with progress("training runs", len(runs), work) as report:
        train_runs(runs, lambda seed: one or data_of(seed), sizes, project.runs, report)


if __name__ == "__main__":
    run_command(main)
