"""Stage ``prepare``: params.yaml checked, the data set checked, split and scaled."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from offset_autoencoder import paths
from offset_autoencoder.config import SPLITS, Params, load_params
from offset_autoencoder.config.anomaly import find_anomalies
from offset_autoencoder.config.data_schema import Data
from offset_autoencoder.config.offset_kinds import DataShape
from offset_autoencoder.config.values import check_environment
from offset_autoencoder.data import prepared, varying
from offset_autoencoder.data.checks import WrittenSplits, check_values, unlike_sizes_warning
from offset_autoencoder.data.prepared import (
    FLOAT32_BYTES,
    PreparedData,
    PreparedSplit,
    Schema,
)
from offset_autoencoder.data.readers import locate
from offset_autoencoder.data.samples import Samples, drop_constant_features, load_samples
from offset_autoencoder.data.scaling import Scale, fit_scale, largest_magnitude
from offset_autoencoder.data.shapes import draws_series
from offset_autoencoder.data.sources import unread_splits
from offset_autoencoder.data.splits import LEFT_OUT, PartName, SplitRows, assign, leave_out
from offset_autoencoder.data.summary import (
    alike_text,
    anomaly_lines,
    broken_splits,
    kept_whole,
    leakage_warning,
    summary_line,
    text_warnings,
    treatment_lines,
)
from offset_autoencoder.errors import InputError, Obstacles, adding, printable, run_command
from offset_autoencoder.evaluation import metrics, sample_size
from offset_autoencoder.io.arrays import ConcatenatedRows, Matrix, RowSubset, bytes_in_memory
from offset_autoencoder.io.files import open_npy, replace_folder, sha256_of_array
from offset_autoencoder.models.resolve import one_bit_codes, resolve_architectures
from offset_autoencoder.paths import HERE, Project


def main(project: Project = HERE) -> None:
    """Write ``data/prepared`` from ``data/raw`` or a built-in data set, and print a summary.

    All that can be wrong without training is found here, before anything takes its place.

    Raises:
        InputError: for the first thing wrong with params.yaml, with the data, or with the one
            for the other; ``data/prepared`` is then as it was.
    """
    paths.copy_into_clone(project.raw)
    paths.copy_into_clone(paths.CUSTOM)
    source = Source.load(load_checked_params(project), project.raw)
    with replace_folder(project.prepared) as folder:
        _, lines = source.write(folder)
    print("prepared: " + "\n".join(map(printable, lines)))
    print(source.outlook())


def load_checked_params(project: Project = HERE) -> Params:
    """Read params.yaml, and check the environment that it relies on.

    Raises:
        InputError: for a mistake in either.
    """
    params = load_params(project.params)
    metrics.check_metrics(params)
    if params.tracking.uri is None and project == HERE:  # nothing is published of another
        check_environment()
    return params


@dataclass(frozen=True)
class Source:
    """The raw data set of params.yaml, and how it is split.

    Attributes:
        rows: Rows of each split in ascending order of id, and of what is left out of all: of the
            first seed's where splits vary.
        seeds: Seeds with a split of their own; empty where one split serves all runs.
        note: Clause of the summary on how the data are split, where there is something to say.
        raw: Folder of the user's files.
        obstacles: What was found wrong already, to be said with what the values are wrong in; of
            large data it is raised before these are gone through.
    """

    params: Params
    samples: Samples
    rows: SplitRows
    seeds: tuple[int, ...]
    note: str
    raw: Path
    obstacles: Obstacles

    @classmethod
    def load(cls, params: Params, raw: Path = paths.RAW) -> Source:
        """Read the data set, split it, and check it against params.yaml as far as its shape tells.

        What suits the smallest training split suits all. Unless groups are kept whole, the splits
        of all seeds are of one size.

        Raises:
            InputError: for what is wrong with the data, its splits or its shape.
        """
        drawn = draws_series(params)
        samples = load_samples(params.data, raw, params.split, draw_series=drawn)
        data = params.data.for_table(named=samples.tables[0].columns is not None)
        params = replace(params, data=data)
        seeds, note = _seeds_with_splits(params, samples)
        if data.constant == "drop":
            rows_of_seeds = (_assign(params, samples, seed) for seed in seeds or (None,))
            samples = drop_constant_features(samples, (rows["train"] for rows in rows_of_seeds))
        rows = _assign(params, samples, seeds[0] if seeds else None)
        classes = None if samples.classes is None else len(samples.classes)
        sizes = [len(rows["train"])]
        if samples.groups is not None:
            sizes += [len(_assign(params, samples, seed)["train"]) for seed in seeds[1:]]
        size = min(sizes), samples.x.shape[1]
        shape = DataShape(*size, classes, varies=bool(seeds), left_out=LEFT_OUT in rows)
        obstacles = Obstacles()
        for name, offset in params.offsets.items():
            with obstacles.noting():
                offset.check_shape(f"params.yaml: offsets.{name}", shape, params.latent_dims(name))
            for key, path in offset.files.items():
                with obstacles.noting():
                    locate(raw, path, f"offsets.{name}.{key}")
        with obstacles.noting():
            resolve_architectures(
                params.settings,
                input_dim=shape.features,
                image_shape=samples.shape.image,
                sequence_shape=samples.shape.sequence,
                channels_first=samples.shape.channels_first,
                samples=shape.samples,
            )
        if len(samples.x) * samples.x.shape[1] * FLOAT32_BYTES > bytes_in_memory():
            obstacles.raise_noted()
        return cls(params, samples, rows, seeds, note, raw, obstacles)

    def write(
        self, folder: Path, report: Callable[[int], None] = lambda rows: None
    ) -> tuple[PreparedData, list[str]]:
        """Scale the samples, write them to a folder, and check them against params.yaml.

        ``report`` is called with the number of samples read so far, for the first seed's split.

        Returns:
            The prepared data, and lines to print: a summary and, where samples or groups stand in
            more than one split, or the order of the splits is not that of time, warnings.

        Raises:
            InputError: for a value that a loss or the metric cannot work with, in the split of
                whatever seed, and for what was wrong with its shape.
        """
        data = self.params.data
        rows = None if self.seeds else self.rows
        x, places = prepared.in_order(self.samples.x, self.samples.ids, rows)
        with self.obstacles.noting():
            summaries = self._write_x(folder, x, places, report)
            with self.obstacles.noting():
                check_values(self.params, summaries)
            data_range, of_all = self._find_range(summaries)
        self.obstacles.raise_noted()
        prepared_data = self._finish(folder, summaries, data_range, of_all)
        train: Matrix = RowSubset(x, places[self.rows["train"]])
        scale, warnings = summaries[0].scale, leakage_warning(summaries)
        warnings += unlike_sizes_warning(self.params, self.samples, train, scale)
        texts = [
            unread_splits(data, self.raw, self.params.split),
            *broken_splits(self.params.split, self.samples, self.rows),
            *text_warnings(self.samples),
            self.params.budget_warning,
            self.samples.shape.warning,
            one_bit_codes(self.params),
        ]
        warnings += [f"warning: {text}" for text in texts if text]
        lines = treatment_lines(summaries, self.samples, data, varies=bool(self.seeds))
        samples, anomaly = self.samples, self.params.evaluate.anomaly
        is_anomaly = find_anomalies(anomaly, samples.y, samples.classes)
        lines += anomaly_lines(self.params, self.rows, is_anomaly)
        return prepared_data, [summary_line(summaries, self.samples, self.note), *lines, *warnings]

    def outlook(self) -> str:
        """Sentence on what the seeds of params.yaml can show."""
        evaluate, params = self.params.evaluate, self.params
        overlap = len(self.rows["test"]) / len(self.rows["train"]) if self.seeds else 0.0
        level, confidence = 1 - evaluate.confidence, evaluate.confidence
        rule = sample_size.Rule(level, confidence, evaluate.power, overlap)
        return sample_size.outlook(len(params.seeds), len(params.settings) - 1, rule)

    def _write_x(
        self,
        folder: Path,
        x: ConcatenatedRows,
        places: NDArray[np.int64],
        report: Callable[[int], None],
    ) -> list[WrittenSplits]:
        """Write the samples of the splits of all seeds, whose rows stand at ``places`` of x."""
        first, full_scale = self.seeds[0] if self.seeds else None, self.samples.tables[0].full_scale
        if self.params.data.scale == "unit" and full_scale is None:
            full_scale = largest_magnitude(x)
        write = functools.partial(self._write_splits, x=x, places=places, full_scale=full_scale)
        summaries = [write(folder, first, self.rows, report=report)]
        place_in_first = np.empty_like(places)
        place_in_first[np.concatenate([*self.rows.values()])] = np.arange(len(places))
        for seed in self.seeds[1:]:
            rows = _assign(self.params, self.samples, seed)
            of_first = {name: place_in_first[part] for name, part in rows.items()}
            place = varying.seed_folder(folder, seed)
            varying.write_rows(place, of_first)
            summaries.append(write(place, seed, rows, by_index=(summaries[0], of_first)))
        return summaries

    def _write_splits(
        self,
        folder: Path,
        seed: int | None,
        rows: SplitRows,
        *,
        x: ConcatenatedRows,
        places: NDArray[np.int64],
        full_scale: float | None,
        report: Callable[[int], None] = lambda rows: None,
        by_index: tuple[WrittenSplits, SplitRows] | None = None,
    ) -> WrittenSplits:
        """Fit the scale of a seed's splits, and write their x.

        ``by_index`` is the first seed's and the places of these samples in it: scaled alike they
        have no x of their own.
        """
        ordered = {name: places[part] for name, part in rows.items()}
        train, name_of = RowSubset(x, ordered["train"]), self.samples.tables[0].feature_name
        with adding("" if seed is None else f", in the split of seed {seed}"):
            data = self.params.data
            scale = fit_scale(data, train, full_scale=full_scale, feature_name=name_of)
        if by_index is not None and scale.arrays.equals(by_index[0].scale.arrays):
            scaled = varying.rows_of_first(by_index[0].folder, self.rows, by_index[1])
            statistics = varying.statistics_of_rows(scaled)
        else:
            statistics = prepared.write_splits(folder, x, ordered, scale, report)
            scaled = {name: open_npy(folder / name / "x.npy") for name in rows}
        schema = self._schema(rows, scale, {name: own.sha256 for name, own in statistics.items()})
        of_all = self.samples, rows, scale, statistics
        return WrittenSplits(folder, schema, scaled, seed, *of_all)

    def _find_range(
        self, summaries: Sequence[WrittenSplits]
    ) -> tuple[list[float] | None, tuple[float, float]]:
        """Range of the data that metrics may rely on, and the values' own, over all splits.

        Raises:
            InputError: where the metric cannot be had of them.
        """
        low, high = (
            {n: choose(getattr(s.statistics[n], end) for s in summaries) for n in SPLITS}
            for choose, end in ((min, "low"), (max, "high"))
        )
        of_all = min(low.values()), max(high.values())
        is_made_for_unit = summaries[0].scale.kind in ("unit", "minmax")
        data_range = [0.0, 1.0] if is_made_for_unit and of_all[0] >= 0 and of_all[1] <= 1 else None
        # Where splits vary, any sample is a test sample of some seed.
        test = of_all if self.seeds else (low["test"], high["test"])
        metrics.check_metric_inputs(metrics.MetricInputs(self.params, data_range, *test))
        return data_range, of_all

    def _finish(
        self,
        folder: Path,
        summaries: Sequence[WrittenSplits],
        data_range: list[float] | None,
        of_all: tuple[float, float],
    ) -> PreparedData:
        """Write all but x; the first seed's data."""
        for summary in summaries[1:]:
            schema = replace(summary.schema, range=data_range)
            prepared.write_schema(summary.folder, schema, summary.scale.arrays)
        if self.seeds:
            varying.write_seeds(folder, self.seeds, of_all)
        splits: dict[PartName, PreparedSplit] = {
            name: PreparedSplit(
                x=open_npy(folder / name / "x.npy"),
                y=None if self.samples.y is None else self.samples.y[part],
                ids=self.samples.ids[part],
            )
            for name, part in self.rows.items()
        }
        first = replace(summaries[0].schema, range=data_range, varies=bool(self.seeds))
        data = PreparedData(**splits, schema=first)
        latent_dims = {name: self.params.latent_dims(name) for name in self.params.offsets}
        prepared.write_all_but_x(folder, data, summaries[0].scale.arrays, latent_dims)
        return data

    def _schema(self, rows: SplitRows, scale: Scale, x_digests: Mapping[PartName, str]) -> Schema:
        samples, columns = self.samples, self.samples.tables[0].columns
        image, sequence = samples.shape.image, samples.shape.sequence
        return Schema(
            source=_source_name(self.params.data),
            samples={name: len(rows[name]) for name in SPLITS},
            input_dim=samples.x.shape[1],
            image_shape=None if image is None else list(image),
            sequence_shape=None if sequence is None else list(sequence),
            channels_first=samples.shape.channels_first,
            scale={"kind": scale.kind, **scale.facts},
            range=None,
            classes=samples.classes,
            ids="given" if samples.ids_given else "rows",
            digests={
                name: {
                    "x": x_digests[name],
                    "y": None if samples.y is None else sha256_of_array(samples.y[part]),
                    "ids": sha256_of_array(samples.ids[part]),
                }
                for name, part in rows.items()
            },
            columns=None if columns is None else list(columns),
            preprocessing=samples.preprocessing,
            dropped=samples.dropped,
            left_out=len(rows.get(LEFT_OUT, ())),
        )


