"""Every stage where each seed has a split of its own: within a seed all go by that split alone."""

from __future__ import annotations

import contextlib
import csv
import io
import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy.stats import t
from sklearn.datasets import load_digits

from offset_autoencoder import load_run, load_table
from offset_autoencoder.config import SPLITS, load_params
from offset_autoencoder.data.varying import load_splits
from offset_autoencoder.errors import InputError
from offset_autoencoder.evaluation.statistics import ONE_SPLIT
from offset_autoencoder.offsets.kind import apply_offset
from offset_autoencoder.runs.files import read_saved_run
from offset_autoencoder.serving import export
from offset_autoencoder.serving.inference_model import load_model_folder, open_run
from offset_autoencoder.stages import offsets, prepare
from offset_autoencoder.stages.evaluate import design_of
from offset_autoencoder.stages.train import identify_runs
from offset_autoencoder.tracking.record_types import read_splits

Experiment = Any  # conftest's, which tests cannot import
OFFSETS = Path("data/offsets")
SEEDS = [3, 0, 5]
SECTIONS: dict[str, Any] = {
    "data": {"source": "digits", "scale": "standard"},
    "seeds": SEEDS,
    "offsets": {
        "none": {"kind": "zero"},
        "pca": {"kind": "pca"},
        "table": {"kind": "file", "path": "table.npy"},
    },
    "network": {"latent_dim": 4, "hidden": [8], "loss": "mean_squared_error", "output": "linear"},
    "train": {"epochs": 3, "batch_size": 128, "learning_rate": 0.01},
    "models": {
        "none": {"offset": "none", "stddev": [0, 0.1]},
        "pca": {"offset": "pca", "rms": 0.5},
        "table": {"offset": "table", "rms": 0.5},
    },
}


def vectors(ids: Any) -> Any:
    """Vectors that name their samples."""
    return np.stack([ids, ids**2 / 1000, np.sin(ids), np.cos(ids)], axis=1).astype(np.float32)


def build(experiment: Experiment, **sections: Any) -> None:
    """Run all before ``train``; the user's table has a row per digit."""
    Path("data/raw").mkdir(parents=True, exist_ok=True)
    document = experiment.write(**{**SECTIONS, **sections})
    np.save("data/raw/table.npy", vectors(np.arange(1797)))
    with contextlib.redirect_stdout(io.StringIO()):
        prepare.main()
        for name in document["offsets"]:
            offsets.main([name])


