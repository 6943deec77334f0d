"""Files and folders of the user's project."""

from __future__ import annotations

import contextlib
import os
import shutil
from dataclasses import dataclass
from pathlib import Path

PARAMS = Path("params.yaml")
RAW = Path("data/raw")
CUSTOM = Path("src/custom")
PREPARED = Path("data/prepared")
OFFSETS = Path("data/offsets")
OFFSET_CODE = Path("data/offset_code")
MODELS = Path("models")
REPORTS = Path("reports")
RUNS = "OFFSET_AUTOENCODER_RUNS"


@dataclass(frozen=True)
class Project:
    """Files and folders of a project: by default that of the working folder.

    Attributes:
        root: Folder of the project.
        store: Its run store; None: that of :func:`run_store`.
    """

    root: Path = Path()
    store: Path | None = None

    @property
    def params(self) -> Path:
        """``params.yaml``."""
        return self.root / PARAMS

    @property
    def raw(self) -> Path:
        """``data/raw``."""
        return self.root / RAW

    @property
    def prepared(self) -> Path:
        """``data/prepared``."""
        return self.root / PREPARED

    @property
    def offsets(self) -> Path:
        """``data/offsets``."""
        return self.root / OFFSETS

    @property
    def models(self) -> Path:
        """``models``."""
        return self.root / MODELS

    @property
    def reports(self) -> Path:
        """``reports``."""
        return self.root / REPORTS

    @property
    def runs(self) -> Path:
        """The run store."""
        return self.store or run_store()


HERE = Project()
"""The project of the working folder, whose paths errors name as they stand there."""


def project_root() -> Path:
    """Folder of the user's project, shared by the temporary clones that DVC makes of it.

    DVC runs queued experiments in a clone, and names the project it was cloned from in
    ``DVC_ROOT``. What must outlive the clone (the MLflow store, the run store) lies there.
    """
    return Path(os.environ.get("DVC_ROOT") or ".").resolve()


def run_store() -> Path:
    """Run store: every run that was ever trained or imported here, by id.

    It is the folder that ``OFFSET_AUTOENCODER_RUNS`` names, relative to the project; by default
    ``.runs``. Processes of many machines may share it.
    """
    return project_root() / Path(os.environ.get(RUNS) or ".runs").expanduser()


def user_cache() -> Path:
    """Folder of the user's cache that is this program's."""
    base = os.environ.get("XDG_CACHE_HOME") or "~/.cache"
    return Path(base).expanduser() / "offset-autoencoder"


def copy_into_clone(folder: Path) -> None:
    """Copy into a temporary clone the user's files that the project has and the clone lacks.

    A clone holds what git and DVC track, and a user's data and functions need not be tracked.
    Once copied they are there for every later stage, and DVC records the same content of the
    folder as in the project itself, so that nothing reruns when the experiment is applied.

    Args:
        folder: ``data/raw`` or ``src/custom``. An absolute path, or a working folder that is no
            clone, is left alone.
    """
    root = project_root()
    if folder.is_absolute() or root == Path.cwd():
        return
    for path in sorted((root / folder).rglob("*")):
        target = folder / path.relative_to(root / folder)
        if path.is_file() and path.suffix not in (".dvc", ".pyc") and not target.exists():
            target.parent.mkdir(parents=True, exist_ok=True)
            _copy(path.resolve(), target, cheaply=folder == RAW)


def _copy(path: Path, target: Path, *, cheaply: bool) -> None:
    # Never a symbolic link: DVC commits what it finds below a dependency, and `dvc exp apply`
    # would put the link in the place of the file that it points to.
    if cheaply:
        with contextlib.suppress(OSError):  # another file system, or one without hard links
            target.hardlink_to(path)
            return
    shutil.copyfile(path, target)
