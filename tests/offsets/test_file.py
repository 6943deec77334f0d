from __future__ import annotations

import contextlib
from dataclasses import replace
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from tests.offsets.small_data import prepared

from offset_autoencoder.config import SPLITS, SplitName
from offset_autoencoder.config.offset_kinds import DataShape, FileOffset
from offset_autoencoder.data.prepared import PreparedData
from offset_autoencoder.errors import InputError
from offset_autoencoder.offsets.file import match_ids, read_tables
from offset_autoencoder.offsets.kind import Vectors

N = 10
ROWS: dict[SplitName, list[int]] = {
    "train": [7, 0, 3, 9, 4],
    "validation": [1, 8],
    "test": [2, 6, 5],
}
VALUES = np.arange(N * 3, dtype=np.float64).reshape(N, 3) / 7
NAMES = np.array([f"sample-{row}" for row in range(N)])


def data_with(ids: NDArray[Any], kind: str) -> PreparedData:
    data = prepared()
    splits = {split: replace(data.split(split), ids=ids[rows]) for split, rows in ROWS.items()}
    return PreparedData(**splits, schema=replace(data.schema, ids=kind))


BY_ROW = data_with(np.arange(N), "rows")
BY_ID = data_with(NAMES, "given")


def read(raw: Path, data: PreparedData = BY_ROW, latent_dim: int = 3, **keys: Any) -> Any:
    return read_tables("mine", FileOffset.model_validate(keys), data, latent_dim, raw)


def check(vectors: Vectors) -> None:
    for split in SPLITS:
        table = np.concatenate(list(vectors[split]))
        assert table.dtype == np.float32
        np.testing.assert_array_equal(table, VALUES[ROWS[split]].astype(np.float32))


def message(raw: Path, data: PreparedData = BY_ROW, latent_dim: int = 3, **keys: Any) -> str:
    with pytest.raises(InputError) as caught:
        read(raw, data, latent_dim, **keys)
    return str(caught.value)


def changed(row: int, column: int, value: float) -> NDArray[Any]:
    values = VALUES.copy()
    values[row, column] = value
    return values


def frame(rows: list[int] | None = None) -> pd.DataFrame:
    rows = list(range(N)) if rows is None else rows
    table = pd.DataFrame(VALUES[rows], columns=["a", "b", "c"])
    table.insert(1, "name", NAMES[rows])
    return table


def save(path: Path, rows: list[int]) -> None:
    """Write the rows with their ids in the format that the path names."""
    if path.suffix == ".npz":
        np.savez(path, values=VALUES[rows], name=NAMES[rows])
    elif path.suffix == ".csv":
        frame(rows).to_csv(path, index=False)
    else:
        frame(rows).to_parquet(path, index=False)


def test_whole_data_set_by_row(tmp_path: Path) -> None:
    np.save(tmp_path / "t.npy", VALUES)
    check(read(tmp_path, path="t.npy"))
    np.savez(tmp_path / "t.npz", values=VALUES, other=VALUES[:2])
    check(read(tmp_path, path="t.npz", array="values"))
    frame().to_csv(tmp_path / "t.csv", index=False)
    check(read(tmp_path, path="t.csv", columns=["a", "b", "c"]))
    frame().to_parquet(tmp_path / "t.parquet", index=False)
    check(read(tmp_path, path="t.parquet", columns=["a", "b", "c"]))


@pytest.mark.parametrize("suffix", ["npz", "csv", "parquet"])
def test_by_id_in_any_order(tmp_path: Path, suffix: str) -> None:
    save(tmp_path / f"t.{suffix}", [5, 2, 9, 0, 1, 8, 3, 4, 7, 6])
    check(read(tmp_path, BY_ID, path=f"t.{suffix}", id="name"))


def test_npy_by_ids_in_a_file_of_their_own(tmp_path: Path) -> None:
    order = [5, 2, 9, 0, 1, 8, 3, 4, 7, 6]
    np.save(tmp_path / "t.npy", VALUES[order])
    np.save(tmp_path / "ids.npy", NAMES[order])
    check(read(tmp_path, BY_ID, path="t.npy", id="ids.npy"))


@pytest.mark.parametrize("suffix", ["npz", "csv", "parquet"])
def test_one_file_a_split_by_id(tmp_path: Path, suffix: str) -> None:
    for split in SPLITS:
        save(tmp_path / f"{split}.{suffix}", ROWS[split][::-1])
    paths = {split: f"{split}.{suffix}" for split in SPLITS}
    check(read(tmp_path, BY_ID, path=paths, id="name"))


