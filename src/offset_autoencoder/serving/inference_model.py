"""A trained run applied to new samples: scaled as ``prepare`` did, with its own offset.

It is opened from the project, or from a folder that needs nothing else: ``served.json`` says what
it is, ``model.keras`` holds the network, ``scale.npz`` the scale and ``offset/`` what computes
f(x), ``offset.json`` and ``state.npz`` as an offsets stage writes them.
"""

from __future__ import annotations

import functools
import logging
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypedDict, Unpack

import numpy as np
from numpy.typing import ArrayLike, NDArray

from offset_autoencoder.config import SplitName
from offset_autoencoder.data.prepared import PreparedData, load_prepared, load_scale
from offset_autoencoder.data.preprocessing import encode_columns
from offset_autoencoder.data.scaling import (
    UNSCALED,
    Clipping,
    ScaleArrays,
    apply_scale,
    fill_missing,
    inverse_scale,
)
from offset_autoencoder.data.varying import load_splits
from offset_autoencoder.errors import InputError, short_repr
from offset_autoencoder.evaluation.sample_errors import (
    QUANTILES,
    errors_of,
    errors_that_apply,
    thresholds,
)
from offset_autoencoder.io.arrays import blocks
from offset_autoencoder.io.files import sha256_of_json
from offset_autoencoder.models.inference import KerasNetwork, load_network
from offset_autoencoder.offsets import kind as checks
from offset_autoencoder.offsets.kind import Apply, Float32, Int64, Samples, stored_applier
from offset_autoencoder.offsets.table import find_tables, open_vectors, read_info
from offset_autoencoder.paths import MODELS, OFFSETS, PREPARED, RAW
from offset_autoencoder.runs.files import read_saved_run
from offset_autoencoder.runs.load import find_run, open_model
from offset_autoencoder.serving.metadata import (
    METADATA,
    NAME_IN_MLFLOW,
    ModelMetadata,
    offset_section,
    read_metadata,
)

NETWORK = "model.keras"
OFFSET = "offset"

# Where MLflow keeps the folder within a model of its own.
IN_MLFLOW = Path("artifacts") / NAME_IN_MLFLOW

_PUT_BACK = "put the params of its experiment back and run dvc repro"
_LOG = logging.getLogger(__name__)
_TRAINED_ON: tuple[SplitName, ...] = ("train", "validation")
_HOW_TO_GIVE = {
    "labels": "its offset is one vector per label: give the labels, one per sample",
    "ids": "its offset goes by the sample's id: give the ids, one per sample",
    "offset": "its offset is a table of known samples: give the new ones' vectors, unscaled, as "
    "offset=vectors of shape {shape}, or ids where the table goes by them and is in the project",
}


class SideInputs(TypedDict, total=False):
    """Inputs that may be given beside x.

    Attributes:
        labels: (n,) as the data set's came, for an offset of kind ``class_code``.
        ids: (n,) whole numbers or text, for an offset of kind ``interference``, and for a file of
            vectors by id.
        offset: (n, L) f(x) as in ``data/offsets`` and as :meth:`InferenceModel.offset` gives it,
            in the place of the computed one; it is multiplied by the run's factor as that is.
        is_scaled: True where x is scaled already as in ``data/prepared``; what comes out is so too.
        first_row: Row of the first sample in the whole, for messages.
    """

    labels: ArrayLike | None
    ids: ArrayLike | None
    offset: ArrayLike | None
    is_scaled: bool
    first_row: int


