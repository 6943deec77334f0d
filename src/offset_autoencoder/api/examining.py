"""Examination of trained Keras models of one's own: what the offset is to them.

A model is cloned and taken apart into an encoder and a decoder (:mod:`.taking_apart`), and then
measured as the runs of the pipeline are.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from offset_autoencoder.api.arguments import Arguments
from offset_autoencoder.api.results import Result
from offset_autoencoder.api.taking_apart import take_apart
from offset_autoencoder.config import SPLITS, Params, Run, parse_params
from offset_autoencoder.errors import InputError, known_arguments
from offset_autoencoder.evaluation.metrics import Domain
from offset_autoencoder.evaluation.opening import EvaluationSamples, OpenRun
from offset_autoencoder.evaluation.results import experiment_results
from offset_autoencoder.evaluation.run_evaluation import (
    RunEvaluation,
    evaluate_open_run,
)
from offset_autoencoder.evaluation.sample_errors import TestedSamples
from offset_autoencoder.evaluation.sign_flips import fewest_pairs
from offset_autoencoder.evaluation.statistics import Design
from offset_autoencoder.evaluation.summary import RunRow
from offset_autoencoder.models.architecture import Architecture
from offset_autoencoder.models.inference import KerasNetwork
from offset_autoencoder.offsets.kind import finite_float32, real_array
from offset_autoencoder.reporting.page import render_page
from offset_autoencoder.reporting.report_rows import report_tables
from offset_autoencoder.reporting.terminal import progress
from offset_autoencoder.runs.load import FinishedRun

_FEWEST = 4  # samples of which half stand in the place of training samples
_VALIDATION = 5  # of the training samples one in so many chooses the strength of probes


@known_arguments({})
def examine(
    model: Any,
    x: Any,
    offset: Any,
    *,
    x_train: Any = None,
    offset_train: Any = None,
    labels: Any = None,
    labels_train: Any = None,
    inputs: tuple[str, str] = ("x", "offset"),
    code: str | None = None,
    evaluate: Mapping[str, Any] | None = None,
) -> Result:
    """Examine what an offset is to trained Keras models: interventions, probes, verdict.

    The models stay as they are. Without networks that were trained with nothing or with noise,
    verdicts have no controls, and say so; :func:`.compare` trains them.

    Args:
        model: A functional or Sequential model, or a list of them: one architecture, trained from
            one seed each. With one alone there are neither intervals nor tests.
        x: Samples (n, ...) that they were not trained on, scaled as they were trained.
        offset: Their vectors (n, L), as the models take them.
        x_train: Samples that they were trained on. Without them there is no verdict, which rests
            on both kinds of samples, and part of x is set apart for the probes to be fitted on.
        offset_train: The vectors of these.
        labels: Labels of x, (n,), to be read by probes; None: none.
        labels_train: Labels of ``x_train``.
        inputs: Names of the inputs for the sample and for the offset. A model with one input has
            the offset put in the place of its GaussianNoise.
        code: Name of the layer whose output is the code. By default it is the layer whose output
            the offset is added to, and, of a model with one input, its GaussianNoise.
        evaluate: As in params.yaml.

    Returns:
        The tables ``verdicts``, ``interventions``, ``probes`` and ``runs``, and a page of them.

    Raises:
        InputError: for an argument that is wrong, which it names, and for a model that cannot be
            taken apart.
    """
    models = list(model) if isinstance(model, list | tuple) else [model]
    if not models:
        raise InputError("model", "is an empty list")
    samples = _Samples.of(x, offset, x_train, offset_train, labels, labels_train)
    params = _params(len(models), samples.latent_dim, evaluate)
    rows, evaluations = [], {}
    with progress("examining models", len(models), float(len(models))) as report:
        for number, (one, run) in enumerate(zip(models, params.runs, strict=True)):
            where = "model" if len(models) == 1 else f"model[{number}]"
            network = take_apart(where, one, samples.shape, samples.latent_dim, inputs, code)
            row, evaluation = _evaluate(f"{number}", run, network, samples, params)
            rows.append(row)
            evaluations[row.id] = evaluation
            report(float(number + 1), number + 1)
    design = Design(confidence=params.evaluate.confidence)
    results = experiment_results(params, rows, evaluations, [], design=design)
    tables = {
        name: pd.DataFrame(list(cells), columns=list(columns))
        for name, (columns, cells) in report_tables(results).items()
    }
    level = 1 - params.evaluate.confidence
    needed = fewest_pairs(level, "greater")
    notes = []
    if x_train is None:
        notes.append("no training samples: give x_train and offset_train for a verdict")
    if len(models) == 1:
        notes.append("one model: its figures alone, without intervals and tests")
    if needed is not None and len(models) < needed:
        notes.append(f"give a list of at least {needed} models, one per seed, for a verdict")
    page = render_page(results, None, has_training=x_train is not None)
    return Result(tables, page, "; ".join(notes))


class _Samples:
    """Samples and offsets of the splits, flat: x (n, D) and offset (n, L), float32."""

    def __init__(
        self,
        x: Mapping[str, NDArray[np.float32]],
        offset: Mapping[str, NDArray[np.float32]],
        y: Mapping[str, NDArray[np.int64]] | None,
        labels: NDArray[Any] | None,
        shape: tuple[int, ...],
        *,
        trained_on: bool,
    ) -> None:
        self.x, self.offset, self.shape, self.trained_on = x, offset, shape, trained_on
        self.latent_dim = offset["test"].shape[1]
        tested = TestedSamples(np.arange(len(x["test"])), labels)
        self.evaluation: Any = EvaluationSamples(x, Domain.of(x["test"], None), tested, y)  # type: ignore[arg-type]

    @classmethod
    def of(
        cls, x: Any, offset: Any, x_train: Any, offset_train: Any, labels: Any, labels_train: Any
    ) -> _Samples:
        """The splits; validation is cut off the training samples, drawn by a fixed seed.

        Without training samples, half of x stands in their place.
        """
        trained_on = x_train is not None
        if trained_on and offset_train is None:
            raise InputError("offset_train", "is missing", "give the vectors of x_train")
        for name, value in (("offset_train", offset_train), ("labels_train", labels_train)):
            if value is not None and not trained_on:
                raise InputError(name, "is given without x_train", "give the samples, too")
        if not trained_on:
            x, offset = _array("x", x), _array("offset", offset)
            if len(x) < _FEWEST:
                what = f"has {len(x)} samples, needs {_FEWEST} where x_train is not given"
                raise InputError("x", what, "give x_train and offset_train, or more samples")
            if labels is not None and (count := len(np.asarray(labels))) != len(x):
                raise InputError("labels", f"has {count} labels, x has {len(x)} samples")
            half = np.random.default_rng(0).permutation(len(x)) < len(x) // 2
            if len(offset) == len(x):
                x, x_train, offset, offset_train = x[~half], x[half], offset[~half], offset[half]
            else:  # which is refused below
                x_train, offset_train = x, offset
            if labels is not None:
                labels = np.asarray(labels)
                labels, labels_train = labels[~half], labels[half]
        arrays = {"x": _array("x", x), "x_train": _array("x_train", x_train)}
        arrays |= {"offset": _array("offset", offset)}
        arrays |= {"offset_train": _array("offset_train", offset_train)}
        for name in ("x", "offset"):
            (first, train) = (arrays[key].shape[1:] for key in (name, f"{name}_train"))
            if first != train or (name == "offset" and len(first) != 1):
                what = f"has rows of shape {train}, {name} of {first}"
                raise InputError(f"{name}_train", what, "give both alike, an offset as (n, L)")
        for suffix in ("", "_train"):
            count, others = len(arrays[f"x{suffix}"]), len(arrays[f"offset{suffix}"])
            if count != others:
                raise InputError(f"offset{suffix}", f"has {others} vectors, x{suffix} has {count}")
            if count < 2:
                raise InputError(f"x{suffix}", "needs at least two samples")
        rows = np.random.default_rng(0).permutation(len(arrays["x_train"]))
        cut = max(1, len(rows) // _VALIDATION)
        parts = {"train": np.sort(rows[cut:]), "validation": np.sort(rows[:cut])}

        def split(name: str, flat: bool = True) -> dict[str, Any]:
            train = arrays[f"{name}_train"]
            found = {part: train[chosen] for part, chosen in parts.items()}
            found["test"] = arrays[name]
            return {part: a.reshape(len(a), -1) if flat else a for part, a in found.items()}

        y = None
        if (labels is None) != (labels_train is None):
            missing = "labels" if labels is None else "labels_train"
            raise InputError(missing, "is missing, the other labels are given")
        if labels is not None:
            for suffix, given in (("", labels), ("_train", labels_train)):
                arrays[f"labels{suffix}"] = column = np.asarray(given)
                if column.shape != (count := len(arrays[f"x{suffix}"]),):
                    what = f"has shape {column.shape}, expected ({count},), one per sample"
                    raise InputError(f"labels{suffix}", what)
            whole = np.concatenate([arrays["labels_train"], arrays["labels"]])
            classes = np.unique(whole)
            y = {n: np.searchsorted(classes, v) for n, v in split("labels", flat=False).items()}
        texts = arrays.get("labels")
        shape = arrays["x"].shape[1:]
        return cls(split("x"), split("offset"), y, texts, shape, trained_on=trained_on)


def _array(where: str, values: Any) -> NDArray[np.float32]:
    array = real_array(where, values)
    if array.ndim < 2:
        raise InputError(where, f"must have a row per sample, its shape is {array.shape}")
    finite_float32(where, array.reshape(len(array), -1))
    return array.astype(np.float32)


def _params(seeds: int, latent_dim: int, evaluate: Mapping[str, Any] | None) -> Params:
    """Params of an experiment of these models; of their networks only the code is known."""
    document = {
        **{name: {} for name in ("data", "split", "train")},
        "seeds": seeds,
        "offsets": {"offset": {"kind": "hash"}},
        "network": {
            "latent_dim": latent_dim,
            "output": "linear",
            "loss": "mean_squared_error",
        },
        "models": {"model": {"offset": "offset"}},
        "evaluate": {} if evaluate is None else evaluate,
        "tracking": {},
    }
    with Arguments(Path()).named():
        return parse_params(document)


def _evaluate(
    name: str, run: Run, network: KerasNetwork, samples: _Samples, params: Params
) -> tuple[RunRow, RunEvaluation]:
    of_split = samples.evaluation
    architecture = Architecture(network=run.setting.network, input_dim=samples.x["test"].shape[1])

    def offsets(split: Any, rows: Any) -> NDArray[np.float32]:
        return samples.offset[split][rows]

    encoded = {
        split: network.encode(of_split.some[split], offsets(split, of_split.rows[split]))
        for split in SPLITS
    }
    finished = FinishedRun(architecture, run.seed, {}, 0.0)
    opened = OpenRun(run.seed, finished, network, offsets, encoded, None, {})
    evaluation = evaluate_open_run(of_split, params.evaluate, opened)
    if not samples.trained_on:
        exchanges = evaluation.exchanges
        unseen = replace(exchanges, metrics={"test": exchanges.metrics["test"]})
        evaluation = replace(evaluation, train_metric=math.nan, exchanges=unseen)
    return RunRow(name, run, "finished", evaluation.metrics), evaluation
