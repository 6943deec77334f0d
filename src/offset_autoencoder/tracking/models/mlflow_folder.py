"""A served model's folder as an MLflow model: signature, example, requirements, source."""

from __future__ import annotations

from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np

from offset_autoencoder.data.prepared import load_prepared, load_scale
from offset_autoencoder.data.scaling import inverse_scale
from offset_autoencoder.paths import PREPARED
from offset_autoencoder.serving.facts import NAME_IN_MLFLOW, Facts, read_facts

_EXAMPLES = 2
# What a served model imports; its own code comes with it.
_REQUIRED = (
    *("mlflow", "tensorflow", "keras", "numpy"),
    *("pydantic", "ruamel.yaml", "scipy", "scikit-learn"),
)


def save_as_mlflow_model(path: Path, folder: Path, root: Path, identity: Any) -> None:
    """Write an MLflow model of flavour pyfunc.

    Requirements and signature are given, so that MLflow neither starts another TensorFlow to
    find them nor predicts.

    Args:
        path: Where to.
        folder: The served model's folder.
        root: The project's folder, whose test samples are the example.
        identity: The ``mlflow.models.Model`` that names the logged model and the run.
    """
    import mlflow.pyfunc

    facts = read_facts(folder)
    mlflow.pyfunc.save_model(
        path,
        python_model=str(Path(__file__).with_name("served_model.py")),
        artifacts={NAME_IN_MLFLOW: str(folder)},
        mlflow_model=identity,
        signature=signature(facts),
        input_example=example(facts, root),
        pip_requirements=[f"{name}=={version(name)}" for name in _REQUIRED],
    )


def signature(facts: Facts) -> Any:
    """Named tensors, any number of rows: ``x`` and what its offset needs beside it.

    x is float64, in which every number that a data set holds is exact: of a sample that was
    rounded, an offset by content would be another. Where the offset is computed, the parameter
    ``offset`` takes its place if given: all rows in one list.
    """
    from mlflow.models import ModelSignature
    from mlflow.types import ColSpec, ParamSchema, ParamSpec, Schema, TensorSpec

    def tensor(name: str, dtype: str, *shape: int) -> TensorSpec:
        return TensorSpec(np.dtype(dtype), (-1, *shape), name)

    inputs: list[ColSpec | TensorSpec] = [tensor("x", "float64", facts.input_dim)]
    if facts.needs == "offset":
        inputs.append(tensor("offset", "float64", facts.latent_dim))
    elif facts.needs == "labels":
        inputs.append(tensor("labels", _dtype(facts.classes)))
    elif facts.needs == "ids":
        inputs.append(tensor("ids", "str" if facts.text_ids else "int64"))
    outputs: list[ColSpec | TensorSpec] = [
        tensor("reconstruction", "float32", facts.input_dim),
        tensor("offset", "float32", facts.latent_dim),
    ]
    if facts.has_code:
        outputs.append(tensor("code", "float32", facts.latent_dim))
    if facts.needs == "offset":
        return ModelSignature(Schema(inputs), Schema(outputs))
    given = ParamSchema([ParamSpec("offset", "double", default=[], shape=(-1,))])
    return ModelSignature(Schema(inputs), Schema(outputs), given)


def example(facts: Facts, root: Path) -> dict[str, Any]:
    """The first test samples, in the units of the data set, with what goes with them."""
    data = load_prepared(root / PREPARED)
    rows = slice(0, _EXAMPLES)
    found: dict[str, Any] = {"x": inverse_scale(data.test.x[rows], load_scale(root / PREPARED))}
    if facts.needs == "offset":
        found["offset"] = np.zeros((len(found["x"]), facts.latent_dim))
    elif facts.needs == "labels" and data.test.y is not None:
        found["labels"] = np.asarray(facts.classes)[data.test.y[rows]]
    elif facts.needs == "ids":
        found["ids"] = data.test.ids[rows]
    return found


def _dtype(classes: list[int] | list[str] | None) -> str:
    return "str" if classes and isinstance(classes[0], str) else "int64"