@dataclass(eq=False)
class InferenceModel:
    """A run with its scale and its offset: codes, offsets and reconstructions of new samples.

    All methods take any number of samples x, (n, D) or images (n, ...), real and finite, in
    the units of the data set; a large set is best given chunk by chunk. NaN is a missing value
    where the data set had some that were filled, and :meth:`features_of` makes x of columns. They
    raise InputError where the samples or what comes beside them do not suit.

    Attributes:
        metadata: Description of the model.
        scale: What :func:`.scaling.apply_scale` takes.
        offset_folder: Folder of its offset table; None for a run without one.
        load_network: Called when the network is first needed: only then is TensorFlow imported.
        open_data: Opens the splits of its seed; None away from its project.
        look_up: From ids, (n,), to f(x) where its offset is a file of the project that has ids.
    """

    metadata: ModelMetadata
    scale: ScaleArrays
    offset_folder: Path | None
    load_network: Callable[[], KerasNetwork]
    open_data: Callable[[], PreparedData] | None = None
    look_up: Callable[[NDArray[Any]], Float32] | None = None

    @functools.cached_property
    def network(self) -> KerasNetwork:
        """Network, loaded when first asked for."""
        return self.load_network()

    @functools.cached_property
    def _apply_offset(self) -> Apply | None:
        """Function that computes f(x) of scaled samples; None where nothing does."""
        if self.offset_folder is None or self.metadata.needs == "offset":
            return None
        return stored_applier(self.offset_folder)

    def features_of(self, columns: Mapping[str, ArrayLike]) -> NDArray[np.float64]:
        """Samples (n, D) of the columns of a table, text and all, as the data set's came.

        A missing cell is None, NaN or one of :data:`.cells.MISSING`; a level that the data set has
        not is none of its levels.

        Raises:
            InputError: where a column is missing, or holds text for numbers.
        """
        return encode_columns(columns, self.metadata.columns or (), self.metadata.preprocessing)

    def offset(self, x: ArrayLike, **side: Unpack[SideInputs]) -> Float32:
        """f(x), (n, L) float32, as in ``data/offsets``: not yet multiplied by the run's factor."""
        return self._offset_of(self._scaled(x, side), side)

    def encode(self, x: ArrayLike, **side: Unpack[SideInputs]) -> Float32:
        """Code, (n, L) float32, before the offset is added; it depends on x alone."""
        return self.network.code(self._scaled(x, side))

    def reconstruct(self, x: ArrayLike, **side: Unpack[SideInputs]) -> Float32:
        """Reconstruction, (n, D) float32 in the units of x, noise off."""
        return self._reconstruct(self._scaled(x, side), side)

    def errors(
        self,
        x: ArrayLike,
        metric: str = "mse",
        *,
        per_feature: bool = False,
        **side: Unpack[SideInputs],
    ) -> Float32:
        """Error of each sample, (n,) float32, or of each feature of it, (n, D); noise off.

        It is that of the values as the network sees them, as in the reports. ``metric`` is one of
        :data:`.metrics.METRICS` that is a mean over samples.
        """
        scaled = self._scaled(x, side)
        side["is_scaled"] = True
        output = self._reconstruct(scaled, side)
        return errors_of(metric, scaled, output, per_feature=per_feature)

    def split_errors(
        self, data: PreparedData, split: SplitName, table_folder: Path | None
    ) -> dict[str, Float32]:
        """Error of each sample of a split, by metric, gone through a block at a time.

        The folder of the run's offset table is read where the model cannot compute its offset.
        """
        own, classes = data.split(split), data.schema.classes
        table, found = None, dict[str, list[Float32]]()
        if self.metadata.needs == "offset" and table_folder is not None:
            table = open_vectors(table_folder, read_info(table_folder), split)
        for start, x in blocks(own.x):
            rows = slice(start, start + len(x))
            side: SideInputs = {"is_scaled": True, "ids": own.ids[rows]}
            if classes is not None and own.y is not None:
                side["labels"] = np.asarray(classes)[own.y[rows]]
            if table is not None:
                side["offset"] = np.asarray(table[rows])
            output = self.reconstruct(x, **side)
            for metric in errors_that_apply(x, output):
                found.setdefault(metric, []).append(errors_of(metric, x, output))
        by_metric = {metric: np.concatenate(parts) for metric, parts in found.items()}
        return {metric: each for metric, each in by_metric.items() if len(each) == len(own.x)}

    @functools.cached_property
    def thresholds(self) -> Mapping[str, Mapping[str, float]]:
        """Quantiles of the errors of the validation split, by metric and quantile.

        Empty where they are not known: the model was saved by an earlier version.
        """
        if self.open_data is None:
            return self.metadata.thresholds
        errors = self.split_errors(self.open_data(), "validation", self.offset_folder)
        return {
            metric: dict(zip(map(str, QUANTILES), thresholds(own), strict=True))
            for metric, own in errors.items()
            if np.isfinite(own).all()
        }

    def apply(self, x: ArrayLike, **side: Unpack[SideInputs]) -> dict[str, Float32]:
        """``reconstruction``, ``offset`` and, where the network names one, ``code``."""
        scaled = self._scaled(x, side)
        offset = self._offset_of(scaled, side)
        outputs = {
            "reconstruction": self._reconstruct(scaled, {**side, "offset": offset}),
            "offset": offset,
        }
        return outputs | ({"code": self.network.code(scaled)} if self.network.has_code else {})

    def inverse_scale(self, x: Float32) -> NDArray[np.float64]:
        """Scaled samples (n, D) in the units of the data set."""
        return inverse_scale(x, self.scale)

    def _reconstruct(self, scaled: Float32, side: SideInputs) -> Float32:
        # As the runs were trained: float32 times float32.
        added = self._offset_of(scaled, side) * np.float32(self.metadata.offset_factor)
        output = self.network.reconstruct(scaled, added)
        if side.get("is_scaled"):
            return output
        return inverse_scale(output, self.scale).astype(np.float32)

    def _scaled(self, x: ArrayLike, side: SideInputs) -> Float32:
        preprocessing, first_row = self.metadata.preprocessing, side.get("first_row", 0)
        array = checks.real_array("x", x, preprocessing.complex)
        array = preprocessing.choose_features(array)
        features = int(np.prod(array.shape[1:]))
        if array.ndim < 2 or features != self.metadata.input_dim:
            what = f"has shape {array.shape}, expected (samples, {self.metadata.input_dim})"
            raise InputError("x", what)
        self.metadata.check_axes("x", array.shape[1:])
        flat = array.reshape(len(array), features)
        scale = UNSCALED if side.get("is_scaled") else self.scale
        checks.check_finite("x", fill_missing(flat, scale.fill), first_row)
        clipping = Clipping(scale)
        clipping.count(flat, first_row)
        if clipping.values:
            names = self.metadata.feature_names(self.metadata.columns) or range(features)
            place = "x, row {}, column {!r}".format
            _LOG.warning(clipping.text(len(flat), lambda row, i: place(row, names[i])))
        scaled = apply_scale(flat, *scale)
        checks.check_finite("x, scaled", scaled, first_row)
        return scaled

    def _offset_of(self, scaled: Float32, side: SideInputs) -> Float32:
        n, metadata, first_row = len(scaled), self.metadata, side.get("first_row", 0)
        computed_elsewhere = side.get("offset")
        if computed_elsewhere is not None:
            array = checks.real_array("offset", computed_elsewhere)
            if array.shape != (n, metadata.latent_dim):
                what = f"has shape {array.shape}, expected {(n, metadata.latent_dim)}"
                raise InputError("offset", what)
            return checks.finite_float32("offset", array, first_row)
        if self.look_up is not None and (ids := side.get("ids")) is not None:
            return self.look_up(checks.sample_ids(ids, n))
        if metadata.needs is not None and side.get(metadata.needs) is None:
            mend = _HOW_TO_GIVE[metadata.needs].format(shape=(n, metadata.latent_dim))
            raise InputError(metadata.needs, "missing", mend)
        if self._apply_offset is None:
            return np.zeros((n, metadata.latent_dim), np.float32)
        labels, ids = side.get("labels"), side.get("ids")
        samples = Samples(
            scaled,
            y=self._classes_of(labels, n, first_row) if metadata.needs == "labels" else None,
            ids=None if ids is None or metadata.needs != "ids" else checks.sample_ids(ids, n),
            first_row=first_row,
        )
        return self._apply_offset(samples)

    def _classes_of(self, labels: Any, n: int, first_row: int) -> Int64:
        classes = list(self.metadata.classes or ())
        values = checks.id_column("labels", labels, n).tolist()
        index = {label: number for number, label in enumerate(classes)}
        for row, label in enumerate(values):
            if label not in index:
                what = f"is {short_repr(label)}, expected one of {short_repr(classes)}"
                raise InputError(f"labels, row {first_row + row}", what)
        return np.array([index[label] for label in values], np.int64)