def _assign(params: Params, samples: Samples, seed: int | None) -> SplitRows:
    """Rows of each split: of the runs of a seed, or (None) of all runs."""
    split, y, classes = params.split, samples.y, samples.classes
    is_anomaly = find_anomalies(params.evaluate.anomaly, samples.y, samples.classes)
    if is_anomaly is not None and not split.stratify:
        # So that as many are normal in the split of every seed.
        split, y = split.model_copy(update={"stratify": True}), is_anomaly.astype(np.int64)
        classes = ["normal", "anomalous"]
    alike = alike_text("labels", samples.classes or ())
    with adding(alike and f"; {alike}"):  # rare classes may be others written otherwise
        rows = assign(
            samples.ids,
            split,
            y=y,
            classes=classes,
            given=samples.splits,
            groups=samples.groups,
            moments=samples.moments,
            run_seed=seed,
        )
    return leave_out(rows, is_anomaly, samples.ids, "" if seed is None else f" of seed {seed}")


def _seeds_with_splits(params: Params, samples: Samples) -> tuple[tuple[int, ...], str]:
    """Seeds with a split of their own, none where one serves all; and a clause on that, or "".

    Raises:
        InputError: where splits are to vary, and the data bring a test split.
    """
    vary, seeds = params.split.vary, params.seeds
    given = set() if samples.splits is None else set(samples.splits.tolist())
    note = kept_whole(params.split, samples) if not {"validation", "test"} <= given else ""
    if "test" in given and vary:
        what = "is true, but the data bring a test split of their own"
        mend = "leave it out: all seeds then share the splits that the data bring"
        raise InputError("params.yaml: split.vary", what, mend)
    if "test" in given or vary is False or samples.moments is not None:
        return (), note
    if vary is None:
        bounds = [setting.train.memory_limit for setting in params.settings]
        limit = min((bound for bound in bounds if bound is not None), default=None)
        train = _assign(params, samples, None)["train"]
        if limit is not None and len(train) * samples.x.shape[1] * FLOAT32_BYTES > limit:
            note += ", one split for all seeds as train.memory_limit is below the training split"
            return (), note
    return seeds, note + f", each of {len(seeds)} seeds with a split of its own" * (len(seeds) > 1)


def _source_name(data: Data) -> str:
    if data.source != "file":
        return data.source
    names = data.path if isinstance(data.path, dict) else {"train": data.path}
    return " + ".join(dict.fromkeys(str(names[name]) for name in SPLITS if name in names))


if __name__ == "__main__":
    run_command(main)
