"""``check``: what ``prepare`` and the user's own offsets would stop at, found without writing."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from offset_autoencoder import paths
from offset_autoencoder.config import SPLITS, Params, load_params
from offset_autoencoder.config.offset_kinds import FileOffset, FunctionOffset
from offset_autoencoder.config.schema import SplitName
from offset_autoencoder.config.tracking_uri import check_environment
from offset_autoencoder.data.prepared import PreparedData, PreparedSplit, Schema
from offset_autoencoder.data.requirements import check_values
from offset_autoencoder.data.samples import Samples, gather
from offset_autoencoder.data.scaling import Scale, fit_scale
from offset_autoencoder.data.shared_samples import sample_digests
from offset_autoencoder.data.sources import load_source
from offset_autoencoder.data.splits import assign
from offset_autoencoder.data.writing import SplitRows, WrittenSplit
from offset_autoencoder.evaluation.metrics import check_metrics
from offset_autoencoder.io.arrays import RowSubset, chunks
from offset_autoencoder.offsets.file import read_tables
from offset_autoencoder.offsets.kind import PreparedIds
from offset_autoencoder.reporting.progress import progress
from offset_autoencoder.stages import prepare
from offset_autoencoder.user_code import find_target


def check() -> None:
    """Check params.yaml and the data, and say in a line each what they are.

    Raises:
        InputError: for the first thing that ``prepare`` would refuse, or that is wrong with a file
            of vectors or the name of a function under ``offsets:``.
    """
    params = load_params(paths.PARAMS)
    check_metrics(params)
    if params.tracking.uri is None:
        check_environment()
    print(said_of(params))
    samples = gather(load_source(params.data, paths.RAW), params.data)
    rows = assign(
        samples.ids, params.split, y=samples.y, classes=samples.classes, given=samples.splits
    )
    prepare.check_before_reading(params, samples, rows)
    first = samples.tables[0]
    scale = fit_scale(
        params.data,
        RowSubset(samples.x, rows["train"]),
        full_scale=first.full_scale,
        name_of=first.name_of,
    )
    scaled = {name: Scaled(RowSubset(samples.x, rows[name]), scale) for name in SPLITS}
    seen = _gone_through(scaled)
    extremes = {name: (split.low, split.high) for name, split in seen.items()}

    def place(name: SplitName, row: int, feature: int | None) -> str:
        return samples.place(int(rows[name][row]), feature)

    schema = Schema(
        source=prepare.source_name(params.data),
        samples={name: len(rows[name]) for name in SPLITS},
        input_dim=samples.x.shape[1],
        image_shape=None if samples.image_shape is None else list(samples.image_shape),
        scale={"kind": scale.kind, **scale.facts},
        range=prepare.value_range(scale.kind, extremes),
        classes=samples.classes,
        ids="given" if samples.ids_given else "rows",
        digests={},
    )
    check_values(params, _as_prepared(samples, scaled, schema), extremes, place)
    print(prepare.summary(schema).replace("prepared:", "data:", 1))
    if shared := prepare.shared_samples(schema, seen):
        print(shared)
    _check_offsets(params, samples, rows)
    print("nothing is wrong with them that can be found before a training")


def _check_offsets(params: Params, samples: Samples, rows: SplitRows) -> None:
    """Read the user's own vectors, and find the user's own functions."""
    ids = PreparedIds(
        {name: samples.ids[rows[name]] for name in SPLITS}, are_rows=not samples.ids_given
    )
    for name, offset in params.offsets.items():
        if isinstance(offset, FileOffset):
            for latent_dim in params.latent_dims(name):
                read_tables(name, offset, ids, latent_dim, paths.RAW)
        elif isinstance(offset, FunctionOffset):
            find_target(f"{paths.PARAMS}: offsets.{name}.function", offset.function)


def said_of(params: Params) -> str:
    """One line: ``"params.yaml: 16 models, 26 settings, 10 seeds, 260 runs"``."""
    counts = {
        "model": len(params.models),
        "setting": len(params.settings),
        "seed": len(params.seeds),
        "run": len(params.runs),
    }
    words = [f"{count} {word}{'s' * (count != 1)}" for word, count in counts.items()]
    return f"{paths.PARAMS}: {', '.join(words)}"


@dataclass(frozen=True)
class Scaled:
    """The samples of a split as the network would see them, scaled where they are looked at.

    Attributes:
        x: The raw ones.
        scale: The fitted scale.
    """

    x: RowSubset
    scale: Scale

    @property
    def shape(self) -> tuple[int, int]:
        """``(n, D)``."""
        return self.x.shape

    @property
    def dtype(self) -> np.dtype[Any]:
        """float32."""
        return np.dtype(np.float32)

    def __len__(self) -> int:
        return len(self.x)

    def __getitem__(self, place: Any) -> Any:
        """Rows ``(k, D)`` of a slice; or the one value at ``(row, feature)``."""
        if isinstance(place, slice):
            return self.scale.apply(self.x[place])
        row, feature = place
        return self[row : row + 1][0, feature]


def _gone_through(scaled: Mapping[SplitName, Scaled]) -> dict[SplitName, WrittenSplit]:
    """What ``prepare`` would have seen of each split on the way to its file."""
    total = sum(map(len, scaled.values()))
    done = 0
    seen = {}
    with progress("checking samples", total, float(total)) as report:
        for name, x in scaled.items():

            def advance(rows: int, before: int = done) -> None:
                report(float(before + rows), before + rows)

            seen[name] = _seen(x, advance)
            done += len(x)
    return seen


def _seen(x: Scaled, advance: Callable[[int], None]) -> WrittenSplit:
    low, high = np.float32(np.inf), np.float32(-np.inf)
    digests = np.empty(len(x), dtype=np.uint64)
    for start, chunk in chunks(x):
        # Of NumPy's, since Python's own drop NaN.
        low, high = np.minimum(low, chunk.min()), np.maximum(high, chunk.max())
        digests[start : start + len(chunk)] = sample_digests(chunk)
        advance(start + len(chunk))
    return WrittenSplit(digest="", low=float(low), high=float(high), samples=digests)


def _as_prepared(
    samples: Samples, scaled: Mapping[SplitName, Scaled], schema: Schema
) -> PreparedData:
    splits = {
        # Looked at by rows and by value only, as a mapped array would be.
        name: PreparedSplit(x=cast(NDArray[np.float32], x), y=None, ids=samples.ids[:0])
        for name, x in scaled.items()
    }
    return PreparedData(**splits, schema=schema)
