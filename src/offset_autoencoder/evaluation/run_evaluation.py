"""Evaluation of finished runs: everything measured of each, in one pass over it."""

from __future__ import annotations

import functools
import os
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
from threadpoolctl import threadpool_limits

from offset_autoencoder.config import SPLITS, Run, SplitName
from offset_autoencoder.config.registries import ACTIVATIONS, LOSSES
from offset_autoencoder.config.schema import Evaluate
from offset_autoencoder.config.systems import draw_stddevs
from offset_autoencoder.evaluation import encoder_adaptation, interventions
from offset_autoencoder.evaluation.controls import (
    Controls,
    Network,
    is_plain_network,
    match_controls,
    twin_of,
)
from offset_autoencoder.evaluation.encoder_adaptation import EncoderAdaptation
from offset_autoencoder.evaluation.interventions import Draws, Exchanges, Intervention
from offset_autoencoder.evaluation.metrics import (
    CONDITIONS,
    METRICS,
    VALIDATION,
    Array,
    Domain,
    reconstruction_metrics,
)
from offset_autoencoder.evaluation.probes import Probe, Splits, Targets, probe_parts
from offset_autoencoder.evaluation.sample_errors import SampleErrors, TestedSamples, measure_errors
from offset_autoencoder.models.inference import Decode, Encoded, RunInference
from offset_autoencoder.offsets.table import load_table
from offset_autoencoder.runs.load import FinishedRun, open_runs

# From a run, the factor of its table and a split to f(x) as it is added, (n, L) float32.
Offsets = Callable[[Run, float, SplitName], Array]


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


@dataclass(frozen=True)
class EvaluationSamples:
    """The samples that runs are evaluated on."""

    x: Mapping[SplitName, Array]  # each split (n, D) float32
    targets: Targets
    domain: Domain  # of the test split
    tested: TestedSamples


def run_offsets(folder: Path, samples: Mapping[SplitName, int], seed: int | None = None) -> Offsets:
    """Offsets from the tables of ``data/offsets``; zeros for a run without one.

    ``samples`` are the numbers of samples of each split, ``seed`` is that of their tables: see
    :func:`.table.load_table`.
    """
    table = functools.cache(functools.partial(load_table, folder, seed=seed))

    def offsets(run: Run, factor: float, split: SplitName) -> Array:
        name, latent_dim = run.setting.spec.offset, run.setting.network.latent_dim
        if name is None:
            return np.zeros((samples[split], latent_dim), np.float32)
        return np.asarray(table(name, latent_dim).split(split), np.float32) * np.float32(factor)

    return offsets


@dataclass(frozen=True)
class _Open:
    """A run that is open for inference, and all that its evaluation needs.

    ``guests`` are by id the offsets of the test split and of some training samples.
    """

    trained: FinishedRun
    inference: RunInference
    encoded: Mapping[SplitName, Encoded]
    draws: Mapping[SplitName, Draws]
    plain_code: Array | None
    references: Mapping[Network, str]
    guests: Mapping[str, Callable[[], Mapping[SplitName, Array]]]


def evaluate_runs(
    runs: Mapping[str, tuple[Run, FinishedRun]],
    offsets: Offsets,
    samples: EvaluationSamples,
    evaluate: Evaluate,
) -> Iterator[tuple[str, RunEvaluation]]:
    """Evaluate runs, by id as params.yaml names them and as trained, on all cores.

    The result of a run depends neither on the number of cores nor on the others, but for what is
    measured against them: its references are among ``runs``.

    Yields:
        Id and evaluation of each run, those without anything added first.
    """
    cores = os.cpu_count() or 1
    waiting: deque[tuple[str, Future[RunEvaluation]]] = deque()
    # Products are small, and all cores have runs of their own to evaluate.
    with threadpool_limits(1, user_api="blas"), ThreadPoolExecutor(cores) as pool:
        for run_id, opened in _opened_runs(runs, offsets, samples, evaluate):
            waiting.append((run_id, pool.submit(_evaluate, samples, evaluate, opened)))
            if not opened.inference.stays_open:
                waiting[-1][1].result()
            while len(waiting) > cores:
                done, future = waiting.popleft()
                yield done, future.result()
        for done, future in waiting:
            yield done, future.result()


