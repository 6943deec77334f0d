from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.folders import contents

from offset_autoencoder.errors import InputError
from offset_autoencoder.io.files import read_npz, sha256_of_file, write_npz
from offset_autoencoder.runs import files
from offset_autoencoder.runs.files import (
    TrainedRun,
    copy_run,
    is_valid,
    read_finished_run,
    read_history,
    read_saved_run,
    write_files,
    write_run,
)
from offset_autoencoder.runs.spec import IdentifiedRun

MakeRuns = Callable[..., list[IdentifiedRun]]
MakeTrained = Callable[..., tuple[TrainedRun, list[str]]]
Write = Callable[..., Path]


def test_a_run_comes_back(write: Write, run: IdentifiedRun, make_trained: MakeTrained) -> None:
    folder = write()
    trained, names = make_trained()
    assert sorted(contents(folder)) == ["history.csv", "spec.json", "times.npz", "weights.npz"]
    assert is_valid(folder)
    _, weights = read_finished_run(folder)
    assert list(weights) == names
    for value, expected in zip(weights.values(), trained.weights or [], strict=True):
        np.testing.assert_array_equal(value, expected)
        assert value.dtype == np.float32
    history = read_history(folder)
    np.testing.assert_array_equal(history["epoch"], [1, 2, 3])
    np.testing.assert_array_equal(history["loss"].astype(np.float32), trained.loss)
    np.testing.assert_array_equal(history["val_loss"].astype(np.float32), trained.val_loss)
    saved = read_saved_run(folder)
    assert saved.spec == run.spec
    assert json.loads((folder / "spec.json").read_text()) == saved.dump()
    assert saved.dump() == {
        "id": run.id,
        "fingerprint": json.loads(json.dumps(run.spec.fingerprint())),
        "offset_factor": 1.0,
        "engine": None,
        "status": "finished",
        "epochs": 3,
        "best_epoch": 2,
        "diverged_epoch": None,
        "stopped_early": False,
        "parameters": sum(value.size for value in weights.values()),
        "digests": {name: sha256_of_file(folder / name) for name in ("history.csv", "weights.npz")},
        "sha256": json.loads((folder / "spec.json").read_text())["sha256"],
    }
    with np.load(folder / "times.npz") as times:
        np.testing.assert_array_equal(times["ended"], trained.ended)
        np.testing.assert_array_equal(times["seconds"], trained.seconds)


def test_a_run_that_diverged_is_valid_without_weights(write: Write) -> None:
    folder = write(diverged=True)
    assert sorted(contents(folder)) == ["history.csv", "spec.json", "times.npz"]
    assert is_valid(folder)
    saved = read_saved_run(folder)
    assert (saved.status, saved.diverged_epoch, saved.best_epoch) == ("diverged", 3, None)
    history = read_history(folder)
    assert history["loss"][-1] == np.inf
    assert np.isnan(history["val_loss"][-1])
    with pytest.raises(InputError, match="diverged: it has no weights"):
        read_finished_run(folder)


@settings(max_examples=60, deadline=None)
@given(st.lists(st.floats(width=32), min_size=1, max_size=8))
def test_every_float32_comes_back_from_the_history(
    tmp_path_factory: pytest.TempPathFactory,
    make_runs: MakeRuns,
    make_trained: MakeTrained,
    losses: list[float],
) -> None:
    trained, names = make_trained()
    loss = np.array(losses, np.float32)
    values = {
        **vars(trained),
        "loss": loss,
        "val_loss": loss[::-1],
        "val_reconstruction": loss[::-1],
    }
    run = make_runs()[0]
    folder = tmp_path_factory.mktemp("run") / run.id
    write_run(folder, run.spec, TrainedRun(**values), names)
    history = read_history(folder)
    np.testing.assert_array_equal(history["loss"].astype(np.float32), loss)
    np.testing.assert_array_equal(history["val_loss"].astype(np.float32), loss[::-1])
    np.testing.assert_array_equal(history["epoch"], np.arange(1, len(loss) + 1))


def test_a_loss_of_several_parts_tells_them_apart(
    write: Write, run: IdentifiedRun, make_trained: MakeTrained
) -> None:
    plain = read_history(write("plain"))
    assert list(plain) == ["epoch", "loss", "val_loss"]
    folder = write("parts", regularization=0.125)
    assert is_valid(folder)
    history = read_history(folder)
    assert list(history) == [*plain, "val_reconstruction", "val_regularization"]
    trained, _ = make_trained(regularization=0.125)
    np.testing.assert_array_equal(
        history["val_reconstruction"].astype(np.float32), trained.val_reconstruction
    )
    np.testing.assert_allclose(history["val_regularization"], 0.125, rtol=1e-6)