@pytest.mark.parametrize("data", [BY_ROW, BY_ID])
def test_one_file_a_split_by_row_of_the_split(tmp_path: Path, data: PreparedData) -> None:
    for split in SPLITS:
        np.save(tmp_path / f"{split}.npy", VALUES[ROWS[split]])
    check(read(tmp_path, data, path={split: f"{split}.npy" for split in SPLITS}))


def test_row_numbers_serve_as_ids(tmp_path: Path) -> None:
    np.savez(tmp_path / "t.npz", values=VALUES[::-1], row=np.arange(N)[::-1])
    check(read(tmp_path, path="t.npz", array="values", id="row"))


def test_numbers_in_the_table_match_text_in_the_data(tmp_path: Path) -> None:
    data = data_with(np.arange(N).astype(str), "given")
    table = frame().assign(name=range(N))
    table.to_csv(tmp_path / "t.csv", index=False)
    check(read(tmp_path, data, path="t.csv", id="name"))


BY_NUMBER = data_with(np.arange(N) + 5, "given")


@pytest.mark.parametrize("suffix", ["csv", "tsv", "parquet", "npz", "npy", "h5"])
@pytest.mark.parametrize("as_text", [False, True])
def test_ids_that_are_whole_floats_are_matched(tmp_path: Path, suffix: str, as_text: bool) -> None:
    order = [5, 2, 9, 0, 1, 8, 3, 4, 7, 6]
    ids: NDArray[Any] = (np.array(order) + 5.0).astype(str if as_text else float)
    path, id = tmp_path / f"t.{suffix}", "name"
    table = pd.DataFrame(VALUES[order], columns=["a", "b", "c"]).assign(name=ids)
    if suffix == "parquet":
        table.to_parquet(path)
    elif suffix in ("csv", "tsv"):
        table.to_csv(path, index=False, sep="," if suffix == "csv" else "\t")
    elif suffix == "npz":
        np.savez(path, values=VALUES[order], name=ids[:, None])
    elif suffix == "h5":
        with h5py.File(path, "w") as file:
            file["values"], file["name"] = VALUES[order], ids.astype("S") if as_text else ids
    else:
        np.save(path, VALUES[order])
        np.save(tmp_path / "ids.npy", ids)
        id = "ids.npy"
    check(read(tmp_path, BY_NUMBER, path=f"t.{suffix}", id=id))


def test_a_table_without_a_header(tmp_path: Path) -> None:
    np.savetxt(tmp_path / "t.txt", VALUES, fmt="%.17g")
    check(read(tmp_path, path="t.txt", header=False))
    rows = np.column_stack([VALUES, np.arange(N) + 5])
    np.savetxt(tmp_path / "t.csv", rows, delimiter=",", fmt="%.17g")
    check(read(tmp_path, BY_NUMBER, path="t.csv", header=False, columns=[0, 1, 2], id=3))


def test_a_column_of_lists(tmp_path: Path) -> None:
    table = pd.DataFrame({"v": VALUES.tolist(), "name": NAMES})
    table.to_parquet(tmp_path / "t.parquet")
    check(read(tmp_path, BY_ID, path="t.parquet", id="name"))
    check(read(tmp_path, BY_ID, path="t.parquet", columns=["v"], id="name"))


def test_one_file_of_an_array_per_split(tmp_path: Path) -> None:
    arrays: dict[str, Any] = {f"v_{split}": VALUES[rows] for split, rows in ROWS.items()}
    ids: dict[str, Any] = {f"id_{split}": NAMES[rows] for split, rows in ROWS.items()}
    np.savez(tmp_path / "t.npz", **arrays, **ids)
    with h5py.File(tmp_path / "t.h5", "w") as file:
        for name, vectors in arrays.items():
            file[name] = vectors
    array: dict[str, str] = {split: f"v_{split}" for split in SPLITS}
    for name in ("t.npz", "t.h5"):
        check(read(tmp_path, path=name, array=array))
        check(read(tmp_path, path=dict.fromkeys(SPLITS, name), array=array))
    check(read(tmp_path, BY_ID, path="t.npz", array=array, id={s: f"id_{s}" for s in SPLITS}))
    text = message(tmp_path, path="t.npz", array={"train": "v_train", "test": "v_test"})
    assert "offsets.mine.array: names no array for the validation split" in text
    text = message(tmp_path, path="t.npz")
    assert "mine.array: {train: v_train, validation: v_validation, test: v_test}" in text


