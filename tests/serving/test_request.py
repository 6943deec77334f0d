"""Samples in whatever form people have them become the arrays that a served model takes."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest
from numpy.typing import NDArray
from scipy.sparse import csr_matrix

from offset_autoencoder.errors import InputError
from offset_autoencoder.serving.metadata import FORMAT, ModelMetadata
from offset_autoencoder.serving.request import named_inputs

X = np.arange(6.0).reshape(2, 3)
NAMES = ["a", "x", "offset"]  # as an accelerometer's may be


def metadata(**facts: Any) -> ModelMetadata:
    common: dict[str, Any] = {
        **dict.fromkeys(("function", "columns", "image_shape", "model", "classes")),
        "format": FORMAT,
        "run": "0",
        "system": "additive",
        "seed": 0,
        "input_dim": 3,
        "latent_dim": 2,
        "offset_kind": "hash",
        "offset_factor": 1.0,
        "scale": "none",
        "text_ids": False,
        "has_code": True,
        "test_samples_sha256": "",
        "test": {},
    }
    return ModelMetadata(**{**common, **facts})


@pytest.mark.parametrize(
    "request_",
    [
        X,
        X.astype(np.uint8),
        X.tolist(),
        csr_matrix(X),
        {"x": X.astype(np.float32)},
        {"x": X.tolist()},
        pd.DataFrame(X),
        pd.DataFrame(X, columns=["c", "b", "a"]),
        pd.DataFrame({"x": list(X)}),
        pd.DataFrame({"x": X.tolist()}),
        pd.DataFrame(X).astype(object),
        dict(enumerate(X.T)),
    ],
)
def test_x_in_every_form(request_: Any) -> None:
    x, others = named_inputs(request_, metadata())
    np.testing.assert_array_equal(x, X)
    assert x.dtype.kind in "fiu"
    assert others == {}


@pytest.mark.parametrize(
    "request_",
    [
        pd.DataFrame(X, columns=NAMES),
        pd.DataFrame(X, columns=NAMES)[NAMES[::-1]].assign(note="new"),
        dict(zip(NAMES, X.T.tolist(), strict=True)),
        {"x": X},
        X,
    ],
)
def test_columns_are_found_by_the_names_that_the_model_was_trained_on(request_: Any) -> None:
    x, others = named_inputs(request_, metadata(columns=NAMES))
    np.testing.assert_array_equal(x, X)
    assert others == {}


TEXTS, NUMBERS = np.array(["7", "9"]), np.array([7, 9])


@pytest.mark.parametrize("name", ["labels", "ids"])
@pytest.mark.parametrize(
    "values",
    [
        NUMBERS,
        NUMBERS.astype(np.uint8),
        NUMBERS.astype(np.float32),
        NUMBERS[:, None],
        [7, 9],
        TEXTS,
        TEXTS.astype(object),
    ],
)
@pytest.mark.parametrize("kept", [TEXTS, NUMBERS])
def test_labels_and_ids_in_the_type_of_the_data(name: str, values: Any, kept: NDArray[Any]) -> None:
    facts = metadata(classes=kept.tolist(), text_ids=kept.dtype.kind == "U")
    table = pd.DataFrame(X).assign(**{name: np.asarray(values).ravel()})
    for request_ in ({"x": X, name: values}, table):
        x, others = named_inputs(request_, facts)
        np.testing.assert_array_equal(x, X)
        assert others[name].tolist() == kept.tolist()


@pytest.mark.parametrize(
    ("request_", "facts", "said"),
    [
        ({"x": [[1.0], [1.0, 2.0]]}, {}, "x: "),
        ({}, {}, "x: missing .give the samples as x"),
        ({"labels": [1, 2]}, {}, "x: missing"),
        (
            {"a": [1.0], "X": [1.0]},
            {"columns": ["a", "x"]},
            "x: lacks the column 'x' .did you mean 'X'",
        ),
        ({"x": X, "ids": ["p", "q"]}, {}, "ids: expected whole numbers: "),
    ],
)
def test_what_is_missing_is_named(request_: Any, facts: dict[str, Any], said: str) -> None:
    with pytest.raises(InputError, match=said):
        named_inputs(request_, metadata(**facts))
