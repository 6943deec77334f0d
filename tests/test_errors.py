from __future__ import annotations

import subprocess
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from offset_autoencoder.errors import InputError, did_you_mean, run_command, short_repr


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


def test_a_fault_of_ours_is_not_hidden() -> None:
    def command() -> None:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        run_command(command)


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
