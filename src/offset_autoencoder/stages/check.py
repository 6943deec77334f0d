"""The command ``check``: errors of ``prepare`` and of the user's own offsets, without writing."""

from __future__ import annotations

from typing import cast

import numpy as np
from numpy.typing import NDArray

from offset_autoencoder import paths
from offset_autoencoder.config import SPLITS, Params
from offset_autoencoder.data.prepared import scan_splits
from offset_autoencoder.data.scaling import ScaledRows
from offset_autoencoder.io.arrays import RowSubset
from offset_autoencoder.offsets.build import find_kind
from offset_autoencoder.offsets.kind import PreparedIds
from offset_autoencoder.reporting.terminal import progress
from offset_autoencoder.stages.prepare import (
    Source,
    leakage_warning,
    load_checked_params,
    summary,
)
from offset_autoencoder.user_code import find_target


def check() -> None:
    """Check params.yaml and the data, and print one line on each.

    Raises:
        InputError: for the first thing that ``prepare`` would refuse, or that is wrong with a file
            of vectors or the name of a function under ``offsets:``.
    """
    params = load_checked_params()
    print(f"{paths.PARAMS}: {count_runs(params)}")
    source = Source.load(params)
    x, rows = source.samples.x, source.rows
    scale = source.fit_scale(x, rows)
    ascending = {name: np.sort(part) for name, part in rows.items()}
    with progress("checking samples", len(x), float(len(x))) as report:
        statistics = scan_splits(
            x, ascending, scale, report=lambda count: report(float(count), count)
        )
    # Read by rows and by value only, as a mapped array would be.
    scaled = {
        name: cast(NDArray[np.float32], ScaledRows(RowSubset(x, rows[name]), scale))
        for name in SPLITS
    }
    data = source.check(scaled, scale, statistics)
    print(f"data: {summary(data.schema)}")
    if warning := leakage_warning(data.schema, statistics):
        print(warning)
    _check_offsets(source)
    print("nothing is wrong with them that can be found before a training")


def _check_offsets(source: Source) -> None:
    """Read the user's own vectors, and find the user's own functions."""
    samples, rows = source.samples, source.rows
    ids = PreparedIds(
        {name: samples.ids[rows[name]] for name in SPLITS}, are_rows=not samples.ids_given
    )
    for name, offset in source.params.offsets.items():
        where = f"{paths.PARAMS}: offsets.{name}"
        for key, function in offset.functions.items():
            find_target(f"{where}.{key}", function)
        if read := find_kind(where, offset.kind).read:
            for latent_dim in source.params.latent_dims(name):
                read(name, offset, ids, latent_dim, paths.RAW)


def count_runs(params: Params) -> str:
    """Size of the experiment: ``"16 models, 26 settings, 10 seeds, 260 runs"``."""
    counts = {
        "model": len(params.models),
        "setting": len(params.settings),
        "seed": len(params.seeds),
        "run": len(params.runs),
    }
    return ", ".join(f"{count} {word}{'s' * (count != 1)}" for word, count in counts.items())
