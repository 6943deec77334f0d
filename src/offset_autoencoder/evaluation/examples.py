"""Test samples that are pictured: their reconstructions, and their codes in two dimensions."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any

import numpy as np
from numpy.typing import NDArray

from offset_autoencoder.config import Run
from offset_autoencoder.data.prepared import PreparedData, Schema
from offset_autoencoder.evaluation.interventions import some_rows
from offset_autoencoder.evaluation.metrics import Array
from offset_autoencoder.evaluation.opening import Offsets
from offset_autoencoder.models.inference import Encoded, RunInference
from offset_autoencoder.runs.load import FinishedRun, open_runs

MOST_CODES = 250
_MOST_IMAGES, _MOST_PROFILES = 10, 5


@dataclass(frozen=True)
class Reconstructions:
    """Samples and their reconstructions.

    Arrays are (n, height, width) or (n, height, width, channels) float32 where samples are images,
    (n, steps, channels) where they are series, else (n, features); the data range is black and
    white, or else the least and the most drawn.
    """

    originals: Array
    rows: Sequence[tuple[str, Array]]  # by setting
    prior: Sequence[tuple[str, Array]]  # decoded from the prior of a variational autoencoder
    data_range: tuple[float, float]
    are_series: bool = False
    anomalies: Sequence[int] = ()  # places of anomalies among the samples, from 1

    @property
    def are_lines(self) -> bool:
        """True where samples are drawn as lines."""
        return self.are_series or self.originals.ndim == 2


@dataclass(frozen=True)
class CodePoint:
    """A sample's code along the first two principal components of a setting's codes."""

    setting: str  # its label
    sample: Any  # its id
    label: Any  # as it came, or None
    c1: float
    c2: float  # 0 for codes of one dimension
    share1: float | None  # of the codes' variance; None where they have none
    share2: float | None


CODE_COLUMNS = tuple(field.name for field in fields(CodePoint))


def reconstructions(
    data: PreparedData,
    runs: Mapping[str, tuple[Run, FinishedRun]],
    names: Sequence[tuple[str, str]],
    offsets: Offsets,
    is_anomaly: NDArray[np.bool_] | None = None,
) -> Reconstructions | None:
    """Test samples reconstructed by each run, one of each class where there are labels.

    Names are those of each picture and its run's id; settings can share a run. ``is_anomaly`` marks
    the anomalies of the test split, (n,). None without runs.
    """
    if not runs:
        return None
    schema, most = data.schema, _MOST_PROFILES if data.schema.image_shape is None else _MOST_IMAGES
    labels = data.test.y
    rows = np.arange(min(most, len(data.test.x)))
    if labels is not None:
        one_each = np.unique(labels, return_index=True)[1][:most]
        others = np.setdiff1d(np.arange(len(labels)), one_each)
        rows = np.concatenate([one_each, others[: most - len(one_each)]])
    x = np.asarray(data.test.x[rows])
    outputs, prior = {}, {}
    for run_id, inference, encoded in _encoded_rows(data, runs, rows, offsets):
        decode = inference.decoder(x)
        outputs[run_id] = _in_shape(decode(encoded.code, encoded.offset), schema)
        if encoded.log_variance is not None:
            rng = np.random.default_rng(runs[run_id][1].seed)
            drawn = rng.standard_normal(encoded.log_variance.shape, dtype=np.float32)
            prior[run_id] = _in_shape(decode(drawn, np.zeros_like(drawn)), schema)
    low, high = schema.range or (float(x.min()), float(x.max()))
    return Reconstructions(
        originals=_in_shape(x, schema),
        rows=[(name, outputs[run_id]) for name, run_id in names],
        prior=[(name, prior[run_id]) for name, run_id in names if run_id in prior],
        data_range=(low, high),
        are_series=schema.image_shape is None and schema.sequence_shape is not None,
        anomalies=() if is_anomaly is None else (np.flatnonzero(is_anomaly[rows]) + 1).tolist(),
    )


def _in_shape(x: Array, schema: Schema) -> Array:
    """Samples (n, D) in the shape that is drawn, channels last."""
    shape = schema.image_shape or schema.sequence_shape or [schema.input_dim]
    has_channels = len(shape) == (3 if schema.image_shape else 2)
    shaped = x.reshape(-1, *shape)
    return np.moveaxis(shaped, 1, -1) if schema.channels_first and has_channels else shaped


def codes(
    data: PreparedData,
    runs: Mapping[str, tuple[Run, FinishedRun]],
    names: Sequence[tuple[str, str]],
    offsets: Offsets,
) -> list[CodePoint]:
    """The codes of test samples by each run, in two dimensions; arguments as in `reconstructions`.

    A run whose architecture names no code has none.
    """
    test, classes = data.test, data.schema.classes
    rows = some_rows(len(test.x), MOST_CODES)
    labels = None if classes is None or test.y is None else [classes[i] for i in test.y[rows]]
    encoded_rows = _encoded_rows(data, runs, rows, offsets)
    by_id = {run_id: encoded.code for run_id, _, encoded in encoded_rows}
    return [
        point
        for name, run_id in names
        if (code := by_id[run_id]) is not None
        for point in code_points(name, code, test.ids[rows], labels)
    ]


def code_points(
    setting: str,
    code: NDArray[Any],
    ids: Sequence[Any] | NDArray[Any],
    labels: Sequence[Any] | None,
) -> list[CodePoint]:
    """A setting's codes (n, L) along their own first two principal components.

    Each component points to where its largest weight is positive. Rows that are not finite are
    left out; ids and labels are those of all n samples.
    """
    code = np.asarray(code, dtype=np.float64)
    kept = np.flatnonzero(np.isfinite(code).all(axis=1))
    places, shares = _principal(code[kept])
    return [
        CodePoint(setting, ids[row], None if labels is None else labels[row], c1, c2, *shares)
        for row, (c1, c2) in zip(kept.tolist(), places.tolist(), strict=True)
    ]


def _encoded_rows(
    data: PreparedData,
    runs: Mapping[str, tuple[Run, FinishedRun]],
    rows: NDArray[np.int64],
    offsets: Offsets,
) -> Iterator[tuple[str, RunInference, Encoded]]:
    """The runs, each opened once although settings can share it, and the codes of some rows."""
    x = np.asarray(data.test.x[rows])
    for run_id, inference in open_runs({run_id: trained for run_id, (_, trained) in runs.items()}):
        run, trained = runs[run_id]
        offset = offsets(run, trained.offset_factor, "test", rows)
        yield run_id, inference, inference.encode(x, offset)


def _principal(
    code: NDArray[np.float64],
) -> tuple[NDArray[np.float64], tuple[float | None, float | None]]:
    """Coordinates along the first two components, (n, 2), and their shares of the variance."""
    places = np.zeros((len(code), 2))
    centred = code - code.mean(axis=0) if len(code) else code
    if not centred.any():
        return places, (None, None)
    _, sizes, directions = np.linalg.svd(centred, full_matrices=False)
    directions = directions[:2]
    largest = np.abs(directions).argmax(axis=1)
    signs = np.sign(directions[np.arange(len(directions)), largest])
    places[:, : len(directions)] = centred @ (directions * signs[:, None]).T
    shares = [*(np.square(sizes) / np.square(sizes).sum()).tolist(), 0.0]
    return places, (shares[0], shares[1])
