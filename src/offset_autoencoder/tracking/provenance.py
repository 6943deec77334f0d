"""Where a publication comes from: git commit and dirty flag, DVC experiment, user."""

from __future__ import annotations

import contextlib
import getpass
import os
import subprocess
from pathlib import Path


def provenance(root: Path) -> dict[str, str]:
    """The tags that say where a record was published from, as far as that is known.

    They are set when a record is first published and do not make it differ later. The tree
    counts as dirty where a tracked file is changed, ``dvc.lock`` aside: DVC writes that one
    while it runs the stages.

    Args:
        root: The project's folder.
    """
    tags = {
        "mlflow.source.name": "offset_autoencoder.stages.publish",
        "mlflow.source.type": "LOCAL",
    }
    # Some containers run under a user id that has no name.
    with contextlib.suppress(KeyError, OSError):
        tags["mlflow.user"] = getpass.getuser()
    if name := os.environ.get("DVC_EXP_NAME"):
        tags["dvc_experiment"] = name
    commit = _git(root, "rev-parse", "--verify", "HEAD")
    if commit is None:
        return tags
    tags["mlflow.source.git.commit"] = commit
    changed = _git(
        root, "status", "--porcelain", "--untracked-files=no", "--", ".", ":(exclude)dvc.lock"
    )
    if changed is not None:
        tags["git_dirty"] = "true" if changed else "false"
    return tags


def _git(root: Path, *arguments: str) -> str | None:
    try:
        answer = subprocess.run(
            ["git", "--no-optional-locks", *arguments],
            cwd=root,
            capture_output=True,
            text=True,
            timeout=30,
            check=True,
        )
    except (OSError, subprocess.SubprocessError):
        return None
    return answer.stdout.strip()
