"""The command of every stage finds Python, the code beside it, and what its caller imports."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
DVC = Path(sys.executable).with_name("dvc")
PROBE = "import sys, theirs; print('ran by', sys.prefix, theirs.NAME, *sys.argv[1:])"
STAGE = "stages: {probe: {cmd: exec sh src/stage.sh probe one two}}"
BY_HAND = ("sh", "-c", "sh src/stage.sh probe; exit $?")  # not by a Python, as pytest is


@pytest.fixture
def project(tmp_path: Path) -> Path:
    for folder in ("src", "theirs", "bin"):
        (tmp_path / folder).mkdir()
    shutil.copy(ROOT / "src" / "stage.sh", tmp_path / "src")
    (tmp_path / "src" / "probe.py").write_text(PROBE)
    (tmp_path / "theirs" / "theirs.py").write_text("NAME = 'theirs'")
    (tmp_path / "theirs" / "probe.py").write_text("raise ImportError('not the project's code')")
    (tmp_path / "dvc.yaml").write_text(STAGE)
    for tool in ("sh", "dirname", "tr", "head", "ps"):
        if found := shutil.which(tool):
            (tmp_path / "bin" / tool).symlink_to(found)
    return tmp_path


def run(project: Path, *command: str, path: str, **others: str) -> tuple[int, str]:
    """Run a command with nothing on PATH but ``path`` and the tools of every system."""
    kept = {name: value for name, value in os.environ.items() if name not in ("DVC_ROOT", "SHELL")}
    kept |= {"PATH": path + os.pathsep + str(project / "bin"), "PYTHONPATH": "theirs", **others}
    done = subprocess.run(
        command, cwd=project, env=kept, capture_output=True, text=True, check=False
    )
    return done.returncode, done.stdout + done.stderr


def test_dvc_runs_it_though_its_environment_is_not_activated(project: Path) -> None:
    assert run(project, str(DVC), "init", "--no-scm", "--quiet", path="")[0] == 0
    status, said = run(project, str(DVC), "repro", path="")
    assert (status, f"ran by {sys.prefix} theirs one two" in said) == (0, True), said


def test_the_environment_of_the_project_is_found(project: Path) -> None:
    (project / ".venv").symlink_to(sys.prefix)
    status, said = run(project, *BY_HAND, path="")
    assert status == 0, said
    # In a temporary clone of DVC's it is that of the project.
    clone = project / "clone"
    shutil.copytree(project / "src", clone / "src")
    shutil.copytree(project / "theirs", clone / "theirs")
    (clone / "bin").symlink_to(project / "bin")
    assert run(clone, *BY_HAND, path="", DVC_ROOT=str(project))[0] == 0
    status, said = run(clone, *BY_HAND, path="")
    assert (status, said.startswith("error: there is no Python: activate")) == (127, True), said


def test_an_activated_environment_is_found_though_another_python_comes_first(project: Path) -> None:
    other = project / "other"
    other.mkdir()
    (other / "python3").symlink_to("/bin/false")
    path = os.pathsep.join([str(other), str(Path(sys.executable).parent)])
    status, said = run(project, *BY_HAND, path=path)
    assert (status, said) == (0, f"ran by {sys.prefix} theirs\n")
