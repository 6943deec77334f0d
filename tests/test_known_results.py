"""Trained by the project's trainer, linear networks reach what is known of them in closed form."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from scipy import stats
from sklearn.datasets import load_digits
from sklearn.decomposition import PCA

from offset_autoencoder.config.schema import Network
from offset_autoencoder.evaluation.decoding import SplitInference
from offset_autoencoder.evaluation.run_metrics import evidence_lower_bound
from offset_autoencoder.models.architecture import Architecture
from offset_autoencoder.runs.files import TrainedRun
from offset_autoencoder.runs.load import FinishedRun, open_runs
from offset_autoencoder.training.engine import Population
from offset_autoencoder.training.pool import train_population
from offset_autoencoder.training.state import Job

LINEAR: dict[str, Any] = {
    "hidden": [],
    "activation": "linear",
    "output": "linear",
    "loss": "mean_squared_error",
    "normalize": False,
}


def train(
    architecture: Architecture, x: Any, offsets: dict[str, Any], *, stddev: float = 0, **how: Any
) -> dict[str, TrainedRun]:
    """Full batches, to the last epoch; the training samples are the validation samples too."""
    jobs = [
        Job(name, 1, offset, offset, stddev, how["learning_rate"], how["epochs"], None)
        for name, offset in offsets.items()
    ]
    results: dict[str, TrainedRun] = {}
    population = Population(architecture, len(x), "adam")
    train_population(population, jobs, x, x, lambda job, run: results.__setitem__(job.id, run))
    return results


def test_linear_networks_reach_principal_components_with_or_without_a_linear_offset() -> None:
    # The best linear reconstruction from k numbers is that of k principal components (Baldi &
    # Hornik 1989), and W x + A x is as free as W x.
    k, x = 6, (load_digits().data[:600] / 16).astype(np.float32)
    pca = PCA(k).fit(x)
    best = np.mean((x - pca.inverse_transform(pca.transform(x))) ** 2)
    rng = np.random.default_rng(0)
    projection = x @ rng.normal(size=(x.shape[1], k))
    projection /= np.sqrt(np.mean(projection**2))
    components = pca.transform(x) / np.sqrt(np.mean(pca.transform(x) ** 2))
    offsets = {"none": np.zeros_like(projection), "random": projection, "pca": components}
    network = Network(latent_dim=k, **LINEAR)
    found = train(
        Architecture(network=network, input_dim=x.shape[1]),
        x,
        {name: offset.astype(np.float32) for name, offset in offsets.items()},
        learning_rate=0.05,
        epochs=800,
    )
    errors = {name: float(run.val_loss[-1]) for name, run in found.items()}
    for name, error in errors.items():
        assert best * (1 - 1e-5) < error < 1.01 * best, name
    assert errors["random"] == pytest.approx(errors["none"], rel=0.01)


N, D, K = 1000, 8, 2


def low_rank_samples() -> Any:
    """Gaussian samples, two of whose eight directions stand out; their mean is zero."""
    rng = np.random.default_rng(1)
    directions = np.linalg.qr(rng.normal(size=(D, D)))[0]
    scales = np.array([3, 1.5] + [0.6] * (D - K))
    x = rng.normal(size=(N, D)) * scales @ directions.T
    return (x - x.mean(axis=0)).astype(np.float32)


def best_log_likelihood(x: Any, variance: float) -> float:
    """Of probabilistic PCA with this noise variance, in nats a sample (Tipping & Bishop 1999)."""
    x = x.astype(np.float64)
    values, vectors = np.linalg.eigh(np.cov(x.T, bias=True))
    loadings = vectors[:, -K:] * np.sqrt(np.maximum(values[-K:] - variance, 0))
    covariance = loadings @ loadings.T + variance * np.eye(D)
    return float(stats.multivariate_normal.logpdf(x, x.mean(axis=0), covariance).mean())


def lower_bound(weights: dict[str, Any], x: Any, variance: float) -> float:
    """Of a linear VAE with a Gaussian likelihood of this variance, exactly, in nats a sample."""
    x = x.astype(np.float64)
    w = {name: np.asarray(weight, np.float64) for name, weight in weights.items()}
    mean, log_variance = (
        x @ w[f"{layer}/kernel"] + w[f"{layer}/bias"] for layer in ("code", "code_log_variance")
    )
    out = mean @ w["reconstruction/kernel"] + w["reconstruction/bias"]
    # E‖x − x'‖² over the posterior: that of its mean, and what its spread adds.
    square = np.sum((x - out) ** 2, axis=1)
    square += np.exp(log_variance) @ np.sum(w["reconstruction/kernel"] ** 2, axis=1)
    likelihood = -square / (2 * variance) - D / 2 * np.log(2 * np.pi * variance)
    divergence = np.sum(mean**2 + np.exp(log_variance) - log_variance - 1, axis=1) / 2
    return float(np.mean(likelihood - divergence))


@pytest.mark.parametrize(("beta", "learning_rate"), [(1.0, 0.03), (0.25, 0.1)])
def test_a_linear_vae_reaches_probabilistic_pca(beta: float, learning_rate: float) -> None:
    # Its bound is tight where the likelihood is greatest (Lucas et al. 2019). Squared error
    # averaged over the features and KL / D: a noise variance of beta / 2.
    x = low_rank_samples()
    architecture = Architecture(
        system="vae", network=Network(latent_dim=K, **LINEAR), input_dim=D, beta=beta
    )
    nothing = {"vae": np.zeros((N, K), np.float32)}
    run = train(architecture, x, nothing, stddev=1, learning_rate=learning_rate, epochs=800)["vae"]
    names = Population(architecture, N, "adam").weight_names
    weights = dict(zip(names, run.weights or [], strict=True))
    bound, best = lower_bound(weights, x, beta / 2), best_log_likelihood(x, beta / 2)
    assert best - 0.01 * abs(best) < bound < best
    if beta != 1:
        assert abs(best_log_likelihood(x, 0.5) - best) > 0.05 * abs(best)  # the variance matters
        return
    # What evaluate reports of it is that bound.
    ((_, opened),) = open_runs({"vae": FinishedRun(architecture, 1, weights, 0.0)})
    split = SplitInference(opened, x, nothing["vae"].__getitem__)
    reported = evidence_lower_bound("mean_squared_error", split, draws=64, seed=0)
    assert reported["elbo"] == pytest.approx(bound, rel=2e-3)
