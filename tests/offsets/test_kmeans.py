from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial.distance import cdist
from sklearn.cluster import KMeans
from sklearn.datasets import make_blobs

from offset_autoencoder.config.offset_kinds import KmeansOffset, PcaOffset
from offset_autoencoder.errors import InputError
from offset_autoencoder.io import arrays
from offset_autoencoder.offsets import kmeans, pca
from offset_autoencoder.offsets.kind import Float32, Samples, State, Training

WHERE = "params.yaml: offsets.mine"
BLOBS = make_blobs(600, 8, centers=6, cluster_std=1.0, random_state=4)
X: Float32 = BLOBS[0].astype(np.float32)


def fit(x: Float32 = X, latent_dim: int = 5, **keys: object) -> State:
    params = KmeansOffset.model_validate({"n_clusters": 6, **keys})
    return kmeans.fit(WHERE, params, Training(x), latent_dim)


def vectors(state: State, x: Float32 = X) -> Float32:
    return kmeans.apply(WHERE, state, Samples(x))


def test_clusters_that_stand_apart_are_found_and_share_a_vector() -> None:
    table = vectors(fit())
    assert table.dtype == np.float32
    assert table.shape == (600, 5)
    found = np.unique(table, axis=0, return_inverse=True)[1]
    assert len({(a, b) for a, b in zip(found, BLOBS[1], strict=True)}) == 6


def test_centroids_are_the_means_of_their_samples_and_as_good_as_many_starts_find() -> None:
    x = np.random.default_rng(0).standard_normal((400, 3)).astype(np.float32)
    state = fit(x, n_clusters=4)
    centroids = state["centroids"] + state["mean"]
    distances = cdist(x, centroids)
    means = np.stack([x[distances.argmin(axis=1) == k].mean(axis=0) for k in range(4)])
    np.testing.assert_allclose(centroids, means, atol=0.02)  # stops before the very last swaps
    best = KMeans(4, n_init=10, random_state=1).fit(x).inertia_
    assert np.square(distances.min(axis=1)).sum() < 1.03 * best


@settings(max_examples=25, deadline=None)
@given(st.integers(1, 7), st.integers(1, 6), st.integers(0, 2**32 - 1))
def test_nearest_is_the_nearest(n_clusters: int, input_dim: int, seed: int) -> None:
    generator = np.random.default_rng(seed)
    x = generator.standard_normal((30, input_dim)).astype(np.float32)
    mean, centroids = x.mean(axis=0, dtype=np.float64), generator.random((n_clusters, input_dim))
    expected = cdist(x - mean, centroids).argmin(axis=1)
    assert np.array_equal(kmeans.nearest(x, mean, centroids), expected)


def test_random_vectors_are_of_one_length_and_follow_the_seed() -> None:
    first, again, other = (fit(seed=seed)["vectors"] for seed in (0, 0, 1))
    np.testing.assert_allclose(np.square(first).mean(axis=1), 1, rtol=1e-6)
    assert first.tobytes() == again.tobytes()
    assert not np.allclose(first, other)


def test_pca_vectors_are_the_centroids_own_components() -> None:
    state = fit(vectors="pca")
    axes = pca.fit(WHERE, PcaOffset(), Training(X), 5)
    centroids = (state["centroids"] + state["mean"]).astype(np.float32)
    np.testing.assert_allclose(
        state["vectors"], pca.apply(WHERE, axes, Samples(centroids)), rtol=1e-3, atol=1e-4
    )


def test_clusters_of_samples_that_do_not_fit(monkeypatch: pytest.MonkeyPatch) -> None:
    expected = np.unique(vectors(fit()), axis=0, return_inverse=True)[1]
    monkeypatch.setattr(arrays, "CHUNK_VALUES", 8 * 90)  # starts from 90 of 600 samples
    state = fit()
    found = np.unique(vectors(state), axis=0, return_inverse=True)[1]
    assert len(set(zip(found, expected, strict=True))) == 6
    assert fit()["centroids"].tobytes() == state["centroids"].tobytes()
    centroids = state["centroids"] + state["mean"]
    distances = cdist(X, centroids)
    means = np.stack([X[distances.argmin(axis=1) == k].mean(axis=0) for k in range(6)])
    np.testing.assert_allclose(centroids, means, atol=1e-5)  # of all samples, not of the 90


def test_clusters_without_gaps_that_do_not_fit_are_as_good(monkeypatch: pytest.MonkeyPatch) -> None:
    x = np.random.default_rng(0).standard_normal((4000, 3)).astype(np.float32)
    monkeypatch.setattr(arrays, "CHUNK_VALUES", 3 * 400)
    state = fit(x, n_clusters=4)
    distances = cdist(x, state["centroids"] + state["mean"])
    best = KMeans(4, n_init=4, random_state=1).fit(x).inertia_
    assert np.square(distances.min(axis=1)).sum() < 1.02 * best


def test_more_clusters_than_different_samples() -> None:
    with pytest.raises(InputError, match=r"mine\.n_clusters: .* has 3 different samples, fewer"):
        fit(np.repeat(X[:3], 20, axis=0))


@pytest.mark.slow
def test_two_processes_and_any_number_of_threads_give_the_same_bytes(tmp_path: Path) -> None:
    program = """
import hashlib, numpy as np
from sklearn.datasets import load_digits
from offset_autoencoder.config.offset_kinds import KmeansOffset
from offset_autoencoder.offsets import kmeans
from offset_autoencoder.offsets.kind import Training
x = (load_digits().data / 16).astype(np.float32)
state = kmeans.fit("", KmeansOffset(), Training(x), 16)
print(hashlib.sha256(b"".join(array.tobytes() for array in state.values())).hexdigest())
"""
    printed = {
        subprocess.run(
            [sys.executable, "-c", program],
            capture_output=True,
            text=True,
            check=True,
            env={"OMP_NUM_THREADS": threads, "OPENBLAS_NUM_THREADS": threads},
        ).stdout
        for threads in ("1", "4")
    }
    assert len(printed) == 1
