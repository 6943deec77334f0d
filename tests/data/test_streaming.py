"""A data set far larger than a chunk: prepared as if in memory, from every kind of file."""

from __future__ import annotations

import gzip
import struct
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import yaml
from numpy.typing import NDArray
from tests.small_params import small_params

from offset_autoencoder.errors import InputError
from offset_autoencoder.io import arrays
from offset_autoencoder.stages.prepare import main

N, D = 300, 7
X = (np.random.default_rng(0).normal(size=(N, D)) * np.arange(1, D + 1) + 3).astype(np.float32)
IDS = np.random.default_rng(1).permutation(N) + 5
KINDS = np.array(["cat", "dog", "emu"])[np.arange(N) % 3]
FORMATS = {
    "npy": "x.npy",
    "npy, columns first": "x.npy",
    "npz": "x.npz",
    "npz, compressed": "x.npz",
    "npz, columns first": "x.npz",
    "csv": "x.csv",
    "csv.gz": "x.csv.gz",
    "parquet, a row group": "x.parquet",
    "parquet, row groups": "x.parquet",
    "idx": "x.idx",
    "idx.gz": "x.idx.gz",
}
every_format = pytest.mark.parametrize("kind", FORMATS)


def save(kind: str, x: NDArray[Any] = X) -> dict[str, str]:
    """Write the data set as files of data/raw; the keys of ``data:`` that name them."""
    raw, name = Path("data/raw"), FORMATS[kind]
    layout = np.asfortranarray if kind.endswith("columns first") else np.ascontiguousarray
    if name.endswith((".npy", ".idx", ".idx.gz")):
        np.save(raw / "ids.npy", IDS)
        np.save(raw / "kinds.npy", KINDS)
        if name == "x.npy":
            np.save(raw / name, layout(x))
        else:
            content = (
                bytes([0, 0, 13, 2]) + struct.pack(">2I", *x.shape) + x.astype(">f4").tobytes()
            )
            (raw / name).write_bytes(gzip.compress(content) if name.endswith("gz") else content)
        return {"path": name, "id": "ids.npy", "label": "kinds.npy"}
    if name == "x.npz":
        write = np.savez_compressed if "compressed" in kind else np.savez
        write(raw / name, x=layout(x), name=IDS, kind=KINDS)
    else:
        table = pd.DataFrame(x, columns=[f"f{i}" for i in range(D)])
        table["name"], table["kind"] = IDS, KINDS
        if name.startswith("x.csv"):
            # 17 digits bring a float32 back, read as float64, as it was.
            table.astype({f"f{i}": np.float64 for i in range(D)}).to_csv(raw / name, index=False)
        else:
            size = 40 if kind.endswith("groups") else None
            pq.write_table(pa.Table.from_pandas(table), raw / name, row_group_size=size)
    return {"path": name, "id": "name", "label": "kind"}


