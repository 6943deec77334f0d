"""Files that are not read: the Python that an error names writes one that is."""

from __future__ import annotations

import bz2
import gzip
import json
import lzma
import pickle
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import joblib
import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
import scipy.io
from numpy.typing import NDArray
from PIL import Image
from pyarrow import ipc
from scipy.io import wavfile
from sklearn.datasets import dump_svmlight_file

from offset_autoencoder.data.readers import find_reader, locate, read_table
from offset_autoencoder.data.readers.base import ColumnRoles
from offset_autoencoder.data.readers.conversions import CONVERSIONS, folder_conversion
from offset_autoencoder.errors import InputError

X = np.arange(60, dtype=np.float64).reshape(20, 3)
ARFF = "@relation r\n" + "".join(f"@attribute {name} numeric\n" for name in "abc") + "@data\n"
ARFF += "".join(f"{a},{b},{c}\n" for a, b, c in X.tolist())
PIXELS = np.arange(48, dtype=np.uint8).reshape(4, 3, 4)


def frame() -> pd.DataFrame:
    return pd.DataFrame(X, columns=["a", "b", "c"])


def write_matlab_7_3(path: Path) -> None:
    with h5py.File(path, "w", userblock_size=512) as file:
        file["x"] = X.T
    content = path.read_bytes()
    path.write_bytes(b"MATLAB 7.3 MAT-file".ljust(512) + content[512:])


def write_arrow(path: Path, writer: Callable[..., pa.ipc.RecordBatchStreamWriter]) -> None:
    table = pa.Table.from_pandas(frame())
    with writer(str(path), table.schema) as stream:
        stream.write_table(table)


def write_images(path: Path) -> None:
    for index, pixels in enumerate(PIXELS):
        Image.fromarray(pixels).save(path.with_stem(f"{path.stem}{index}"))
    path.with_stem(f"{path.stem}0").rename(path)


def write_pages(path: Path) -> None:
    first, *others = (Image.fromarray(pixels) for pixels in PIXELS)
    first.save(path, save_all=True, append_images=others)


FILES: dict[str, tuple[Callable[[Path], object], str]] = {
    "7.mat": (write_matlab_7_3, "x.npz"),
    "5.mat": (lambda path: scipy.io.savemat(path, {"x": X}), "x.npz"),
    "x.pkl": (lambda path: path.write_bytes(pickle.dumps(X)), "x.npy"),
    "x.joblib": (lambda path: joblib.dump(X, path), "x.npy"),
    "x.json": (lambda path: frame().to_json(path), "x.csv"),
    "x.jsonl": (lambda path: frame().to_json(path, orient="records", lines=True), "x.csv"),
    "x.feather": (lambda path: frame().to_feather(path), "x.parquet"),
    "x.arrow": (lambda path: write_arrow(path, ipc.new_stream), "x.parquet"),
    "file.arrow": (lambda path: write_arrow(path, ipc.new_file), "x.parquet"),
    "x.orc": (lambda path: frame().to_orc(path), "x.parquet"),
    "x.dta": (lambda path: frame().to_stata(path, write_index=False), "x.csv"),
    "x.svm": (lambda path: dump_svmlight_file(X, X[:, 0], str(path)), "x.npz"),
    "x.tif": (write_pages, "x.npy"),
    "x.png": (write_images, "x.npy"),
    "x.arff": (lambda path: path.write_text(ARFF), "x.csv"),
    "x.wav": (lambda path: wavfile.write(path, 8000, np.arange(3000, dtype=np.int16)), "x.npy"),
}


@pytest.mark.parametrize("name", FILES)
def test_the_python_of_the_error_writes_a_file_that_is_read(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    write, out = FILES[name]
    write(path)
    with pytest.raises(InputError, match="which is not read") as caught:
        find_reader(path)
    exec(str(caught.value.hint).partition("): " if "it (" in str(caught.value) else ": ")[2])
    written = path.with_suffix(Path(out).suffix)
    x = read_table(written, ColumnRoles()).x
    expected: NDArray[Any]
    if name in ("x.tif", "x.png"):
        expected = PIXELS
    elif name == "x.wav":
        expected = np.arange(2048).reshape(2, 1024)
    else:
        expected = X
    np.testing.assert_array_equal(np.sort(x, axis=0), np.sort(expected, axis=0))


def test_a_folder_of_images_becomes_one_file_with_the_folders_as_labels(tmp_path: Path) -> None:
    for index, pixels in enumerate(PIXELS):
        folder = tmp_path / "pictures" / "ab"[index % 2]
        folder.mkdir(parents=True, exist_ok=True)
        Image.fromarray(pixels).save(folder / f"{index}.png")
    with pytest.raises(InputError, match="is a folder, expected a file") as caught:
        locate(tmp_path, "pictures", "data.path")
    exec(str(caught.value.hint).partition(": ")[2])
    table = read_table(tmp_path / "pictures.npz", ColumnRoles(label="label"))
    assert table.x.shape == PIXELS.shape
    assert np.asarray(table.labels).tolist() == ["a", "a", "b", "b"]


def test_a_folder_of_parquet_files_becomes_one(tmp_path: Path) -> None:
    folder = tmp_path / "parts"
    folder.mkdir()
    for index in range(2):
        frame().iloc[index * 10 : index * 10 + 10].to_parquet(folder / f"{index}.parquet")
    exec(str(folder_conversion(folder)).partition(": ")[2])
    assert read_table(tmp_path / "parts.parquet", ColumnRoles()).x.shape == X.shape


@pytest.mark.parametrize("ending", ["npy.gz", "npy.xz", "npy.bz2", "zip"])
def test_what_was_compressed_is_unpacked(tmp_path: Path, ending: str) -> None:
    (tmp_path / "y").mkdir()
    np.save(tmp_path / "y" / "y.npy", X)
    packed, content = tmp_path / f"y.{ending}", (tmp_path / "y" / "y.npy").read_bytes()
    if ending == "zip":
        shutil.make_archive(str(tmp_path / "y"), "zip", tmp_path / "y")
    else:
        module = {"gz": gzip, "xz": lzma, "bz2": bz2}[ending.partition(".")[2]]
        packed.write_bytes(module.compress(content))
    shutil.rmtree(tmp_path / "y")
    with pytest.raises(InputError, match=r"is (compressed|an archive)") as caught:
        find_reader(packed)
    exec(str(caught.value.hint).partition(": ")[2])
    out = tmp_path / ("y/y.npy" if ending == "zip" else "y.npy")
    np.testing.assert_array_equal(read_table(out, ColumnRoles()).x, X)


def test_nominal_values_of_arff_become_text(tmp_path: Path) -> None:
    path = tmp_path / "x.arff"
    path.write_text("@relation r\n@attribute a numeric\n@attribute c {u, v}\n@data\n1,u\n2,v\n")
    with pytest.raises(InputError, match="is ARFF") as caught:
        find_reader(path)
    exec(str(caught.value.hint).partition(": ")[2])
    table = read_table(tmp_path / "x.csv", ColumnRoles(label="c"))
    assert np.asarray(table.labels).tolist() == ["u", "v"]


def test_every_conversion_is_python_on_one_line() -> None:
    for kind in CONVERSIONS:
        path = Path(f"data/raw/x.{kind.endings[0]}")
        text = str(InputError(str(path), kind.what, kind.python))
        assert "\n" not in text
        fields = {"path": json.dumps(str(path)), "out": "x", "suffix": ".x", "module": "gzip"}
        compile(kind.python.format(**fields), "hint", "exec")
