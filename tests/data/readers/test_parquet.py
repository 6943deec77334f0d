from decimal import Decimal
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from offset_autoencoder.data.readers.base import ColumnRoles
from offset_autoencoder.data.readers.parquet_files import read_parquet_table
from offset_autoencoder.errors import InputError


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "x.parquet"


def test_roles_and_dtype(path: Path) -> None:
    frame = pd.DataFrame({"a": [1, 255], "b": [3, 4]}, dtype="uint8")
    frame["kind"] = pd.Categorical(["cat", "dog"])
    frame["name"] = ["u", "v"]
    frame.to_parquet(path)
    table = read_parquet_table(path, ColumnRoles(label="kind", id="name"))
    np.testing.assert_array_equal(table.x, [[1, 3], [255, 4]])
    assert table.x.dtype == np.uint8
    assert np.asarray(table.labels).tolist() == ["cat", "dog"]
    assert np.asarray(table.ids).tolist() == ["u", "v"]


def test_an_index_is_no_feature_but_may_be_the_id(path: Path) -> None:
    pd.DataFrame({"a": [1.0, 2], "b": [3.0, 4]}, index=pd.Index(["u", "v"], name="key")).to_parquet(
        path
    )
    table = read_parquet_table(path, ColumnRoles(id="key"))
    assert table.columns == ("a", "b")
    assert np.asarray(table.ids).tolist() == ["u", "v"]
    assert read_parquet_table(path, ColumnRoles()).columns == ("a", "b")


def test_mixed_numbers(path: Path) -> None:
    pq.write_table(
        pa.table({"a": [1, 2], "b": [0.5, 1.5], "c": [True, False], "d": [Decimal("1.25")] * 2}),
        path,
    )
    np.testing.assert_array_equal(
        read_parquet_table(path, ColumnRoles()).x, [[1, 0.5, 1, 1.25], [2, 1.5, 0, 1.25]]
    )


@pytest.mark.parametrize(
    ("columns", "roles", "message"),
    [
        ({"a": [1, None]}, ColumnRoles(), "row 1, column 'a': the cell is null"),
        (
            {"a": ["x", "y"]},
            ColumnRoles(),
            "row 0, column 'a': 'x' is not a finite number; in all: column 'a' holds",
        ),
        ({"a": [["x"]]}, ColumnRoles(), r"row 0, column 'a': \['x'\] is not a number.*list"),
        ({"a": [[[1.0]]]}, ColumnRoles(), r"row 0, column 'a': \[\[1\.0\]\] is not a number"),
        ({"a": [["x" * 50] * 50]}, ColumnRoles(), r"row 0, column 'a': .{1,350} is not a number"),
        (
            {"a": [[1.0, 2], [3], [4, 5]]},
            ColumnRoles(),
            r"row 1, column 'a': holds a list of 1 numbers, those before it of 2",
        ),
        ({"a": [[1.0], None, [2]]}, ColumnRoles(), "row 1, column 'a': the cell is null"),
        ({"a": [[1, 2], [1, 2], [1, None]]}, ColumnRoles(), "row 2, column 'a': the cell is null"),
        ({"a": [[]]}, ColumnRoles(), r"row 0, column 'a': \[\] is not a number"),
        ({"a": [1], "l": [[1, 2]]}, ColumnRoles(label="l"), r"data\.label: .*lists in column 'l'"),
        (
            {"a": [1, 2], "l": ["x", None]},
            ColumnRoles(label="l"),
            "row 1, column 'l': the label is null",
        ),
        ({"a": [1, 2]}, ColumnRoles(label="b"), "has no column 'b'"),
    ],
)
def test_mistakes_are_placed(
    path: Path, columns: dict[str, list[object]], roles: ColumnRoles, message: str
) -> None:
    pq.write_table(pa.table(columns), path)
    with pytest.raises(InputError, match=message):
        read_parquet_table(path, roles)


def test_truncated(path: Path) -> None:
    pq.write_table(pa.table({"a": np.random.default_rng(0).normal(size=5000)}), path)
    content = path.read_bytes()
    for kept in (0, 3, 1000, len(content) - 10):
        path.write_bytes(content[:kept])
        with pytest.raises(InputError, match=r"x\.parquet: is damaged, truncated or not parquet"):
            read_parquet_table(path, ColumnRoles())


@pytest.mark.parametrize(
    "kind",
    [pa.list_(pa.float32()), pa.list_(pa.float32(), 5), pa.large_list(pa.float32())],
    ids=str,
)
def test_a_column_of_lists_is_as_many_features(path: Path, kind: pa.DataType) -> None:
    emb = np.random.default_rng(0).normal(size=(50, 5)).astype(np.float32)
    table = pa.table(
        {"a": np.arange(50.0), "emb": pa.array(emb.tolist(), kind), "tags": [["x"]] * 50}
    )
    pq.write_table(table, path, row_group_size=20)
    read = read_parquet_table(path, ColumnRoles(features=("emb",), id="a"))
    np.testing.assert_array_equal(read.x, emb)
    assert read.columns == ("emb_0", "emb_1", "emb_2", "emb_3", "emb_4")
    assert np.asarray(read.ids).tolist() == list(range(50))
    read = read_parquet_table(path, ColumnRoles(features=("emb_3", "a", "emb_0")))
    np.testing.assert_array_equal(read.x, np.stack([emb[:, 3], np.arange(50), emb[:, 0]], axis=1))


def test_every_list_is_a_feature_by_default(path: Path) -> None:
    pd.DataFrame({"e": [[1, 2], [3, 4]], "b": [7, 8]}).to_parquet(path)
    read = read_parquet_table(path, ColumnRoles())
    assert read.columns == ("e_0", "e_1", "b")
    assert read.x.tolist() == [[1, 2, 7], [3, 4, 8]]


def test_lists_without_a_number_are_no_feature(path: Path) -> None:
    lists = pa.array([[], []], pa.list_(pa.float64()))
    pq.write_table(pa.table({"a": [1.0, 2.0], "empty": lists}), path)
    with pytest.raises(InputError, match=r"column 'empty': starts with an empty list"):
        read_parquet_table(path, ColumnRoles())
    assert read_parquet_table(path, ColumnRoles(exclude=("empty",))).x.tolist() == [[1], [2]]
