"""Stage ``prepare``: params.yaml checked, the data set checked, split and scaled."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from offset_autoencoder import paths
from offset_autoencoder.config import SPLITS, Params, load_params
from offset_autoencoder.config.offset_kinds import DataShape
from offset_autoencoder.config.registries import LOSSES
from offset_autoencoder.config.schema import Data, SplitName
from offset_autoencoder.config.values import check_environment
from offset_autoencoder.data.prepared import (
    PreparedData,
    PreparedSplit,
    Schema,
    SplitRows,
    SplitStatistics,
    in_order,
    write_all_but_x,
    write_splits,
)
from offset_autoencoder.data.samples import Samples, load_samples, locate
from offset_autoencoder.data.scaling import Scale, fit_scale
from offset_autoencoder.data.splits import assign, split_leakage
from offset_autoencoder.errors import InputError, run_command
from offset_autoencoder.evaluation.metrics import (
    MetricInputs,
    check_metric_inputs,
    check_metrics,
)
from offset_autoencoder.io.arrays import (
    ConcatenatedRows,
    RowSubset,
    chunks,
    first_not_finite,
    first_where,
)
from offset_autoencoder.io.files import open_npy, replace_folder, sha256_of_array
from offset_autoencoder.models.resolve import resolve_architectures

Statistics = Mapping[SplitName, SplitStatistics]
LocateValue = Callable[[SplitName, int, int | None], str]
"""Function from split, row of it, and feature or None to the location in the user's files."""

_SUM_TOLERANCE = 1e-4


def main() -> None:
    """Write ``data/prepared`` from ``data/raw`` or a built-in data set, and print a summary.

    All that can be wrong without training is found here, before anything takes its place.

    Raises:
        InputError: for the first thing wrong with params.yaml, with the data, or with the one
            for the other; ``data/prepared`` is then as it was.
    """
    paths.copy_into_clone(paths.RAW)
    paths.copy_into_clone(paths.CUSTOM)
    params = load_checked_params()
    source = Source.load(params)
    x, rows = in_order(source.samples.x, source.rows)
    scale = source.fit_scale(x, rows)
    with replace_folder(paths.PREPARED) as folder:
        statistics = write_splits(folder, x, rows, scale)
        scaled = {name: open_npy(folder / name / "x.npy") for name in SPLITS}
        data = source.check(scaled, scale, statistics)
        latent_dims = {name: params.latent_dims(name) for name in params.offsets}
        write_all_but_x(folder, data, (scale.shift, scale.factor), latent_dims)
    print(f"prepared: {summary(data.schema)}")
    if warning := leakage_warning(data.schema, statistics):
        print(warning)


def load_checked_params() -> Params:
    """Read params.yaml, and check the environment that it relies on.

    Raises:
        InputError: for a mistake in either.
    """
    params = load_params(paths.PARAMS)
    check_metrics(params)
    if params.tracking.uri is None:
        check_environment()
    return params


