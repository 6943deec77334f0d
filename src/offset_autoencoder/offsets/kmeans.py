"""Kind ``kmeans``: a vector for each cluster of the training split, that of the nearest centroid.

The clusters are found by Lloyd's algorithm from k-means++ starts (Arthur & Vassilvitskii 2007),
the best of several; the centroids are then the means of their samples. Of a large
training split (more than 50 million values) they are found in a part of it, samples of 17 million
values drawn by the seed, and then moved by Lloyd's algorithm over all of it, ten times at most.

A cluster's vector is, with ``vectors: random``, a direction uniform on the sphere, with a root mean
square of 1 a coordinate: it says which cluster, and nothing else. With ``vectors: pca`` it is the
centroid's projection on the first principal components of the training split: near clusters have
near vectors.
"""

from __future__ import annotations

import numpy as np

from offset_autoencoder.config.offset_kinds import KmeansOffset
from offset_autoencoder.errors import InputError
from offset_autoencoder.io.arrays import rows_per_chunk, take
from offset_autoencoder.offsets.kind import (
    Float32,
    Float64,
    Int64,
    OffsetKind,
    Samples,
    State,
    Training,
    check_features,
    random_stream,
)
from offset_autoencoder.offsets.linear import centred_blocks, principal_components, training_mean

_STARTS = 4
_PASSES = 10
_TOLERANCE = 1e-4
_CHUNKS_AT_ONCE = 3  # takes up to 1.6 GB


def fit(where: str, params: KmeansOffset, training: Training, latent_dim: int) -> State:
    """Mean (input_dim,), centroids less the mean (clusters, input_dim) and their vectors.

    Raises:
        InputError: where there are fewer different training samples than clusters, or latent_dim
            is more than ``pca`` has.
    """
    if params.vectors == "pca":
        axes = principal_components(where, training.x, latent_dim)
    mean = training_mean(training.x)
    centroids = _centroids(where, params, training.x, mean)
    if params.vectors == "pca":
        vectors = centroids @ axes.components.T
    else:
        rows = random_stream("kmeans", params.seed).standard_normal((params.n_clusters, latent_dim))
        vectors = rows * np.sqrt(latent_dim) / np.linalg.norm(rows, axis=1, keepdims=True)
    return {"mean": mean, "centroids": centroids, "vectors": vectors.astype(np.float32)}


def apply(where: str, state: State, samples: Samples) -> Float32:
    """Vector of each sample's nearest centroid, float32 (n, latent_dim).

    Raises:
        InputError: where x has another number of features than the training split.
    """
    check_features(where, samples.x, len(state["mean"]))
    vectors: Float32 = state["vectors"]
    return vectors[nearest(samples.x, state["mean"], state["centroids"])]


def nearest(x: Float32, mean: Float64, centroids: Float64) -> Int64:
    """Index of the centroid (less the mean) nearest to each sample, the first of equals: (n,)."""
    result = np.empty(len(x), dtype=np.int64)
    for block, centred in centred_blocks(x, mean):
        result[block] = _nearest(centred, centroids)
    return result


def _nearest(centred: Float64, centroids: Float64) -> Int64:
    # ‖x − c‖² = ‖x‖² − 2 (x·c − ‖c‖²/2), and ‖x‖² is the same for all centroids.
    return np.argmax(centred @ centroids.T - np.square(centroids).sum(axis=1) / 2, axis=1)


def _centroids(where: str, params: KmeansOffset, x: Float32, mean: Float64) -> Float64:
    if params.n_clusters > len(x):
        raise _too_few(where, params.n_clusters, f"{len(x)} samples")
    rows = rows_per_chunk(x.shape[1])
    if len(x) > _CHUNKS_AT_ONCE * rows:
        generator = random_stream("kmeans", params.seed)
        part = generator.choice(len(x), size=rows, replace=False, shuffle=False)
        return _moved_to_means(x, mean, _centroids_at_once(where, params, take(x, part), mean))
    return _centroids_at_once(where, params, x, mean)


def _centroids_at_once(where: str, params: KmeansOffset, x: Float32, mean: Float64) -> Float64:
    labels = _cluster(x - mean, params.n_clusters, params.seed)
    distinct = len(np.unique(labels))
    if distinct < params.n_clusters:
        raise _too_few(where, params.n_clusters, f"{distinct} different samples")
    # In the order of the samples: scikit-learn's own sums depend on its threads.
    means = [training_mean(x[labels == cluster]) for cluster in range(params.n_clusters)]
    return np.stack(means) - mean


def _moved_to_means(x: Float32, mean: Float64, centroids: Float64) -> Float64:
    """Lloyd's algorithm over all samples; ends as scikit-learn's does, an empty cluster stays."""
    for _ in range(_PASSES):
        sums, counts, squares = np.zeros_like(centroids), np.zeros(len(centroids)), 0.0
        for _, centred in centred_blocks(x, mean):
            members = np.eye(len(centroids))[_nearest(centred, centroids)]
            sums += members.T @ centred
            counts += members.sum(axis=0)
            squares += float(np.vdot(centred, centred))
        moved = np.divide(sums, counts[:, None], out=centroids.copy(), where=counts[:, None] > 0)
        movement = np.square(moved - centroids).sum()
        centroids = moved
        if movement <= _TOLERANCE * squares / x.size:
            break
    return centroids


def _cluster(centred: Float64, n_clusters: int, seed: int) -> Int64:
    import warnings

    from sklearn.cluster import KMeans
    from sklearn.exceptions import ConvergenceWarning

    kmeans = KMeans(n_clusters, n_init=_STARTS, random_state=seed, copy_x=False)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # too few samples: said by the caller
        return kmeans.fit_predict(centred).astype(np.int64)


def _too_few(where: str, n_clusters: int, there_are: str) -> InputError:
    return InputError(
        f"{where}.n_clusters",
        f"the training split has {there_are}, fewer than {n_clusters} clusters",
        "lower n_clusters",
    )


KIND = OffsetKind(fit, apply)