@pytest.fixture(scope="module")
def evaluated(experiment: Experiment, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("varying")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.delenv("DVC_ROOT", raising=False)
        build(experiment)
        experiment.train()
        experiment.evaluate()
    return folder


@pytest.fixture
def project(evaluated: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of that project, as the working folder."""
    folder = tmp_path / "project"
    shutil.copytree(evaluated, folder)
    monkeypatch.chdir(folder)
    monkeypatch.delenv("DVC_ROOT", raising=False)
    return folder


def runs() -> list[dict[str, str]]:
    with Path("reports/runs.csv").open(newline="") as stream:
        return list(csv.DictReader(stream))


@pytest.mark.usefixtures("project")
@pytest.mark.parametrize("seed", SEEDS)
def test_an_offset_is_fitted_on_the_seeds_own_training_split(seed: int) -> None:
    splits = load_splits()
    data, table = splits.of(seed), load_table(OFFSETS, "pca", 4, splits.key(seed))
    x = data.train.x.astype(np.float64)
    centred = x - x.mean(axis=0)
    axes = np.linalg.svd(centred, full_matrices=False)[2][:4]
    axes *= np.sign(axes[np.arange(4), np.abs(axes).argmax(axis=1)])[:, None]
    for name in SPLITS:
        expected = (data.split(name).x - x.mean(axis=0)) @ axes.T
        np.testing.assert_allclose(table.split(name), expected, rtol=1e-4, atol=1e-4)
    assert table.info["data"] == {name: data.schema.digests[name]["x"] for name in SPLITS}
    assert table.info["split_seed"] == seed
    assert table.rms == pytest.approx(np.sqrt(np.mean(np.square(table.train))))


@pytest.mark.usefixtures("project")
def test_a_table_of_the_users_own_gives_a_sample_its_vector_in_every_split() -> None:
    splits = load_splits()
    for seed in SEEDS:
        table = load_table(OFFSETS, "table", 4, seed)
        for name in SPLITS:
            expected = vectors(splits.of(seed).split(name).ids)
            np.testing.assert_array_equal(table.split(name), expected)


@pytest.mark.usefixtures("project")
def test_a_seed_without_a_table_is_an_error() -> None:
    assert load_table(OFFSETS, "pca", 4, 3).info == load_table(OFFSETS, "pca", 4).info
    with pytest.raises(InputError, match=r"latent dim 4, for the split of seed 7 \(run dvc repro"):
        load_table(OFFSETS, "pca", 4, 7)


def test_offsets_of_several_latent_dims(
    experiment: Experiment, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    network = {**SECTIONS["network"], "latent_dim": [3, 6]}
    kinds = {"none": {"kind": "zero"}, "frozen": {"kind": "hash"}}
    models = {"none": {"offset": "none"}, "frozen": {"offset": "frozen"}}
    data = {"source": "digits", "scale": "unit"}
    build(experiment, network=network, offsets=kinds, models=models, data=data)
    splits = load_splits()
    vector_of: dict[int, Any] = {}
    for seed in SEEDS:
        table = load_table(OFFSETS, "frozen", 6, seed)
        small = load_table(OFFSETS, "frozen", 3, seed)
        for name in SPLITS:
            np.testing.assert_array_equal(table.split(name)[:, :3], small.split(name))
            ids = splits.of(seed).split(name).ids.tolist()
            for sample, vector in zip(ids, table.split(name), strict=True):
                np.testing.assert_array_equal(vector_of.setdefault(sample, vector), vector)
    assert len(vector_of) == 1797


@pytest.mark.usefixtures("project")
def test_what_a_run_trains_on_is_its_seeds_split(
    experiment: Experiment, monkeypatch: pytest.MonkeyPatch
) -> None:
    from offset_autoencoder.training import schedule

    seen: dict[int, list[Any]] = {}

    def pretend(works: Any, sizes: Any, *_: Any, **__: Any) -> None:
        assert sizes == (1168, 270, 256, True, True)
        for work in works:
            for job, data in (open_job() for open_job in work.jobs):
                seen.setdefault(job.seed, []).append((job, data))
        raise KeyboardInterrupt

    monkeypatch.setattr(schedule, "train_populations", pretend)
    shutil.rmtree("models")
    shutil.rmtree(".runs")
    with pytest.raises(KeyboardInterrupt):
        experiment.train()
    splits, own = load_splits(), set()
    assert sorted(seen) == sorted(SEEDS)
    for seed, members in seen.items():
        data, table = splits.of(seed), load_table(OFFSETS, "pca", 4, seed)
        assert len(members) == 4
        for _, trained_on in members:
            np.testing.assert_array_equal(trained_on.x, data.train.x)
            np.testing.assert_array_equal(trained_on.x_validation, data.validation.x)
        assert len({id(trained_on) for _, trained_on in members}) == 1  # opened once
        added = [job.offset for job, _ in members]
        assert sum(np.array_equal(offset, table.train) for offset in added) == 1
        held_out = {*data.validation.ids, *data.test.ids}
        assert not held_out & {*data.train.ids}
        own.add(frozenset(data.test.ids))
    assert len(own) == 3


def test_ids_do_not_depend_on_the_other_seeds(
    project: Path, experiment: Experiment, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def ids() -> dict[str, str]:
        return {run.run.label: run.id for run in identify_runs(load_params(), load_splits())}

    before = ids()
    assert len({*before.values()}) == 12
    (tmp_path / "other").mkdir()
    monkeypatch.chdir(tmp_path / "other")
    build(experiment, seeds=[0, 7, 5, 3, 1])
    after = ids()
    assert {label: after[label] for label in before} == before
    shutil.copytree(project / ".runs", ".runs")
    shutil.copytree(project / "models", "models")
    new: list[str] = []

    def pretend(runs: Any, *_: Any, **__: Any) -> None:
        new.extend(run.run.label for run in runs)
        raise KeyboardInterrupt

    monkeypatch.setattr("offset_autoencoder.stages.train.train", pretend)
    with pytest.raises(KeyboardInterrupt):
        experiment.train()
    assert sorted(new) == sorted(after.keys() - before.keys())
    assert {label.rpartition("=")[2] for label in new} == {"7", "1"}


@pytest.mark.usefixtures("project")
@pytest.mark.parametrize("seed", SEEDS)
def test_a_run_is_measured_on_its_seeds_test_split(seed: int) -> None:
    data, table = load_splits().of(seed), load_table(OFFSETS, "pca", 4, seed)
    (row,) = (row for row in runs() if (row["model"], row["seed"]) == ("pca", str(seed)))
    factor = np.float32(read_saved_run(Path("models/runs") / row["id"]).spec.offset_factor)
    train = np.asarray(table.train, np.float64) * factor
    assert np.sqrt(np.mean(train**2)) == pytest.approx(0.5)
    x = np.asarray(data.test.x)
    out = np.asarray(load_run(row["id"])({"x": x, "offset": table.test}), np.float64)
    assert float(row["mse"]) == pytest.approx(np.mean((out - x) ** 2), rel=1e-5)


@pytest.mark.usefixtures("project")
@pytest.mark.parametrize("seed", [3, 5])
def test_a_served_run_has_the_scale_and_the_offset_of_its_own_split(
    seed: int, tmp_path: Path
) -> None:
    data = load_splits().of(seed)
    raw = load_digits().data[data.test.ids]
    (row,) = (row for row in runs() if (row["model"], row["seed"]) == ("pca", str(seed)))
    model = open_run(row["id"])
    np.testing.assert_array_equal(model._scaled(raw, {}), data.test.x)
    vectors_of_run = load_table(OFFSETS, "pca", 4, seed).test
    np.testing.assert_allclose(model.offset(raw), vectors_of_run, rtol=1e-5, atol=1e-6)
    assert model.metadata.test_samples_sha256 == data.schema.digests["test"]["x"]
    export.save_model_folder(tmp_path / "served", open_run(row["id"]))
    served = load_model_folder(tmp_path / "served")
    assert export.test_mse(served, data, None) == pytest.approx(float(row["mse"]), rel=1e-4)
    np.testing.assert_array_equal(served.reconstruct(raw), model.reconstruct(raw))


@pytest.mark.usefixtures("project")
def test_a_run_of_a_seed_that_is_no_longer_asked_for_cannot_be_opened() -> None:
    (row,) = (row for row in runs() if (row["setting"], row["seed"]) == ("pca", "5"))
    Path("data/prepared/splits.json").write_text('{"seeds": [3, 0], "value_range": [0, 1]}')
    with pytest.raises(InputError, match="was trained on other samples than data/prepared holds"):
        open_run(row["id"])


@pytest.mark.usefixtures("project")
def test_pictures_and_digests_are_those_of_the_first_seeds_split() -> None:
    with Path("reports/plots/codes.csv").open(newline="") as stream:
        samples = {int(row["sample"]) for row in csv.DictReader(stream)}
    assert samples <= {*load_splits().of(3).test.ids.tolist()}
    page = Path("reports/index.html").read_text()
    assert "one for each of 3 seeds" in page
    assert str(load_splits().schema(3).digests["test"]["x"]) in page


@pytest.mark.usefixtures("project")
def test_intervals_are_corrected_for_the_overlap_of_the_splits() -> None:
    schemas = [load_splits().schema(seed) for seed in SEEDS]
    design = design_of(schemas)
    assert design.varies
    assert design.overlap == pytest.approx(359 / 1168)
    assert design.validation_overlap == pytest.approx(270 / 1168)
    assert design.training_overlap == pytest.approx(1168 / (270 + 359))
    assert design_of([]) == ONE_SPLIT
    tree = json.loads(Path("reports/metrics.json").read_text())["pca"]["mse"]
    values = [float(row["mse"]) for row in runs() if row["model"] == "pca"]
    half = t.ppf(0.975, 2) * np.std(values, ddof=1) * np.sqrt(1 / 3 + 359 / 1168)
    assert tree["high"] - tree["mean"] == pytest.approx(half, rel=1e-3)  # Nadeau & Bengio 2003


@pytest.mark.usefixtures("project")
def test_mlflow_is_told_of_the_runs_own_split() -> None:
    for seed, uri in ((3, "data/prepared/test/x.npy"), (5, "data/prepared/splits/5/test/rows.npy")):
        test = read_splits(Path(), seed)[2]
        assert (test.context, test.uri, test.shape) == ("test", uri, (359, 64))
        assert test.sha256 == load_splits().schema(seed).digests["test"]["x"]
        assert Path(test.uri).exists()


def test_state_of_a_split_computes_the_vectors_of_new_samples(project: Path) -> None:
    data = load_splits().of(5)
    stored = OFFSETS / "pca" / "splits" / "5"
    table = load_table(OFFSETS, "pca", 4, 5)
    np.testing.assert_allclose(apply_offset(stored, data.test.x), table.test, rtol=1e-5, atol=1e-6)


def test_groups_of_unlike_sizes_go_through_every_stage(
    experiment: Experiment, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("DVC_ROOT", raising=False)
    digits = load_digits()
    groups = np.repeat(np.arange(120), np.arange(120) % 6 * 5 + 5)[:1797]
    Path("data/raw").mkdir(parents=True)
    np.savez("data/raw/x.npz", x=digits.data, y=digits.target, subject=groups)
    sections: dict[str, Any] = {
        "data": {"source": "file", "path": "x.npz", "label": "y"},
        "split": {"group": "subject"},
        "models": {
            "none": {"offset": "none"},
            "pca": {"offset": "pca", "rms": 0.1},
            "vae": {"system": "vae", "warmup": 2},
        },
    }
    build(experiment, **sections)
    splits = load_splits()
    sizes = [splits.schema(seed).samples["train"] for seed in SEEDS]
    assert len(set(sizes)) > 1
    ids = {run.run.label: run.id for run in identify_runs(load_params(), splits)}
    assert "runs: 9 (9 trained, 0 reused)" in experiment.train()
    experiment.evaluate()
    rows = runs()
    assert {f"{row['setting']} seed={row['seed']}": row["id"] for row in rows} == ids
    assert all(row["status"] == "finished" for row in rows)
    for seed, size in zip(SEEDS, sizes, strict=True):
        saved = read_saved_run(Path("models/runs") / ids[f"vae seed={seed}"])
        assert saved.spec.architecture.warmup_steps == 2 * -(-size // 128)
    # The runs of a seed do not depend on which others there are, nor on their order.
    build(experiment, **sections, seeds=[*reversed(SEEDS)])
    again = {run.run.label: run.id for run in identify_runs(load_params(), load_splits())}
    assert again == ids
