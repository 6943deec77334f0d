"""Sources and what is gathered from them."""

import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import h5py
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from numpy.typing import NDArray
from pyarrow import csv as pa_csv

from offset_autoencoder.config.data_schema import Data, Split
from offset_autoencoder.data.samples import Samples, load_samples
from offset_autoencoder.data.sources import load_source, unread_splits
from offset_autoencoder.errors import InputError

BACKEND = "offset_autoencoder.models.backend"
X = np.random.default_rng(0).normal(size=(12, 4))
LABELS = np.arange(12) % 3


def read(raw: Path, **keys: Any) -> Samples:
    data = Data.model_validate({"source": "file", **keys})
    return load_samples(data, raw)


def save(raw: Path, **arrays: NDArray[Any]) -> None:
    for name, array in arrays.items():
        np.save(raw / f"{name}.npy", array)


def test_digits() -> None:
    data = Data()
    samples = load_samples(data)
    assert samples.x.shape == (1797, 64)
    assert samples.shape.image == (8, 8)
    assert samples.classes == list(range(10))
    assert samples.ids.tolist() == list(range(1797))
    assert samples.tables[0].full_scale == 16


def test_keras_data_sets_bring_their_test_split(monkeypatch: pytest.MonkeyPatch) -> None:
    images = np.arange(40, dtype=np.uint8).reshape(10, 2, 2)
    labels = np.arange(10, dtype=np.uint8) % 2
    loaded = (images[:8], labels[:8]), (images[8:], labels[8:])
    for name in ("mnist", "fashion_mnist"):
        fake = SimpleNamespace(
            datasets=SimpleNamespace(**{name: SimpleNamespace(load_data=lambda: loaded)})
        )
        monkeypatch.setitem(sys.modules, BACKEND, SimpleNamespace(keras=fake))
        data = Data.model_validate({"source": name})
        samples = load_samples(data)
        np.testing.assert_array_equal(samples.x[:], images.reshape(10, 4))
        assert samples.shape.image == (2, 2)
        assert np.asarray(samples.splits).tolist() == ["train"] * 8 + ["test"] * 2
        assert samples.location(9) == f"{name}, test, row 1"


