"""The stage ``prepare``: params.yaml checked, the data set checked, split and scaled."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np

from offset_autoencoder import paths
from offset_autoencoder.config import SPLITS, Params, load_params
from offset_autoencoder.config.offset_kinds import ClassCodeOffset
from offset_autoencoder.config.schema import Data, SplitName
from offset_autoencoder.config.tracking_uri import check_environment
from offset_autoencoder.data.prepared import (
    PreparedData,
    PreparedSplit,
    Schema,
    write_all_but_x,
)
from offset_autoencoder.data.requirements import Extremes, check_shape, check_values
from offset_autoencoder.data.samples import Samples, gather
from offset_autoencoder.data.scaling import Scale, fit_scale
from offset_autoencoder.data.shared_samples import count_shared
from offset_autoencoder.data.sources import load_source
from offset_autoencoder.data.splits import assign
from offset_autoencoder.data.writing import SplitRows, WrittenSplit, in_order, write_splits
from offset_autoencoder.errors import run_command
from offset_autoencoder.evaluation.metrics import check_metrics
from offset_autoencoder.io.arrays import RowSubset
from offset_autoencoder.io.files import open_npy, replace_folder, sha256_of_array
from offset_autoencoder.models.resolve import resolve_architectures

Written = Mapping[SplitName, WrittenSplit]


def main() -> None:
    """Write ``data/prepared`` from ``data/raw`` or a built-in data set, and say what it holds.

    What can be found wrong without training is found here, before anything takes its place.

    Raises:
        InputError: for the first thing wrong with params.yaml, with the data, or with the one
            for the other; ``data/prepared`` is then as it was.
    """
    paths.copy_into_clone(paths.RAW)
    paths.copy_into_clone(paths.CUSTOM)
    params = load_params(paths.PARAMS)
    check_metrics(params)
    if params.tracking.uri is None:
        check_environment()
    samples = gather(load_source(params.data, paths.RAW), params.data)
    rows = assign(
        samples.ids, params.split, y=samples.y, classes=samples.classes, given=samples.splits
    )
    check_before_reading(params, samples, rows)

    def place(name: SplitName, row: int, feature: int | None) -> str:
        return samples.place(int(rows[name][row]), feature)

    x, rows_of_x = in_order(samples.x, rows)
    first = samples.tables[0]
    scale = fit_scale(
        params.data,
        RowSubset(x, rows_of_x["train"]),
        full_scale=first.full_scale,
        name_of=first.name_of,
    )
    with replace_folder(paths.PREPARED) as folder:
        written = write_splits(folder, x, rows_of_x, scale)
        data = describe(params.data, samples, rows, scale, folder, written)
        check_values(params, data, _extremes(written), place)
        write_all_but_x(
            folder,
            data,
            shift=scale.shift,
            factor=scale.factor,
            latent_dims={name: params.latent_dims(name) for name in params.offsets},
        )
    print(summary(data.schema))
    if shared := shared_samples(data.schema, written):
        print(shared)


def describe(
    data: Data, samples: Samples, rows: SplitRows, scale: Scale, folder: Path, written: Written
) -> PreparedData:
    """What was written, x mapped from its files, with labels, ids and schema."""
    splits: dict[SplitName, PreparedSplit] = {
        name: PreparedSplit(
            x=open_npy(folder / name / "x.npy"),
            y=None if samples.y is None else samples.y[rows[name]],
            ids=samples.ids[rows[name]],
        )
        for name in SPLITS
    }
    columns = samples.tables[0].columns
    schema = Schema(
        source=source_name(data),
        samples={name: len(splits[name].x) for name in SPLITS},
        input_dim=samples.x.shape[1],
        image_shape=None if samples.image_shape is None else list(samples.image_shape),
        scale={"kind": scale.kind, **scale.facts},
        range=value_range(scale.kind, _extremes(written)),
        classes=samples.classes,
        ids="given" if samples.ids_given else "rows",
        digests={
            name: {
                "x": written[name].digest,
                "y": None if split.y is None else sha256_of_array(split.y),
                "ids": sha256_of_array(split.ids),
            }
            for name, split in splits.items()
        },
        columns=None if columns is None else list(columns),
    )
    return PreparedData(**splits, schema=schema)


def summary(schema: Schema) -> str:
    """One line: ``"prepared: digits, 1797 × 64, train 1168 / validation 270 / ..."``."""
    counts = " / ".join(f"{name} {schema.samples[name]}" for name in SPLITS)
    classes = "no labels" if schema.classes is None else f"{len(schema.classes)} classes"
    size = f"{sum(schema.samples.values())} × {schema.input_dim}"
    line = f"prepared: {schema.source}, {size}, {counts}, {classes}"
    constant = int(schema.scale.get("constant_features", 0))
    if constant:
        line += f", {constant} constant feature{'s' * (constant != 1)} set to 0"
    return line


def shared_samples(schema: Schema, written: Written) -> str | None:
    """A warning where samples stand in more than one split: ``"warning: 3 of 270 ..."``."""
    found = [
        f"{count} of {schema.samples[name]} in {name}"
        for name, count in count_shared({name: written[name].samples for name in SPLITS}).items()
        if count
    ]
    if not found:
        return None
    return f"warning: samples that also stand in an earlier split: {', '.join(found)}"


def source_name(data: Data) -> str:
    """Where the samples came from, as ``schema.json`` says it."""
    if data.source != "file":
        return data.source
    paths = data.path if isinstance(data.path, dict) else {"train": data.path}
    return " + ".join(dict.fromkeys(str(paths[name]) for name in SPLITS if name in paths))


def _extremes(written: Written) -> Extremes:
    return {name: (split.low, split.high) for name, split in written.items()}


def value_range(kind: str, extremes: Extremes) -> list[float] | None:
    """The range that scaled samples are known to keep to, if any."""
    if kind not in ("unit", "minmax"):
        return None
    return [0.0, 1.0] if all(low >= 0 and high <= 1 for low, high in extremes.values()) else None


def check_before_reading(params: Params, samples: Samples, rows: SplitRows) -> None:
    """What needs the data's shape and labels alone: found before a large file is gone through."""
    train = rows["train"]
    check_shape(
        params,
        paths.RAW,
        samples=len(train),
        features=samples.x.shape[1],
        labelled=samples.y is not None,
    )
    _check_class_codes(params, samples)
    resolve_architectures(
        params.settings,
        input_dim=samples.x.shape[1],
        image_shape=samples.image_shape,
        samples=len(train),
    )


def _check_class_codes(params: Params, samples: Samples) -> None:
    for name, offset in params.offsets.items():
        if isinstance(offset, ClassCodeOffset):
            from offset_autoencoder.offsets import class_code
            from offset_autoencoder.offsets.kind import Training

            training = Training(
                np.empty((0, samples.x.shape[1]), dtype=np.float32),
                samples.y,
                n_classes=None if samples.classes is None else len(samples.classes),
            )
            for latent_dim in params.latent_dims(name):
                class_code.fit(f"params.yaml: offsets.{name}", offset, training, latent_dim)


if __name__ == "__main__":
    run_command(main)
