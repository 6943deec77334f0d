"""Trained runs: found by id, loaded as Keras models, opened for inference."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from offset_autoencoder.config.systems import NoiseRange
from offset_autoencoder.errors import InputError
from offset_autoencoder.models.architecture import Architecture
from offset_autoencoder.models.inference import RunInference, open_inference
from offset_autoencoder.paths import MODELS
from offset_autoencoder.runs.files import SPEC, read_finished_run
from offset_autoencoder.runs.store import runs_folder

_DIGITS = 12
_LISTED = 4


def find_run(run: str | Path, models: Path, store: Path | None = None) -> Path:
    """Find the folder of a run.

    Args:
        run: The run's id, the first digits of it, or its folder.
        models: The folder that holds ``runs/``.
        store: A run store to look into, too; ``models`` is preferred.

    Raises:
        InputError: where no run or more than one has such an id.
    """
    if (Path(run) / SPEC).is_file():
        return Path(run)
    folders = [folder for folder in (store, runs_folder(models)) if folder and folder.is_dir()]
    runs = {
        path.name: path
        for folder in folders
        for path in folder.iterdir()
        if run and path.name.startswith(str(run)) and (path / SPEC).is_file()
    }
    if len(runs) == 1:
        return next(iter(runs.values()))
    if runs:
        ids = [run_id[:_DIGITS] for run_id in sorted(runs)[:_LISTED]]
        listed = ", ".join(ids) + (", ..." if len(runs) > _LISTED else "")
        what = f"{len(runs)} runs have an id that begins so: {listed}"
        raise InputError(f"run {str(run)!r}", what, "give more digits")
    places = str(models) if store is None else f"{models} or {store.name}"
    raise InputError(
        f"run {str(run)!r}",
        f"no run of {places} has an id that begins so",
        "offset-autoencoder runs lists them",
    )


def load_run(run: str | Path, models: str | Path = MODELS) -> Any:
    """Load a trained run.

    Args:
        run: The run's id, the first digits of it, or its folder.
        models: The folder that holds ``runs/``.

    Returns:
        A functional ``keras.Model`` with inputs ``x`` (batch, input_dim) and ``offset``
        (batch, latent_dim): feed it the offset as it came, as in the offset table; the factor
        that brings it to the run's rms is a layer of the model, ``offset_factor``. Noise, where
        the run had any, is a layer of it and active in training only; a model of the user's own
        has no such layer, as its noise came with the offset. It saves as ``.keras`` and loads in
        safe mode.

    Raises:
        InputError: where there is no such run, more than one, or it diverged.
    """
    return open_model(find_run(run, Path(models)))


def open_model(folder: Path, *, scales_offset: bool = True) -> Any:
    """The model of :func:`load_run` from a run's folder.

    ``scales_offset``: the factor of the offset is in it; otherwise it is fed what is added.
    """
    from offset_autoencoder.models.autoencoder import build_model
    from offset_autoencoder.models.nested import named_weights

    spec, weights = read_finished_run(folder)
    factor = spec.offset_factor if scales_offset else 1.0
    model = build_model(spec.architecture, spec.seed, spec.stddev, offset_factor=factor)
    own = named_weights(model)
    if {name: value.shape for name, value in weights.items()} != {
        name: tuple(weight.shape) for name, weight in own.items()
    }:
        raise InputError(str(folder), "its weights do not fit the network of its spec.json")
    for name, value in weights.items():
        own[name].assign(value)
    return model


@dataclass(frozen=True)
class FinishedRun:
    """A finished run in memory.

    Attributes:
        weights: Its weights by name.
        stddev: Standard deviation of the Gaussian noise in its training, or the range of it.
        offset_factor: The factor of its offset table.
    """

    architecture: Architecture
    seed: int
    weights: Mapping[str, NDArray[Any]]
    stddev: float | NoiseRange
    offset_factor: float = 1.0


def load_finished_run(models: Path, run_id: str) -> FinishedRun:
    """Load a finished run; an InputError where its files are missing or damaged."""
    spec, weights = read_finished_run(runs_folder(models) / run_id)
    return FinishedRun(spec.architecture, spec.seed, weights, spec.stddev, spec.offset_factor)


def open_runs(runs: Mapping[str, FinishedRun]) -> Iterator[tuple[str, RunInference]]:
    """Open run after run for inference, as :func:`.inference.open_inference` does."""
    architectures = {run_id: run.architecture for run_id, run in runs.items()}
    return open_inference(architectures, lambda run_id: runs[run_id].weights)