def test_equal_results_are_equal_bytes_but_for_the_times(write: Write) -> None:
    first, second = contents(write("a")), contents(write("b", moment=60.0))
    assert first.pop("times.npz") != second.pop("times.npz")
    assert first == second


def test_files_of_another_machine_are_kept_where_they_are_the_whole_run(
    write: Write, tmp_path: Path
) -> None:
    source = write()
    sent = {path.name: path.read_bytes() for path in source.iterdir()}
    folder = tmp_path / "other" / source.name
    damaged = sent["weights.npz"][:-1] + b"?"
    for wrong in (sent | {"weights.npz": damaged}, {"spec.json": b"{}"}, sent | {"../x": b""}):
        assert not write_files(folder, wrong)
        assert not folder.exists()
    assert not write_files(folder.with_name("0" * 64), sent)  # another run's
    assert write_files(folder, sent)
    assert contents(folder, times=False) == contents(source, times=False)
    assert list((tmp_path / "other").iterdir()) == [folder]


def test_a_run_that_is_there_stays_as_it_is(write: Write) -> None:
    folder = write()
    before = contents(folder)
    write(seed=1, moment=60.0)
    assert contents(folder) == before
    assert list(folder.parent.iterdir()) == [folder]


@pytest.mark.parametrize("diverged", [False, True])
@pytest.mark.parametrize("step", range(5))
@pytest.mark.parametrize("kind", [OSError("disk full"), KeyboardInterrupt()], ids=repr)
def test_a_write_that_is_cut_off_leaves_nothing(
    write: Write,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    diverged: bool,
    step: int,
    kind: BaseException,
) -> None:
    done = 0

    def cut_off(real: Callable[..., Any]) -> Callable[..., Any]:
        def maybe(*arguments: Any, **options: Any) -> Any:
            nonlocal done
            done += 1
            if done > step:
                raise kind
            return real(*arguments, **options)

        return maybe

    writers = ("write_npz", "write_csv", "write_json", "_take_place")
    with monkeypatch.context() as patch:
        for name in writers:
            patch.setattr(files, name, cut_off(getattr(files, name)))
        if diverged and step == 4:  # one file fewer: this time it is whole
            write(diverged=True)
            return
        with pytest.raises(type(kind)):
            write(diverged=diverged)
    assert list((tmp_path / "store").iterdir()) == []
    assert is_valid(write(diverged=diverged))


