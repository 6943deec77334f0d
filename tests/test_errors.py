from __future__ import annotations

import subprocess
import sys
import tempfile
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from offset_autoencoder.errors import (
    _DISK,
    InputError,
    did_you_mean,
    run_command,
    short_repr,
)
from offset_autoencoder.io.files import atomic_write, replace_folder


def test_says_where_what_and_how_to_fix_it() -> None:
    error = InputError("params.yaml: seeds", "must be positive", "write seeds: 10")
    assert str(error) == "params.yaml: seeds: must be positive (write seeds: 10)"
    assert (error.where, error.what, error.hint) == (
        "params.yaml: seeds",
        "must be positive",
        "write seeds: 10",
    )
    assert str(InputError("x.csv", "is empty")) == "x.csv: is empty"


@given(st.text(), st.text(), st.none() | st.text())
def test_is_one_line_whatever_it_holds(where: str, what: str, hint: str | None) -> None:
    assert len(str(InputError(where, what, hint)).splitlines()) <= 1


def test_names_the_nearest_word_or_all() -> None:
    known = ["latent_dim", "hidden", "loss"]
    assert did_you_mean("latent_dims", known) == "did you mean 'latent_dim'?"
    assert did_you_mean("loss ", known) == "did you mean 'loss'?"
    assert did_you_mean("gr\u00f6\u00dfe", ["gro\u0308\u00dfe"]).startswith(
        r"did you mean 'gro\u0308\xdfe', the same in another form"
    )
    assert did_you_mean("zzz", known) == "known are 'hidden', 'latent_dim', 'loss'"
    assert did_you_mean("zzz", ["none"]) == "the only one known is 'none'"
    many = [f"pixel_{i}" for i in range(785)]
    assert did_you_mean("Pixel_784 ", many) == "did you mean 'pixel_784'?"
    nearest = "'pixel_90', 'pixel_190', 'pixel_290', 'pixel_390', 'pixel_490'"
    assert did_you_mean("x90", many) == f"known are {nearest} and 780 more"
    assert did_you_mean("zzz", []) == "there is nothing to choose from"


def test_a_value_is_shown_but_not_without_end() -> None:
    for value in ("0.1", 0.1, ["a", 3], {"kind": None}, -1, float("nan")):
        assert short_repr(value) == repr(value)
    for endless in ("a" * 10**6, [[[[0] * 9] * 9] * 9] * 9, 10**4000, {i: i for i in range(999)}):
        assert len(short_repr(endless)) < 400


def test_bad_input_is_one_line_and_status_1(capsys: pytest.CaptureFixture[str]) -> None:
    def command() -> None:
        raise InputError("x.csv, row 3", "is not a number")

    with pytest.raises(SystemExit) as caught:
        run_command(command)
    assert caught.value.code == 1
    assert capsys.readouterr() == ("", "error: x.csv, row 3: is not a number\n")


def test_ctrl_c_is_status_130(capsys: pytest.CaptureFixture[str]) -> None:
    def command() -> None:
        raise KeyboardInterrupt

    with pytest.raises(SystemExit) as caught:
        run_command(command)
    assert caught.value.code == 130
    assert capsys.readouterr().err == "interrupted: what was finished is kept\n"


class Mute(Exception):
    def __str__(self) -> str:
        raise ValueError("not even this")


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (ZeroDivisionError("by\x1b[31m zero"), r"ZeroDivisionError: by\x1b[31m zero: a fault"),
        (Mute(), "Mute: its message cannot be printed: a fault of the program"),
    ],
)
def test_what_no_check_foresees_is_one_line_with_a_log(
    error: Exception,
    said: str,
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))

    def command() -> None:
        raise error

    with pytest.raises(SystemExit) as caught:
        run_command(command)
    assert caught.value.code == 70
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith(f"error: {said}")
    (log,) = tmp_path.iterdir()
    assert ", at test_errors.py, line " in line
    assert line.endswith(f"(the traceback is in {log}: please report it with that file)")
    assert type(error).__name__ in log.read_text().splitlines()[-1]
    # Where no log can be written, the line says so.
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "gone"))
    with pytest.raises(SystemExit) as caught:
        run_command(command)
    assert caught.value.code == 70
    assert "please report it; its traceback cannot be kept: " in capsys.readouterr().err


@pytest.mark.parametrize("number", sorted(_DISK))
def test_a_fault_of_the_disk_is_one_line(
    number: int, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    (tmp_path / "x").mkdir()

    def command() -> None:
        with replace_folder(tmp_path / "x") as new, atomic_write(new / "deep" / "x.npy") as stream:
            stream.write(b"half")
            raise OSError(number, "the system's words")

    with pytest.raises(SystemExit) as caught:
        run_command(command)
    assert caught.value.code == 1
    what, mend = _DISK[number]
    (line,) = capsys.readouterr().err.splitlines()
    written = tmp_path / "x" / "deep" / "x.npy"
    assert line == f"error: {written}: {what}; nothing is half-written ({mend})"
    assert [path.name for path in tmp_path.rglob("*")] == ["x"]


def test_a_full_standard_output_and_too_little_memory_are_one_line() -> None:
    program = (
        "import sys, numpy as np\n"
        "from offset_autoencoder.errors import run_command\n"
        "run_command(lambda: print('x') if len(sys.argv) < 2 else np.empty(2**60, np.int8))\n"
    )
    with Path("/dev/full").open("w") as full:
        command = [sys.executable, "-c", program]
        done = subprocess.run(command, stdout=full, stderr=subprocess.PIPE, text=True)
    (line,) = done.stderr.splitlines()
    assert line.startswith("error: the standard output or a temporary file: the disk is full")
    assert done.returncode == 1
    done = subprocess.run([*command, "memory"], capture_output=True, text=True)
    (line,) = done.stderr.splitlines()
    assert line.startswith("error: memory: there is not enough memory: Unable to allocate")
    assert done.returncode == 1


def test_a_process_shows_no_traceback() -> None:
    program = (
        "from offset_autoencoder.errors import InputError, run_command\n"
        "def main():\n"
        "    try:\n"
        "        {}['x']\n"
        "    except KeyError:\n"
        "        raise InputError('here', 'no x')\n"
        "run_command(main)\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert (done.returncode, done.stdout, done.stderr) == (1, "", "error: here: no x\n")
