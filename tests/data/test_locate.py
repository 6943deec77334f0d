import subprocess
from pathlib import Path

import pytest

from offset_autoencoder.data.readers import locate
from offset_autoencoder.errors import InputError


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


def test_a_file_that_was_not_pulled(tmp_path: Path) -> None:
    (tmp_path / "x.csv.dvc").touch()
    with pytest.raises(InputError, match=r"no file .*x\.csv \(DVC knows it: run dvc pull\)"):
        locate(tmp_path, "x.csv", "data.path")
    with pytest.raises(InputError, match=r"no file .*y\.csv \(.* is empty\)"):
        locate(tmp_path, "y.csv", "data.path")


def test_what_dvc_writes_beside_a_file_is_no_secret_to_git(tmp_path: Path) -> None:
    ignore = Path(__file__).parents[2] / "data" / "raw" / ".gitignore"
    (tmp_path / ".gitignore").write_bytes(ignore.read_bytes())
    (tmp_path / "deep").mkdir()
    names = ["x.npy", "x.npy.dvc", "deep/y.csv", "deep/y.csv.dvc"]
    for name in names:
        (tmp_path / name).touch()
    subprocess.run(["git", "init", "--quiet", tmp_path], check=True)
    shown = subprocess.run(
        ["git", "-C", tmp_path, "ls-files", "--others", "--exclude-standard"],
        capture_output=True,
        text=True,
        check=True,
    )
    assert shown.stdout.split() == [".gitignore", "deep/y.csv.dvc", "x.npy.dvc"]


def test_a_long_listing_is_cut(tmp_path: Path) -> None:
    for index in range(20):
        (tmp_path / f"{index:02}.csv").touch()
    with pytest.raises(InputError, match=r"07\.csv and 12 more"):
        locate(tmp_path, "x.csv", "data.path")
