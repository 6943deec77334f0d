"""Mutations of valid params and files: a right result or a line per error, and no traceback."""

from __future__ import annotations

import copy
import gzip
import io
import math
import struct
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pandas as pd
import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from scipy import sparse
from tests.faults.conftest import EXAMPLES, LINEAR, features, prepares_or_leaves_all, write_params
from tests.small_params import small_params

from offset_autoencoder.config.data_schema import Data, Split
from offset_autoencoder.config.offset_kinds import OFFSETS
from offset_autoencoder.config.schema import Evaluate, Network, Tracking, Train
from offset_autoencoder.config.systems import SYSTEMS, Model
from offset_autoencoder.config.values import Section
from offset_autoencoder.data.prepared import load_prepared
from offset_autoencoder.paths import PREPARED
from offset_autoencoder.stages import offset_code, prepare

FUZZ = settings(
    max_examples=EXAMPLES,
    deadline=None,
    derandomize=True,
    database=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture],
)
PARAMS = small_params(
    data={"source": "file", "path": "x.npy"},
    network=LINEAR,
    offsets={name: {"kind": name} for name in ("zero", "hash", "pca", "kmeans", "encoder")},
    models={
        "zero": {"offset": "zero"},
        "hash": {"offset": "hash", "rms": [0.1, 0.2]},
        "noisy": {"stddev": 0.3},
        "second": {"system": "two_encoder"},
        "vae": {"system": "vae"},
    },
    evaluate={"baselines": ["zero"]},
)
SECTIONS: dict[str, type[Section]] = {
    "data": Data,
    "split": Split,
    "network": Network,
    "train": Train,
    "evaluate": Evaluate,
    "tracking": Tracking,
}
KEYS = sorted(
    {(section, key) for section, kind in SECTIONS.items() for key in kind.model_fields}
    | {("models", name, key) for name in PARAMS["models"] for key in Model.model_fields}
    | {("models", "noisy", key) for kind in (Network, Train) for key in kind.model_fields}
    | {("offsets", name, key) for name in PARAMS["offsets"] for key in OFFSETS[name].model_fields}
    | {("seeds",), ("models",), ("offsets",), ("models", "zero"), ("offsets", "hash")}
    | {(section,) for section in SECTIONS}
)
WORDS = [
    *SYSTEMS,
    *OFFSETS,
    *(
        "zero",
        "Zero",
        "x.npy",
        "../x.npy",
        "/dev/zero",
        "none",
        "null",
        "Infinity",
        "1 MB",
        "1e400",
    ),
    *("train", "test", "relu", "adam", "mse", "auto", "math:sqrt", "os:_exit", "x" * 300, "a\x00b"),
    *("\x1b[31mred", "\ud800", "\u202e", "line\nbreak", "", " ", "=", "💥"),
]
NUMBERS = [0, 1, 2, 3, 5, -1, 2**31, 2**63, 10**400, 0.5, -0.5, 1e-45, 1e39, math.inf, math.nan]
PLAIN = st.sampled_from([None, True, False, *NUMBERS, *WORDS]) | st.text(max_size=5)
VALUES = st.recursive(
    PLAIN,
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(WORDS) | st.integers(0, 3), inner, max_size=3)
    ),
    max_leaves=4,
)
TAGS = (
    "!!bool maybe",
    "!!timestamp abc",
    "!!int x",
    "!!binary '*'",
    "!!set {a, b}",
    "&a [*a]",
    "*b",
)


@st.composite
def documents(draw: st.DrawFn) -> str:
    """params.yaml with one to three keys of the schema changed, or with text that is spoilt."""
    document: Any = copy.deepcopy(PARAMS)
    for path in draw(st.lists(st.sampled_from(KEYS), min_size=1, max_size=3)):
        *parents, key = path
        inner = document
        for name in parents:
            inner = inner.setdefault(name, {}) if isinstance(inner, dict) else {}
        if isinstance(inner, dict):
            inner[key] = draw(VALUES)
    text = str(yaml.safe_dump(document, sort_keys=False))
    if draw(st.integers(0, 3)) == 0:
        place = draw(st.integers(0, len(text)))
        spoilt = draw(st.sampled_from([*TAGS, "\t", "{", "]", ":", "\x07", "'", "- "]))
        text = text[:place] + spoilt + text[place + draw(st.integers(0, 5)) :]
    return text