def test_own_ids_ask_for_the_tables_ids(tmp_path: Path) -> None:
    np.save(tmp_path / "t.npy", VALUES)
    text = message(tmp_path, BY_ID, path="t.npy")
    assert text.startswith("params.yaml: offsets.mine: the data has ids of its own (data.id)")
    assert "offsets.mine.id" in text


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        (
            VALUES[:, :2],
            "2 columns, network.latent_dim is 3 (give the models with this offset latent_dim: 2)",
        ),
        (VALUES[:9], "holds 9 rows, there are 10 samples of the whole data set"),
        (VALUES[:, 0], "has shape (10,), expected (samples, 3)"),
        (VALUES.astype(str), "expected real numbers"),
        (VALUES + 1j, "expected real numbers"),
        (VALUES.astype(object), "pickled"),
        (changed(4, 1, np.nan), "row 4, column 1: nan is not"),
        (changed(9, 2, np.inf), "row 9, column 2: inf is not"),
        (changed(1, 0, 1e300), "row 1, column 0: 1e+300 is not"),
    ],
)
def test_arrays_that_do_not_suit(tmp_path: Path, values: NDArray[Any], expected: str) -> None:
    np.save(tmp_path / "t.npy", values, allow_pickle=True)
    text = message(tmp_path, path="t.npy")
    assert text.startswith(str(tmp_path / "t.npy"))
    assert expected in text


def test_wrong_number_of_rows_in_a_split(tmp_path: Path) -> None:
    for split in SPLITS:
        np.save(tmp_path / f"{split}.npy", VALUES[ROWS[split]])
    np.save(tmp_path / "test.npy", VALUES[:4])
    text = message(tmp_path, path={split: f"{split}.npy" for split in SPLITS})
    assert f"{tmp_path / 'test.npy'}: holds 4 rows, there are 3 samples of the test split" in text


def test_missing_split_is_named(tmp_path: Path) -> None:
    np.save(tmp_path / "a.npy", VALUES)
    text = message(tmp_path, path={"train": "a.npy", "test": "a.npy"})
    assert text.startswith("params.yaml: offsets.mine.path: names no file for the validation split")


@pytest.mark.parametrize("suffix", ["npz", "csv", "parquet"])
@pytest.mark.parametrize(
    ("rows", "expected"),
    [
        (
            [0, 1, 2, 3, 4, 5, 6],
            "no vector for 3 samples of the data set: id 'sample-7', 'sample-9",
        ),
        ([*range(10), 4], "rows 4 and 10: the id 'sample-4' stands twice"),
    ],
)
def test_ids_missing_or_twice(tmp_path: Path, suffix: str, rows: list[int], expected: str) -> None:
    save(tmp_path / f"t.{suffix}", rows)
    text = message(tmp_path, BY_ID, path=f"t.{suffix}", id="name")
    assert text.startswith(str(tmp_path / f"t.{suffix}"))
    assert expected in text


def test_unknown_ids_are_refused(tmp_path: Path) -> None:
    names = np.append(NAMES, ["stranger"])
    np.savez(tmp_path / "t.npz", x=np.vstack([VALUES, VALUES[:1]]), name=names)
    text = message(tmp_path, BY_ID, path="t.npz", id="name")
    assert "has 1 id of no sample of the data set: id 'stranger'" in text


def test_ids_of_another_split_are_unknown(tmp_path: Path) -> None:
    for split in SPLITS:
        save(tmp_path / f"{split}.csv", [*ROWS[split], *([2] if split == "train" else [])])
    paths = {split: f"{split}.csv" for split in SPLITS}
    text = message(tmp_path, BY_ID, path=paths, id="name")
    assert "has 1 id of no sample of the train split: id 'sample-2'" in text


def test_ids_that_are_not_ids(tmp_path: Path) -> None:
    np.savez(tmp_path / "t.npz", x=VALUES, name=np.linspace(0, 1, N))
    assert "is no whole number, expected" in message(tmp_path, BY_ID, path="t.npz", id="name")


