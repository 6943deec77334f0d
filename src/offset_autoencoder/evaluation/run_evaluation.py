"""Evaluation of finished runs: everything measured of each, in one pass over it."""

from __future__ import annotations

import functools
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

from offset_autoencoder.config import SPLITS, Run, SplitName
from offset_autoencoder.config.schema import Evaluate
from offset_autoencoder.cores import available_cores
from offset_autoencoder.evaluation import encoder_adaptation, interventions
from offset_autoencoder.evaluation.controls import (
    Controls,
    Network,
    is_plain_network,
    match_controls,
    twin_of,
)
from offset_autoencoder.evaluation.decoding import SplitInference, variance_of
from offset_autoencoder.evaluation.encoder_adaptation import EncoderAdaptation
from offset_autoencoder.evaluation.interventions import Draws, Exchanges, Intervention
from offset_autoencoder.evaluation.metrics import METRICS, VALIDATION, Array, Domain
from offset_autoencoder.evaluation.probes import (
    Probe,
    Splits,
    Targets,
    prepare_targets,
    probe_parts,
)
from offset_autoencoder.evaluation.run_metrics import (
    as_deployed,
    domain_of,
    evidence_lower_bound,
    run_metrics,
)
from offset_autoencoder.evaluation.sample_errors import SampleErrors, TestedSamples, thresholds
from offset_autoencoder.io.arrays import Rows, rows_per_chunk, take
from offset_autoencoder.models.inference import Decode, Encoded, RunInference
from offset_autoencoder.offsets.table import load_table
from offset_autoencoder.runs.load import FinishedRun, open_runs

_MOST_ROWS = 2**15  # of a split, for what is not added up in a pass over its samples

# From a run, the factor of its table, a split and rows of it to f(x) as added, (rows, L) float32.
Offsets = Callable[[Run, float, SplitName, "slice | Rows"], Array]


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
    domain: Domain  # of the test split
    tested: TestedSamples
    y: Mapping[SplitName, NDArray[np.int64]] | None = None  # class indices (n,), which are probed

    @functools.cached_property
    def rows(self) -> dict[SplitName, Rows]:
        """The rows of each split for what takes more than a pass over it.

        All up to 32,768, and 64 MB of samples; of more, as many, drawn at random.
        """
        features = self.x["test"].shape[1]
        most = min(_MOST_ROWS, max(interventions.ENOUGH_ROWS, rows_per_chunk(features)))
        return {name: interventions.some_rows(len(x), most) for name, x in self.x.items()}

    @functools.cached_property
    def some(self) -> dict[SplitName, Array]:
        """The samples of those rows."""
        rows = self.rows
        return {n: x if len(x) == len(rows[n]) else take(x, rows[n]) for n, x in self.x.items()}

    @functools.cached_property
    def variances(self) -> dict[SplitName, float]:
        """The variance of each split: see :func:`.decoding.variance_of`."""
        return {name: variance_of(x) for name, x in self.x.items()}

    @functools.cached_property
    def targets(self) -> Targets:
        """The targets of probes, of those rows."""
        y = None if self.y is None else Splits(*(self.y[n][self.rows[n]] for n in SPLITS))
        return prepare_targets(Splits(*(self.some[name] for name in SPLITS)), y)


def run_offsets(folder: Path, samples: Mapping[SplitName, int], seed: int | None = None) -> Offsets:
    """Offsets from the tables of ``data/offsets``; zeros for a run without one.

    ``samples`` are the numbers of samples of each split, ``seed`` is that of their tables: see
    :func:`.table.load_table`.
    """
    table = functools.cache(functools.partial(load_table, folder, seed=seed))

    def offsets(run: Run, factor: float, split: SplitName, rows: slice | Rows) -> Array:
        name, latent_dim = run.setting.spec.offset, run.setting.network.latent_dim
        if name is None:
            count = len(range(samples[split])[rows]) if isinstance(rows, slice) else len(rows)
            return np.zeros((count, latent_dim), np.float32)
        stored = table(name, latent_dim).split(split)
        kept = stored[rows] if isinstance(rows, slice) else take(stored, rows)
        return np.asarray(kept, np.float32) * np.float32(factor)

    return offsets


