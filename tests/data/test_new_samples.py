"""New samples, read from every kind of file as ``prepare`` reads its own."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pandas as pd
import pytest
import yaml
from scipy import sparse
from tests.cli.conftest import DOCUMENT, FEATURES, frame, write_project

from offset_autoencoder.data.new_samples import ColumnOptions, read_new_samples
from offset_autoencoder.data.preprocessing import Preprocessing
from offset_autoencoder.data.readers.base import Table
from offset_autoencoder.errors import InputError


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project that has its data and params, and nothing else; the working directory."""
    write_project(tmp_path)
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder that is no project."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


def read(
    path: str,
    *,
    labelled: bool = False,
    trained_on: Sequence[str] | None = None,
    preprocessing: Preprocessing = Preprocessing(),  # noqa: B008 - frozen
    **named: Any,
) -> Table:
    return read_new_samples(
        Path(path),
        ColumnOptions(**named),
        labelled=labelled,
        trained_on=trained_on,
        preprocessing=preprocessing,
    )


def write_data_section(**keys: Any) -> None:
    document = DOCUMENT | {"data": {"source": "file", **keys}}
    Path("params.yaml").write_text(yaml.safe_dump(document))


def test_every_format_gives_the_same(elsewhere: Path) -> None:
    table = frame(20)[FEATURES]
    table.to_csv("a.csv", index=False)
    table.to_csv("a.csv.gz", index=False)
    table.to_parquet("a.parquet")
    np.save("a.npy", table.to_numpy())
    np.savez_compressed("a.npz", x=table.to_numpy(), others=np.zeros(3))
    table.to_csv("a.txt", index=False, sep=" ")
    sparse.save_npz("sparse.npz", sparse.csr_array(table.to_numpy()))
    with h5py.File("a.h5", "w") as file:
        file["x"] = table.to_numpy()
    names = ("a.csv", "a.csv.gz", "a.txt", "a.parquet", "a.npy", "a.npz", "sparse.npz", "a.h5")
    for name in names:
        np.testing.assert_array_equal(read(name).x, table, err_msg=name)
    assert read("a.csv").columns == read("a.parquet").columns == tuple(FEATURES)


def test_columns_are_found_by_name(project: Path) -> None:
    table = frame(20)
    exchanged = table[["kind", *reversed(FEATURES), "name"]].assign(note="new")
    exchanged.to_csv("new.csv", index=False)
    exchanged.to_parquet("new.parquet")
    for name in ("new.csv", "new.parquet"):
        found = read(name, trained_on=FEATURES)
        assert found.columns == tuple(FEATURES)
        np.testing.assert_array_equal(found.x, table[FEATURES])
        assert np.asarray(found.ids).tolist() == list(table["name"])
        assert found.labels is None
        labels = read(name, labelled=True, trained_on=FEATURES).labels
        assert np.asarray(labels).tolist() == list(table["kind"])


def test_labels_that_nobody_needs_may_be_missing(project: Path) -> None:
    table = frame(20)
    table["kind"] = ""
    table.to_csv("new.csv", index=False)
    np.testing.assert_array_equal(read("new.csv").x, table[FEATURES])
    with pytest.raises(InputError, match="the label is empty"):
        read("new.csv", labelled=True)


def test_the_features_of_the_model_are_taken_unless_others_are_named(elsewhere: Path) -> None:
    frame(20).to_csv("new.csv", index=False)
    found = read("new.csv", trained_on=["f4", "f1"])
    np.testing.assert_array_equal(found.x, frame(20)[["f4", "f1"]])
    found = read("new.csv", trained_on=["f4", "f1"], features="f2,f3,f0")
    np.testing.assert_array_equal(found.x, frame(20)[["f2", "f3", "f0"]])
    with pytest.raises(InputError, match=r"has no column 'f_2', .* the model .*did you mean 'f2'"):
        read("new.csv", trained_on=["f1", "f_2"])


