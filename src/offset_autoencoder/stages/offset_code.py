"""Stage ``offset_code``: digest of the code of each offset's kind → ``data/offset_code/NAME``.

DVC cannot give one offset of ``foreach`` other dependencies than the next. So an offset depends on
a file of its own that holds the digest of the code which its kind alone needs: its module and,
where it trains a network, the trainer. A change to the trainer then reruns no offset that does not
train, and a change to comments or layout reruns none.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from offset_autoencoder import paths
from offset_autoencoder.config import load_params
from offset_autoencoder.config.offset_kinds import OFFSETS
from offset_autoencoder.errors import run_command
from offset_autoencoder.io.files import replace_folder
from offset_autoencoder.runs.code_digest import digest_of_sources

# Code that the kinds that train can import, beside what dvc.yaml names for every offset.
_TRAINER = ("models", "offsets/reference.py", "runs", "training")
_PACKAGE = Path(__file__).parents[1]


def main() -> None:
    """Write ``data/offset_code``.

    Raises:
        InputError: where something is wrong with params.yaml.
    """
    params = load_params(paths.PARAMS)
    with replace_folder(paths.OFFSET_CODE) as folder:
        for name, section in params.offsets.items():
            digest = digest_of_sources(_sources(code_of_kind(section.kind)))
            (folder / name).write_text(f"{digest}\n")


def code_of_kind(kind: str) -> tuple[str, ...]:
    """Files and folders of the package that only this kind, or kinds like it, need."""
    return (f"offsets/{kind}.py", *(_TRAINER if OFFSETS[kind].trains else ()))


def _sources(names: tuple[str, ...]) -> Iterator[tuple[str, str]]:
    for name in names:
        path = _PACKAGE / name
        for file in sorted(path.rglob("*.py")) if path.is_dir() else [path]:
            yield file.relative_to(_PACKAGE).as_posix(), file.read_text()


if __name__ == "__main__":
    run_command(main)
