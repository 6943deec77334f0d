"""``train``: every run of params.yaml that does not exist yet → ``models/``."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence

from offset_autoencoder.config import Params, Run, Setting, SplitName, load_params
from offset_autoencoder.data.prepared import FLOAT32_BYTES
from offset_autoencoder.data.varying import PreparedSplits, load_splits
from offset_autoencoder.errors import run_command
from offset_autoencoder.models.architecture import Architecture
from offset_autoencoder.models.resolve import resolve_architectures
from offset_autoencoder.offsets.table import OffsetTable, load_table, scale_factor
from offset_autoencoder.paths import MODELS, OFFSETS, PARAMS, PREPARED, run_store
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

PULL = "OFFSET_AUTOENCODER_PULL"
"""Set by ``src/stage.sh`` where DVC was told to pull what it lacks."""
TRAINED_ON: tuple[SplitName, ...] = ("train", "validation")


def main() -> None:
    """Import the runs that exist, train the missing ones, export those of the params to models/."""
    params = load_params(PARAMS)
    splits = load_splits(PREPARED)
    runs = identify_runs(params, splits)
    store = run_store()
    clean(store)
    by_id = {run.id: run for run in runs}
    valid = import_runs(MODELS, store, current=by_id)
    invalid = [id for id in by_id if id not in valid]
    in_models = {id for id in invalid if (runs_folder(MODELS) / id).exists()}
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
            train(new, splits, are_alike=params.split.group is None)
    rows = export_runs(MODELS, store, runs, valid)
    for row in rows:
        if row.status == "diverged":
            print(f"diverged: {row.label} ({row.id[:12]})")
    print(f"runs: {len(runs)} ({len(new)} trained, {len(runs) - len(new)} reused)")


def load_tables(
    settings: Iterable[Setting], seed: int | None
) -> dict[tuple[str, int], OffsetTable]:
    """Tables of the settings' offsets, by offset and latent dim, of the split of a seed.

    They are mapped files, which stay open as long as they are used.
    """
    keys = {(s.spec.offset, s.network.latent_dim): None for s in settings if s.spec.offset}
    return {key: load_table(OFFSETS, *key, seed) for key in keys}


def identify_runs(params: Params, splits: PreparedSplits) -> list[IdentifiedRun]:
    """Every run of the params with its id."""
    identified: dict[tuple[str, int], IdentifiedRun] = {}
    by_size: dict[int, dict[str, Architecture]] = {}
    for seed in params.seeds:
        schema = splits.schema(seed)
        digests, samples = schema.digests, schema.samples["train"]
        if samples not in by_size:
            architectures = resolve_architectures(
                params.settings,
                input_dim=schema.input_dim,
                image_shape=schema.image_shape,
                sequence_shape=schema.sequence_shape,
                channels_first=schema.channels_first,
                samples=samples,
            )
            labels = (setting.label for setting in params.settings)
            by_size[samples] = dict(zip(labels, architectures, strict=True))
        tables = load_tables(params.settings, splits.key(seed))
        for setting in params.settings:
            spec, train = setting.spec, setting.train
            table = tables[spec.offset, setting.network.latent_dim] if spec.offset else None
            identified[setting.label, seed] = identify(
                Run(setting, seed),
                architecture=by_size[samples][setting.label],
                data={split: digests[split]["x"] for split in TRAINED_ON},
                table=table and {split: table.digests[split] for split in TRAINED_ON},
                offset_factor=scale_factor(table, spec.rms) if table else 1.0,
                chunks=chunks_of(
                    train.memory_limit,
                    samples,
                    schema.input_dim * FLOAT32_BYTES,
                    train.batch_size,
                ),
            )
    return [identified[run.setting.label, run.seed] for run in params.runs]


def train(runs: Sequence[IdentifiedRun], splits: PreparedSplits, *, are_alike: bool = True) -> None:
    """Train runs into the run store. Only here is TensorFlow imported.

    ``are_alike``: the splits of all seeds are of the same sizes.
    """
    print(f"training {len(runs)} {'run' if len(runs) == 1 else 'runs'}", flush=True)
    from offset_autoencoder.training.engine import SampleSizes
    from offset_autoencoder.training.schedule import train_runs
    from offset_autoencoder.training.state import TrainingData

    settings = list({run.run.setting.label: run.run.setting for run in runs}.values())

    def data_of(seed: int) -> TrainingData:
        data, tables = splits.of(seed), load_tables(settings, splits.key(seed))
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
    try:
        with progress("training runs", len(runs), work) as report:
            train_runs(runs, lambda seed: one or data_of(seed), sizes, run_store(), report)
    except KeyboardInterrupt:
        kept = "finished runs are kept, and those in training go on from here by dvc repro"
        raise KeyboardInterrupt(kept) from None


if __name__ == "__main__":
    run_command(main)
