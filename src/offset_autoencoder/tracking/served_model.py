"""Code by which MLflow serves a model: kept with the model as source, never as a pickle.

MLflow executes this file when it loads the model. The package then comes from the model's own
``code``, unless the process has imported the installed one already.
"""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import Any

import numpy as np
from mlflow.exceptions import MlflowException
from mlflow.models import set_model
from mlflow.protos.databricks_pb2 import INVALID_PARAMETER_VALUE
from mlflow.pyfunc.model import PythonModel


class Predictor:
    """Samples and what goes with them in; ``reconstruction``, ``offset`` and ``code`` out."""

    def load_context(self, context: Any) -> None:
        """Load the folder ``model`` of the artifacts, with its network."""
        # Named only now: publishing reads this file too, and must not reach TensorFlow.
        serving = importlib.import_module("offset_autoencoder.serving.inference_model")
        self.applied = serving.load_model_folder(Path(context.artifacts["model"]))
        self.applied.network  # noqa: B018  loaded now, not by the first request

    # Without type hints: MLflow would take them for the signature.
    def predict(self, context, model_input, params=None):  # type: ignore[no-untyped-def]
        """Apply the model to samples, of any numeric dtype.

        They are a dict of arrays or lists by name (``x``, and what its offset needs), a table with
        a column per feature, or x alone: see :func:`.serving.request.named_inputs`. The param
        ``offset``, f(x) row by row in one list, takes the place of the computed one.

        Raises:
            MlflowException: status 400, where the samples or what comes with them do not suit.
        """
        request = importlib.import_module("offset_autoencoder.serving.request")
        from offset_autoencoder.errors import InputError

        try:
            x, side_inputs = request.named_inputs(model_input, self.applied.metadata)
            offset = np.asarray((params or {}).get("offset", ()), dtype=np.float64)
            if offset.size:
                rows, width = len(x), self.applied.metadata.latent_dim
                if offset.size != rows * width:
                    raise InputError(
                        "params: offset", f"has {offset.size} numbers, expected {rows} × {width}"
                    )
                side_inputs["offset"] = offset.reshape(rows, width)
            return self.applied.apply(x, **side_inputs)
        except InputError as error:
            raise MlflowException(str(error), error_code=INVALID_PARAMETER_VALUE) from error


class ServedModel(Predictor, PythonModel):
    """The predictor as MLflow takes it.

    Of a ``predict`` without type hints that stands here itself MLflow would warn every user.
    """


set_model(ServedModel())
