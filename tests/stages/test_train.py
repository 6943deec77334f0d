from __future__ import annotations

import contextlib
import csv
import hashlib
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from offset_autoencoder.config import load_params
from offset_autoencoder.data.varying import load_splits
from offset_autoencoder.errors import InputError
from offset_autoencoder.stages.train import Share, identify_runs, train_share
from offset_autoencoder.training import jax_process

Experiment = Any  # conftest's, which tests cannot import
SWEPT = {
    "none": {"offset": "none"},
    "gaussian": {"offset": "none", "stddev": [0.1, 0.2]},
    "frozen": {"offset": "frozen", "rms": 0.1},
}


@pytest.fixture(scope="module")
def trained(
    experiment: Experiment, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Path, list[str]]:
    """A project whose six runs were trained once, and what that printed."""
    folder = tmp_path_factory.mktemp("trained")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.delenv("DVC_ROOT", raising=False)
        experiment.prepare()
        return folder, experiment.train()


@pytest.fixture
def project(
    trained: tuple[Path, list[str]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Path:
    """A copy of that project, as the working folder."""
    folder = tmp_path / "project"
    shutil.copytree(trained[0], folder)
    monkeypatch.chdir(folder)
    monkeypatch.delenv("DVC_ROOT", raising=False)
    return folder


def index() -> list[dict[str, str]]:
    with Path("models/index.csv").open(newline="") as stream:
        return list(csv.DictReader(stream))


def kept(folder: str = "models/runs") -> set[str]:
    return {path.name for path in Path(folder).iterdir()}


def test_every_run_is_trained_and_listed(project: Path, trained: tuple[Path, list[str]]) -> None:
    assert trained[1] == ["training 6 runs", "runs: 6 (6 trained, 0 reused)"]
    rows = index()
    assert list(rows[0]) == ["model", "setting", "stddev", "seed", "id", "status"]
    assert [(row["model"], row["stddev"], row["seed"]) for row in rows] == [
        (model, stddev, seed)
        for model, stddev in (("none", ""), ("gaussian", "0.1"), ("frozen", ""))
        for seed in ("0", "1")
    ]
    assert {row["status"] for row in rows} == {"finished"}
    assert kept() == {row["id"] for row in rows} == kept(".runs")
    assert {path.name for path in Path("models").iterdir()} == {"index.csv", "runs"}


def test_a_second_time_trains_none_and_needs_no_tensorflow(
    project: Path, experiment: Experiment
) -> None:
    before = experiment.contents("models")
    program = (
        "import sys; from offset_autoencoder.stages.train import main; main()\n"
        "assert not {'tensorflow', 'keras', 'sklearn', 'pandas', 'mlflow'} & set(sys.modules)"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    assert done.stdout == "runs: 6 (0 trained, 6 reused)\n"
    assert done.stderr == ""
    assert experiment.contents("models") == before


@pytest.mark.usefixtures("quickly")
def test_one_value_more_trains_its_runs_and_the_old_params_none(
    project: Path, experiment: Experiment
) -> None:
    before, old = experiment.contents("models"), index()
    experiment.write(models=SWEPT)
    assert experiment.train() == ["training 2 runs", "runs: 8 (2 trained, 6 reused)"]
    new = index()
    assert [row for row in new if row["stddev"] != "0.2"] == old
    after = experiment.contents("models")
    assert {name: after[name] for name in before if name != "index.csv"} == {
        name: content for name, content in before.items() if name != "index.csv"
    }
    experiment.write()
    with experiment.without_training():
        assert experiment.train()[-1] == "runs: 6 (0 trained, 6 reused)"
    assert experiment.contents("models") == before
    assert kept(".runs") == {row["id"] for row in new}


def test_a_run_that_is_left_to_jax_has_the_id_of_one_that_names_it(
    project: Path, experiment: Experiment, monkeypatch: pytest.MonkeyPatch
) -> None:
    def ids(engine: str = "auto", **sections: Any) -> list[str]:
        experiment.write(train={"epochs": 2, "batch_size": 128, "engine": engine}, **sections)
        return [run.id for run in identify_runs(load_params(), load_splits())]

    on_a_cpu, numba, jax = ids(), ids("numba"), ids("jax")
    monkeypatch.setattr(jax_process, "finds_gpu", lambda: True)
    assert ids() == jax
    assert ids("numba") == numba
    assert ids(executor="ray") == on_a_cpu
    assert not {*on_a_cpu} & {*jax}


def test_fewer_seeds_and_other_names_train_none(project: Path, experiment: Experiment) -> None:
    ids = [row["id"] for row in index()]
    experiment.write(
        seeds=[1],
        models={"noise": {"offset": "none", "stddev": 0.1}, "plain": {"offset": "none"}},
        evaluate={"baselines": ["plain"]},
    )
    with experiment.without_training():
        assert experiment.train() == ["runs: 2 (0 trained, 2 reused)"]
    assert [(row["model"], row["id"]) for row in index()] == [("noise", ids[3]), ("plain", ids[1])]
    assert list(index()[0]) == ["model", "setting", "seed", "id", "status"]
    assert kept() == {ids[3], ids[1]}


def test_a_renamed_offset_trains_none(project: Path, experiment: Experiment) -> None:
    before = [row["id"] for row in index()]
    experiment.prepare(
        offsets={"zeros": {"kind": "zero"}, "cold": {"kind": "hash"}},
        models={
            "none": {"offset": "zeros"},
            "gaussian": {"offset": "zeros", "stddev": [0.1]},
            "frozen": {"offset": "cold", "rms": 0.1},
        },
    )
    with experiment.without_training():
        experiment.train()
    assert [row["id"] for row in index()] == before


@pytest.mark.usefixtures("quickly")
def test_one_changed_offset_trains_its_runs_alone(project: Path, experiment: Experiment) -> None:
    before = {row["id"] for row in index()}
    experiment.prepare(offsets={"none": {"kind": "zero"}, "frozen": {"kind": "hash", "seed": 1}})
    assert experiment.train()[-1] == "runs: 6 (2 trained, 4 reused)"
    new = {row["id"]: row["model"] for row in index() if row["id"] not in before}
    assert list(new.values()) == ["frozen", "frozen"]


@pytest.mark.parametrize("lost", ["models", ".runs"])
def test_runs_that_are_kept_in_one_place_are_not_trained(
    project: Path, experiment: Experiment, lost: str
) -> None:
    """In a clone that pulled the models, and where the models were deleted."""
    before = experiment.contents("models", times=False)
    shutil.rmtree(lost)
    for path in Path("models/runs").glob("*/times.npz"):
        path.unlink()
    with experiment.without_training():
        assert experiment.train() == ["runs: 6 (0 trained, 6 reused)"]
    assert experiment.contents("models", times=False) == before
    assert len(kept(".runs")) == 6


def test_a_temporary_clone_takes_its_runs_from_the_project(
    project: Path, experiment: Experiment, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copytree("data", tmp_path / "clone" / "data")
    monkeypatch.chdir(tmp_path / "clone")
    monkeypatch.setenv("DVC_ROOT", str(project))
    experiment.write()
    with experiment.without_training():
        assert experiment.train() == ["runs: 6 (0 trained, 6 reused)"]
    assert not Path(".runs").exists()
    assert experiment.contents("models") == experiment.contents(project / "models")


def spoil_weights(folder: Path) -> None:
    path = folder / "weights.npz"
    path.write_bytes(path.read_bytes()[:-40])


def spoil_history(folder: Path) -> None:
    (folder / "history.csv").write_text("epoch,loss,val_loss\n")


def exchange_weights(folder: Path) -> None:
    shutil.copy(Path("models/runs") / index()[1]["id"] / "weights.npz", folder)


def test_damaged_runs_alone_are_trained_again_to_the_same_bytes(
    project: Path, experiment: Experiment
) -> None:
    before = experiment.contents("models", times=False)
    spoils: list[Callable[[Path], None]] = [spoil_weights, spoil_history, exchange_weights]
    spoiled = index()[2:5]
    for row, spoil in zip(spoiled, spoils, strict=True):
        for place in ("models/runs", ".runs"):
            spoil(Path(place) / row["id"])
    spoil_weights(Path("models/runs") / index()[0]["id"])  # the store has it still
    spoil_weights(Path(".runs") / index()[5]["id"])  # models/ has it still
    said = {row["id"]: f"{row['setting']} seed={row['seed']} ({row['id'][:12]})" for row in index()}
    copied = index()[0]["id"]
    assert experiment.train() == [
        f"damaged: {said[copied]} is replaced by the copy that is kept",
        *(f"damaged: {said[row['id']]} is trained anew" for row in spoiled),
        "training 3 runs",
        "runs: 6 (3 trained, 3 reused)",
    ]
    assert experiment.contents("models", times=False) == before
    with experiment.without_training():
        experiment.train()


@pytest.mark.slow
@pytest.mark.usefixtures("project")
def test_runs_on_jax_say_so(experiment: Experiment, capfd: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("jax")
    experiment.write(models={"none": {"offset": "none", "engine": "jax"}})
    experiment.train()
    assert "training 2 runs on JAX\n" in capfd.readouterr().out  # of another process


@pytest.mark.usefixtures("quickly")
def test_a_run_of_two_models_trains_once(project: Path, experiment: Experiment) -> None:
    experiment.write(
        models={
            "none": {"offset": "none", "epochs": 1},
            "gaussian": {"offset": "none", "stddev": [0, 0.1], "epochs": [1, 2]},
        }
    )
    printed = experiment.train()
    ids = [row["id"] for row in index()]
    assert (len(ids), len(set(ids))) == (10, 8)
    # Both of none, at epochs=1, two more at stddev=0.1; epochs=2 was there.
    assert printed == ["training 4 runs", "runs: 10 (4 trained, 6 reused)"]
    assert kept() == set(ids)


def test_a_run_that_diverges_is_reported_and_stops_no_other(
    project: Path, experiment: Experiment
) -> None:
    mse = {"offset": "none", "loss": "mean_squared_error", "output": "linear"}
    experiment.write(
        models={"none": {"offset": "none"}, "fast": {**mse, "learning_rate": [0.01, 1e30]}}
    )
    printed = experiment.train()
    rows = index()
    gone = [row for row in rows if row["learning_rate"] == "1e+30"]
    assert [row["status"] for row in gone] == ["diverged", "diverged"]
    assert {row["status"] for row in rows if row not in gone} == {"finished"}
    reported = [
        f"diverged: fast learning_rate=1e+30 seed={row['seed']} ({row['id'][:12]})" for row in gone
    ]
    assert printed == ["training 4 runs", *reported, "runs: 6 (4 trained, 2 reused)"]
    for row in gone:
        assert not (Path("models/runs") / row["id"] / "weights.npz").exists()
    with experiment.without_training():
        assert experiment.train() == [*reported, "runs: 6 (0 trained, 6 reused)"]


@pytest.mark.usefixtures("quickly")
def test_a_training_that_is_cut_off_loses_one_population_at_most(
    project: Path, experiment: Experiment, monkeypatch: pytest.MonkeyPatch
) -> None:
    from offset_autoencoder.training import schedule

    before = experiment.contents("models")
    experiment.write(models={"none": {"offset": "none", "activation": ["tanh", "elu"]}})
    real = vars(schedule)["train_populations"]

    def cut_off(works: list[Any], *arguments: Any, **options: Any) -> None:
        real(works[:1], *arguments, **options)
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(schedule, "train_populations", cut_off)
        with pytest.raises(KeyboardInterrupt):
            experiment.train()
    assert experiment.contents("models") == before
    assert experiment.train()[-1] == "runs: 4 (2 trained, 2 reused)"
    assert {row["activation"] for row in index()} == {"tanh", "elu"}


def test_what_is_missing_is_one_line_before_any_training(
    project: Path, experiment: Experiment
) -> None:
    before = experiment.contents("models")
    experiment.write(network={"latent_dim": [4, 5], "hidden": [8]})
    with experiment.without_training():
        with pytest.raises(InputError, match="no table of offset 'none' at latent dim 5"):
            experiment.train()
        experiment.write()
        Path("data/offsets/frozen/train.npy").unlink()
        with pytest.raises(InputError, match=r"frozen/train\.npy: no such file"):
            experiment.train()
        Path("data/prepared/schema.json").unlink()
        with pytest.raises(InputError, match=r"schema\.json: no such file"):
            experiment.train()
        Path("params.yaml").unlink()
        with pytest.raises(InputError, match=r"params\.yaml: no such file"):
            experiment.train()
    assert experiment.contents("models") == before


@pytest.mark.usefixtures("quickly", "sigterm")
def test_shares_train_every_run_once_into_the_store_alone(
    project: Path, experiment: Experiment, capsys: pytest.CaptureFixture[str]
) -> None:
    ids, before = kept(".runs"), experiment.contents("models")
    shutil.rmtree(".runs")
    train_share(Share(0, 1))  # those of models/, as after dvc pull, are taken in
    assert capsys.readouterr().out == "runs: 6 (0 trained, 6 reused)\n"
    assert experiment.contents("models") == before
    for folder in (".runs", "models"):
        shutil.rmtree(folder)
    for number in range(3):
        train_share(Share(number, 3))
        train_share(Share(number, 3))  # again: nothing is left
    lines = [line for line in capsys.readouterr().out.splitlines() if line.startswith("share")]
    sizes = [sum(int(id, 16) % 3 == number for id in ids) for number in range(3)]
    assert lines == [
        line
        for number, size in enumerate(sizes)
        for line in (
            f"share {number}/3, runs: {size} ({size} trained, 0 reused)",
            f"share {number}/3, runs: {size} (0 trained, {size} reused)",
        )
    ]
    assert kept(".runs") == ids
    assert not Path("models").exists()
    with experiment.without_training():
        assert experiment.train() == ["runs: 6 (0 trained, 6 reused)"]


@pytest.fixture
def sigterm() -> Iterator[None]:
    """The process's own handler, put back."""
    handler = signal.getsignal(signal.SIGTERM)
    yield
    signal.signal(signal.SIGTERM, handler)


@pytest.mark.parametrize(
    "text", ["", "3", "3/", "4/4", "-1/4", "1/4/2", "0/0", "a/b", "1.0/4", "²/4"]
)
def test_what_is_no_share_is_refused(text: str) -> None:
    with pytest.raises(
        InputError, match=r"--share: is .*, expected K/N, .*: the first of 16 is 0/16"
    ):
        Share.parse(text)


def lock(**changes: Any) -> dict[str, Any]:
    """What dvc.lock holds once the offsets of this project are made."""
    md5 = hashlib.md5(Path("params.yaml").read_bytes()).hexdigest()
    prepared = [{"path": "data/prepared", "md5": "1.dir"}]
    offset = {"params": {"params.yaml": {"offsets.frozen": {"kind": "hash"}}}, "deps": prepared}
    none = {"params": {"params.yaml": {"offsets.none": {"kind": "zero"}}}, "deps": prepared}
    prepare = {"deps": [{"path": "params.yaml", "md5": md5}], "outs": prepared}
    stages = {"prepare": prepare, "offsets@none": none, "offsets@frozen": offset}
    return {"schema": "2.0", "stages": {**stages, **changes}}


@pytest.mark.usefixtures("project", "sigterm")
@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({}, None),
        ({"prepare": {}}, r"params\.yaml: has changed since data/prepared was made"),
        ({"offsets@frozen": {}}, r"data/offsets/frozen: is not of params\.yaml"),
        (
            {"offsets@none": {"params": {"params.yaml": {"offsets.none": {"kind": "hash"}}}}},
            r"data/offsets/none: is not of params\.yaml",
        ),
        (
            {
                "offsets@frozen": {
                    "params": {"params.yaml": {"offsets.frozen": {"kind": "hash"}}},
                    "deps": [{"path": "data/prepared", "md5": "2.dir"}],
                }
            },
            r"data/offsets/frozen: is not of params\.yaml and data/prepared as they are",
        ),
    ],
)
def test_a_share_of_data_that_are_not_of_the_params_is_refused(
    experiment: Experiment, changes: dict[str, Any], message: str | None
) -> None:
    Path("dvc.lock").write_text(yaml.safe_dump(lock(**changes)))
    remedy = r".*\(run dvc repro prepare offsets first\)"
    with (
        experiment.without_training(),
        pytest.raises(InputError, match=message + remedy) if message else contextlib.nullcontext(),
    ):
        train_share(Share(0, 1))
