"""Everything that is found out about a finished run, in one pass over it."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

from offset_autoencoder.config import SPLITS, Run, SplitName
from offset_autoencoder.config.schema import Evaluate
from offset_autoencoder.evaluation.draws import Draws, draw
from offset_autoencoder.evaluation.elbo import evidence_lower_bound
from offset_autoencoder.evaluation.interventions import Intervention, intervene
from offset_autoencoder.evaluation.measure import measure
from offset_autoencoder.evaluation.metrics import reconstruction_metrics
from offset_autoencoder.evaluation.opened import FinishedRun, OpenedRun, open_runs
from offset_autoencoder.evaluation.probes import Probe, Splits, Targets, probe_parts
from offset_autoencoder.evaluation.pull import pull
from offset_autoencoder.evaluation.response import Response, respond
from offset_autoencoder.models.inference import Encoded

Array = NDArray[np.float32]


@dataclass(frozen=True)
class Evidence:
    """What was found out about a run.

    Attributes:
        metrics: The columns of ``runs.csv``: every metric on the test split.
        train: The metric that is compared, on the training split as deployed.
        interventions: Metrics on the test split under each intervention.
        probes: What its code and its offset tell, by part.
        response: How its code goes with its offset on the test split; None without one.
        pull: How far another sample's offset takes the reconstruction towards that sample;
            None without an offset.
    """

    metrics: dict[str, float]
    train: float
    interventions: dict[Intervention, dict[str, float]]
    probes: dict[str, Probe]
    response: Response | None
    pull: float | None


@dataclass(frozen=True)
class Samples:
    """What runs are examined on.

    Attributes:
        x: The samples of each split, (n, D) float32.
        targets: What the probes read.
        data_range: Lowest and highest value that the data can take, where known.
    """

    x: Mapping[SplitName, Array]
    targets: Targets
    data_range: tuple[float, float] | None


def examine_runs(
    runs: Mapping[str, tuple[Run, FinishedRun]],
    offsets: Callable[[Run, float, SplitName], Array],
    samples: Samples,
    evaluate: Evaluate,
) -> Iterator[tuple[str, Evidence]]:
    """Examine the runs, as many at a time as there are cores.

    What is found of a run depends neither on the others nor on the number of cores.

    Args:
        runs: By id the runs as params.yaml names them and as they were trained.
        offsets: :class:`.finished_runs.OffsetsOf`: from a run, the factor of its table and a
            split to f(x) as it is added, (n, L) float32.
        samples: What they are examined on.
        evaluate: The section of params.yaml.
    """
    cores = os.cpu_count() or 1
    waiting: deque[tuple[str, Future[Evidence]]] = deque()
    # Products are small, and all cores have runs of their own to examine.
    with threadpool_limits(1, user_api="blas"), ThreadPoolExecutor(cores) as pool:
        for run_id, arguments in _encoded_runs(runs, offsets, samples, evaluate):
            waiting.append((run_id, pool.submit(_examine, samples, evaluate, *arguments)))
            if not arguments[0].stays_open:
                waiting[-1][1].result()
            while len(waiting) > cores:
                done, evidence = waiting.popleft()
                yield done, evidence.result()
        for done, evidence in waiting:
            yield done, evidence.result()


def _encoded_runs(
    runs: Mapping[str, tuple[Run, FinishedRun]],
    offsets: Callable[[Run, float, SplitName], Array],
    samples: Samples,
    evaluate: Evaluate,
) -> Iterator[tuple[str, tuple[OpenedRun, Mapping[SplitName, Encoded], Draws, Array | None]]]:
    plain_codes: dict[str, Array] = {}
    drawn: dict[tuple[int, int], Draws] = {}
    # Runs without anything added come first: the answer of the others is told from theirs.
    ordered = sorted(runs, key=lambda run_id: not _is_plain(runs[run_id][0]))
    for run_id, opened in open_runs({run_id: runs[run_id][1] for run_id in ordered}):
        run = runs[run_id][0]
        encoded = {
            name: opened.encode(samples.x[name], offsets(run, opened.run.offset_factor, name))
            for name in SPLITS
        }
        test = encoded["test"]
        twin = _twin_of(run)
        if _is_plain(run) and twin and test.code is not None and not test.offset.any():
            plain_codes[twin] = test.code
        shape = (run.seed, test.offset.shape[1])
        if shape not in drawn:
            drawn[shape] = draw(
                evaluate.draws,
                seed=evaluate.seed,
                run_seed=run.seed,
                samples=len(samples.x["test"]),
                latent_dim=shape[1],
            )
        plain_code = plain_codes.get(twin) if twin else None
        yield run_id, (opened, encoded, drawn[shape], plain_code)


def _examine(
    samples: Samples,
    evaluate: Evaluate,
    opened: OpenedRun,
    encoded: Mapping[SplitName, Encoded],
    draws: Draws,
    plain_code: Array | None,
) -> Evidence:
    run, test, train = opened.run, encoded["test"], encoded["train"]
    x, decode = samples.x["test"], opened.decoder(samples.x["test"])
    network = run.architecture.network
    metrics = measure(run, x, test, decode, data_range=samples.data_range, noise_seed=evaluate.seed)
    metrics["trainable_parameters"] = opened.trainable_parameters
    if test.log_variance is not None:
        metrics |= evidence_lower_bound(
            network.loss, x, test, decode, draws=evaluate.draws, seed=evaluate.seed
        )
    wanted = [evaluate.metric] if evaluate.metric in metrics else ["mse"]
    x_train = samples.x["train"]
    on_train = reconstruction_metrics(
        x_train,
        opened.decoder(x_train)(train.code, train.offset),
        data_range=samples.data_range,
        cross_entropy="binary_crossentropy" in metrics,
    )
    has_offset = bool(test.offset.any())
    return Evidence(
        metrics=metrics,
        train=on_train[wanted[0]],
        interventions=intervene(
            x,
            test.code,
            test.offset,
            decode,
            draws,
            scales=evaluate.offset_scales,
            stddevs=evaluate.noise_stddevs,
            wanted=tuple(dict.fromkeys(["mse", *wanted])),
            data_range=samples.data_range,
        ),
        probes=probe_parts(
            _splits(encoded, "code") if test.code is not None else None,
            _splits(encoded, "offset") if has_offset else None,
            samples.targets,
        ),
        response=(
            respond(test.code, test.offset, plain_code)
            if test.code is not None and has_offset
            else None
        ),
        pull=pull(x, test.code, test.offset, decode, draws.sources) if has_offset else None,
    )


def _splits(encoded: Mapping[SplitName, Encoded], part: str) -> Splits:
    train, validation, test = (getattr(encoded[name], part) for name in SPLITS)
    return Splits(train=train, validation=validation, test=test)


def _is_plain(run: Run) -> bool:
    """Whether nothing is added to the run's code, as params.yaml has it."""
    spec = run.setting.spec
    return spec.system == "additive" and spec.rms is None and spec.stddev == 0


def _twin_of(run: Run) -> str | None:
    """Equal for runs that differ in what is added alone: same encoder, training and seed.

    None for a system whose encoder is not that of a plain run.
    """
    setting = run.setting
    if not setting.spec.system_record.starts_as_plain:
        return None
    return repr((setting.network, setting.train, run.seed))