def load_model_folder(folder: str | Path) -> InferenceModel:
    """Load a folder that :func:`.export.save_model_folder` wrote, or the MLflow model around it.

    Its network is loaded when it is first needed.

    Raises:
        InputError: where it is no such folder, or is damaged.
    """
    folder = Path(folder)
    if (folder / IN_MLFLOW / METADATA).is_file():
        folder = folder / IN_MLFLOW
    metadata, offset = read_metadata(folder), None
    if metadata.offset_kind is not None:
        offset = folder / OFFSET
        info = read_info(offset)
        expected = (metadata.offset_kind, metadata.input_dim, metadata.latent_dim)
        for key, value in zip(("kind", "input_dim", "latent_dim"), expected, strict=True):
            if info[key] != value:
                what = f"its {key} is {info[key]!r}, the model's is {value!r}"
                raise InputError(str(offset), what)
    load = functools.partial(load_network, folder / NETWORK, metadata.system, metadata.function)
    return InferenceModel(metadata, load_scale(folder), offset, load)


def open_run(run: str | Path, root: Path = Path(), model: str | None = None) -> InferenceModel:
    """Open a trained run of the project, to be applied to new samples.

    Args:
        run: The run's id, the first digits of it, or its folder.
        root: The project's folder, with ``models``, ``data/prepared`` and ``data/offsets``.
        model: The model's name, where it is known.

    Raises:
        InputError: where there is no such run, it diverged, or the project no longer holds the
            data or the offset that it was trained with.
    """
    folder = find_run(run, root / MODELS)
    saved = read_saved_run(folder)
    spec, architecture = saved.spec, saved.spec.architecture
    if saved.status != "finished":
        raise InputError(str(folder), "the run diverged: it has no weights")
    splits = load_splits(root / PREPARED)
    schema = splits.schema(spec.seed) if splits.has(spec.seed) else None
    digests = schema and {name: schema.digests[name]["x"] for name in _TRAINED_ON}
    if schema is None or spec.data != sha256_of_json(digests):
        what = f"was trained on other samples than {PREPARED} holds: its scale is not known"
        raise InputError(str(folder), what, _PUT_BACK)
    latent_dim = architecture.network.latent_dim
    offset = None
    if spec.table is not None:
        tables = find_tables(root / OFFSETS, splits.key(spec.seed))
        offset = _find_table(tables, spec.table, latent_dim, folder)
    metadata = ModelMetadata(
        run=saved.id,
        model=model,
        system=architecture.system,
        function=architecture.function,
        seed=spec.seed,
        input_dim=architecture.input_dim,
        columns=schema.columns,
        image_shape=schema.image_shape,
        sequence_shape=schema.sequence_shape,
        channels_first=schema.channels_first,
        latent_dim=latent_dim,
        offset_kind=None if offset is None else str(read_info(offset)["kind"]),
        offset_factor=spec.offset_factor,
        scale=str(schema.scale.get("kind")),
        preprocessing=schema.preprocessing,
        classes=schema.classes,
        text_ids=load_prepared(root / PREPARED).test.ids.dtype.kind == "U",
        has_code=not architecture.system_record.is_users,
        test_samples_sha256=str(schema.digests["test"]["x"]),
        test={},
    )
    return InferenceModel(
        metadata,
        splits.scale(spec.seed),
        offset,
        lambda: KerasNetwork(
            open_model(folder, scales_offset=False), architecture.system, str(folder)
        ),
        lambda: splits.of(spec.seed),
        None if offset is None else _file_lookup(offset, root / RAW),
    )


def _file_lookup(table: Path, raw: Path) -> Callable[[NDArray[Any]], Float32] | None:
    """Look-up of vectors by id in the file that a table was read from; None where it was not."""
    if offset_section(read_info(table)["kind"]).needs != "offset":
        return None
    from offset_autoencoder.offsets.file import stored_lookup

    return stored_lookup(table, raw)


def _find_table(folders: Iterable[Path], digest: str, latent_dim: int, run: Path) -> Path:
    """Folder of the table with a digest; of two alike, one that is known for new samples, too."""
    tables: list[tuple[bool, Path]] = []
    for folder in folders:
        info: dict[str, Any] = read_info(folder)
        digests = {split: info["digests"].get(split) for split in _TRAINED_ON}
        if info["latent_dim"] == latent_dim and sha256_of_json(digests) == digest:
            tables.append((offset_section(info["kind"]).needs == "offset", folder))
    if not tables:
        what = f"{OFFSETS} does not hold the offset that it was trained with"
        raise InputError(str(run), what, _PUT_BACK)
    return min(tables)[1]
