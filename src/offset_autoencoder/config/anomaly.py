"""``evaluate.anomaly``, read before the sections that it has a part in; its classes found."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from offset_autoencoder.config import values
from offset_autoencoder.config.schema import Anomaly
from offset_autoencoder.errors import InputError, did_you_mean

_WHERE = "params.yaml: evaluate.anomaly"


def read_anomaly(
    places: Mapping[str, str], sections: Mapping[str, dict[str, Any]]
) -> dict[str, dict[str, Any]]:
    """Sections of params.yaml in which ``evaluate.anomaly`` is validated, its label that of data.

    ``places`` are where the sections stand, for errors.

    Raises:
        InputError: where a key is wrong, or ``label`` is another one than that of ``data``.
    """
    evaluate, data = sections["evaluate"], sections["data"]
    if evaluate.get("anomaly") in values.NULL_WORDS:
        return dict(sections)
    where = f"{places['evaluate']}.anomaly"
    anomaly = values.validate_section(Anomaly, where, evaluate["anomaly"])
    if anomaly.label is not None:
        if data.get("source", "digits") != "file":
            what = "goes with data.source: file, other sources have labels of their own"
            raise InputError(f"{where}.label", what, "leave it out")
        own = data.get("label")
        if own not in values.NULL_WORDS and str(own) != str(anomaly.label):
            what = f"is {anomaly.label!r}, data.label is {data['label']!r}: samples have one label"
            raise InputError(f"{where}.label", what, "leave one of them out")
        data = {**data, "label": anomaly.label}
    return {**sections, "data": data, "evaluate": {**evaluate, "anomaly": anomaly}}


def find_anomalies(
    anomaly: Anomaly | None, y: NDArray[np.int64] | None, classes: Sequence[int | str] | None
) -> NDArray[np.bool_] | None:
    """Mark the anomalies among samples whose classes are y ``(n,)``; None where none are sought.

    Raises:
        InputError: where the data have no classes, or one alone; where a normal class is none of
            them, or all are normal.
    """
    if anomaly is None:
        return None
    if y is None or classes is None:
        mend = "name where the data have classes, in evaluate.anomaly.label"
        raise InputError(_WHERE, "needs labels that are classes, and the data have none", mend)
    if len(classes) == 1:
        what = f"the data have one class alone, {classes[0]!r}: there is no anomaly to detect"
        raise InputError(_WHERE, what, "leave evaluate.anomaly out")
    index = {str(label): place for place, label in enumerate(classes)}
    found = set()
    for place, label in enumerate(anomaly.normal):
        spellings = [str(label)]
        if isinstance(label, bool):  # which a table may hold as true or 1
            spellings += [str(label).lower(), str(int(label))]
        match = next((index[name] for name in spellings if name in index), None)
        if match is None:
            what = f"no sample is of the class {label!r}"
            raise InputError(f"{_WHERE}.normal[{place}]", what, did_you_mean(str(label), index))
        found.add(match)
    if len(found) == len(classes):
        what = f"names all {len(classes)} classes: there is no anomaly to detect"
        raise InputError(f"{_WHERE}.normal", what, "leave out the classes that are anomalies")
    return np.isin(y, sorted(found), invert=True)