def test_data_that_cannot_be_fetched(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail() -> None:
        raise Exception("URL fetch failure on somewhere: None -- unreachable")

    datasets = SimpleNamespace(mnist=SimpleNamespace(load_data=fail))
    keras = SimpleNamespace(datasets=datasets)
    monkeypatch.setitem(sys.modules, BACKEND, SimpleNamespace(keras=keras))
    monkeypatch.delenv("KERAS_HOME", raising=False)
    with pytest.raises(
        InputError,
        match=r"could not be fetched: URL fetch.*~/\.keras/datasets/mnist\.npz.*data/raw.*: file",
    ):
        load_source(Data(source="mnist"))


@pytest.mark.parametrize("ending", ["npz", "h5", "npy"])
def test_arrays_of_splits_that_nobody_reads_are_named(tmp_path: Path, ending: str) -> None:
    arrays: dict[str, Any] = {"X_train": X, "y_train": LABELS, "X_test": X + 1, "y_test": LABELS}
    if ending == "npy":
        save(tmp_path, **arrays)
    elif ending == "npz":
        np.savez(tmp_path / "a.npz", **arrays)
    else:
        with h5py.File(tmp_path / "a.h5", "w") as file:
            for name, array in arrays.items():
                file[name] = array
    dot = ".npy" if ending == "npy" else ""
    keys: dict[str, Any] = {} if dot else {"path": f"a.{ending}"}
    first = "path" if dot else "features"

    def unread(**named: Any) -> str:
        data = Data.model_validate({"source": "file", **keys, **named})
        load_samples(data, tmp_path)
        return unread_splits(data, tmp_path, Split())

    both = {split: f"X_{split}{dot}" for split in ("train", "test")}
    labels = {split: f"y_{split}{dot}" for split in ("train", "test")}
    text = unread(**{first: both["train"], "label": labels["train"]})
    assert text.startswith(f"X_test{dot}, y_test{dot} in {tmp_path}")
    mend = f"set data.{first}: {both} and data.label: {labels}".replace("'", "")
    assert text.endswith(f" are not read: to have further splits, {mend}")
    assert unread(**{first: both, "label": labels}) == ""
    assert unread(**{first: both}) == ""


def test_npy_with_labels_and_ids_beside_it(tmp_path: Path) -> None:
    ids = np.array([f"s{i}" for i in range(12)])
    save(tmp_path, x=X, y=LABELS, ids=ids)
    samples = read(tmp_path, path="x.npy", label="y.npy", id="ids.npy")
    np.testing.assert_array_equal(samples.x[:], X)
    np.testing.assert_array_equal(np.asarray(samples.y), LABELS)
    assert samples.ids.tolist() == ids.tolist()
    assert samples.ids_given
    assert samples.splits is None


def test_images_are_flattened(tmp_path: Path) -> None:
    images = np.arange(2 * 3 * 4 * 5).reshape(2, 3, 4, 5)
    save(tmp_path, x=images, flat=images.reshape(2, -1), deep=images.reshape(2, 1, 3, 4, 5))
    samples = read(tmp_path, path="x.npy")
    np.testing.assert_array_equal(samples.x[:], images.reshape(2, 60))
    assert samples.shape.image == (3, 4, 5)
    assert read(tmp_path, path="flat.npy").shape.image is None
    assert read(tmp_path, path="deep.npy").shape.image is None
    assert read(tmp_path, path="flat.npy", image_shape=[6, 10]).shape.image == (6, 10)
    with pytest.raises(InputError, match=r"data\.image_shape: \[7, 9\] has 63 values, .* has 60"):
        read(tmp_path, path="flat.npy", image_shape=[7, 9])
    with pytest.raises(InputError, match=r"data\.image_shape: is \[h, w\], "):
        read(tmp_path, path="flat.npy", image_shape=[60])


def test_a_file_a_split(tmp_path: Path) -> None:
    save(tmp_path, a=X[:8], b=X[8:], ya=LABELS[:8], yb=LABELS[8:])
    samples = read(
        tmp_path,
        path={"test": "b.npy", "train": "a.npy"},
        label={"train": "ya.npy", "test": "yb.npy"},
    )
    np.testing.assert_array_equal(samples.x[:], X)
    assert np.asarray(samples.splits).tolist() == ["train"] * 8 + ["test"] * 4
    assert samples.location(8, 2) == f"{tmp_path / 'b.npy'}, row 0, column 2"


def test_one_npz_that_holds_an_array_a_split(tmp_path: Path) -> None:
    np.savez(
        tmp_path / "mnist.npz", x_train=X[:8], y_train=LABELS[:8], x_test=X[8:], y_test=LABELS[8:]
    )
    samples = read(
        tmp_path,
        path={"train": "mnist.npz", "test": "mnist.npz"},
        label={"train": "y_train", "test": "y_test"},
    )
    np.testing.assert_array_equal(samples.x[:], X)
    np.testing.assert_array_equal(np.asarray(samples.y), LABELS)


PARTS = {"train": "X_train", "test": "X_test"}
CLASSES = {"train": "y_train", "test": "y_test"}
FILE = {"train": "f.npz", "test": "f.npz"}


def save_splits(raw: Path) -> None:
    arrays: dict[str, Any] = {
        "X_train": X[:8],
        "y_train": LABELS[:8, None],
        "X_test": X[8:],
        "y_test": LABELS[8:],
    }
    np.savez(raw / "f.npz", **arrays)
    with h5py.File(raw / "f.h5", "w") as file:
        for name, array in arrays.items():
            file["/".join(reversed(name.split("_")))] = array


@pytest.mark.parametrize(
    "keys",
    [
        {"path": "f.npz", "features": PARTS, "label": CLASSES},
        {"path": FILE, "features": PARTS, "label": CLASSES},
        {"path": FILE, "label": CLASSES},
        {"path": "f.npz", "label": CLASSES},
        {"path": FILE, "features": "X", "label": "y"},
        {"path": FILE, "features": "x", "label": "Y"},
        {
            "path": "f.h5",
            "features": {"train": "train/X", "test": "/test/X"},
            "label": {"train": "train/y", "test": "test/y"},
        },
    ],
)
def test_the_arrays_of_each_split_are_named_or_guessed(
    tmp_path: Path, keys: dict[str, Any]
) -> None:
    save_splits(tmp_path)
    samples = read(tmp_path, **keys)
    np.testing.assert_array_equal(samples.x[:], X)
    np.testing.assert_array_equal(np.asarray(samples.y), LABELS)
    assert np.asarray(samples.splits).tolist() == ["train"] * 8 + ["test"] * 4


@pytest.mark.parametrize(
    ("keys", "message"),
    [
        ({"path": "f.npz"}, r"data\.features: \{train: X_train, test: X_test\}"),
        ({"path": "f.npz", "features": "X"}, r"data\.features: \{train: X_train, test: X_test\}"),
        (
            {"path": "f.npz", "features": ["X_train", "X_test"]},
            r"data\.features: \{train: X_train, test: X_test\}",
        ),
        (
            {"path": "f.npz", "features": "X_train", "label": "y"},
            r"data\.label: \{train: y_train, test: y_test\}",
        ),
        ({"path": FILE, "features": "X_train"}, r"test split, too \(data\.features: \{train: X_t"),
        ({"path": FILE, "label": "y_train"}, r"test split, too \(data\.label: \{train: y_train, t"),
        ({"path": "f.npz", "features": {"train": "x_train"}}, "did you mean 'X_train'"),
        (
            {"path": "f.npz", "features": {"train": "X_train"}, "label": CLASSES},
            r"data\.features: has no test, data\.path has",
        ),
    ],
)
def test_the_arrays_of_each_split_are_told(
    tmp_path: Path, keys: dict[str, Any], message: str
) -> None:
    save_splits(tmp_path)
    with pytest.raises(InputError, match=message):
        read(tmp_path, **keys)


def test_whole_numbers_of_which_no_two_are_alike_are_no_classes(tmp_path: Path) -> None:
    save(tmp_path, x=X, y=np.arange(12.0) * 7, texts=np.array([f"s{i}" for i in range(12)]))
    what = r"data\.label: has 12 different numbers for 12 samples.*bin them"
    with pytest.raises(InputError, match=what):
        read(tmp_path, path="x.npy", label="y.npy")
    assert len(read(tmp_path, path="x.npy", label="texts.npy").classes or ()) == 12


def test_ids_that_are_floats_in_one_file_and_integers_in_the_other(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("u,id\n1,1.0\n2,2.0\n")
    pq.write_table(pa.table({"u": [3.0], "id": [3]}), tmp_path / "b.parquet")
    samples = read(tmp_path, path={"train": "a.csv", "test": "b.parquet"}, id="id")
    assert samples.ids.dtype == np.int64
    assert samples.ids.tolist() == [1, 2, 3]


def test_one_file_for_two_splits_is_refused(tmp_path: Path) -> None:
    save(tmp_path, a=X[:6], b=X[6:], y=LABELS[:6])
    (tmp_path / "link.npy").symlink_to("a.npy")
    for other in ("a.npy", "./a.npy", "link.npy"):
        with pytest.raises(InputError, match=r"data\.path\.test: .* holds the samples of train"):
            read(tmp_path, path={"train": "a.npy", "test": other})
    with pytest.raises(InputError, match=r"data\.label\.test: .*y\.npy is the label of train"):
        read(
            tmp_path,
            path={"train": "a.npy", "test": "b.npy"},
            label={"train": "y.npy", "test": "y.npy"},
        )
    np.savez(tmp_path / "x.npz", x=X)
    with pytest.raises(InputError, match=r"data\.path\.validation: .*x\.npz holds"):
        read(tmp_path, path={"train": "x.npz", "validation": "x.npz"})


def test_csv_files_a_split_may_order_their_columns_differently(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("u,v,k\n1,2,x\n3,4,y\n")
    (tmp_path / "b.csv").write_text("v,k,u\n6,x,5.5\n")
    samples = read(tmp_path, path={"train": "a.csv", "test": "b.csv"}, label="k")
    np.testing.assert_array_equal(samples.x[:], [[1, 2], [3, 4], [5.5, 6]])
    assert samples.classes == ["x", "y"]
    (tmp_path / "b.csv").write_text("v,k\n6,x\n")
    with pytest.raises(InputError, match=r"b\.csv: has no column 'u', .*a\.csv has"):
        read(tmp_path, path={"train": "a.csv", "test": "b.csv"}, label="k")
    (tmp_path / "b.csv").write_text("u,v,k,w\n6,1,x,2\n")
    with pytest.raises(InputError, match=r"b\.csv: has a column 'w' that .*a\.csv has not"):
        read(tmp_path, path={"train": "a.csv", "test": "b.csv"}, label="k")


def test_a_split_column(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("u,part\n1,train\n2,test\n3,train\n")
    splits = read(tmp_path, path="a.csv", split="part").splits
    assert np.asarray(splits).tolist() == ["train", "test", "train"]
    (tmp_path / "a.csv").write_text("u,part\n1,train\n2,tset\n")
    with pytest.raises(
        InputError, match=r"row 1 \(line 3\): unknown split 'tset' \(did you mean 'test'"
    ):
        read(tmp_path, path="a.csv", split="part")


def test_split_names_in_a_file_of_their_own(tmp_path: Path) -> None:
    save(tmp_path, x=X, part=np.array(["train", "test", "validation"] * 4), numbers=LABELS)
    splits = read(tmp_path, path="x.npy", split="part.npy").splits
    assert np.asarray(splits)[:3].tolist() == ["train", "test", "validation"]
    with pytest.raises(InputError, match="row 0: unknown split '0'"):
        read(tmp_path, path="x.npy", split="numbers.npy")


@pytest.mark.parametrize(
    ("x", "message"),
    [
        (np.ones((3, 2)) * 1j, "holds complex numbers"),
        (np.array([["a", "b"]]), "holds text"),
        (np.array([["2020-01-01"]], dtype="datetime64[D]"), "holds dates .*counts seconds"),
        (np.zeros((3, 1), dtype=[("a", "f8")]), "holds records .*structured_to_unstructured"),
        (np.ones(5), r"has shape \(5,\), expected \(samples, features\)"),
        (np.float64(3), r"has shape \(\)"),
        (np.ones((0, 4)), "holds no samples"),
        (np.ones((4, 0)), "its samples have no features"),
    ],
)
def test_features_that_are_none(tmp_path: Path, x: NDArray[Any], message: str) -> None:
    save(tmp_path, x=x)
    with pytest.raises(InputError, match=rf"x\.npy: .*{message}"):
        read(tmp_path, path="x.npy")


def test_names_of_splits_as_people_write_them_and_text_as_bytes(tmp_path: Path) -> None:
    splits = np.array([b"Train"] * 8 + [b"val"] * 2 + [b"TEST "] * 2)
    np.savez(tmp_path / "a.npz", x=X, split=splits, label=np.array([b"u", b"v"] * 6))
    samples = read(tmp_path, path="a.npz", split="split", label="label")
    assert np.asarray(samples.splits).tolist() == ["train"] * 8 + ["validation"] * 2 + ["test"] * 2
    assert samples.classes == ["u", "v"]


@pytest.mark.parametrize(
    ("label", "message"),
    [(np.array(["u", ""] * 6), "row 1: the label is empty"), (X[:, 0], r"row 0: label .*no class")],
)
def test_a_label_of_a_file_of_its_own_is_found_in_that(
    tmp_path: Path, label: NDArray[Any], message: str
) -> None:
    save(tmp_path, x=X, y=label)
    with pytest.raises(InputError, match=rf"^{tmp_path}/y\.npy, {message}"):
        read(tmp_path, path="x.npy", label="y.npy")


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("dtype", ["float16", "float32", "float64"])
def test_the_first_value_that_is_not_finite_is_named(
    tmp_path: Path, value: float, dtype: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("offset_autoencoder.io.arrays.CHUNK_VALUES", 8)  # several chunks
    x = X.astype(dtype)
    x[7, 3] = x[7, 2] = x[9, 0] = value
    save(tmp_path, x=x)
    with pytest.raises(InputError, match=rf"x\.npy, row 7, column 2: {value} is not a finite"):
        read(tmp_path, path="x.npy")


@pytest.mark.parametrize("suffix", ["csv", "parquet"])
@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_a_value_that_is_not_finite_is_named_by_column(
    tmp_path: Path, suffix: str, value: float
) -> None:
    path = tmp_path / f"a.{suffix}"
    if suffix == "csv":
        path.write_text(f"u,v\n1,2\n3,{value}\n")
    else:
        pq.write_table(pa.table({"u": [1.0, 3.0], "v": [2.0, value]}), path)
    line = r" \(line 3\)" if suffix == "csv" else ""
    mend = "set data.missing: drop, mean or median, or " if np.isnan(value) else ""
    what = rf"row 1{line}, column 'v': {value} is not a finite number \({mend}fix or drop the row"
    # Only a column that the user did not ask for may be one to leave out.
    names = (
        r"leave columns out: data\.exclude: \[v\], or name the columns to use in data\.features, "
    )
    names += r"data\.label and data\.id"
    with pytest.raises(InputError, match=rf"{what}, or {names}\)"):
        read(tmp_path, path=path.name)
    with pytest.raises(InputError, match=rf"{what}\)"):
        read(tmp_path, path=path.name, features=["u", "v"])


def test_header_without_rows(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("u,v\n")
    with pytest.raises(InputError, match="holds no samples"):
        read(tmp_path, path="a.csv")


@pytest.mark.parametrize(
    ("labels", "classes", "y"),
    [
        (np.array([5, -1, 5, 2]), [-1, 2, 5], [2, 0, 2, 1]),
        (np.array(["b", "a", "b", "b"]), ["a", "b"], [1, 0, 1, 1]),
        (np.array([1.0, 0.0, 1.0, 2.0]), [0, 1, 2], [1, 0, 1, 2]),
        (np.array([True, False, True, True]), [0, 1], [1, 0, 1, 1]),
        (np.array([7, 7, 7, 7], dtype=np.uint8), [7], [0, 0, 0, 0]),
    ],
)
def test_classes(tmp_path: Path, labels: NDArray[Any], classes: list[Any], y: list[int]) -> None:
    save(tmp_path, x=X[:4], y=labels)
    samples = read(tmp_path, path="x.npy", label="y.npy")
    assert samples.classes == classes
    assert np.asarray(samples.y).tolist() == y
    assert np.asarray(samples.y).dtype == np.int64


def test_labels_and_ids_that_are_none(tmp_path: Path) -> None:
    save(
        tmp_path,
        x=X,
        short=LABELS[:-1],
        wide=np.ones((12, 2)),
        floats=np.arange(12) + 0.5,
        nan=np.full(12, np.nan),
        dates=np.full(12, "2024-05-31", dtype="datetime64[D]"),
        twice=np.array([3, 4, 5, 4, 3, 6, 7, 8, 9, 10, 11, 12]),
        empty=np.array([""] + ["a"] * 11),
    )
    for key, name, message in [
        ("label", "short", r"short\.npy: holds 11 values for 12 samples"),
        ("label", "wide", r"wide\.npy: has shape \(12, 2\), expected one label per sample"),
        ("label", "floats", r"row 0: label 0\.5 names no class"),
        ("label", "nan", r"row 0: label nan names no class"),
        ("label", "dates", r"dates\.npy: labels are datetime64\[D\], expected integers or text"),
        ("id", "short", r"short\.npy: holds 11 values for 12 samples"),
        ("id", "floats", r"row 0: id 0\.5 is no whole number, expected integers or text"),
        ("id", "empty", "row 0: the id is empty"),
        ("id", "twice", r"x\.npy, row 3: id 4 stands twice: it is that of .*x\.npy, row 1, too"),
    ]:
        with pytest.raises(InputError, match=message):
            read(tmp_path, path="x.npy", **{key: f"{name}.npy"})


def test_ids_twice_in_two_files(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("u,id\n1,x\n2,y\n")
    (tmp_path / "b.csv").write_text("u,id\n1,z\n2,y\n")
    with pytest.raises(
        InputError,
        match=r"b\.csv, row 1 \(line 3\): id 'y' stands twice: .*a\.csv, row 1 \(line 3\)",
    ):
        read(tmp_path, path={"train": "a.csv", "test": "b.csv"}, id="id")


@pytest.mark.parametrize(
    ("keys", "message"),
    [
        (
            {"path": "nope.npy"},
            r"data\.path: there is no file .* holds l\.npy, t\.csv, u\.npy, v\.npy, x\.npy",
        ),
        ({"path": "x.npy", "label": "nope.npy"}, r"data\.label: there is no file"),
        ({"path": "x.npy", "features": "x"}, r"data\.features: .* there is nothing to name"),
        ({"path": {"test": "x.npy"}}, r"data\.path: names no file for train"),
        (
            {"path": {"train": "x.npy", "test": "v.npy"}},
            r"v\.npy: has samples of shape \(3,\), .*x\.npy of \(4,\)",
        ),
        (
            {"path": {"train": "x.npy", "test": "u.npy"}},
            r"u\.npy: holds uint8, .*x\.npy holds float64",
        ),
        (
            {"path": {"train": "x.npy", "test": "x.npy"}, "label": "x.npy"},
            r"data\.label: data\.path names a file per split, so this must, too",
        ),
        (
            {"path": {"train": "x.npy", "test": "x.npy"}, "label": {"train": "l.npy"}},
            r"data\.label: has no test, data\.path has",
        ),
        (
            {"path": "x.npy", "label": {"train": "x.npy"}},
            r"data\.label: names a value per split, but data\.path is one file",
        ),
        (
            {"path": "t.csv", "features": {"train": "u", "test": "u"}},
            r"data\.features: names a value per split, but .*t\.csv has the same columns",
        ),
        (
            {"path": {"train": "x.npy", "test": "../x.npy"}},
            r"data\.path\.test: '\.\./x\.npy' is not inside",
        ),
    ],
)
def test_keys_that_do_not_fit(tmp_path: Path, keys: dict[str, Any], message: str) -> None:
    save(tmp_path, x=X, v=X[:, :3], u=X.astype(np.uint8), l=LABELS)
    (tmp_path / "t.csv").write_text("u\n1\n")
    with pytest.raises(InputError, match=message):
        read(tmp_path, **keys)


FORMATS = ("csv", "parquet", "npz", "npy")
SUBJECTS = np.array([f"p{i % 4}" for i in range(12)])
DAYS = np.array(["2024-05-31", "2024-06-01", "2023-01-02", "2024-01-02"] * 3, dtype="datetime64[D]")


def write(raw: Path, form: str, **columns: NDArray[Any]) -> dict[str, Any]:
    """A file of features and these columns; the ``data:`` that reads it."""
    if form in ("npz", "npy"):
        save(raw, x=X, **columns)
        arrays: dict[str, Any] = {"x": X, **columns}
        np.savez(raw / "x.npz", **arrays)
        return {"source": "file", "path": f"x.{form}"}
    table = pa.table({f"f{i}": X[:, i] for i in range(4)} | columns)
    if form == "csv":
        pa_csv.write_csv(table, raw / "x.csv")
    else:
        pq.write_table(table, raw / "x.parquet")
    return {"source": "file", "path": f"x.{form}"}


@pytest.mark.parametrize("form", FORMATS)
@pytest.mark.parametrize(
    ("key", "values"),
    [
        ("group", SUBJECTS),
        ("group", np.arange(12) % 4),
        ("group", (np.arange(12) % 4).astype(float)),
        ("group", DAYS),
        ("order", DAYS),
        ("order", DAYS.astype("datetime64[ns]")),
        ("order", np.arange(12)[::-1] * 0.5),
        ("order", np.arange(12)[::-1]),
    ],
)
def test_groups_and_moments_of_every_format(
    form: str, key: str, values: NDArray[Any], tmp_path: Path
) -> None:
    """The column is no feature, and says the same in every format."""
    data = Data.model_validate(write(tmp_path, form, by=values))
    split = Split.model_validate({key: "by.npy" if form == "npy" else "by"})
    samples = load_samples(data, tmp_path, split)
    np.testing.assert_array_equal(samples.x[:], X)
    read = np.asarray(samples.groups if key == "group" else samples.moments)
    assert (samples.groups is None, samples.moments is None) == (key == "order", key == "group")
    _, expected = np.unique(values, return_inverse=True)
    np.testing.assert_array_equal(np.unique(read, return_inverse=True)[1], expected)


def test_a_column_may_be_id_and_order(tmp_path: Path) -> None:
    data = write(tmp_path, "csv", day=np.arange(12) + 100) | {"id": "day"}
    samples = load_samples(Data.model_validate(data), tmp_path, Split(order="day"))
    np.testing.assert_array_equal(samples.ids, np.arange(12) + 100)
    np.testing.assert_array_equal(samples.moments, np.arange(12) + 100)
    assert samples.x.shape == (12, 4)


def test_groups_and_moments_of_a_file_per_split(tmp_path: Path) -> None:
    save(tmp_path, a=X[:8], b=X[8:], ga=SUBJECTS[:8], gb=SUBJECTS[8:])
    data = Data.model_validate({"source": "file", "path": {"train": "a.npy", "test": "b.npy"}})
    split = Split.model_validate({"group": {"train": "ga.npy", "test": "gb.npy"}})
    samples = load_samples(data, tmp_path, split)
    np.testing.assert_array_equal(samples.groups, SUBJECTS)
    with pytest.raises(InputError, match=r"split\.group: data\.path names a file per split, so"):
        load_samples(data, tmp_path, Split(group="ga.npy"))
    with pytest.raises(InputError, match=r"split\.group: has no test, data\.path has"):
        load_samples(data, tmp_path, Split.model_validate({"group": {"train": "ga.npy"}}))


@pytest.mark.parametrize(
    ("values", "said"),
    [
        (np.array(["a", " "] * 6), r"row 1.*: the group is missing"),
        (np.array([1, np.nan] * 6), r"row 1.*: the group is missing"),
        (np.arange(11), "holds 11 values for 12 samples"),
        (np.zeros((12, 2)), r"has shape \(12, 2\), expected one group per sample"),
        (np.zeros(12, complex), "groups are complex128, expected numbers, dates or text"),
    ],
)
def test_a_group_that_is_none_is_named(values: NDArray[Any], said: str, tmp_path: Path) -> None:
    data = Data.model_validate(write(tmp_path, "npy", by=values))
    with pytest.raises(InputError, match=said):
        load_samples(data, tmp_path, Split(group="by.npy"))


def test_groups_go_with_a_file_and_are_found(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"split\.order: goes with source: file, not source: dig"):
        load_samples(Data(), tmp_path, Split(order="day"))
    data = Data.model_validate(write(tmp_path, "csv", subject=SUBJECTS))
    with pytest.raises(InputError, match=r"split\.group: .* has no column 'subjct' .did you mean"):
        load_samples(data, tmp_path, Split(group="subjct"))


def test_ids_in_two_splits_are_counted(tmp_path: Path) -> None:
    parts = np.array(["train"] * 6 + ["validation"] * 3 + ["test"] * 3)
    data = write(tmp_path, "csv", name=SUBJECTS, part=parts) | {"id": "name", "split": "part"}
    with pytest.raises(InputError) as caught:
        load_samples(Data.model_validate(data), tmp_path)
    for said in (
        "id 'p0' stands twice",
        "; 3 more ids stand twice",
        "; 3 of validation stand in train, too; 3 of test stand in train, too; ",
        "kept in one split by split.group",
    ):
        assert said in str(caught.value)
