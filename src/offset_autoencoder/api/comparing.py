"""Comparison of offsets in Python: its arguments as a project, which the stages then work on.

So a comparison has the checks, the ids and the run store of the pipeline.
"""

from __future__ import annotations

import contextlib
import os
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from offset_autoencoder.api.arguments import HEAD, Arguments
from offset_autoencoder.api.results import Result, load_results
from offset_autoencoder.config import SPLITS, parse_params
from offset_autoencoder.config.data_schema import Data, Split
from offset_autoencoder.config.schema import Evaluate, Network, Train
from offset_autoencoder.errors import InputError, known_arguments, message_of
from offset_autoencoder.paths import PARAMS, RUNS, Project, run_store, user_cache
from offset_autoencoder.stages import evaluate as evaluating
from offset_autoencoder.stages import offsets as building
from offset_autoencoder.stages import prepare
from offset_autoencoder.stages import train as training

_LOCK = ".comparison.lock"  # of a folder that a comparison works in


# Keys of params.yaml that are no arguments by themselves.
_ELSEWHERE = {
    key: f"write {section.__name__.lower()}={{{key!r}: ...}}"
    for section in (Train, Network, Evaluate, Split, Data)
    for key in section.model_fields
}


@known_arguments(_ELSEWHERE)
def compare(
    x: Any,
    offsets: Any = None,
    *,
    labels: Any = None,
    ids: Any = None,
    seeds: int | Sequence[int] = 20,
    models: Mapping[str, Any] | None = None,
    network: Mapping[str, Any] | None = None,
    train: Mapping[str, Any] | None = None,
    split: Any = None,
    data: Mapping[str, Any] | None = None,
    evaluate: Mapping[str, Any] | None = None,
    folder: str | Path | None = None,
) -> Result:
    """Compare what is added to an autoencoder's code, seed by seed, on samples in memory.

    Trained runs are kept: whatever was trained before with the same data and parameters is not
    trained again, and an interrupted comparison goes on where it was.

    Args:
        x: Samples (n, ...), an array or a DataFrame, whose index, if it has one, is the ids; a dict
            of such for the splits ``train``, ``validation`` and ``test``; or the name of a
            built-in data set, ``"digits"``.
        offsets: A dict by name, or one offset alone. Each is an array (n, L) with a row per row of
            x, a DataFrame whose index is the ids, a function from x to such an array, or a mapping
            as under ``offsets:`` of params.yaml, ``{"kind": "pca"}``. The latent dim is L.
        labels: A label per sample, or the name of a column of x.
        ids: An id per sample, whole numbers or text, or the name of a column of x.
        seeds: Number of seeds, or a list of them.
        models: As in params.yaml. By default each offset is compared with nothing added, and with
            Gaussian noise of the same rms: that of all its vectors, or of a kind 0.1.
        network: As in params.yaml. By default the output and the loss suit the values of x.
        train: As in params.yaml.
        split: As in params.yaml, or the name of the split of each sample.
        data: As in params.yaml; a column may be named or given as an array.
        evaluate: As in params.yaml.
        folder: Folder that becomes a project, with models and report; None keeps the runs alone, in
            the run store of the user's cache. ``OFFSET_AUTOENCODER_RUNS`` names another.

    Raises:
        InputError: for an argument that is wrong, which it names: ``offsets['mine']``.
    """
    columns = {"labels": labels, "ids": ids, "split": split}
    sections = {
        "seeds": seeds,
        "data": data,
        "network": network,
        "train": train,
        "models": models,
        "evaluate": evaluate,
    }
    with _project(folder) as project:
        arguments = Arguments(project.root)
        with arguments.named():
            document = arguments.document(x, by_name(offsets), columns, sections)
            parse_params(document)
            arguments.write(document)
            prepare.main(project)
            for name in document["offsets"]:
                building.build(name, project)
            training.main(project)
            evaluating.write_results(project, pictures=folder is not None)
        return replace(load_results(project.reports), folders=(project.models, project.runs))


def by_name(offsets: Any) -> dict[str, Any]:
    """Offsets by name; one alone is called ``offset``."""
    if offsets is None:
        return {}
    if not isinstance(offsets, Mapping):
        return {"offset": offsets}
    is_one = isinstance(offsets.get("kind"), str) or (
        "train" in offsets and {*offsets} <= {*SPLITS}
    )
    return {"offset": offsets} if is_one else {str(name): one for name, one in offsets.items()}


@contextlib.contextmanager
def _project(folder: str | Path | None) -> Iterator[Project]:
    """The project to work in: a folder that stays, or a temporary one."""
    own = run_store() if os.environ.get(RUNS) else None
    if folder is None:
        with tempfile.TemporaryDirectory(prefix="offset-autoencoder-") as temporary:
            root = Path(temporary).resolve()
            yield Project(root, own or user_cache() / "runs")
        return
    root = Path(folder).expanduser().resolve()
    params = root / PARAMS
    is_own = not params.exists() or params.read_text(encoding="utf-8").startswith(HEAD)
    if (root / "dvc.yaml").exists() or not is_own:
        what = f"{str(folder)!r} holds a project of another origin, whose params.yaml would be lost"
        raise InputError("folder", what, "name a folder of its own")
    lock = FileLock(root / _LOCK, blocking=False)
    try:
        root.mkdir(parents=True, exist_ok=True)
        lock.acquire()
    except Timeout:
        what = f"another comparison is at work in {str(folder)!r}"
        mend = "wait until it has ended, or name another folder"
        raise InputError("folder", what, mend) from None
    except OSError as error:
        what = f"{str(folder)!r} cannot be written to: {message_of(error)}"
        raise InputError("folder", what, "name another folder") from None
    try:
        yield Project(root, own or root / ".runs")
    finally:
        lock.release()