@dataclass(frozen=True)
class OpenRun:
    """A run that is open for inference, and all that its evaluation needs.

    ``encoded`` are the rows of :attr:`EvaluationSamples.rows`; ``guests`` are by id the offsets of
    those of the test split and of some training samples.
    """

    seed: int
    trained: FinishedRun
    inference: RunInference
    offsets: Callable[[SplitName, slice], Array]
    encoded: Mapping[SplitName, Encoded]
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
    cores = available_cores()
    waiting: deque[tuple[str, Future[RunEvaluation]]] = deque()
    # Products are small, and all cores have runs of their own to evaluate.
    _ = samples.targets, samples.variances  # computed once, before threads ask for them
    with threadpool_limits(1, user_api="blas"), ThreadPoolExecutor(cores) as pool:
        for run_id, opened in _opened_runs(runs, offsets, samples, evaluate):
            waiting.append((run_id, pool.submit(evaluate_open_run, samples, evaluate, opened)))
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
) -> Iterator[tuple[str, OpenRun]]:
    plain_codes: dict[str, Array] = {}
    controls = match_controls(
        {name: run for name, (run, _) in runs.items()}, _adds(offsets, samples)
    )
    handed = _handed_offsets(controls, runs, offsets, samples)
    # Runs without anything added come first: the adaptation of the others is measured from theirs.
    ordered = sorted(runs, key=lambda run_id: not _is_plain(runs[run_id][0]))
    for run_id, inference in open_runs({run_id: runs[run_id][1] for run_id in ordered}):
        run, trained = runs[run_id]
        own = functools.partial(offsets, run, trained.offset_factor)
        encoded = {
            name: inference.encode(samples.some[name], own(name, samples.rows[name]))
            for name in SPLITS
        }
        test = encoded["test"]
        if _is_plain(run) and test.code is not None and not test.offset.any():
            plain_codes[twin_of(run)] = test.code
        starts_as_plain = run.setting.spec.system_record.starts_as_plain
        plain_code = plain_codes.get(twin_of(run)) if starts_as_plain else None
        guests = {guest: handed[guest] for guest in controls.guests.get(run_id, ())}
        references = controls.references[run_id]
        codes = encoded, plain_code
        yield run_id, OpenRun(run.seed, trained, inference, own, *codes, references, guests)


def _adds(offsets: Offsets, samples: EvaluationSamples) -> Callable[[Run], bool]:
    """Function that says if vectors other than zeros are added to a run's code."""
    of_table: dict[tuple[str | None, int], bool] = {}

    def has_offset(run: Run) -> bool:
        spec = run.setting.spec
        key = spec.offset, run.setting.network.latent_dim
        if key not in of_table:
            of_table[key] = bool(offsets(run, 1.0, "test", samples.rows["test"]).any())
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
    places: dict[SplitName, Any] = {
        "test": slice(None),
        "train": interventions.some_rows(len(samples.rows["train"])),
    }

    def table(run: Run, factor: float) -> dict[SplitName, Array]:
        rows = {split: samples.rows[split][kept] for split, kept in places.items()}
        return {split: offsets(run, factor, split, rows[split]) for split in places}

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
            split: inference.encode(samples.some[split][kept], added[split]).offset
            for split, kept in places.items()
        }
        handed[guest] = functools.partial(dict, encoded)
    return handed


def evaluate_open_run(
    samples: EvaluationSamples, evaluate: Evaluate, opened: OpenRun
) -> RunEvaluation:
    """Everything measured of a run that is open for inference."""
    run, inference, encoded = opened.trained, opened.inference, opened.encoded
    splits = {
        name: SplitInference(
            inference, x, functools.partial(opened.offsets, name), samples.variances[name]
        )
        for name, x in samples.x.items()
    }
    domain = domain_of(run, samples.domain)
    normal = replace(domain, anomalies=None)
    of_test = run_metrics(run, splits["test"], domain, evaluate)
    compared = of_test.compared
    metric = domain.error if METRICS[compared].detects else compared
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
        **_of_some(samples, evaluate, opened, tuple(dict.fromkeys(["mse", metric])), domain),
        references=opened.references,
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
    codes = None if test.code is None else _splits(encoded, "code")
    return {
        "exchanges": exchange(own, interventions.chosen_interventions(evaluate)),
        "probes": probe_parts(codes, _splits(encoded, "offset"), samples.targets),
        "encoder_adaptation": adaptation,
        "guests": {guest: exchange(handed()) for guest, handed in opened.guests.items()},
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


def _is_plain(run: Run) -> bool:
    """True if nothing is added to the run's code, as params.yaml has it."""
    spec = run.setting.spec
    return is_plain_network(run) and spec.rms is None and spec.stddev == 0
