"""Stage ``prepare``: params.yaml checked, the data set checked, split and scaled."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from offset_autoencoder import paths
from offset_autoencoder.config import SPLITS, Params, load_params
from offset_autoencoder.config.offset_kinds import DataShape
from offset_autoencoder.config.registries import LOSSES
from offset_autoencoder.config.schema import Data, SplitName
from offset_autoencoder.config.values import check_environment
from offset_autoencoder.data import prepared
from offset_autoencoder.data.prepared import PreparedData, PreparedSplit, Schema, SplitRows
from offset_autoencoder.data.samples import Samples, load_samples, locate
from offset_autoencoder.data.scaling import Scale, fit_scale
from offset_autoencoder.data.splits import assign, split_leakage
from offset_autoencoder.errors import InputError, run_command
from offset_autoencoder.evaluation import metrics
from offset_autoencoder.io.arrays import RowSubset, chunks, first_not_finite, first_where
from offset_autoencoder.io.files import open_npy, replace_folder, sha256_of_array
from offset_autoencoder.models.resolve import resolve_architectures

Statistics = Mapping[SplitName, prepared.SplitStatistics]

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
    source = Source.load(load_checked_params())
    with replace_folder(paths.PREPARED) as folder:
        _, lines = source.write(folder)
    print("prepared: " + "\n".join(lines))


def load_checked_params() -> Params:
    """Read params.yaml, and check the environment that it relies on.

    Raises:
        InputError: for a mistake in either.
    """
    params = load_params(paths.PARAMS)
    metrics.check_metrics(params)
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

    def write(
        self, folder: Path, report: Callable[[int], None] = lambda rows: None
    ) -> tuple[PreparedData, list[str]]:
        """Scale the samples, write them to a folder, and check them against params.yaml.

        ``report`` is called with the number of samples read so far.

        Returns:
            The prepared data, and lines to print: a summary and, where samples stand in more than
            one split, a warning.

        Raises:
            InputError: for a value that a loss or the metric cannot work with.
        """
        x, rows = prepared.in_order(self.samples.x, self.rows)
        table = self.samples.tables[0]
        scale = fit_scale(
            self.params.data,
            RowSubset(x, rows["train"]),
            full_scale=table.full_scale,
            feature_name=table.feature_name,
        )
        statistics = prepared.write_splits(folder, x, rows, scale, report)
        data = self._describe(folder, scale, statistics)
        self._check_values(data, statistics)
        latent_dims = {name: self.params.latent_dims(name) for name in self.params.offsets}
        prepared.write_all_but_x(folder, data, (scale.shift, scale.factor), latent_dims)
        budgets = [f"warning: {text}"] if (text := self.params.budget_warning) else []
        return data, [_summary(data.schema), *_leakage_warning(data.schema, statistics), *budgets]

    def _describe(self, folder: Path, scale: Scale, statistics: Statistics) -> PreparedData:
        """Splits as written, with labels, ids and schema."""
        samples = self.samples
        splits: dict[SplitName, PreparedSplit] = {
            name: PreparedSplit(
                x=open_npy(folder / name / "x.npy"),
                y=None if samples.y is None else samples.y[self.rows[name]],
                ids=samples.ids[self.rows[name]],
            )
            for name in SPLITS
        }
        is_in_unit = all(split.low >= 0 and split.high <= 1 for split in statistics.values())
        columns = samples.tables[0].columns
        schema = Schema(
            source=_source_name(self.params.data),
            samples={name: len(self.rows[name]) for name in SPLITS},
            input_dim=samples.x.shape[1],
            image_shape=None if samples.image_shape is None else list(samples.image_shape),
            scale={"kind": scale.kind, **scale.facts},
            range=[0.0, 1.0] if scale.kind in ("unit", "minmax") and is_in_unit else None,
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

    def _location(self, name: SplitName, row: int, feature: int | None = None) -> str:
        return self.samples.location(int(self.rows[name][row]), feature)

    def _check_values(self, data: PreparedData, statistics: Statistics) -> None:
        for name in SPLITS:
            if np.isfinite(statistics[name].low) and np.isfinite(statistics[name].high):
                continue
            if cell := first_not_finite(data.split(name).x):
                what = f"is too large for float32 after data.scale: {data.schema.scale['kind']}"
                mend = "set data.scale: minmax or standard, or fix the value"
                raise InputError(self._location(name, *cell), what, mend)
        for loss, (user, section) in _losses(self.params).items():
            needs = f"which loss: {loss} of {user} needs"
            if LOSSES[loss].targets == "unit_interval":
                self._check_unit_interval(data, statistics, needs, section)
            elif LOSSES[loss].targets == "distribution":
                self._check_distributions(data, needs, section)
        test = statistics["test"]
        inputs = metrics.MetricInputs(self.params, data.schema.range, test.low, test.high)
        metrics.check_metric_inputs(inputs)

    def _check_unit_interval(
        self, data: PreparedData, statistics: Statistics, needs: str, section: str
    ) -> None:
        for name in SPLITS:
            x, scale = data.split(name).x, self.params.data.scale
            if statistics[name].low >= 0 and statistics[name].high <= 1:
                continue
            cell = first_where(x, lambda block: (block < 0) | (block > 1))
            assert cell is not None
            others = _other_scales(scale, negative=bool(x[cell] < 0))
            other = f"data.scale: {' or '.join(others)}, or " if others else ""
            what = f"{x[cell]:g} in the {name} split, scaled by data.scale: {scale}, is outside "
            mend = f"set {other}{section}.loss: mean_squared_error with output: linear"
            raise InputError(self._location(name, *cell), f"{what}[0, 1], {needs}", mend)

    def _check_distributions(self, data: PreparedData, needs: str, section: str) -> None:
        hint = f"scale the rows so and set data.scale: none, or take another {section}.loss"
        for name in SPLITS:
            x = data.split(name).x
            if cell := first_where(x, lambda block: block < 0):
                what = f"{x[cell]:g} in the {name} split is not a probability (0 or more), {needs}"
                raise InputError(self._location(name, *cell), what, hint)
            for start, chunk in chunks(x):
                sums = chunk.sum(axis=1, dtype=np.float64)
                if len(odd := (np.abs(sums - 1) > _SUM_TOLERANCE).nonzero()[0]):
                    row = int(odd[0])
                    what = f"sums to {sums[row]:g} in the {name} split, not to 1, {needs}"
                    raise InputError(self._location(name, start + row), what, hint)


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


def _source_name(data: Data) -> str:
    if data.source != "file":
        return data.source
    names = data.path if isinstance(data.path, dict) else {"train": data.path}
    return " + ".join(dict.fromkeys(str(names[name]) for name in SPLITS if name in names))


def _summary(schema: Schema) -> str:
    """One line: ``"digits, 1797 × 64, train 1168 / validation 270 / test 359, 10 classes"``."""
    counts = " / ".join(f"{name} {schema.samples[name]}" for name in SPLITS)
    classes = "no labels" if schema.classes is None else f"{len(schema.classes)} classes"
    size = f"{sum(schema.samples.values())} × {schema.input_dim}"
    line = f"{schema.source}, {size}, {counts}, {classes}"
    if constant := int(schema.scale.get("constant_features", 0)):
        line += f", {constant} constant feature{'s' * (constant != 1)} set to 0"
    return line


def _leakage_warning(schema: Schema, statistics: Statistics) -> list[str]:
    """Line where samples stand in more than one split: ``"warning: 3 of 270 ..."``."""
    leakage = split_leakage({name: statistics[name].samples for name in SPLITS}).items()
    counts = [f"{count} of {schema.samples[name]} in {name}" for name, count in leakage if count]
    warning = f"warning: samples that also stand in an earlier split: {', '.join(counts)}"
    return [warning] if counts else []


if __name__ == "__main__":
    run_command(main)
