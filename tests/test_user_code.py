"""The digest of the user's code; how it is found and blamed is tested where it is used."""

from __future__ import annotations

import importlib
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from offset_autoencoder.errors import InputError
from offset_autoencoder.user_code import digest_of_user_code

Write = Callable[[str, str], None]


@pytest.fixture
def write(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Write]:
    """Write a file under a folder of sources that holds a ``custom`` package of its own."""
    monkeypatch.syspath_prepend(str(tmp_path))

    def forget() -> None:
        for name in list(sys.modules):
            if name.partition(".")[0] in ("custom", "users_alone"):
                del sys.modules[name]

    def write_file(path: str, text: str) -> None:
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).write_text(text)
        forget()
        importlib.invalidate_caches()

    forget()
    write_file("custom/__init__.py", "")
    write_file("custom/mine.py", "from custom.layers import build\n")
    write_file("custom/layers.py", "def build(): return 1\n")
    yield write_file
    forget()


def digest(name: str = "custom.mine:build") -> str:
    return digest_of_user_code("params.yaml: models.m.function", name)


def test_a_digest_repeats(write: Write) -> None:
    assert digest() == digest()
    assert len(digest()) == 64


@pytest.mark.parametrize(
    ("path", "text"),
    [
        ("custom/mine.py", "from custom.layers import build  # changed\n"),
        ("custom/layers.py", "def build(): return 2\n"),
        ("custom/another.py", ""),
        ("custom/deep/er.py", "x = 1\n"),
        ("custom/__init__.py", "x = 1\n"),
    ],
)
def test_every_module_of_the_users_counts(write: Write, path: str, text: str) -> None:
    before = digest()
    write(path, text)
    assert digest() != before


def test_which_file_says_what_counts(write: Write) -> None:
    write("custom/a/one.py", "x = 1\n")
    write("custom/b/one.py", "x = 2\n")
    before = digest()
    write("custom/a/one.py", "x = 2\n")
    write("custom/b/one.py", "x = 1\n")
    assert digest() != before


def test_what_does_not_run_does_not_count(write: Write) -> None:
    before = digest()
    write("custom/notes.txt", "mine")
    write("elsewhere.py", "x = 1\n")
    assert digest() == before


def test_a_module_outside_counts_by_itself(write: Write) -> None:
    write("users_alone.py", "def build(): return 1\n")
    before = digest("users_alone:build")
    write("custom/layers.py", "def build(): return 2\n")
    assert digest("users_alone:build") == before
    write("users_alone.py", "def build(): return 2\n")
    assert digest("users_alone:build") != before


def test_a_module_that_is_not_there_is_one_line(write: Write) -> None:
    with pytest.raises(InputError, match=r"there is no module 'custom\.mien'") as caught:
        digest("custom.mien:build")
    assert str(caught.value).startswith("params.yaml: models.m.function: ")
    assert "did you mean 'custom.mine'?" in str(caught.value)
    assert "looked for custom/mien.py" in str(caught.value)


def test_a_module_that_is_built_into_python_has_a_digest_and_no_file() -> None:
    assert not hasattr(time, "__file__")
    assert digest("time:sleep") == digest("time:time") != digest("json:loads")


def test_an_import_shows_what_the_module_prints_and_not_what_tensorflow_logs(
    write: Write, tmp_path: Path
) -> None:
    log = (
        "WARNING: All log messages before absl::InitializeLog() is called are written to STDERR",
        "I0000 00:00:1795870166.631824   29725 cudart_stub.cc:31] Could not find cuda drivers.",
        "E0000 00:00:1795870180.557872   29732 cuda_platform.cc:52] failed call to cuInit",
    )
    lines = ("Ideas of mine", *log, "Warned")
    write("custom/logs.py", f"import os\nfor line in {lines}: os.write(2, line.encode() + b'\\n')")
    code = "from tests.test_user_code import digest; digest('custom.logs:build')"
    paths = [str(tmp_path), *sys.path, str(Path.cwd())]
    done = subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(paths)},
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stderr.splitlines() == ["Ideas of mine", "Warned"]
