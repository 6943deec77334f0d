"""``make docs`` builds the site, and the reference has what the source has."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from offset_autoencoder.config import values

ROOT = Path(__file__).parents[2]
pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The site, built with the options of the Makefile: a warning is an error."""
    recipe = (ROOT / "Makefile").read_text().partition("\tsphinx-build ")[2].partition("\n")[0]
    folder = tmp_path_factory.mktemp("site")
    arguments = recipe.replace("docs/_build/html", str(folder)).split()
    command = [sys.executable, "-m", "sphinx", *arguments]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return folder


def text_of(page: Path) -> str:
    return re.sub(r"<[^>]+>", "", page.read_text(encoding="utf-8"))


def test_every_key_of_every_section_is_in_the_reference(site: Path) -> None:
    text = text_of(site / "reference" / "params.html")
    sections = [values.Section]
    for section in sections:  # grows as it goes
        sections += section.__subclasses__()
    ours = [s for s in sections if s.__module__.startswith("offset_autoencoder.config.")]
    keys = {key for section in ours for key in section.model_fields}
    assert len(keys) > 80
    assert {key for key in keys - {"kind"} if f"{key}: " not in text} == set()


def test_readmes_of_other_folders_are_pages_and_links_lead_to_them(site: Path) -> None:
    for page, text in {
        "examples/mnist": "The same question on MNIST",
        "examples/channel": "The network over a channel",
        "examples/slurm": "Training on a Slurm cluster",
        "examples/ray": "Training on a Ray cluster",
        "benchmarks": "epoch time per run",
    }.items():
        assert text in text_of(site / f"{page}.html")
    machines = (site / "guides" / "machines.html").read_text(encoding="utf-8")
    for page in ("examples/slurm", "examples/ray", "benchmarks"):
        assert f'href="../{page}.html"' in machines
    assert 'href="faults.html"' in (site / "benchmarks.html").read_text(encoding="utf-8")


def test_public_names_and_commands_are_in_the_reference(site: Path) -> None:
    import offset_autoencoder
    from offset_autoencoder.cli.app import app

    names = text_of(site / "reference" / "python.html")
    assert [n for n in offset_autoencoder.__all__ if f"offset_autoencoder.{n}" not in names] == []
    commands = text_of(site / "reference" / "commands.html")
    for record in app.registered_commands:
        name = record.name or getattr(record.callback, "__name__", "")
        assert f"offset-autoencoder {name}" in commands
