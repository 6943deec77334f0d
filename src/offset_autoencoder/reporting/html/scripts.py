"""Vega, Vega-Lite and Vega-Embed as one script, from the package that carries them."""

from __future__ import annotations

import base64
import contextlib
import functools
import hashlib
import os
from importlib import metadata
from pathlib import Path

from offset_autoencoder.io.files import write_text

_PACKAGE = "vl-convert-python"
_SNIPPET = "window.vegaEmbed = vegaEmbed;"
_NOT_IN_A_SCRIPT = ("</script", "<!--")


@functools.cache
def vega_script() -> str:
    """The script, which sets ``window.vegaEmbed`` and asks no network for anything.

    It is bundled once a machine and version, in a second or two, and then kept in the user's
    cache folder beside its own digest; where that cannot be written to it is bundled anew.

    Raises:
        ValueError: where it could not stand in a script element.
    """
    place = _cache_folder() / f"vega-{metadata.version(_PACKAGE)}.js"
    if (kept := _kept(place)) is not None:
        return kept
    import vl_convert

    script: str = vl_convert.javascript_bundle(_SNIPPET)
    if any(end in script for end in _NOT_IN_A_SCRIPT):
        raise ValueError(f"{_PACKAGE}: its script cannot stand in a page")
    with contextlib.suppress(OSError):
        write_text(place, f"{_digest(script)}\n{script}")
    return script


def source_of_script(script: str) -> str:
    """The word by which a page's content security policy allows this very script.

    Args:
        script: All between the tags of its element.
    """
    digest = hashlib.sha256(script.encode()).digest()
    return f"'sha256-{base64.b64encode(digest).decode()}'"


def _kept(place: Path) -> str | None:
    """Content of the cache; None where it holds nothing, or not what was written."""
    try:
        digest, _, script = place.read_text(encoding="utf-8").partition("\n")
    except (OSError, UnicodeDecodeError):
        return None
    return script if digest == _digest(script) else None


def _digest(script: str) -> str:
    return hashlib.sha256(script.encode()).hexdigest()


def _cache_folder() -> Path:
    base = os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache")  # noqa: PTH111
    return Path(base) / "offset-autoencoder"