def _opened_runs(
    runs: Mapping[str, tuple[Run, FinishedRun]],
    offsets: Offsets,
    samples: EvaluationSamples,
    evaluate: Evaluate,
) -> Iterator[tuple[str, _Open]]:
    plain_codes: dict[str, Array] = {}
    draw = functools.partial(interventions.draw, evaluate.draws, seed=evaluate.seed)
    draws_of = functools.cache(draw)
    controls = match_controls({name: run for name, (run, _) in runs.items()}, _adds(offsets))
    handed = _handed_offsets(controls, runs, offsets, samples)
    # Runs without anything added come first: the adaptation of the others is measured from theirs.
    ordered = sorted(runs, key=lambda run_id: not _is_plain(runs[run_id][0]))
    for run_id, inference in open_runs({run_id: runs[run_id][1] for run_id in ordered}):
        run, trained = runs[run_id]
        encoded = {
            name: inference.encode(samples.x[name], offsets(run, trained.offset_factor, name))
            for name in SPLITS
        }
        test = encoded["test"]
        if _is_plain(run) and test.code is not None and not test.offset.any():
            plain_codes[twin_of(run)] = test.code
        latent_dim = test.offset.shape[1]
        counts: dict[SplitName, int] = {
            "test": len(test.offset),
            "train": len(interventions.evenly_spaced(len(encoded["train"].offset))),
        }
        draws = {
            split: draws_of(run_seed=run.seed, samples=count, latent_dim=latent_dim)
            for split, count in counts.items()
        }
        starts_as_plain = run.setting.spec.system_record.starts_as_plain
        plain_code = plain_codes.get(twin_of(run)) if starts_as_plain else None
        guests = {guest: handed[guest] for guest in controls.guests.get(run_id, ())}
        references = controls.references[run_id]
        opened = _Open(trained, inference, encoded, draws, plain_code, references, guests)
        yield run_id, opened


def _adds(offsets: Offsets) -> Callable[[Run], bool]:
    """Function that says if vectors other than zeros are added to a run's code."""
    of_table: dict[tuple[str | None, int], bool] = {}

    def has_offset(run: Run) -> bool:
        spec = run.setting.spec
        key = spec.offset, run.setting.network.latent_dim
        if key not in of_table:
            of_table[key] = bool(offsets(run, 1.0, "test").any())
        return spec.system_record.learns_offset or of_table[key]

    return has_offset


def _handed_offsets(
    controls: Controls,
    runs: Mapping[str, tuple[Run, FinishedRun]],
    offsets: Offsets,
    samples: EvaluationSamples,
) -> dict[str, Callable[[], Mapping[SplitName, Array]]]:
    """Functions that give the offsets of each run that is handed to a control.

    A table is read when it is needed. What a second encoder computes is computed beforehand, as
    its network may not stay open until the control is.
    """
    guests = dict.fromkeys(guest for ids in controls.guests.values() for guest in ids)
    rows: dict[SplitName, Any] = {
        "test": slice(None),
        "train": interventions.evenly_spaced(len(samples.x["train"])),
    }

    def table(run: Run, factor: float) -> dict[SplitName, Array]:
        return {split: offsets(run, factor, split)[kept] for split, kept in rows.items()}

    handed: dict[str, Callable[[], Mapping[SplitName, Array]]] = {}
    learned = {}
    for guest in guests:
        run, trained = runs[guest]
        if run.setting.spec.system_record.learns_offset:
            learned[guest] = trained
        else:
            handed[guest] = functools.partial(table, run, trained.offset_factor)
    for guest, inference in open_runs(learned):
        added = table(runs[guest][0], learned[guest].offset_factor)
        encoded = {
            split: inference.encode(samples.x[split][kept], added[split]).offset
            for split, kept in rows.items()
        }
        handed[guest] = functools.partial(dict, encoded)
    return handed


def _evaluate(samples: EvaluationSamples, evaluate: Evaluate, opened: _Open) -> RunEvaluation:
    run, inference, encoded = opened.trained, opened.inference, opened.encoded
    test, train = encoded["test"], encoded["train"]
    x, decode = samples.x["test"], inference.decoder(samples.x["test"])
    domain = domain_of(run, samples.domain)
    metrics = run_metrics(run, x, test, decode, domain, noise_seed=evaluate.seed)
    compared = evaluate.metric if evaluate.metric in metrics else "mse"
    metric = domain.error if METRICS[compared].detects else compared
    metrics["trainable_parameters"] = inference.trainable_parameters
    if test.log_variance is not None:
        loss, count = run.architecture.network.loss, evaluate.draws
        metrics |= evidence_lower_bound(loss, x, test, decode, draws=count, seed=evaluate.seed)
    x_train, x_validation = samples.x["train"], samples.x["validation"]
    on_validation = inference.decoder(x_validation)(
        encoded["validation"].code, encoded["validation"].offset
    )
    normal = replace(domain, anomalies=None)
    train_metrics = reconstruction_metrics(
        x_train, inference.decoder(x_train)(train.code, train.offset), normal
    )
    validation_metrics = reconstruction_metrics(x_validation, on_validation, normal)
    metrics |= {f"{name}{VALIDATION}": value for name, value in validation_metrics.items()}
    adaptation = None
    if test.offset.any() and test.code is not None:
        adaptation = encoder_adaptation.encoder_adaptation(
            test.code, test.offset, opened.plain_code
        )
    rows = interventions.evenly_spaced(len(x_train))
    some = x_train[rows]
    some_codes = None if train.code is None else train.code[rows]
    decodes: dict[SplitName, tuple[Array, Array | None, Decode]] = {
        "test": (x, test.code, decode),
        "train": (some, some_codes, inference.decoder(some)),
    }
    exchange = functools.partial(
        _exchanges,
        decodes=decodes,
        draws=opened.draws,
        metrics=tuple(dict.fromkeys(["mse", metric])),
        domain=domain,
    )
    own: dict[SplitName, Array] = {"test": test.offset, "train": train.offset[rows]}
    codes = None if test.code is None else _splits(encoded, "code")
    return RunEvaluation(
        metrics=metrics,
        train_metric=train_metrics[metric],
        exchanges=exchange(own, interventions.chosen_interventions(evaluate)),
        probes=probe_parts(codes, _splits(encoded, "offset"), samples.targets),
        encoder_adaptation=adaptation,
        references=opened.references,
        guests={guest: exchange(handed()) for guest, handed in opened.guests.items()},
        errors=measure_errors(
            *(compared, domain.error),
            samples=samples.tested,
            test=(x, decode(test.code, test.offset)),
            validation=(x_validation, on_validation),
        ),
    )


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


