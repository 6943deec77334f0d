"""Samples as people hand them to a served model, and the arrays that it takes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from offset_autoencoder.data.preprocessing import encode_columns
from offset_autoencoder.errors import InputError, did_you_mean
from offset_autoencoder.serving.metadata import ModelMetadata


def named_inputs(
    request: Any, metadata: ModelMetadata
) -> tuple[NDArray[Any], dict[str, NDArray[Any]]]:
    """Take x and what its offset needs beside it from a request.

    Args:
        request: A mapping of arrays or lists by name, of a pandas DataFrame too: ``x``, and
            ``labels``, ``ids`` or ``offset`` where the model needs them. In the place of x a column
            for each feature, by the names that the model was trained on or, where it knows none,
            whatever they are, in its order. Or x alone: an array, a sparse matrix, or lists.
        metadata: Description of the model.

    Returns:
        x, (n, D) or (n, ...), of any dtype; and the other inputs by name, one row per sample.

    Raises:
        InputError: where x, or a feature of it, is missing, or rows are not of one length.
    """
    if not isinstance(request, Mapping) and not hasattr(request, "columns"):
        return _array("x", request), {}
    columns = {str(name): request[name] for name in request}
    trained_on = [*(metadata.raw_columns or metadata.columns or [])]
    others: dict[str, NDArray[Any]] = {
        name: _array(name, columns.pop(name))
        for name in ("labels", "ids", "offset")
        if name in columns and name not in trained_on
    }
    are_features = trained_on and columns.keys() >= set(trained_on)  # one may be called x
    if "x" in columns and not are_features:
        return _array("x", columns["x"]), _as_kept(others, metadata)
    names = trained_on or list(columns)
    for name in names:
        if name not in columns:
            hint = did_you_mean(name, columns) if columns else None
            raise InputError("x", f"lacks the column {name!r}", hint)
    if not names:
        raise InputError("x", "missing", "give the samples as x, one per row")
    if metadata.preprocessing.levels:
        x = encode_columns(columns, metadata.columns or [], metadata.preprocessing)
    else:
        x = np.stack([_array(name, columns[name]) for name in names], axis=-1)
    return x, _as_kept(others, metadata)


def _array(name: str, values: Any) -> NDArray[Any]:
    """An array of numbers or text, from whatever holds them."""
    if hasattr(values, "toarray"):  # a sparse matrix
        values = values.toarray()
    try:
        array = np.asarray(values)
        # A column of lists, or of values that pandas keeps as objects.
        return np.array(array.tolist()) if array.dtype == object else array
    except ValueError:
        raise InputError(name, "is not an array: its rows are not of one length") from None


def _as_kept(inputs: dict[str, NDArray[Any]], metadata: ModelMetadata) -> dict[str, NDArray[Any]]:
    """Labels and ids in the type that the model's data have: text, or whole numbers."""
    are_text = {"ids": metadata.text_ids, "labels": isinstance((metadata.classes or [0])[0], str)}
    for name in inputs.keys() & are_text.keys():
        values = inputs[name]
        if values.ndim == 2 and values.shape[1] == 1:
            values = values[:, 0]
        if values.dtype.kind in "fb" and np.all(values == np.floor(values)):
            values = values.astype(np.int64)
        if are_text[name] and values.dtype.kind in "iu":
            values = values.astype(np.str_)
        elif not are_text[name] and values.dtype.kind == "U":
            try:
                values = values.astype(np.int64)
            except ValueError as error:
                raise InputError(name, f"expected whole numbers: {error}") from None
        inputs[name] = values
    return inputs
