"""What stands in a folder, for tests that compare it."""

from __future__ import annotations

from pathlib import Path


def contents(folder: str | Path, *, times: bool = True) -> dict[str, bytes]:
    """Bytes of every file by its path in the folder; without when runs were trained, if asked."""
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in sorted(Path(folder).rglob("*"))
        if path.is_file() and (times or path.name != "times.npz")
    }