@pytest.mark.parametrize(
    ("keys", "expected"),
    [
        ({"path": "absent.npy"}, "params.yaml: offsets.mine.path: there is no file"),
        ({"path": "../t.npy"}, "params.yaml: offsets.mine.path: '../t.npy' is not inside"),
        ({"path": "t.npz", "array": "vals"}, "params.yaml: offsets.mine.array: "),
        ({"path": "t.npz", "array": "vals"}, "did you mean 'values'?"),
        ({"path": "t.npz", "id": "nam"}, "params.yaml: offsets.mine.id: "),
        ({"path": "t.csv", "columns": ["a", "bb", "c"]}, "params.yaml: offsets.mine.columns[1]: "),
        ({"path": "t.csv", "columns": ["a", "bb", "c"]}, "did you mean"),
        ({"path": "t.csv"}, "column 'name': 'sample-0' is not a finite number"),
        ({"path": "t.csv"}, "name the columns to use in offsets.mine.columns and offsets.mine.id"),
        ({"path": "t.csv", "array": "x"}, "params.yaml: offsets.mine.array: goes with npz"),
        ({"path": "t.npz", "columns": ["x"]}, "offsets.mine.columns: goes with csv and parquet"),
        ({"path": "t.foo"}, "unknown file format '.foo'"),
        ({"path": "z.npy"}, "set offsets.mine.complex: real_imag, which is two columns of each"),
        ({"path": "z.npy", "complex": "real_imag"}, "holds vectors of 6 columns"),
        ({"path": "t.txt"}, "set offsets.mine.header: false where there is none"),
        ({"path": "cut.npy"}, "cut.npy: is damaged or truncated"),
        ({"path": "cut.npz"}, "cut.npz: is damaged or truncated"),
        ({"path": "cut.parquet"}, "cut.parquet: is damaged, truncated"),
    ],
)
def test_files_and_names_that_are_wrong(
    tmp_path: Path, keys: dict[str, Any], expected: str
) -> None:
    np.savez(tmp_path / "t.npz", values=VALUES, name=NAMES)
    frame().to_csv(tmp_path / "t.csv", index=False)
    frame().to_parquet(tmp_path / "t.parquet")
    np.save(tmp_path / "t.npy", VALUES)
    (tmp_path / "t.foo").write_text("1")
    np.savetxt(tmp_path / "t.txt", VALUES)
    np.save(tmp_path / "z.npy", VALUES * 1j)
    for suffix in ("npy", "npz", "parquet"):
        whole = (tmp_path / f"t.{suffix}").read_bytes()
        (tmp_path / f"cut.{suffix}").write_bytes(whole[: len(whole) // 2])
    assert expected in message(tmp_path, **keys)


@pytest.mark.parametrize("ending", ["npy", "npz", "h5"])
def test_complex_vectors_are_two_columns_of_each_or_their_size(tmp_path: Path, ending: str) -> None:
    z, path = VALUES + 2j * VALUES[::-1], tmp_path / f"z.{ending}"
    if ending == "h5":
        with h5py.File(path, "w") as file:
            file["z"] = z
    else:
        (np.save if ending == "npy" else np.savez)(path, z)
    parts = read(tmp_path, latent_dim=6, path=path.name, complex="real_imag")["train"]
    expected = np.stack([z.real, z.imag], axis=-1).reshape(N, 6)[ROWS["train"]]
    np.testing.assert_array_equal(np.concatenate(list(parts)), expected.astype(np.float32))
    sizes = np.concatenate(list(read(tmp_path, path=path.name, complex="abs")["train"]))
    np.testing.assert_array_equal(sizes, np.abs(z)[ROWS["train"]].astype(np.float32))


@settings(max_examples=25, deadline=None)
@given(st.lists(st.integers(-(2**62), 2**62), min_size=1, max_size=30, unique=True), st.data())
def test_matched_rows_hold_the_samples_ids(ids: list[int], data: st.DataObject) -> None:
    table = np.array(data.draw(st.permutations(ids)))
    rows = match_ids("t.npy", table, np.array(ids), "data set")
    assert table[rows].tolist() == ids


@pytest.mark.parametrize(
    ("path", "id", "varies", "is_refused"),
    [
        ({"train": "a.npy", "validation": "b.npy", "test": "c.npy"}, None, True, True),
        ({"train": "a.npy", "validation": "b.npy", "test": "c.npy"}, None, False, False),
        ({"train": "a.csv", "validation": "b.csv", "test": "c.csv"}, "sample_id", True, False),
        ("a.npy", None, True, False),
    ],
)
def test_rows_of_one_split_are_none_of_another(
    path: Any, id: str | None, varies: bool, is_refused: bool
) -> None:
    section, shape = FileOffset(path=path, id=id), DataShape(9, 3, None, varies=varies)
    with contextlib.ExitStack() as stack:
        if is_refused:
            stack.enter_context(pytest.raises(InputError, match="each seed has a split of its own"))
        section.check_shape("params.yaml: offsets.mine", shape, [4])
