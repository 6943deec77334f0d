"""Small networks, trained by the project's trainer and judged as the stage judges them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from sklearn.datasets import load_digits

from offset_autoencoder.config import SPLITS, Params, Run, SplitName
from offset_autoencoder.evaluation.metrics import Domain
from offset_autoencoder.evaluation.opening import EvaluationSamples
from offset_autoencoder.evaluation.results import experiment_results
from offset_autoencoder.evaluation.run_evaluation import evaluate_runs
from offset_autoencoder.evaluation.sample_errors import TestedSamples
from offset_autoencoder.evaluation.summary import RunRow
from offset_autoencoder.models.resolve import resolve_architecture
from offset_autoencoder.runs.files import TrainedRun
from offset_autoencoder.runs.load import FinishedRun
from offset_autoencoder.training.engine import Population
from offset_autoencoder.training.pool import train_population
from offset_autoencoder.training.state import Job

L, RMS, EPOCHS = 8, 0.1, 200
ROWS = {"train": slice(0, 200), "validation": slice(200, 300), "test": slice(300, 1500)}
DIGITS = (load_digits().data[np.random.default_rng(0).permutation(1797)] / 16).astype(np.float32)
X: dict[SplitName, Any] = {name: DIGITS[ROWS[name]] for name in SPLITS}
TESTED = TestedSamples(np.arange(len(X["test"])))


def table(vectors: Any) -> Any:
    return (vectors * RMS / np.sqrt(np.mean(vectors[:200] ** 2))).astype(np.float32)


RNG = np.random.default_rng(1)
TABLES = {
    "none": np.zeros((1500, L), np.float32),
    "frozen": table(RNG.normal(size=(1500, L))),
    "projection": table((DIGITS[:1500] - DIGITS.mean(axis=0)) @ RNG.normal(size=(64, L))),
}


def offsets(run: Run, factor: float, split: SplitName, rows: Any = slice(None)) -> Any:
    return TABLES[str(run.setting.spec.offset)][ROWS[split]][rows]


def test_a_random_table_is_memorised_and_a_projection_is_read(
    make_params: Callable[..., Params],
) -> None:
    params = make_params(
        seeds=8,
        offsets={
            "none": {"kind": "zero"},
            "frozen": {"kind": "hash"},
            "projection": {"kind": "random_projection"},
        },
        network={"latent_dim": L, "hidden": [32]},
        models={
            "none": {"offset": "none"},
            "gaussian": {"offset": "none", "stddev": RMS},
            "frozen": {"offset": "frozen", "rms": RMS},
            "projection": {"offset": "projection", "rms": RMS},
        },
        evaluate={"baselines": ["none"], "draws": 2},
    )
    runs = params.runs
    architecture = resolve_architecture(
        runs[0].setting, input_dim=64, image_shape=None, samples=200
    )
    jobs = [
        Job(
            *(run.label, run.seed, offsets(run, 1, "train"), offsets(run, 1, "validation")),
            *(run.setting.spec.stddev, 5e-3, EPOCHS, None),
        )
        for run in runs
    ]
    trained: dict[str, TrainedRun] = {}
    population = Population(architecture, 32, "adam")
    train_population(
        population,
        jobs,
        X["train"],
        X["validation"],
        lambda job, run: trained.update({job.id: run}),
    )
    names = population.weight_names
    finished = {
        run.label: (
            run,
            FinishedRun(
                architecture,
                run.seed,
                dict(zip(names, trained[run.label].weights or [], strict=True)),
                run.setting.spec.stddev,
            ),
        )
        for run in runs
    }
    samples = EvaluationSamples(X, Domain.of(X["test"], (0.0, 1.0)), TESTED)
    evaluations = dict(evaluate_runs(finished, offsets, samples, params.evaluate))
    rows = [RunRow(run.label, run, "finished", evaluations[run.label].metrics) for run in runs]
    results = experiment_results(params, rows, evaluations, [])
    verdicts = {verdict.setting.model: verdict for verdict in results.verdicts}
    frozen, projection = verdicts["frozen"], verdicts["projection"]
    assert projection.word == "second encoder", projection.sentence
    # The random table is learnt by heart; that it is not read on unseen samples hangs on these.
    learnt = frozen.effects["permuted_train"]
    assert learnt.shift == "more", frozen.sentence
    for beyond in frozen.beyond.values():
        assert beyond["permuted_train"].shift == "more"
    assert frozen.word == "memorised" or frozen.unsettled == "permuted", frozen.sentence
    # To a network that never saw it, it is nothing of the kind.
    for control in frozen.controls.values():
        assert abs(control["permuted_train"].mean) < 0.5 * learnt.change.mean
    assert frozen.against["against_nothing"].low > 0
