from pathlib import Path

import pytest

from offset_autoencoder.data.raw_files import format_of, locate
from offset_autoencoder.errors import InputError


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("x.npy", "npy"),
        ("x.NPZ", "npz"),
        ("a.b.csv", "csv"),
        ("x.parquet", "parquet"),
        ("train-images-idx3-ubyte", "idx"),
        ("train-images-idx3-ubyte.gz", "idx"),
        ("train-images.idx3-ubyte", "idx"),
        ("x.idx.gz", "idx"),
    ],
)
def test_format_is_told_by_the_name(name: str, expected: str) -> None:
    assert format_of(Path(name)) == expected


@pytest.mark.parametrize("name", ["x.txt", "x", "x.npy.gz", "x.pkl"])
def test_unknown_formats_are_refused_with_those_known(name: str) -> None:
    with pytest.raises(InputError, match=r"known are \.npy, \.npz, \.csv"):
        format_of(Path(name))


@pytest.mark.parametrize("name", ["../x.npy", "/etc/passwd", "a/../../x.npy", "..", " "])
def test_names_that_leave_the_folder_are_refused(tmp_path: Path, name: str) -> None:
    raw = tmp_path / "raw"
    raw.mkdir()
    (tmp_path / "x.npy").touch()
    with pytest.raises(InputError, match=r"params\.yaml: data\.path: .* is not inside"):
        locate(raw, name, "data.path")


def test_a_link_out_of_the_folder_is_followed(tmp_path: Path) -> None:
    (tmp_path / "raw").mkdir()
    (tmp_path / "cache").write_text("a,b\n")
    (tmp_path / "raw" / "x.csv").symlink_to(tmp_path / "cache")
    assert locate(tmp_path / "raw", "x.csv", "data.path").read_text() == "a,b\n"


def test_a_missing_file_is_answered_with_what_is_there(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="is empty"):
        locate(tmp_path, "x.csv", "data.path")
    (tmp_path / "sub").mkdir()
    for name in ("b.csv", "sub/a.csv", ".gitignore"):
        (tmp_path / name).touch()
    with pytest.raises(InputError, match=r"no file .*x\.csv \(.* holds b\.csv, sub/a\.csv\)"):
        locate(tmp_path, "x.csv", "data.path")
    with pytest.raises(InputError, match=r"is a folder, expected a file \(.*sub holds a\.csv\)"):
        locate(tmp_path, "sub", "data.path")


def test_a_long_listing_is_cut(tmp_path: Path) -> None:
    for index in range(20):
        (tmp_path / f"{index:02}.csv").touch()
    with pytest.raises(InputError, match=r"07\.csv and 12 more"):
        locate(tmp_path, "x.csv", "data.path")
