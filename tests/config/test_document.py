from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from ruamel.yaml import YAML

from offset_autoencoder.config.document import read_document
from offset_autoencoder.errors import InputError


def read(tmp_path: Path, text: str) -> dict[str, object]:
    path = tmp_path / "params.yaml"
    path.write_text(text, encoding="utf-8")
    return read_document(path)


@pytest.mark.parametrize(
    "scalar",
    ["1e-3", "1E5", ".5", "1.", "-3", "007", "yes", "no", "on", "off", "true", "~", "null", "",
     "1_000", "0x1F", "0o17", "12:30:45", "2026-01-01", "text", "'1e-3'", ".inf"],
)  # fmt: skip
def test_reads_scalars_as_dvc_does(tmp_path: Path, scalar: str) -> None:
    ours = read(tmp_path, f"key: {scalar}\n")["key"]
    theirs = YAML(typ="safe").load((tmp_path / "params.yaml").read_text())["key"]
    assert ours == theirs
    assert type(ours) is type(theirs)


@given(st.floats(allow_nan=False, allow_infinity=False))
def test_every_float_comes_back(tmp_path_factory: pytest.TempPathFactory, number: float) -> None:
    value = read(tmp_path_factory.mktemp("yaml"), f"key: {number!r}\n")["key"]
    assert value == number


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a: 1\na: 2\n", "'a' is given twice"),
        ("a: {b: 1, b: 2}\n", "'b' is given twice"),
        ("a: [1\n", "not valid YAML"),
        ("- 1\n", "must hold a mapping"),
        ("", "must hold a mapping"),
        ("a: !!python/object:os.system {}\n", "not valid YAML"),
        ("a: \x00\n", "not valid YAML"),
        ("a: " + "[" * 3000, "nested too deeply"),
        ("a: " + "{b: " * 3000 + "1" + "}" * 3000, "nested too deeply"),
        ("a: {<<: 3}\n", "not valid YAML"),
    ],
)
def test_says_what_is_wrong_with_a_file(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(InputError, match=message) as caught:
        read(tmp_path, text)
    assert str(tmp_path / "params.yaml") in str(caught.value)


@pytest.mark.parametrize(
    "text",
    [
        "a: &a {offset: none, rms: 0.1}\nb: {<<: *a, rms: 0.2}\nc: {rms: 9, <<: *a}\n",
        "a: &a {x: 1, y: 2}\nb: &b {y: 3, z: 4}\nc: {<<: [*a, *b]}\nd: {<<: *b}\n",
        # A merge of a mapping that merges another itself and stands deeper in the file.
        "a: &a {x: 1}\nb: {inner: &b {<<: *a, x: 2}}\nc: {<<: *b, y: 3}\n",
        "a: {'<<': 1}\n",
    ],
)
def test_merges_keys_as_dvc_does(tmp_path: Path, text: str) -> None:
    assert read(tmp_path, text) == YAML(typ="safe").load(text)


def test_names_a_missing_file(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no such file"):
        read_document(tmp_path / "params.yaml")


def test_refuses_text_that_is_not_utf8(tmp_path: Path) -> None:
    (tmp_path / "params.yaml").write_bytes(b"a: \xff\xfe\n")
    with pytest.raises(InputError, match="UTF-8"):
        read_document(tmp_path / "params.yaml")
