"""A trained run as a plain Keras model."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from offset_autoencoder.config.architecture import Architecture
from offset_autoencoder.errors import InputError
from offset_autoencoder.paths import MODELS
from offset_autoencoder.training.run_files import SPEC, read_spec, read_weights
from offset_autoencoder.training.run_store import runs_folder


def load_run(run: str | Path, models: str | Path = MODELS) -> Any:
    """Load a trained run.

    Args:
        run: The run's id, the first digits of it, or its folder.
        models: The folder that holds ``runs/``.

    Returns:
        A functional ``keras.Model`` with inputs ``x`` (batch, input_dim) and ``offset``
        (batch, latent_dim): feed it the offset as it was added, which is the offset table
        times ``offset_factor`` of the run's ``spec.json``. Noise, where the run had any, is
        a layer of it and active in training only; a model of the user's own has no such layer,
        as its noise came with the offset. It saves as ``.keras`` and loads in safe mode.

    Raises:
        InputError: where there is no such run, more than one, or it diverged.
    """
    from offset_autoencoder.models import build_model

    folder = find_run(run, Path(models))
    spec = read_spec(folder)
    settings = spec["determined_by"]
    weights = read_weights(folder)
    model = build_model(
        Architecture.model_validate(settings["architecture"]), settings["seed"], settings["stddev"]
    )
    own = {weight.path: weight for weight in model.weights}
    if {name: value.shape for name, value in weights.items()} != {
        name: tuple(weight.shape) for name, weight in own.items()
    }:
        raise InputError(str(folder), "its weights do not fit the network of its spec.json")
    for name, value in weights.items():
        own[name].assign(value)
    return model


def find_run(run: str | Path, models: Path) -> Path:
    """The folder of a run named by its id, the first digits of it, or its folder.

    Raises:
        InputError: where no run or more than one answers to the name.
    """
    if (Path(run) / SPEC).is_file():
        return Path(run)
    folder = runs_folder(models)
    present = folder.iterdir() if folder.is_dir() else ()
    found = [path for path in present if path.name.startswith(str(run)) and (path / SPEC).is_file()]
    if len(found) != 1:
        what = "no run has" if not found else f"{len(found)} runs have"
        raise InputError(str(folder), f"{what} an id that begins with {str(run)!r}")
    return found[0]
