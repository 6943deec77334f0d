"""Malformed inputs that once ended in a traceback, a hang or in silence: a line each."""

from __future__ import annotations

import os
import socket
import struct
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tests.faults.conftest import (
    EXAMPLES,
    Ending,
    ending,
    features,
    prepares_or_leaves_all,
    write_params,
)
from tests.folders import contents

from offset_autoencoder.data.readers import base, read_table
from offset_autoencoder.errors import InputError
from offset_autoencoder.stages import offsets, prepare

ROLES = base.ColumnRoles()


def prepared(**params: Any) -> Ending:
    write_params(**params)
    return prepares_or_leaves_all(prepare.main)


def npz_of_shape(path: Path, shape: str) -> None:
    """An npz whose array says of itself to be of another shape than it is."""
    np.savez(path, x=features())
    content = path.read_bytes()
    assert content.count(b"(30, 5), }  ") == 1
    content = content.replace(b"(30, 5), }  ", f"{shape}, }}  ".ljust(12).encode())
    path.write_bytes(content)


def test_a_damaged_header_of_an_npy_is_one_error(tmp_path: Path) -> None:
    path, refused = tmp_path / "x.npy", 0
    np.save(path, features())
    content = path.read_bytes()
    for seed in range(5 * EXAMPLES):
        rng = np.random.default_rng(seed)
        flipped = np.frombuffer(content, np.uint8).copy()
        flipped[rng.integers(0, 128, size=rng.integers(1, 4))] ^= np.uint8(1 << rng.integers(0, 8))
        path.write_bytes(flipped.tobytes())
        try:
            base.check_features(read_table(path, ROLES), ROLES)
        except InputError:
            refused += 1
    assert refused > EXAMPLES


def test_an_npz_of_impossible_shapes_is_one_error(tmp_path: Path) -> None:
    for shape in ("(-1, 6)", "(-5, 5)", "(99, 5)", "(30, -5)", "('a',)"):
        npz_of_shape(tmp_path / "x.npz", shape)
        with pytest.raises(InputError, match=r"x\.npz: is damaged or truncated: "):
            read_table(tmp_path / "x.npz", ROLES)


def test_an_idx_of_255_dimensions_is_one_line(project: Path) -> None:
    for dimensions in (65, 255):
        content = bytes([0, 0, 8, dimensions]) + struct.pack(">I", 1) * dimensions + b"\0"
        Path("data/raw/x.idx").write_bytes(content)
        line = prepared(path="x.idx").line
        assert f"its header asks for {dimensions} dimensions (download or copy it again)" in line


@pytest.mark.parametrize(
    ("value", "said"),
    [
        ("!!bool maybe", "params.yaml, line 3, column 6: is not valid YAML: 'maybe' is no !!bool"),
        (
            "!!timestamp abc",
            "line 3, column 6: is not valid YAML: failed to construct timestamp from",
        ),
        ("!!timestamp 2020-13-45", "'2020-13-45' is no !!timestamp"),
        ("!!int abc", "'abc' is no !!int"),
        ("!!float abc", "'abc' is no !!float"),
        ("!!binary a", "failed to decode base64 data"),
        ("!!python/object:os.system x", "could not determine a constructor for the tag"),
        (r'"\uD800.npy"', "params.yaml: data.a: '\\ud800.npy' holds a control character or half"),
        (r'"a\0b"', "holds a control character or half of a surrogate pair (leave it out)"),
        (r'{"\e[31m": 1}', r"data.a: '\x1b[31m' holds a control character"),
        ("&a [*a]", "params.yaml: data.a: unknown key"),
    ],
)
def test_yaml_that_is_none_of_its_tag_is_one_line(project: Path, value: str, said: str) -> None:
    write_params()
    text = Path("params.yaml").read_text()
    Path("params.yaml").write_text(text.replace("  source:", f"  a: {value}\n  source:"))
    assert said in prepares_or_leaves_all(prepare.main).line


@pytest.mark.parametrize("role", ["id", "label"])
@pytest.mark.parametrize("code", [0xD800, 0xDFFF, 0x110000, 0x7FFFFFFF])
def test_text_that_no_file_can_hold_is_refused_by_prepare(
    project: Path, role: str, code: int
) -> None:
    codes = np.full((30, 3), ord("a"), np.uint32)
    codes[:, 2] = 100 + (np.arange(30) if role == "id" else np.arange(30) % 3)
    codes[17, 1] = code
    np.savez("data/raw/odd.npz", x=features(), own=codes.view("<U3").ravel())
    line = prepared(path="odd.npz", data={role: "own"}).line
    said = f"data/raw/odd.npz, row 17: the {role} holds half of a surrogate pair, or what is no"
    assert said in line