def test_an_index_that_pandas_stored_is_no_feature(project: Path) -> None:
    frame(20).set_index("f5", append=True).to_parquet("new.parquet")
    assert read("new.parquet").columns == tuple(FEATURES[:5])


def test_elsewhere_what_is_no_feature_is_named(elsewhere: Path) -> None:
    table = frame(20).drop(columns="kind")
    table.to_parquet("new.parquet")
    with pytest.raises(InputError, match=r"column 'name'.*in --features, --label and --id"):
        read("new.parquet")
    np.testing.assert_array_equal(read("new.parquet", id="name").x, table[FEATURES])
    np.savez("two.npz", a=np.zeros((2, 3)), b=np.zeros((2, 4)))
    with pytest.raises(InputError, match=r"^--features: which array of two\.npz"):
        read("two.npz")
    assert read("two.npz", features="b").x.shape == (2, 4)


def test_without_a_header_where_the_option_or_params_say_so(elsewhere: Path) -> None:
    table = frame(20)[FEATURES]
    table.to_csv("new.csv", index=False, header=False)
    columns = [str(index) for index in range(len(FEATURES))]
    np.testing.assert_array_equal(read("new.csv", header=False, trained_on=columns).x, table)
    with pytest.raises(InputError, match=r"looks like data.*set --no-header where"):
        read("new.csv", trained_on=columns)
    write_data_section(path="x.csv", header=False)
    np.testing.assert_array_equal(read("new.csv", trained_on=columns).x, table)


def test_a_column_of_lists_is_found_by_the_names_of_its_places(elsewhere: Path) -> None:
    pd.DataFrame({"note": ["a", "b"], "emb": [[1.0, 2, 3], [4, 5, 6]]}).to_parquet("new.parquet")
    assert read("new.parquet", trained_on=["emb_2", "emb_0"]).x.tolist() == [[3, 1], [6, 4]]
    assert read("new.parquet", features="emb").x.tolist() == [[1, 2, 3], [4, 5, 6]]


@pytest.mark.parametrize(("how", "x"), [("real_imag", [[[1, 2], [3, 0]]]), ("abs", [[5**0.5, 3]])])
def test_complex_numbers_as_the_model_had_them(elsewhere: Path, how: Any, x: Any) -> None:
    np.save("new.npy", np.array([[1 + 2j, 3]]))
    with pytest.raises(InputError, match=r"complex numbers.*trained on real ones: give np\.abs"):
        read("new.npy")
    assert read("new.npy", preprocessing=Preprocessing(complex=how)).x.tolist() == x


def test_labels_beside_a_csv_may_be_a_file(elsewhere: Path) -> None:
    frame(20)[FEATURES].to_csv("new.csv", index=False)
    np.save("y.npy", np.arange(20.0)[:, None])
    found = read("new.csv", labelled=True, label="y.npy", id="y.npy", trained_on=FEATURES)
    assert np.asarray(found.labels).tolist() == np.asarray(found.ids).tolist() == [*range(20)]


def test_labels_and_ids_beside_an_npy_are_files(elsewhere: Path) -> None:
    np.save("x.npy", np.zeros((3, 2)))
    np.save("y.npy", np.array([4, 5, 6]))
    np.save("few.npy", np.array([4]))
    found = read("x.npy", labelled=True, label="y.npy", id="y.npy")
    assert (np.asarray(found.labels).tolist(), np.asarray(found.ids).tolist()) == (
        [4, 5, 6],
        [4, 5, 6],
    )
    with pytest.raises(InputError, match="holds 1 values for 3 samples"):
        read("x.npy", id="few.npy")
    with pytest.raises(InputError, match=r"^--id: no such file: none\.npy"):
        read("x.npy", id="none.npy")


def test_columns_that_are_missing_are_all_named(elsewhere: Path) -> None:
    frame(20).to_csv("new.csv", index=False)
    with pytest.raises(InputError, match="has no column 'a', 'b', some of the features of the mod"):
        read("new.csv", trained_on=["a", "f1", "b"])
