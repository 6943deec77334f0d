"""``train``: every run of params.yaml that does not exist yet → ``models/``."""

from __future__ import annotations

from collections.abc import Mapping

from offset_autoencoder.config import Params, SplitName, load_params
from offset_autoencoder.data.prepared import PreparedData, load_prepared
from offset_autoencoder.errors import run_command
from offset_autoencoder.models.resolve import resolve_architectures
from offset_autoencoder.offsets.table import OffsetTable, load_table, scale_factor
from offset_autoencoder.paths import MODELS, OFFSETS, PARAMS, PREPARED, run_store
from offset_autoencoder.reporting.terminal import progress
from offset_autoencoder.runs.spec import IdentifiedRun, identify
from offset_autoencoder.runs.store import clean, export_runs, import_runs, missing_ids
from offset_autoencoder.tracking.following import following
from offset_autoencoder.training.batches import chunks_of

Tables = Mapping[tuple[str, int], OffsetTable]


def main() -> None:
    """Import the runs that exist, train the missing ones, export those of the params to models/."""
    params = load_params(PARAMS)
    data = load_prepared(PREPARED)
    tables = {
        (setting.spec.offset, setting.network.latent_dim): load_table(
            OFFSETS, setting.spec.offset, setting.network.latent_dim
        )
        for setting in params.settings
        if setting.spec.offset is not None
    }
    runs = identify_runs(params, data, tables)
    store = run_store()
    clean(store)
    by_id = {run.id: run for run in runs}
    valid = import_runs(MODELS, store, current=by_id)
    new = [by_id[id] for id in missing_ids(store, [id for id in by_id if id not in valid])]
    if new:
        with following(new, params.tracking.live_after):
            train(new, data, tables)
    rows = export_runs(MODELS, store, runs, valid)
    for row in rows:
        if row.status == "diverged":
            print(f"diverged: {row.label} ({row.id[:12]})")
    print(f"runs: {len(runs)} ({len(new)} trained, {len(runs) - len(new)} reused)")


def identify_runs(params: Params, data: PreparedData, tables: Tables) -> list[IdentifiedRun]:
    """Every run of the params with its id."""
    digests = data.schema.digests
    trained_on: tuple[SplitName, ...] = ("train", "validation")
    architectures = resolve_architectures(
        params.settings,
        input_dim=data.schema.input_dim,
        image_shape=data.schema.image_shape,
        samples=len(data.train.x),
    )
    of_setting = dict(zip((s.label for s in params.settings), architectures, strict=True))
    identified = []
    for run in params.runs:
        spec = run.setting.spec
        table = tables[spec.offset, run.setting.network.latent_dim] if spec.offset else None
        identified.append(
            identify(
                run,
                architecture=of_setting[run.setting.label],
                data={split: digests[split]["x"] for split in trained_on},
                table=table and {split: table.digests[split] for split in trained_on},
                offset_factor=scale_factor(table, spec.rms) if table else 1.0,
                chunks=chunks_of(
                    run.setting.train.memory_limit,
                    len(data.train.x),
                    data.train.x[:1].nbytes,
                    run.setting.train.batch_size,
                ),
            )
        )
    return identified


def train(runs: list[IdentifiedRun], data: PreparedData, tables: Tables) -> None:
    """Train runs into the run store. Only here is TensorFlow imported."""
    print(f"training {len(runs)} {'run' if len(runs) == 1 else 'runs'}", flush=True)
    from offset_autoencoder.training.schedule import train_runs
    from offset_autoencoder.training.state import TrainingData

    arrays = TrainingData(
        x=data.train.x,
        x_validation=data.validation.x,
        tables={key: (table.train, table.validation) for key, table in tables.items()},
    )
    work = float(sum(run.run.setting.train.epochs for run in runs))
    try:
        with progress("training runs", len(runs), work) as report:
            train_runs(runs, arrays, run_store(), report)
    except KeyboardInterrupt:
        kept = "finished runs are kept, and those in training go on from here by dvc repro"
        raise KeyboardInterrupt(kept) from None


if __name__ == "__main__":
    run_command(main)