def test_what_is_no_regular_file_is_refused_and_not_waited_for(project: Path) -> None:
    raw = Path("data/raw")
    os.mkfifo(raw / "fifo.npy")
    (raw / "device.npy").symlink_to("/dev/zero")
    (raw / "folder.npy").mkdir()
    server = socket.socket(socket.AF_UNIX)
    server.bind("data/raw/socket.npy")
    try:
        for kind in ("fifo", "device", "folder", "socket"):
            line = prepared(path=f"{kind}.npy").line
            assert f"data.path: data/raw/{kind}.npy is a {kind}, expected a file" in line
        line = prepared(data={"label": "fifo.npy"}).line
        assert "data.label: data/raw/fifo.npy is a fifo, expected a file" in line
    finally:
        server.close()
        for kind in ("fifo", "device", "socket"):
            (raw / f"{kind}.npy").unlink()
        (raw / "folder.npy").rmdir()


def test_control_characters_of_names_are_escaped_on_the_terminal(project: Path) -> None:
    names = ["a\x1b[31m", "b\x07", "c\u202e", "d"]
    rows = "".join(f"1,{','.join(map(str, row))}\n" for row in features()[:, :3])
    Path("data/raw/odd.csv").write_text(",".join(names) + "\n" + rows)
    # What is printed is checked at the end of every command of these tests.
    assert r"a\x1b[31m" in prepared(path="odd.csv", data={"constant": "drop"}).out
    Path("data/raw/odd.csv").write_text(",".join([*names[:3], names[0]]) + "\n" + rows)
    assert r"names column 'a\x1b[31m' twice" in prepared(path="odd.csv").line


def test_names_that_differ_in_capitals_alone_are_refused(project: Path) -> None:
    kinds = {"none": {"kind": "zero"}, "frozen": {"kind": "hash"}, "Frozen": {"kind": "hash"}}
    line = prepared(offsets=kinds).line
    assert line.startswith("error: params.yaml: offsets.Frozen: differs from 'frozen' in capitals")
    line = prepared(models={"none": {"offset": "none"}, "NONE": {}}).line
    assert line.startswith("error: params.yaml: models.NONE: differs from 'none' in capitals")


@pytest.mark.parametrize(("size", "given"), [("1 KB", "1.0 KB"), ("999999", "1000.0 KB")])
def test_too_little_memory_is_refused_in_units(project: Path, size: str, given: str) -> None:
    line = prepared(train={"memory_limit": size}).line
    assert line == f"error: params.yaml: train.memory_limit: must be at least 1 MB, got {given}"
    assert prepared(train={"memory_limit": "1 MB"}).status == 0


CODE = """
import os, sys
class Mute(Exception):
    def __str__(self):
        raise ValueError("not even this")
def mute(x, latent_dim, rng):
    raise Mute
def leaves(x, latent_dim, rng):
    os.chdir("/")
    return x[:, :latent_dim]
def ends(x, latent_dim, rng):
    sys.exit(0)
def prints(x, latent_dim, rng):
    print("to the output")
    return x[:, :latent_dim]
class Key:
    def __repr__(self):
        raise ValueError("not even this")
class keyed:
    def fit(self, x, latent_dim, rng):
        return {Key(): x}
    def apply(self, state, x):
        return x
class surrogate(keyed):
    def fit(self, x, latent_dim, rng):
        return {chr(0xd800): x}
class fails:
    def __getattr__(self, name):
        raise OSError(28, "no space")
fails = fails()
"""


@pytest.mark.parametrize(
    ("function", "said"),
    [
        ("mute", "raised Mute: its message cannot be printed, at odd_code.py:"),
        ("ends", "raised SystemExit: 0, at odd_code.py:"),
        ("leaves", None),
        ("prints", None),
        ("keyed", "must return a dict whose keys are names, one is <Key instance at"),
        ("surrogate", r"must return a dict whose keys are names, one is '\ud800'"),
    ],
)
def test_user_code(
    project: Path, monkeypatch: pytest.MonkeyPatch, function: str, said: str | None
) -> None:
    Path("odd_code.py").write_text(CODE)
    monkeypatch.syspath_prepend(str(project))
    own = {"kind": "function", "function": f"odd_code:{function}"}
    assert prepared(offsets={"none": {"kind": "zero"}, "own": own}).status == 0
    before = contents("data/offsets") if Path("data/offsets").exists() else {}
    end = ending(lambda: offsets.main(["own"]))
    assert Path.cwd() == project
    if said:
        assert said in end.line
        assert (contents("data/offsets") if Path("data/offsets").exists() else {}) == before
    else:
        assert end.status == 0
        assert Path("data/offsets/own").is_dir()
        assert "to the output" not in end.out
        assert all(line == "to the output" for line in end.lines)
