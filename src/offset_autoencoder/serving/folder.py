"""A served model as a folder that needs nothing else of the project.

``served.json`` says what it is, ``model.keras`` holds the network, ``scale.npz`` the scale and
``offset/`` what computes f(x): ``offset.json`` and ``state.npz``, as an offsets stage writes them.
"""

from __future__ import annotations

import functools
from pathlib import Path

from offset_autoencoder.data.prepared import load_scale
from offset_autoencoder.models.inference import load_network
from offset_autoencoder.serving.applied import AppliedModel
from offset_autoencoder.serving.facts import FACTS, NAME_IN_MLFLOW, read_facts
from offset_autoencoder.serving.stored_offset import stored_offset

NETWORK = "model.keras"
OFFSET = "offset"

# Where MLflow keeps the folder within a model of its own.
IN_MLFLOW = Path("artifacts") / NAME_IN_MLFLOW


def load_model_folder(folder: str | Path) -> AppliedModel:
    """Load a folder that :func:`.saving.save_model_folder` wrote.

    Its network is loaded when it is first needed.

    Args:
        folder: It, or the MLflow model that it is part of.

    Raises:
        InputError: where it is no such folder, or is damaged.
    """
    folder = Path(folder)
    if (folder / IN_MLFLOW / FACTS).is_file():
        folder = folder / IN_MLFLOW
    facts, offset = read_facts(folder), folder / OFFSET
    return AppliedModel(
        facts,
        load_scale(folder),
        stored_offset(offset if facts.offset_kind is not None else None, facts),
        functools.partial(load_network, folder / NETWORK, facts.system, facts.function),
    )
