from __future__ import annotations

import types
from collections.abc import Iterator
from pathlib import Path

import pytest

from offset_autoencoder.reporting import page
from offset_autoencoder.reporting.page import vega_script


@pytest.fixture
def bundled(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[list[str]]:
    """Requests to a bundler that takes no time; the cache is empty."""
    asked: list[str] = []

    def bundle(snippet: str) -> str:
        asked.append(snippet)
        return f"{snippet}// ×\n"

    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    fake = types.SimpleNamespace(javascript_bundle=bundle)
    monkeypatch.setitem(__import__("sys").modules, "vl_convert", fake)
    vega_script.cache_clear()
    yield asked
    vega_script.cache_clear()


def again() -> str:
    vega_script.cache_clear()
    return vega_script()


def test_it_is_bundled_once_and_kept(bundled: list[str], tmp_path: Path) -> None:
    first = vega_script()
    assert first == again() == again()
    assert len(bundled) == 1
    assert len(list(tmp_path.rglob("*"))) == 2  # the folder and the file


@pytest.mark.parametrize("damage", [b"", b"evil()", b"\xff\xfe", b"0" * 64 + b"\nevil()"])
def test_what_was_not_written_by_it_is_not_used(
    damage: bytes, bundled: list[str], tmp_path: Path
) -> None:
    first = vega_script()
    (kept,) = [path for path in tmp_path.rglob("*") if path.is_file()]
    kept.write_bytes(damage)
    assert again() == first
    assert len(bundled) == 2
    assert again() == first
    assert len(bundled) == 2


def test_a_cache_that_cannot_be_written_is_done_without(
    bundled: list[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    assert vega_script() == again()
    assert len(bundled) == 2


def test_a_script_that_would_end_its_element_is_refused(
    bundled: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(page, "_SNIPPET", "'</script>'")
    with pytest.raises(ValueError, match="cannot stand in a page"):
        vega_script()
