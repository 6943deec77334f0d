"""The stage ``prepare``: params.yaml checked, the data set checked, split and scaled."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from offset_autoencoder import project
from offset_autoencoder.config import SPLITS, Params, SplitName, load_params
from offset_autoencoder.config.offset_kinds import ClassCodeOffset
from offset_autoencoder.config.schema import Data
from offset_autoencoder.config.tracking_uri import check_environment
from offset_autoencoder.data.prepared import (
    PreparedData,
    PreparedSplit,
    Schema,
    digests_of,
    write_prepared,
)
from offset_autoencoder.data.requirements import Place, check_requirements
from offset_autoencoder.data.samples import Samples, gather
from offset_autoencoder.data.scaling import Scale, fit_scale
from offset_autoencoder.data.shared_samples import count_shared
from offset_autoencoder.data.sources import load_source
from offset_autoencoder.data.splits import Rows, assign
from offset_autoencoder.data.validation import first_where
from offset_autoencoder.errors import InputError, run_command
from offset_autoencoder.training.architectures import resolve_architectures


def main() -> None:
    """Write ``data/prepared`` from ``data/raw`` or a built-in data set, and say what it holds.

    What can be found wrong without training is found here, before anything is written.

    Raises:
        InputError: for the first thing wrong with params.yaml, with the data, or with the one
            for the other; nothing is written then.
    """
    project.bring_in(project.RAW)
    project.bring_in(project.CUSTOM)
    params = load_params(project.PARAMS)
    if params.tracking.uri is None:
        check_environment()
    samples = gather(load_source(params.data, project.RAW), params.data)
    rows = assign(
        samples.ids, params.split, y=samples.y, classes=samples.classes, given=samples.splits
    )
    data, scale = prepare(params.data, samples, rows)

    def place(name: SplitName, row: int, feature: int | None) -> str:
        return samples.place(int(rows[name][row]), feature)

    _check_finite(data, place)
    check_requirements(params, data, place, project.RAW)
    _check_class_codes(params, data)
    resolve_architectures(
        params.settings,
        input_dim=data.schema.input_dim,
        image_shape=data.schema.image_shape,
        samples=len(data.train.x),
    )
    write_prepared(
        project.PREPARED,
        data,
        shift=scale.shift,
        factor=scale.factor,
        latent_dims={name: params.latent_dims(name) for name in params.offsets},
    )
    print(summary(data.schema))
    if shared := shared_samples(data):
        print(shared)


def prepare(
    data: Data, samples: Samples, rows: Mapping[SplitName, Rows]
) -> tuple[PreparedData, Scale]:
    """Fit the scale on the training rows and apply it to all.

    Raises:
        InputError: for a feature that the scale cannot take.
    """
    first = samples.tables[0]
    train = samples.x[rows["train"]]
    scale = fit_scale(data, train, full_scale=first.full_scale, name_of=first.name_of)
    splits: dict[SplitName, PreparedSplit] = {
        name: PreparedSplit(
            x=scale.apply(train if name == "train" else samples.x[rows[name]]),
            y=None if samples.y is None else samples.y[rows[name]],
            ids=samples.ids[rows[name]],
        )
        for name in SPLITS
    }
    schema = Schema(
        source=_source(data),
        samples={name: len(splits[name].x) for name in SPLITS},
        input_dim=samples.x.shape[1],
        image_shape=None if samples.image_shape is None else list(samples.image_shape),
        scale={"kind": scale.kind, **scale.facts},
        range=_range(scale.kind, splits),
        classes=samples.classes,
        ids="given" if samples.ids_given else "rows",
        digests=digests_of(splits),
    )
    return PreparedData(**splits, schema=schema), scale


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


def shared_samples(data: PreparedData) -> str | None:
    """A warning where samples stand in more than one split: ``"warning: 3 of 270 ..."``."""
    found = [
        f"{count} of {data.schema.samples[name]} in {name}"
        for name, count in count_shared(data).items()
        if count
    ]
    if not found:
        return None
    return f"warning: samples that also stand in an earlier split: {', '.join(found)}"


def _source(data: Data) -> str:
    if data.source != "file":
        return data.source
    paths = data.path if isinstance(data.path, dict) else {"train": data.path}
    return " + ".join(dict.fromkeys(str(paths[name]) for name in SPLITS if name in paths))


def _range(kind: str, splits: Mapping[SplitName, PreparedSplit]) -> list[float] | None:
    if kind not in ("unit", "minmax"):
        return None
    low = min(float(split.x.min()) for split in splits.values())
    high = max(float(split.x.max()) for split in splits.values())
    return [0.0, 1.0] if low >= 0 and high <= 1 else None


def _check_class_codes(params: Params, data: PreparedData) -> None:
    for name, offset in params.offsets.items():
        if isinstance(offset, ClassCodeOffset):
            from offset_autoencoder.offsets import class_code
            from offset_autoencoder.offsets.kind import Training

            classes = data.schema.classes
            training = Training(
                data.train.x, data.train.y, n_classes=None if classes is None else len(classes)
            )
            for latent_dim in params.latent_dims(name):
                class_code.fit(f"params.yaml: offsets.{name}", offset, training, latent_dim)


def _check_finite(data: PreparedData, place: Place) -> None:
    for name in SPLITS:
        if found := first_where(data.split(name).x, lambda block: ~np.isfinite(block)):
            raise InputError(
                place(name, *found),
                f"is too large for float32 after data.scale: {data.schema.scale['kind']}",
                "set data.scale: minmax or standard, or mend the value",
            )


if __name__ == "__main__":
    run_command(main)
