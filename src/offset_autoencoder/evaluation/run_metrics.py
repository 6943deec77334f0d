"""Metrics of one run under every condition, over all samples of a split."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from offset_autoencoder.config.registries import ACTIVATIONS, LOSSES
from offset_autoencoder.config.schema import Evaluate
from offset_autoencoder.config.systems import draw_stddevs
from offset_autoencoder.evaluation.decoding import Change, SplitInference
from offset_autoencoder.evaluation.metrics import CONDITIONS, METRICS, Array, Domain
from offset_autoencoder.models.inference import Encoded
from offset_autoencoder.runs.load import FinishedRun


def domain_of(run: FinishedRun, samples: Domain) -> Domain:
    """The domain of samples and of what the run makes of them."""
    is_unit = ACTIVATIONS[run.architecture.network.output].output_range == "unit_interval"
    domain = replace(samples, in_unit_interval=samples.in_unit_interval and is_unit)
    return domain if METRICS[domain.error].applies(domain) else replace(domain, error="mse")


def compared_metric(domain: Domain, evaluate: Evaluate) -> str:
    """The metric that is compared: that of ``evaluate``, or mse where it does not apply."""
    return evaluate.metric if METRICS[evaluate.metric].applies(domain) else "mse"


@dataclass(frozen=True)
class TestMetrics:
    """Metrics of a run's test split.

    Attributes:
        columns: Of ``runs.csv``: ``mse``, ``mse_as_trained``, ``mse_clean``, and so on.
        errors: Of each test sample (n,), in the metric that is the error of a sample.
        compared_errors: The same in the metric that is compared; None where that is no mean.
    """

    __test__ = False  # pytest takes the name for a test's

    columns: dict[str, float]
    errors: Array
    compared_errors: Array | None


def run_metrics(
    run: FinishedRun, split: SplitInference, domain: Domain, evaluate: Evaluate
) -> TestMetrics:
    """Every metric of a run under every condition, of the samples of a split.

    As deployed: the run's own offset. As trained: that and its own noise, the same draws
    for every run of a seed; of a variational autoencoder a code drawn from its posterior. Clean:
    neither.
    """
    compared = compared_metric(domain, evaluate)
    kept = [name for name in {domain.error, compared} if METRICS[name].per_sample]
    noisy = as_trained(run, evaluate.seed)
    changes = {"": as_deployed, "_as_trained": noisy or as_deployed, "_clean": _without_offset}
    measured = split.measure(changes, domain, kept)
    values = {condition: sums.values() for condition, sums in measured.items()}
    errors = {name: measured[""].errors(name).astype(np.float32) for name in kept}
    columns = {
        f"{name}{condition}": values[condition][name]
        for name in values[""]
        for condition in CONDITIONS
    }
    return TestMetrics(columns, errors[domain.error], errors.get(compared))


def as_deployed(encoded: Encoded) -> tuple[Array | None, Array]:
    """Code and offset as they are."""
    return encoded.code, encoded.offset


def _without_offset(encoded: Encoded) -> tuple[Array | None, Array]:
    has_any = encoded.offset.any()
    return encoded.code, np.zeros_like(encoded.offset) if has_any else encoded.offset


def as_trained(run: FinishedRun, noise_seed: int) -> Change | None:
    """Function that puts the noise of training on codes and offsets, block after block.

    None for a run without noise. The noise of all samples is the same however they are divided.
    """
    learns_noise = run.architecture.system_record.learns_noise
    if run.stddev == 0 and not learns_noise:
        return None
    seeds = np.random.SeedSequence(noise_seed, spawn_key=(run.seed,))
    normal, stddevs = np.random.default_rng(seeds), np.random.default_rng(seeds.spawn(1)[0])

    def change(encoded: Encoded) -> tuple[Array | None, Array]:
        noise = normal.standard_normal(encoded.offset.shape, dtype=np.float32)
        if encoded.code is not None and encoded.log_variance is not None:
            noise *= np.exp(encoded.log_variance / 2)
            return encoded.code + noise, encoded.offset
        noise *= draw_stddevs(run.stddev, stddevs, len(noise))
        # A user's model was trained with its noise on the offset, whatever it does with it.
        if encoded.code is None or run.architecture.system_record.is_users:
            return encoded.code, encoded.offset + noise
        return encoded.code + noise, encoded.offset

    return change


def evidence_lower_bound(
    loss: str, split: SplitInference, *, draws: int, seed: int
) -> dict[str, float]:
    """``elbo``, ``nll`` and ``kl`` of the samples of a split, in nats per sample: elbo = −nll − kl.

    The divergence of N(mean, variance) from N(0, 1) is exact, ``½ Σ (mean² + variance −
    log variance − 1)`` over L (Kingma & Welling 2014, appendix B), the likelihood the mean over
    ``draws`` codes per sample. Whatever beta the run was trained with, this is the bound itself.

    Raises:
        ValueError: for a run that is no variational autoencoder.
    """
    rng = np.random.default_rng(seed)
    likelihoods, divergences = [], []
    for _ in range(draws):
        likelihood = divergence = 0.0
        for x, encoded, decode in split.blocks():
            if encoded.code is None or encoded.log_variance is None:
                raise ValueError("only a variational autoencoder has an evidence lower bound")
            share = len(x) / len(split.x)
            noise = rng.standard_normal(encoded.code.shape, dtype=np.float32)
            noise *= np.exp(encoded.log_variance / 2)
            drawn = decode(encoded.code + noise, encoded.offset)
            likelihood += share * LOSSES[loss].negative_log_likelihood(x, drawn)
            mean = encoded.code.astype(np.float64)
            log_variance = encoded.log_variance.astype(np.float64)
            terms = np.square(mean) + np.exp(log_variance) - log_variance - 1
            divergence += share * float(np.mean(np.sum(terms, axis=1)) / 2)
        likelihoods.append(likelihood)
        divergences.append(divergence)
    nll, kl = float(np.mean(likelihoods)), divergences[0]
    return {"elbo": -nll - kl, "nll": nll, "kl": kl}
