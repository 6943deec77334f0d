"""Stage ``trainer_code``: digest of the trainer's code, for the offsets that train a network.

DVC cannot give one offset of ``foreach`` other dependencies than the next. So this stage writes a
file per kind, ``data/trainer_code/KIND``, and an offset depends on that of its kind alone: the
digest for a kind that trains, always the same word for the others. A change to the trainer then
reruns no offset that does not train; nor does one to its comments or layout.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from offset_autoencoder import paths
from offset_autoencoder.config.offset_kinds import OFFSETS
from offset_autoencoder.errors import run_command
from offset_autoencoder.io.files import replace_folder
from offset_autoencoder.runs.code_digest import digest_of_sources

# Code that the kinds that train can import, beside what dvc.yaml names for every offset.
CODE = ("models", "offsets/dense.py", "offsets/reference.py", "runs", "training")

_PACKAGE = Path(__file__).parents[1]


def main() -> None:
    """Write ``data/trainer_code``."""
    digest = digest_of_sources(
        (path.relative_to(_PACKAGE).as_posix(), path.read_text()) for path in _sources()
    )
    with replace_folder(paths.TRAINER_CODE) as folder:
        for kind, section in OFFSETS.items():
            (folder / kind).write_text(f"{digest if section.trains else 'trains nothing'}\n")


def _sources() -> Iterator[Path]:
    for name in CODE:
        path = _PACKAGE / name
        yield from sorted(path.rglob("*.py")) if path.is_dir() else [path]


if __name__ == "__main__":
    run_command(main)