@given(documents())
@FUZZ
def test_params(project: Path, text: str) -> None:
    Path("params.yaml").write_bytes(text.encode("utf-8", "surrogatepass"))
    if prepares_or_leaves_all(prepare.main).status == 0:
        data = load_prepared(PREPARED)
        assert all(np.isfinite(data.split(name).x).all() for name in ("train", "test"))
        offset_code.main()


def _npy(array: Any) -> bytes:
    stream = io.BytesIO()
    np.save(stream, array)
    return stream.getvalue()


def _npz(write: Any = np.savez, **arrays: Any) -> bytes:
    stream = io.BytesIO()
    write(stream, **arrays)
    return stream.getvalue()


def _hdf5() -> bytes:
    stream = io.BytesIO()
    with h5py.File(stream, "w") as file:
        file["x"], file["label"], file["id"] = X, FRAME["label"].to_list(), FRAME["id"].to_numpy()
    return stream.getvalue()


X = features()
FRAME = pd.DataFrame(X, columns=[*"abcde"]).assign(
    label=[f"class {i % 3}" for i in range(len(X))], id=np.arange(len(X)) + 7
)
TEXT = FRAME.to_csv(index=False).encode()
PARQUET = io.BytesIO()
FRAME.to_parquet(PARQUET, row_group_size=10)
SPARSE = io.BytesIO()
sparse.save_npz(SPARSE, sparse.csr_array(np.round(X)), compressed=False)
IMAGES = np.arange(30 * 5, dtype=np.uint8).reshape(30, 5)
NAMED = {"label": "label", "id": "id"}
FILES: dict[str, tuple[bytes, dict[str, str]]] = {
    "x.npy": (_npy(X), {}),
    "fortran.npy": (_npy(np.asfortranarray(X)), {}),
    "x.npz": (_npz(x=X, label=FRAME["label"].to_numpy(str), id=FRAME["id"].to_numpy()), NAMED),
    "packed.npz": (_npz(np.savez_compressed, x=X), {}),
    "sparse.npz": (SPARSE.getvalue(), {}),
    "x.csv": (TEXT, NAMED),
    "x.csv.gz": (gzip.compress(TEXT, mtime=0), NAMED),
    "x.txt": (b"# a b\n" + b"".join(b"%f  %f\n" % tuple(row[:2]) for row in X), {}),
    "x.parquet": (PARQUET.getvalue(), NAMED),
    "x.h5": (_hdf5(), NAMED),
    "x.idx": (bytes([0, 0, 8, 2]) + struct.pack(">2I", *IMAGES.shape) + IMAGES.tobytes(), {}),
}


@st.composite
def spoilt_files(draw: st.DrawFn) -> tuple[str, bytes]:
    """A file of some format, with a few bytes changed, inserted, left out or cut off.

    Half of the changes are in what formats say of themselves, at the beginning or the end.
    """
    name = draw(st.sampled_from(sorted(FILES)))
    content = bytearray(FILES[name][0])
    for _ in range(draw(st.integers(1, 3))):
        ends = st.integers(0, 150) | st.integers(max(0, len(content) - 150), len(content))
        place = draw(ends | st.integers(0, len(content)))
        new = draw(st.binary(max_size=4) | st.sampled_from([b"\xff" * 8, b"\0" * 8, b"-1", b"nan"]))
        content[place : place + draw(st.sampled_from([len(new), 0, 1, 40]))] = new
    if draw(st.integers(0, 5)) == 0:
        del content[draw(st.integers(0, len(content))) :]
    return name, bytes(content)


@given(spoilt_files())
@FUZZ
def test_files(project: Path, spoilt: tuple[str, bytes]) -> None:
    name, content = spoilt
    Path("data/raw", name).write_bytes(content)
    write_params(name, data=FILES[name][1])
    if prepares_or_leaves_all(prepare.main).status == 0:
        data = load_prepared(PREPARED)
        assert all(np.isfinite(data.split(name).x).all() for name in ("train", "test"))


@pytest.mark.parametrize("name", sorted(FILES))
def test_files_are_valid_before_they_are_spoilt(project: Path, name: str) -> None:
    content, keys = FILES[name]
    Path("data/raw", name).write_bytes(content)
    write_params(name, data=keys)
    assert prepares_or_leaves_all(prepare.main).status == 0
