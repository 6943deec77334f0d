"""docs/architecture.md speaks of packages and files that exist."""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).parent.parent
SOURCE = ROOT / "src" / "offset_autoencoder"
PAGE = (ROOT / "docs" / "architecture.md").read_text()


def spans(text: str) -> list[str]:
    return re.findall(r"`([^`\n]+)`", text)


def test_every_file_it_names_exists() -> None:
    table = PAGE.partition("## To add X")[2].partition("| tried |")[0]
    paths = [span for span in spans(table) if "/" in span]
    assert len(paths) > 20

    paths = [path for path in paths if not re.search("[A-Z]", path)]
    assert [
        path for path in paths if not (SOURCE / path).exists() and not (ROOT / path).exists()
    ] == []


def test_its_floors_are_the_packages() -> None:
    floors = PAGE.partition("| package | what |")[2].partition("## Files")[0]
    rows = [line.split("|")[1] for line in floors.splitlines() if line.startswith("| `")]
    packages = {path.stem for path in SOURCE.iterdir() if (path / "__init__.py").exists()}
    modules = {path.stem for path in SOURCE.glob("*.py")} - {"__init__"}
    assert {span for row in rows for span in spans(row)} == packages | modules
