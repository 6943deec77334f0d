"""A model by the name that a user gives it: a run, a folder, or an address in MLflow's registry."""

from __future__ import annotations

import contextlib
import tempfile
from collections.abc import Iterator
from pathlib import Path

from offset_autoencoder.cli.found_run import find_run
from offset_autoencoder.cli.registered_model import CHAMPION, SCHEME, address_of_champion, fetch
from offset_autoencoder.config import load_params
from offset_autoencoder.errors import InputError
from offset_autoencoder.paths import PARAMS, PREPARED
from offset_autoencoder.serving.applied import AppliedModel
from offset_autoencoder.serving.facts import FACTS
from offset_autoencoder.serving.folder import IN_MLFLOW, load_model_folder
from offset_autoencoder.serving.from_run import open_run


@contextlib.contextmanager
def open_model(name: str) -> Iterator[AppliedModel]:
    """Open a model, to be used within the block.

    Args:
        name: A run's id, the first digits of it or its folder; a saved model's folder;
            ``models:/NAME/VERSION``, ``models:/NAME@ALIAS`` or ``models:/ID``; or ``champion``.

    Raises:
        InputError: where there is no such model, or it cannot be applied.
    """
    if name == CHAMPION:
        name = address_of_champion(load_params(PARAMS).tracking)
    if name.startswith(SCHEME):
        with tempfile.TemporaryDirectory(prefix="offset-autoencoder-") as folder:
            yield load_model_folder(fetch(name, Path(folder)))
    elif any((Path(name) / place / FACTS).is_file() for place in (".", IN_MLFLOW)):
        yield load_model_folder(name)
    else:
        run = find_run(name)
        yield open_run(run, _project_of(run, name))


def _project_of(run: Path, name: str) -> Path:
    """The folder of the project that a run is of: this one or, failing that, where it lies."""
    for root in (Path(), *run.resolve().parents[1:3]):
        if (root / PREPARED).is_dir():
            return root
    raise InputError(
        f"model {name}",
        "is a run: scale and offset are in its project, which is neither here nor around it",
        "name it in the project's folder, or take a model that MLflow serves: models:/NAME@ALIAS",
    )