def prepare(**data: Any) -> dict[str, bytes]:
    document = small_params(
        data={"source": "file", "scale": "none", **data},
        network={"latent_dim": 2, "loss": "mean_squared_error", "output": "linear"},
    )
    Path("params.yaml").write_text(yaml.safe_dump(document))
    main()
    folder = Path("data/prepared")
    return {str(path): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.fixture(autouse=True)
def _in_project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("data/raw").mkdir(parents=True)


@pytest.fixture
def in_chunks(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """From now on a chunk is 19 rows; the files on disk that were asked for, one number each."""
    monkeypatch.setattr(arrays, "CHUNK_VALUES", 19 * D)
    monkeypatch.setattr("offset_autoencoder.data.scaling._BLOCK_VALUES", 8 * D)
    opened: list[int] = []
    original = arrays.mapped

    def counted(*arguments: Any) -> Any:
        opened.append(1)
        return original(*arguments)

    monkeypatch.setattr(arrays, "mapped", counted)
    return opened


@every_format
@pytest.mark.parametrize("scale", ["none", "unit", "minmax"])
def test_prepared_in_chunks_as_whole(kind: str, scale: str, request: pytest.FixtureRequest) -> None:
    keys = save(kind)
    whole = prepare(scale=scale, **keys)
    opened = request.getfixturevalue("in_chunks")
    assert prepare(scale=scale, **keys) == whole
    assert opened  # ids in another order than the rows: put in order on disk
    assert [path.name for path in Path("data").iterdir() if path.name.startswith(".")] == []


@every_format
def test_every_format_is_prepared_alike_in_chunks(kind: str, in_chunks: list[int]) -> None:
    expected = prepare(scale="standard", **save("npy"))
    got = prepare(scale="standard", **save(kind))
    differing = {path for path in got if got[path] != expected[path]}
    assert {Path(path).name for path in differing} <= {"schema.json"}  # names the file


def test_rows_by_their_number_need_no_other_order(in_chunks: list[int]) -> None:
    save("npy")
    prepare(path="x.npy")
    assert not in_chunks


def test_moments_of_chunks_are_those_of_the_whole(in_chunks: list[int]) -> None:
    np.save("data/raw/x.npy", X.astype(np.float64) + 1e7)
    prepare(path="x.npy", scale="standard")
    ids = np.load("data/prepared/train/ids.npy")
    scale = np.load("data/prepared/scale.npz")
    train = X.astype(np.float64)[ids] + 1e7
    np.testing.assert_allclose(scale["shift"], train.mean(axis=0), rtol=1e-14)
    np.testing.assert_allclose(1 / scale["factor"], train.std(axis=0), rtol=1e-8)


@pytest.mark.parametrize("kind", [kind for kind in FORMATS if "csv" not in kind])
def test_a_value_far_down_is_named_by_its_row(kind: str, in_chunks: list[int]) -> None:
    x = X.copy()
    x[250, 3] = x[250, 5] = x[251, 0] = np.nan
    keys = save(kind, x)
    with pytest.raises(InputError) as caught:
        prepare(**keys)
    message = str(caught.value)
    assert f"{FORMATS[kind]}, row 250, column " in message
    if "parquet" in kind:  # where NaN is written as null
        assert "'f3': the cell is null" in message
    else:
        assert "3: nan is not a finite number" in message
    assert not Path("data/prepared").exists()


def test_a_cell_far_down_a_csv_is_named_by_its_line(in_chunks: list[int]) -> None:
    x = X.copy()
    x[250, 3] = np.nan
    with pytest.raises(InputError, match=r"row 250 \(line 252\), column 'f3': the cell is empty"):
        prepare(**save("csv", x))


def test_a_value_too_large_is_named_by_its_row_in_the_file(in_chunks: list[int]) -> None:
    x = X.astype(np.float64)
    x[260, 2] = 1e39
    keys = save("npy", x)
    with pytest.raises(InputError, match=r"x\.npy, row 260, column 2: is too large for float32"):
        prepare(**keys)
    assert in_chunks


def test_an_npz_that_goes_to_disk_is_checked_as_it_is_unpacked(in_chunks: list[int]) -> None:
    keys = save("npz, compressed")
    path = Path("data/raw/x.npz")
    content = bytearray(path.read_bytes())
    content[1000:1010] = b"\xff" * 10
    path.write_bytes(bytes(content))
    with pytest.raises(InputError, match=r"x\.npz: is damaged or truncated"):
        prepare(**keys)


def test_an_error_leaves_nothing_on_disk(
    in_chunks: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    keys = save("parquet, a row group")

    def fail(*_: Any, **__: Any) -> None:
        raise OSError("disk full")

    monkeypatch.setattr("offset_autoencoder.data.prepared.write_all_but_x", fail)
    with pytest.raises(OSError, match="disk full"):
        prepare(**keys)
    assert [path.name for path in Path("data").iterdir()] == ["raw"]
