"""Evaluation of finished runs: everything measured of each, in one pass over it."""

from __future__ import annotations

import functools
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from threadpoolctl import threadpool_limits

from offset_autoencoder.config import SPLITS, Run, SplitName
from offset_autoencoder.config.schema import Evaluate
from offset_autoencoder.cores import available_cores
from offset_autoencoder.evaluation import encoder_adaptation, interventions
from offset_autoencoder.evaluation.controls import NOTHING, Network
from offset_autoencoder.evaluation.decoding import SplitInference
from offset_autoencoder.evaluation.encoder_adaptation import EncoderAdaptation
from offset_autoencoder.evaluation.interventions import Draws, Exchanges, Intervention
from offset_autoencoder.evaluation.metrics import METRICS, VALIDATION, Array, Domain
from offset_autoencoder.evaluation.opening import (
    EvaluationSamples,
    Offsets,
    OpenRun,
    controls_of,
    opened_runs,
)
from offset_autoencoder.evaluation.probes import Probe, Splits, probe_parts
from offset_autoencoder.evaluation.run_metrics import (
    as_deployed,
    compared_metric,
    domain_of,
    evidence_lower_bound,
    run_metrics,
)
from offset_autoencoder.evaluation.sample_errors import SampleErrors, thresholds
from offset_autoencoder.models.inference import Decode, Encoded
from offset_autoencoder.runs.load import FinishedRun


@dataclass(frozen=True)
class RunEvaluation:
    """Everything measured of one run, on the test split where nothing else is said."""

    metrics: dict[str, float]  # its columns of runs.csv, those of the validation split too
    train_metric: float  # of the training split as deployed: see `metrics.error_metric`
    exchanges: Exchanges
    probes: dict[str, Probe]
    encoder_adaptation: EncoderAdaptation | None  # None without an offset or a code
    references: Mapping[Network, str] = field(default_factory=dict)  # ids of the runs: see Controls
    guests: Mapping[str, Exchanges] = field(default_factory=dict)  # of others' offsets, by their id
    errors: SampleErrors | None = None

    def is_part_of(self, kept: RunEvaluation | None) -> bool:
        """True if it was taken from a kept evaluation of the run, and nothing measured anew."""
        return (
            kept is not None
            and self.metrics is kept.metrics
            and self.encoder_adaptation is kept.encoder_adaptation
            and self.guests.keys() <= kept.guests.keys()
        )

    def is_of_another(self, references: Mapping[Network, str]) -> bool:
        """True if the adaptation was measured from the code of another run than these name."""
        other = self.references.get(NOTHING) != references.get(NOTHING)
        return self.encoder_adaptation is not None and other


def evaluate_runs(
    runs: Mapping[str, tuple[Run, FinishedRun]],
    offsets: Offsets,
    samples: EvaluationSamples,
    evaluate: Evaluate,
    kept: Mapping[str, RunEvaluation] | None = None,
) -> Iterator[tuple[str, RunEvaluation]]:
    """Evaluate runs, by id as params.yaml names them and as trained, on all cores.

    The result of a run depends neither on the number of cores nor on the others, but for what is
    measured against them: its references are among ``runs``. Of the ``kept`` evaluations of runs,
    by id, only what they lack is measured.

    Yields:
        Id and evaluation of each run: those that are kept whole, those without anything added,
        the others.
    """
    cores, kept = available_cores(), kept or {}
    controls = controls_of(runs, offsets, samples)

    def in_experiment(run_id: str, evaluation: RunEvaluation) -> tuple[str, RunEvaluation]:
        guests = {name: evaluation.guests[name] for name in controls.guests.get(run_id, ())}
        return run_id, replace(evaluation, references=controls.references[run_id], guests=guests)

    lacking: dict[str, list[str]] = {}
    for run_id in runs:
        known = kept.get(run_id)
        of_others = () if known is None else known.guests
        guests = [name for name in controls.guests.get(run_id, ()) if name not in of_others]
        if known is None or guests or known.is_of_another(controls.references[run_id]):
            lacking[run_id] = guests
        else:
            yield in_experiment(run_id, known)
    if not lacking:
        return
    waiting: deque[tuple[str, Future[RunEvaluation]]] = deque()
    # Products are small, and all cores have runs of their own to evaluate.
    _ = samples.targets, samples.variances  # computed once, before threads ask for them
    with threadpool_limits(1, user_api="blas"), ThreadPoolExecutor(cores) as pool:
        for run_id, opened in opened_runs(lacking, runs, offsets, samples, controls):
            work = samples, evaluate, opened, kept.get(run_id)
            waiting.append((run_id, pool.submit(evaluate_open_run, *work)))
            if not opened.inference.stays_open:
                waiting[-1][1].result()
            while len(waiting) > cores:
                done, future = waiting.popleft()
                yield in_experiment(done, future.result())
        for done, future in waiting:
            yield in_experiment(done, future.result())