def test_a_copy_that_is_cut_off_leaves_nothing(
    write: Write, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = write()
    target = tmp_path / "copy" / folder.name

    def fail(source: Path, destination: Path) -> None:
        if source.name == "weights.npz":
            raise OSError("disk full")
        destination.write_bytes(source.read_bytes())

    with monkeypatch.context() as patch:
        patch.setattr(shutil, "copyfile", fail)
        with pytest.raises(OSError, match="disk full"):
            copy_run(folder, target)
    assert list(target.parent.iterdir()) == []
    copy_run(folder, target)
    assert contents(target) == contents(folder)


def test_writers_of_one_run_leave_one_whole_run(write: Write) -> None:
    with ThreadPoolExecutor(8) as pool:
        (folder,) = set(pool.map(lambda moment: write(moment=moment), range(24)))
    assert is_valid(folder)
    assert list(folder.parent.iterdir()) == [folder]


def test_processes_that_copy_one_run_leave_one_whole_run(write: Write, tmp_path: Path) -> None:
    folder = write()
    target = tmp_path / "shared" / folder.name
    program = (
        "import sys; from pathlib import Path\n"
        "from offset_autoencoder.runs.files import copy_run\n"
        "sys.stdin.read(1)\n"  # all start at once
        "for number in range(40):\n"
        "    copy_run(Path(sys.argv[1]), Path(sys.argv[2] + f'/{number}/' + sys.argv[3]))\n"
    )
    arguments = [sys.executable, "-c", program, str(folder), str(target.parent), folder.name]
    crew = [subprocess.Popen(arguments, stdin=subprocess.PIPE) for _ in range(2)]
    for process in crew:
        assert process.stdin
        process.stdin.close()
    assert [process.wait(60) for process in crew] == [0, 0]
    for number in range(40):
        (copy,) = (target.parent / str(number)).iterdir()
        assert contents(copy) == contents(folder)


def test_a_damaged_run_in_the_way_is_not_taken_for_valid(write: Write) -> None:
    folder = write()
    (folder / "weights.npz").unlink()
    with pytest.raises(OSError, match="not empty"):
        write()
    assert list(folder.parent.iterdir()) == [folder]


def damage(name: str, old: bytes, new: bytes) -> Callable[[Path], None]:
    def apply(folder: Path) -> None:
        content = (folder / name).read_bytes()
        assert old in content
        (folder / name).write_bytes(content.replace(old, new, 1))

    return apply


def cut(name: str, share: float) -> Callable[[Path], None]:
    def apply(folder: Path) -> None:
        content = (folder / name).read_bytes()
        (folder / name).write_bytes(content[: int(len(content) * share)])

    return apply


def remove(name: str) -> Callable[[Path], None]:
    return lambda folder: (folder / name).unlink()


def other_weights(folder: Path) -> None:
    """As many numbers, with checksums that are right."""
    weights = read_npz(folder / "weights.npz")
    write_npz(folder / "weights.npz", {name: value + 1 for name, value in weights.items()})


@pytest.mark.parametrize(
    "spoil",
    [
        *(remove(name) for name in ("spec.json", "history.csv", "weights.npz")),
        *(cut(name, share) for name in ("spec.json", "weights.npz") for share in (0, 0.5, 0.99)),
        *(cut("history.csv", share) for share in (0, 0.1, 0.5)),
        damage("spec.json", b'"epochs": 3,\n  "best', b'"epochs": 4,\n  "best'),
        damage("spec.json", b'"latent_dim": 3', b'"latent_dim": 4'),
        damage("spec.json", b'"id": "', b'"id": "0'),
        damage("spec.json", b'"fingerprint"', b'"fingerprinx"'),
        damage("history.csv", b"val_loss", b"val_lost"),
        damage("history.csv", b"\n1,", b"\n1,x"),
        damage("history.csv", b"\n2,", b"\n\xff,"),
        lambda folder: (folder / "spec.json").write_text("[]"),
        damage("spec.json", b'"best_epoch": 2', b'"best_epoch": 1'),
        damage("history.csv", b"\n1,0.", b"\n1,1."),
        other_weights,
        lambda folder: folder.rename(folder.parent / "another"),
    ],
)  # fmt: skip
def test_a_damaged_run_is_not_valid(write: Write, spoil: Callable[[Path], Any]) -> None:
    folder = write()
    spoil(folder)
    assert not is_valid(folder)
    assert not is_valid(folder.parent / "another")


def test_weights_and_history_that_were_exchanged_are_not_read(
    write: Write, make_trained: MakeTrained
) -> None:
    folder, other = write(), write("other", seed=1)
    for name, read in (("weights.npz", read_finished_run), ("history.csv", read_history)):
        shutil.copyfile(other / name, folder / name)
        with pytest.raises(InputError, match=rf"{name}: is damaged: .* \(run dvc repro --force"):
            read(folder)


def test_a_run_of_before_there_were_digests_is_checked_as_it_was_then(write: Write) -> None:
    folder = write()
    document = json.loads((folder / "spec.json").read_text())
    digests = document.pop("digests"), document.pop("sha256")
    (folder / "spec.json").write_text(json.dumps(document))
    assert all(digests)
    assert is_valid(folder)
    assert read_saved_run(folder).dump() == document
    write_npz(folder / "weights.npz", {"encoder_1/kernel": np.zeros((6, 4), np.float32)})
    assert not is_valid(folder)


def test_a_run_needs_a_spec_and_no_times(write: Write) -> None:
    folder = write()
    (folder / "times.npz").unlink()
    assert is_valid(folder)
    (folder / "spec.json").write_text("3")
    with pytest.raises(InputError, match=r"spec\.json: is not the spec of a run"):
        read_saved_run(folder)


def test_what_is_no_run_is_not_valid(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    (tmp_path / "empty").mkdir()
    assert not any(is_valid(tmp_path / name) for name in ("file", "empty", "absent"))


@pytest.mark.parametrize("content", [None, b"", b"epoch,loss\n1,0.5\n", b"epoch,loss,val_loss\n1,"])
def test_a_damaged_history_is_one_line(write: Write, content: bytes | None) -> None:
    folder = write()
    (folder / "history.csv").unlink()
    if content is not None:
        (folder / "history.csv").write_bytes(content)
    with pytest.raises(InputError, match=r"history\.csv.*dvc repro"):
        read_history(folder)