@dataclass(frozen=True)
class Source:
    """The raw data set of params.yaml, and the rows of each split in ascending order of id."""

    params: Params
    samples: Samples
    rows: SplitRows

    @classmethod
    def load(cls, params: Params) -> Source:
        """Read the data set, split it, and check it against params.yaml as far as its shape tells.

        Raises:
            InputError: for what is wrong with the data, its splits or its shape.
        """
        samples = load_samples(params.data, paths.RAW)
        rows = assign(
            samples.ids, params.split, y=samples.y, classes=samples.classes, given=samples.splits
        )
        classes = None if samples.classes is None else len(samples.classes)
        shape = DataShape(len(rows["train"]), samples.x.shape[1], classes)
        for name, offset in params.offsets.items():
            offset.check_shape(f"params.yaml: offsets.{name}", shape, params.latent_dims(name))
            for key, path in offset.files.items():
                locate(paths.RAW, path, f"offsets.{name}.{key}")
        resolve_architectures(
            params.settings,
            input_dim=shape.features,
            image_shape=samples.image_shape,
            samples=shape.samples,
        )
        return cls(params, samples, rows)

    def fit_scale(self, x: ConcatenatedRows, rows: SplitRows) -> Scale:
        """Fit the scale on the training split of ``(n, D)`` raw samples.

        ``rows`` are those of each split in x, perhaps in another order than the data set's.
        """
        first = self.samples.tables[0]
        return fit_scale(
            self.params.data,
            RowSubset(x, rows["train"]),
            full_scale=first.full_scale,
            feature_name=first.feature_name,
        )

    def check(
        self, x: Mapping[SplitName, NDArray[np.float32]], scale: Scale, statistics: Statistics
    ) -> PreparedData:
        """Check scaled samples of each split against params.yaml, and describe them.

        Raises:
            InputError: for a value that a loss or the metric cannot work with.
        """
        data = describe(self.params.data, self.samples, self.rows, x, scale, statistics)

        def locate(name: SplitName, row: int, feature: int | None) -> str:
            return self.samples.location(int(self.rows[name][row]), feature)

        _check_values(self.params, data, statistics, locate)
        return data


def describe(
    data: Data,
    samples: Samples,
    rows: SplitRows,
    x: Mapping[SplitName, NDArray[np.float32]],
    scale: Scale,
    statistics: Statistics,
) -> PreparedData:
    """Scaled samples of each split with labels, ids and schema."""
    splits: dict[SplitName, PreparedSplit] = {
        name: PreparedSplit(
            x=x[name],
            y=None if samples.y is None else samples.y[rows[name]],
            ids=samples.ids[rows[name]],
        )
        for name in SPLITS
    }
    columns = samples.tables[0].columns
    schema = Schema(
        source=_source_name(data),
        samples={name: len(rows[name]) for name in SPLITS},
        input_dim=samples.x.shape[1],
        image_shape=None if samples.image_shape is None else list(samples.image_shape),
        scale={"kind": scale.kind, **scale.facts},
        range=_value_range(scale.kind, statistics),
        classes=samples.classes,
        ids="given" if samples.ids_given else "rows",
        digests={
            name: {
                "x": statistics[name].sha256,
                "y": None if split.y is None else sha256_of_array(split.y),
                "ids": sha256_of_array(split.ids),
            }
            for name, split in splits.items()
        },
        columns=None if columns is None else list(columns),
    )
    return PreparedData(**splits, schema=schema)


def summary(schema: Schema) -> str:
    """One line: ``"digits, 1797 × 64, train 1168 / validation 270 / test 359, 10 classes"``."""
    counts = " / ".join(f"{name} {schema.samples[name]}" for name in SPLITS)
    classes = "no labels" if schema.classes is None else f"{len(schema.classes)} classes"
    size = f"{sum(schema.samples.values())} × {schema.input_dim}"
    line = f"{schema.source}, {size}, {counts}, {classes}"
    constant = int(schema.scale.get("constant_features", 0))
    if constant:
        line += f", {constant} constant feature{'s' * (constant != 1)} set to 0"
    return line


def leakage_warning(schema: Schema, statistics: Statistics) -> str | None:
    """Warning where samples stand in more than one split: ``"warning: 3 of 270 ..."``."""
    leakage = split_leakage({name: statistics[name].samples for name in SPLITS})
    counts = [
        f"{count} of {schema.samples[name]} in {name}" for name, count in leakage.items() if count
    ]
    if not counts:
        return None
    return f"warning: samples that also stand in an earlier split: {', '.join(counts)}"


def _source_name(data: Data) -> str:
    if data.source != "file":
        return data.source
    names = data.path if isinstance(data.path, dict) else {"train": data.path}
    return " + ".join(dict.fromkeys(str(names[name]) for name in SPLITS if name in names))


