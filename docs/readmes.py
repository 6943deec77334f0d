"""Sphinx extension by which READMEs of other folders are pages of the site.

A page that is but a link to a README has its text; a link to the README, from wherever, leads to
the page. So all links work on the site and where the files are read as they are.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from pathlib import Path

from sphinx.application import Sphinx

_LINK = re.compile(r"(!?\[[^\]]*\]\()(?!\w+:|#)([^)#\s]+)")
_STUB = re.compile(r"\[[^\]]*\]\((\S+README\.md)\)\s*")


def readme_of(page: Path) -> Path | None:
    """The README that a page stands for."""
    stub = _STUB.fullmatch(page.read_text(encoding="utf-8"))
    return (page.parent / stub[1]).resolve() if stub else None


def relocated(folder: Path, page: Path, pages: dict[Path, Path]) -> Callable[[re.Match[str]], str]:
    """A function that makes the links of a text in this folder those of a page."""

    def link(match: re.Match[str]) -> str:
        target = (folder / match[2]).resolve()
        return match[1] + os.path.relpath(pages.get(target, target), page.parent)

    return link


def read(app: Sphinx, name: str, source: list[str]) -> None:
    """Replace the text of a page that stands for a README, and lead links to such pages."""
    files = {Path(app.env.doc2path(found)) for found in app.env.found_docs}
    pages = {readme: page for page in files if (readme := readme_of(page))}
    page = Path(app.env.doc2path(name))
    folder, text = page.parent, source[0]
    if (readme := readme_of(page)) is not None:
        app.env.note_dependency(str(readme))
        folder, text = readme.parent, readme.read_text(encoding="utf-8")
    source[0] = _LINK.sub(relocated(folder, page, pages), text)


def setup(app: Sphinx) -> dict[str, bool]:
    """Register the extension."""
    app.connect("source-read", read)
    return {"parallel_read_safe": True}
