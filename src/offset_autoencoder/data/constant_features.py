"""Features that are constant over a training split, left out of a data set."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from offset_autoencoder.data.preprocessing import choose_features
from offset_autoencoder.data.samples import Samples
from offset_autoencoder.data.scaling import survey
from offset_autoencoder.errors import InputError
from offset_autoencoder.io.arrays import ConcatenatedRows, Matrix, Rows, RowSubset

_WHERE = "params.yaml: data.constant: drop"
_MEND = "set data.constant: zero"


def is_constant(x: Matrix) -> NDArray[np.bool_]:
    """``(D,)``, true for a feature that has one value in all samples, or none."""
    low, high, *_ = survey(x, moments=False)
    return ~(low < high)


def drop_constant_features(samples: Samples, training_rows: Iterable[Rows]) -> Samples:
    """Samples without the features that are constant over any of some training splits.

    So the runs of all seeds have the same features.

    Raises:
        InputError: where none is left, or the samples are images, which would be none then.
    """
    features = np.zeros(samples.x.shape[1], dtype=np.bool_)
    for rows in training_rows:
        features |= is_constant(RowSubset(samples.x, rows))
    if not features.any():
        return samples
    if shape := samples.shape.image or samples.shape.sequence:
        what = f"would leave {features.sum()} values out of samples of shape {list(shape)}"
        raise InputError(_WHERE, what, _MEND)
    kept = (~features).nonzero()[0]
    if not len(kept):
        raise InputError(_WHERE, "every feature is constant: none would be left", _MEND)
    tables = tuple(choose_features(table, kept) for table in samples.tables)
    preprocessing = samples.preprocessing
    if tables[0].columns is None:
        preprocessing = replace(preprocessing, raw_features=len(features), kept=kept.tolist())
    return replace(
        samples,
        x=ConcatenatedRows(tuple(table.x for table in tables)),
        tables=tables,
        preprocessing=preprocessing,
        left_out=tuple(map(samples.tables[0].feature_name, features.nonzero()[0].tolist())),
    )
