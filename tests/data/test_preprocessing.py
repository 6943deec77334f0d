"""Categories one-hot, rows and features left out, of the data set and of new samples."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from offset_autoencoder.config.data_schema import Data
from offset_autoencoder.data.preprocessing import (
    Preprocessing,
    drop_incomplete,
    encode_categories,
    encode_columns,
    one_hot,
)
from offset_autoencoder.data.readers.base import Table
from offset_autoencoder.data.samples import Samples, load_samples
from offset_autoencoder.errors import InputError

LEVELS = {"k": ["cat", "dog", "emu"]}
FEATURES = ("a", "k=cat", "k=dog", "k=emu")


def table(codes: list[float], levels: tuple[str, ...]) -> Table:
    x = np.column_stack([np.arange(len(codes), dtype=np.float64), codes])
    return Table(x, "x.csv", columns=("a", "k"), levels={"k": levels})


def test_levels_of_all_files_are_features_of_each() -> None:
    tables, levels = encode_categories(
        [table([0, 1, np.nan], ("emu", "cat")), table([0, 1, 1], ("dog", "emu"))]
    )
    assert levels == LEVELS
    assert tables[0].columns == tables[1].columns == FEATURES
    nan = np.nan
    np.testing.assert_array_equal(tables[0].x, [[0, 0, 0, 1], [1, 1, 0, 0], [2, nan, nan, nan]])
    np.testing.assert_array_equal(tables[1].x, [[0, 0, 1, 0], [1, 0, 0, 1], [2, 0, 0, 1]])
    assert tables[0].feature_name(3) == "column 'k=emu'"
    with pytest.raises(InputError, match="two features would have the name 'k=cat'"):
        encode_categories(
            [Table(np.zeros((1, 2)), "x", columns=("k", "k=cat"), levels={"k": ("cat",)})]
        )


def test_an_unknown_level_is_none_of_them() -> None:
    done = Preprocessing(levels=LEVELS).apply(table([0, 1], ("dog", "yak")), FEATURES)
    np.testing.assert_array_equal(done.x, [[0, 0, 1, 0], [1, 0, 0, 0]])
    assert done.notes == (
        "column 'k' has levels that no sample of the data set has, taken for none: 'yak'",
    )


def test_columns_of_features() -> None:
    done = Preprocessing(levels=LEVELS)
    assert done.raw_columns(FEATURES) == ("a", "k")
    assert done.raw_columns(("k=emu", "a=1")) == ("k", "a=1")
    few = one_hot(table([0, 1], ("cat", "emu")), ("k=emu", "a"), LEVELS)
    np.testing.assert_array_equal(few.x, [[0, 0], [1, 1]])


def test_incomplete_rows_keep_the_others_numbers() -> None:
    whole = Table(np.array([[1.0], [np.nan], [3.0]]), "x.csv", ids=np.array([5, 6, 7]))
    done = drop_incomplete(whole)
    assert done.x.tolist() == [[1], [3]]
    assert (done.row_numbers.tolist(), done.dropped) == ([0, 2], 1)
    assert np.asarray(done.ids).tolist() == [5, 7]
    assert done.location(1, 0) == "x.csv, row 2, column 0"
    assert Preprocessing(missing="drop").apply(whole, None).notes == (
        "row with a missing cell, left out (data.missing: drop): 1",
    )
    assert drop_incomplete(done) is done
    with pytest.raises(InputError, match="has a missing cell in every row"):
        drop_incomplete(Table(np.full((2, 1), np.nan), "x.csv"))


def test_columns_by_name_are_what_a_file_of_them_is() -> None:
    done = Preprocessing(levels=LEVELS, missing="mean")
    columns: dict[str, Any] = {
        "k": np.array(["dog", "", "yak"]),
        "a": [1, 2.5, None],
        "other": [0, 0, 0],
    }
    nan = np.nan
    np.testing.assert_array_equal(
        encode_columns(columns, FEATURES, done),
        [[1, 0, 1, 0], [2.5, nan, nan, nan], [nan, 0, 0, 0]],
    )
    wrongs: tuple[tuple[dict[str, Any], str], ...] = (
        ({"a": [1]}, "column 'k': missing"),
        ({"a": ["one"], "k": ["dog"]}, "column 'a': holds what is no number"),
        ({"a": [1, 2], "k": ["dog"]}, "columns: have 1, 2 values"),
    )
    for wrong, message in wrongs:
        with pytest.raises(InputError, match=message):
            encode_columns(wrong, FEATURES, done)


def test_features_that_are_left_of_an_array() -> None:
    done = Preprocessing(raw_features=4, kept=[0, 3])
    x = np.arange(8.0).reshape(2, 4)
    assert done.choose_features(x).tolist() == [[0, 3], [4, 7]]
    assert done.choose_features(x.reshape(2, 2, 2)).tolist() == [[0, 3], [4, 7]]
    assert done.choose_features(x[:, :2]).tolist() == x[:, :2].tolist()
    assert done.apply(Table(x, "x.npy"), None).x.tolist() == [[0, 3], [4, 7]]


def read(raw: Path, **keys: object) -> Samples:
    return load_samples(Data.model_validate({"source": "file", **keys}), raw)


def test_a_file_per_split(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("u,v,k\n1,2,x\n3,,y\n")
    (tmp_path / "b.csv").write_text("k,u,v\nz,5.5,6\nx,NA,1\n")
    keys = {"path": {"train": "a.csv", "test": "b.csv"}, "categorical": "one_hot"}
    samples = read(tmp_path, **keys, missing="drop")
    np.testing.assert_array_equal(samples.x[:], [[1, 2, 1, 0, 0], [5.5, 6, 0, 0, 1]])
    assert samples.ids.tolist() == [0, 2]
    assert samples.location(1, 1).endswith("b.csv, row 0 (line 2), column 'v'")
    with pytest.raises(InputError, match=r"b\.csv, row 1 \(line 3\), column 'u': 'NA' is not"):
        read(tmp_path, path={"train": "b.csv", "test": "a.csv"}, categorical="one_hot")
    assert read(tmp_path, **keys, missing="mean", exclude=["v"]).x.shape == (4, 4)
    (tmp_path / "b.csv").write_text("k,u,v\nz,one,6\n")
    with pytest.raises(InputError, match=r"b\.csv, row 0 .*column 'u': 'one' is not a finite"):
        read(tmp_path, **keys, missing="drop")
    with pytest.raises(InputError, match=r"data\.exclude: .*a\.csv has no column 'w'"):
        read(tmp_path, **keys, exclude=["w"])
    with pytest.raises(
        InputError, match=r"data\.features\[0\]: column 'u' stands in data\.exclude"
    ):
        read(tmp_path, **keys, exclude=["u"], features=["u"])
