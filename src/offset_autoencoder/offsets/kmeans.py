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

import warnings

import numpy as np

from offset_autoencoder.config.offset_kinds import KmeansOffset
from offset_autoencoder.errors import InputError
from offset_autoencoder.io.arrays import rows_per_chunk, take
from offset_autoencoder.offsets import kind
from offset_autoencoder.offsets.kind import Float32, Float64, Int64
from offset_autoencoder.offsets.linear import centred_blocks, principal_components, training_mean

_STARTS = 4
_PASSES = 10
_TOLERANCE = 1e-4
_CHUNKS_AT_ONCE = 3  # takes up to 1.6 GB


def fit(where: str, params: KmeansOffset, training: kind.Training, latent_dim: int) -> kind.State:
    """Mean (input_dim,), centroids less the mean (clusters, input_dim) and their vectors.

    Raises:
        InputError: where there are fewer different training samples than clusters.
    """
    x, mean = training.x, training_mean(training.x)
    rows = rows_per_chunk(x.shape[1])
    if len(x) > _CHUNKS_AT_ONCE * rows:
        generator = kind.random_stream("kmeans", params.seed)
        part = take(x, generator.choice(len(x), size=rows, replace=False, shuffle=False))
        centroids = _moved_to_means(x, mean, _centroids(where, params, part, mean))
    else:
        centroids = _centroids(where, params, x, mean)
    if params.vectors == "pca":
        vectors = centroids @ principal_components(x, latent_dim).components.T
    else:
        generator = kind.random_stream("kmeans", params.seed)
        gaussian = generator.standard_normal((params.n_clusters, latent_dim))
        vectors = gaussian * np.sqrt(latent_dim) / np.linalg.norm(gaussian, axis=1, keepdims=True)
    return {"mean": mean, "centroids": centroids, "vectors": vectors.astype(np.float32)}


def apply(where: str, state: kind.State, samples: kind.Samples) -> Float32:
    """Vector of each sample's nearest centroid, float32 (n, latent_dim)."""
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
    """Centroids less the mean, of samples that fit in memory."""
    from sklearn.cluster import KMeans
    from sklearn.exceptions import ConvergenceWarning

    kmeans = KMeans(params.n_clusters, n_init=_STARTS, random_state=params.seed, copy_x=False)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # too few samples: refused below
        labels = kmeans.fit_predict(x - mean)
    distinct = len(np.unique(labels))
    if distinct < params.n_clusters:
        raise InputError(
            f"{where}.n_clusters",
            f"the training split has {distinct} different samples, fewer than "
            f"{params.n_clusters} clusters",
            "lower n_clusters",
        )
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


KIND = kind.OffsetKind(fit, apply)