def evaluate_open_run(
    samples: EvaluationSamples,
    evaluate: Evaluate,
    opened: OpenRun,
    kept: RunEvaluation | None = None,
) -> RunEvaluation:
    """Everything measured of a run that is open for inference, what depends on others last.

    Of a run whose evaluation is kept, that alone is measured, and added to it.
    """
    run, inference, encoded = opened.trained, opened.inference, opened.encoded
    domain = domain_of(run, samples.domain)
    compared = compared_metric(domain, evaluate)
    metric = domain.error if METRICS[compared].detects else compared
    metrics_of_some = tuple(dict.fromkeys(["mse", metric]))
    of_some = _of_some(samples, evaluate, opened, metrics_of_some, domain, kept)
    if kept is not None:
        return replace(kept, **of_some)
    splits = {
        name: SplitInference(
            inference, x, functools.partial(opened.offsets, name), samples.variances[name]
        )
        for name, x in samples.x.items()
    }
    normal = replace(domain, anomalies=None)
    of_test = run_metrics(run, splits["test"], domain, evaluate)
    metrics = {**of_test.columns, "trainable_parameters": inference.trainable_parameters}
    if encoded["test"].log_variance is not None:
        loss, count = run.architecture.network.loss, evaluate.draws
        metrics |= evidence_lower_bound(loss, splits["test"], draws=count, seed=evaluate.seed)
    on_train = splits["train"].measure({"": as_deployed}, normal)[""]
    on_validation = splits["validation"].measure({"": as_deployed}, normal, [domain.error])[""]
    metrics |= {f"{name}{VALIDATION}": value for name, value in on_validation.values().items()}
    of_validation = on_validation.errors(domain.error).astype(np.float32)
    return RunEvaluation(
        metrics=metrics,
        train_metric=on_train.values()[metric],
        **of_some,
        errors=SampleErrors(
            domain.error,
            of_test.errors,
            thresholds(of_validation),
            samples.tested,
            of_test.compared_errors,
        ),
    )


def _of_some(
    samples: EvaluationSamples,
    evaluate: Evaluate,
    opened: OpenRun,
    metrics: Sequence[str],
    domain: Domain,
    kept: RunEvaluation | None,
) -> dict[str, Any]:
    """Measurements on :attr:`EvaluationSamples.rows`, by field of :class:`RunEvaluation`."""
    inference, encoded = opened.inference, opened.encoded
    test, train = encoded["test"], encoded["train"]
    places = interventions.some_rows(len(train.offset))
    x, x_train = samples.some["test"], samples.some["train"][places]
    codes_of_train = None if train.code is None else train.code[places]
    decodes: dict[SplitName, tuple[Array, Array | None, Decode]] = {
        "test": (x, test.code, inference.decoder(x)),
        "train": (x_train, codes_of_train, inference.decoder(x_train)),
    }
    draws = {
        split: interventions.draw(
            evaluate.draws,
            seed=evaluate.seed,
            run_seed=opened.seed,
            samples=len(of_split),
            latent_dim=test.offset.shape[1],
        )
        for split, (of_split, *_) in decodes.items()
    }
    exchange = functools.partial(
        _exchanges, decodes=decodes, draws=draws, metrics=metrics, domain=domain
    )
    own: dict[SplitName, Array] = {"test": test.offset, "train": train.offset[places]}
    adaptation = None
    if test.offset.any() and test.code is not None:
        adaptation = encoder_adaptation.encoder_adaptation(
            test.code, test.offset, opened.plain_code
        )
    guests = {guest: exchange(handed()) for guest, handed in opened.guests.items()}
    if kept is not None:
        return {"encoder_adaptation": adaptation, "guests": {**kept.guests, **guests}}
    codes = None if test.code is None else _splits(encoded, "code")
    return {
        "exchanges": exchange(own, interventions.chosen_interventions(evaluate)),
        "probes": probe_parts(codes, _splits(encoded, "offset"), samples.targets),
        "encoder_adaptation": adaptation,
        "guests": guests,
    }


def _exchanges(
    offsets: Mapping[SplitName, Array],
    on_test: Sequence[Intervention] = interventions.EXCHANGES,
    *,
    decodes: Mapping[SplitName, tuple[Array, Array | None, Decode]],
    draws: Mapping[SplitName, Draws],
    metrics: Sequence[str],
    domain: Domain,
) -> Exchanges:
    """Exchange an offset on the test split and on training samples; see :func:`.intervene`."""
    measured = {}
    for split, (x, code, decode) in decodes.items():
        chosen = on_test if split == "test" else interventions.EXCHANGES
        if split == "test" or offsets[split].any():
            measured[split] = interventions.intervene(
                *(x, code, offsets[split], decode, draws[split], chosen),
                metrics=metrics,
                domain=domain,
            )
    (x, code, decode), offset = decodes["test"], offsets["test"]
    shift = None
    if offset.any():
        shift = encoder_adaptation.donor_shift(x, code, offset, decode, draws["test"].sources)
    return Exchanges(measured, shift)


def _splits(encoded: Mapping[SplitName, Encoded], part: str) -> Splits:
    return Splits(*(getattr(encoded[name], part) for name in SPLITS))