def _is_plain(run: Run) -> bool:
    """True if nothing is added to the run's code, as params.yaml has it."""
    spec = run.setting.spec
    return is_plain_network(run) and spec.rms is None and spec.stddev == 0


def domain_of(run: FinishedRun, samples: Domain) -> Domain:
    """The domain of samples and of what the run makes of them."""
    is_unit = ACTIVATIONS[run.architecture.network.output].output_range == "unit_interval"
    domain = replace(samples, in_unit_interval=samples.in_unit_interval and is_unit)
    return domain if METRICS[domain.error].applies(domain) else replace(domain, error="mse")


def run_metrics(
    run: FinishedRun, x: Array, encoded: Encoded, decode: Decode, domain: Domain, *, noise_seed: int
) -> dict[str, float]:
    """Every metric of a run under every condition, of samples (n, D) float32.

    As deployed: the run's own offset. As trained: that and its own noise, the same draws
    for every run of a seed; of a variational autoencoder a code drawn from its posterior. Clean:
    neither.

    Returns:
        The columns of ``runs.csv``: ``mse``, ``mse_as_trained``, ``mse_clean``, and so on.
    """

    def metrics(code: Array | None, offset: Array) -> dict[str, float]:
        return reconstruction_metrics(x, decode(code, offset), domain)

    deployed = noisy = clean = metrics(encoded.code, encoded.offset)
    if (drawn := as_trained(run, encoded, noise_seed)) is not None:
        noisy = metrics(*drawn)
    if encoded.offset.any():
        clean = metrics(encoded.code, np.zeros_like(encoded.offset))
    return {
        f"{name}{condition}": values[name]
        for name in deployed
        for condition, values in zip(CONDITIONS, (deployed, noisy, clean), strict=True)
    }


def as_trained(
    run: FinishedRun, encoded: Encoded, noise_seed: int
) -> tuple[Array | None, Array] | None:
    """Code and offset with the noise of training on them; None for a run without noise."""
    if run.stddev == 0 and encoded.log_variance is None:
        return None
    seeds = np.random.SeedSequence(noise_seed, spawn_key=(run.seed,))
    noise = np.random.default_rng(seeds).standard_normal(encoded.offset.shape, dtype=np.float32)
    if encoded.code is not None and encoded.log_variance is not None:
        noise *= np.exp(encoded.log_variance / 2)
        return encoded.code + noise, encoded.offset
    noise *= draw_stddevs(run.stddev, np.random.default_rng(seeds.spawn(1)[0]), len(noise))
    # A model of the user's own was trained with its noise on the offset, whatever it does with it.
    if encoded.code is None or run.architecture.system_record.is_users:
        return encoded.code, encoded.offset + noise
    return encoded.code + noise, encoded.offset


def evidence_lower_bound(
    loss: str, x: Array, encoded: Encoded, decode: Decode, *, draws: int, seed: int
) -> dict[str, float]:
    """``elbo``, ``nll`` and ``kl`` of samples (n, D), in nats per sample: elbo = −nll − kl.

    The divergence of N(mean, variance) from N(0, 1) is exact, ``½ Σ (mean² + variance −
    log variance − 1)`` over L (Kingma & Welling 2014, appendix B), the likelihood the mean over
    ``draws`` codes per sample. Whatever beta the run was trained with, this is the bound itself.

    Raises:
        ValueError: for a run that is no variational autoencoder.
    """
    if encoded.code is None or encoded.log_variance is None:
        raise ValueError("only a variational autoencoder has an evidence lower bound")
    rng = np.random.default_rng(seed)
    spread = np.exp(encoded.log_variance / 2)
    likelihoods = []
    for _ in range(draws):
        noise = rng.standard_normal(spread.shape, dtype=np.float32)
        noise *= spread
        drawn = decode(encoded.code + noise, encoded.offset)
        likelihoods.append(LOSSES[loss].negative_log_likelihood(x, drawn))
    mean, log_variance = encoded.code.astype(np.float64), encoded.log_variance.astype(np.float64)
    divergences = np.square(mean) + np.exp(log_variance) - log_variance - 1
    nll, kl = float(np.mean(likelihoods)), float(np.mean(np.sum(divergences, axis=1)) / 2)
    return {"elbo": -nll - kl, "nll": nll, "kl": kl}