def _value_range(kind: str, statistics: Statistics) -> list[float] | None:
    is_kept = all(split.low >= 0 and split.high <= 1 for split in statistics.values())
    return [0.0, 1.0] if kind in ("unit", "minmax") and is_kept else None


def _check_values(
    params: Params, data: PreparedData, statistics: Statistics, locate_value: LocateValue
) -> None:
    for name in SPLITS:
        if np.isfinite(statistics[name].low) and np.isfinite(statistics[name].high):
            continue
        if cell := first_not_finite(data.split(name).x):
            raise InputError(
                locate_value(name, *cell),
                f"is too large for float32 after data.scale: {data.schema.scale['kind']}",
                "set data.scale: minmax or standard, or fix the value",
            )
    for loss, (user, section) in _losses(params).items():
        needs = f"which loss: {loss} of {user} needs"
        if LOSSES[loss].targets == "unit_interval":
            _check_unit_interval(needs, section, params.data.scale, data, statistics, locate_value)
        elif LOSSES[loss].targets == "distribution":
            _check_distributions(needs, section, data, locate_value)
    test = statistics["test"]
    check_metric_inputs(MetricInputs(params, data.schema.range, test.low, test.high))


def _losses(params: Params) -> dict[str, tuple[str, str]]:
    """First model or offset with each loss, and the section of params.yaml that names it."""
    users = [(s.network.loss, f"model {s.label}", "network") for s in params.settings]
    users += [
        (offset.fitted_loss, f"the reference of offset {name}", f"offsets.{name}")
        for name, offset in params.offsets.items()
        if offset.fitted_loss is not None
    ]
    firsts = {loss: (user, section) for loss, user, section in reversed(users)}
    return dict(sorted(firsts.items()))


def _check_unit_interval(
    needs: str,
    section: str,
    scale: str,
    data: PreparedData,
    statistics: Statistics,
    locate_value: LocateValue,
) -> None:
    for name in SPLITS:
        x = data.split(name).x
        if statistics[name].low >= 0 and statistics[name].high <= 1:
            continue
        cell = first_where(x, lambda block: (block < 0) | (block > 1))
        if cell is None:
            continue
        others = _other_scales(scale, negative=bool(x[cell] < 0))
        other = f"data.scale: {' or '.join(others)}, or " if others else ""
        raise InputError(
            locate_value(name, *cell),
            f"{x[cell]:g} in the {name} split, scaled by data.scale: {scale}, is outside [0, 1], "
            f"{needs}",
            f"set {other}{section}.loss: mean_squared_error with output: linear",
        )


def _other_scales(scale: str, *, negative: bool) -> list[str]:
    """Other scales that may bring a value into [0, 1]."""
    if scale == "minmax":
        return ["unit"]
    if scale == "standard":
        return ["unit", "minmax"]
    if negative:
        return ["minmax"]
    # Under unit the value is beyond the training split's largest, and so it is under minmax.
    return ["unit", "minmax"] if scale == "none" else []


def _check_distributions(
    needs: str, section: str, data: PreparedData, locate_value: LocateValue
) -> None:
    hint = f"scale the rows so and set data.scale: none, or take another {section}.loss"
    for name in SPLITS:
        x = data.split(name).x
        if cell := first_where(x, lambda block: block < 0):
            raise InputError(
                locate_value(name, *cell),
                f"{x[cell]:g} in the {name} split is not a probability (0 or more), {needs}",
                hint,
            )
        for start, chunk in chunks(x):
            sums = chunk.sum(axis=1, dtype=np.float64)
            if len(odd := (np.abs(sums - 1) > _SUM_TOLERANCE).nonzero()[0]):
                row = int(odd[0])
                raise InputError(
                    locate_value(name, start + row, None),
                    f"sums to {sums[row]:g} in the {name} split, not to 1, {needs}",
                    hint,
                )


if __name__ == "__main__":
    run_command(main)
