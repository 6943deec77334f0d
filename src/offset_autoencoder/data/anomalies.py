"""Normal samples and anomalies: splits that train on normal samples alone.

Anomalies are the samples of the classes that ``evaluate.anomaly.normal`` does not name. Splits are
cut as they are without them, so that a test split has its share of each class; then the anomalies
of the other two are left out.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from offset_autoencoder.config.anomaly import normal_classes
from offset_autoencoder.config.data_schema import SplitName
from offset_autoencoder.config.schema import Anomaly
from offset_autoencoder.data.prepared import LEFT_OUT, PartName
from offset_autoencoder.errors import InputError
from offset_autoencoder.io.arrays import Rows

_WHERE = "params.yaml: evaluate.anomaly"


def find_anomalies(
    anomaly: Anomaly | None, y: NDArray[np.int64] | None, classes: Sequence[int | str] | None
) -> NDArray[np.bool_] | None:
    """Mark the anomalies among samples whose classes are y ``(n,)``; None where none are sought.

    Raises:
        InputError: as :func:`.config.anomaly.normal_classes`.
    """
    if anomaly is None:
        return None
    normal = normal_classes(anomaly, None if y is None else classes)
    return np.isin(np.asarray(y), normal, invert=True)


def leave_out(
    rows: Mapping[SplitName, Rows],
    is_anomaly: NDArray[np.bool_] | None,
    ids: NDArray[Any],
    of_seed: str = "",
) -> dict[PartName, Rows]:
    """Splits whose training and validation rows are normal, with the rows that are then in none.

    Args:
        rows: Rows of each split of n samples.
        is_anomaly: ``(n,)``; None where all are normal and nothing is left out.
        ids: ``(n,)`` integers or text.
        of_seed: ``" of seed 3"`` where they are a seed's, for messages.

    Returns:
        The rows of each split and, where there are anomalies to detect, those left out, all in
        ascending order of id.

    Raises:
        InputError: where training or validation would be empty, or the test split has not both.
    """
    splits: dict[PartName, Rows] = {}
    for name, part in rows.items():
        splits[name] = part
        if is_anomaly is not None and name != "test":
            splits[name] = part[~is_anomaly[part]]
        if not len(splits[name]):
            what = f"the {name} split{of_seed} has no sample of a normal class"
            raise InputError(f"{_WHERE}.normal", what, "name more classes, or give more samples")
    if is_anomaly is None:
        return splits
    of_test = is_anomaly[rows["test"]]
    if of_test.all() or not of_test.any():
        lacks = "sample of a normal class" if of_test.all() else "anomaly"
        what = f"the test split{of_seed} has no {lacks}"
        raise InputError(_WHERE, what, "give more samples, or a larger split.test")
    others = [part[is_anomaly[part]] for name, part in rows.items() if name != "test"]
    out = np.concatenate(others)
    out = out[np.argsort(ids[out], kind="stable")]
    return splits | {LEFT_OUT: out} if len(out) else splits
