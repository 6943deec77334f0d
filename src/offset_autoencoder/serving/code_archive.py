"""This package's own source as one file: a served model is computed by the code it came with.

Python imports from a zip file as from a folder, and running it takes no installation.
"""

from __future__ import annotations

import zipfile
from collections.abc import Iterator
from pathlib import Path

from offset_autoencoder.io.files import atomic_write
from offset_autoencoder.paths import CUSTOM

CODE = "code.zip"

_ZIP_EPOCH = (1980, 1, 1, 0, 0, 0)


def write_code(path: Path, root: Path, *, is_custom: bool) -> None:
    """Write the archive; the same sources give the same bytes.

    Args:
        path: Where to.
        root: The project's folder.
        is_custom: Whether the user's ``src/custom`` is needed too.
    """
    with atomic_write(path) as stream, zipfile.ZipFile(stream, "w") as archive:
        for name, source in _sources(root if is_custom else None):
            member = zipfile.ZipInfo(name, _ZIP_EPOCH)
            archive.writestr(member, source.read_bytes(), zipfile.ZIP_DEFLATED)


def _sources(root: Path | None) -> Iterator[tuple[str, Path]]:
    packages = [Path(__file__).parents[1], *([root / CUSTOM] if root else [])]
    for package in packages:
        for source in sorted(package.rglob("*.py")):
            yield f"{package.name}/{source.relative_to(package).as_posix()}", source
