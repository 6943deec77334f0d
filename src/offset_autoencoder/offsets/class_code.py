"""Kind ``class_code``: one unit-norm vector per label, the same for all samples of a class.

For K classes:

* ``random``: independent and uniform on the unit sphere; suits any latent_dim.
* ``one_hot``: the k-th unit vector; needs latent_dim ≥ K.
* ``hadamard``: the k-th row of Sylvester's Hadamard matrix, H_ij = (−1)^popcount(i & j), over
  sqrt(latent_dim): orthogonal, every coordinate of the same magnitude; needs latent_dim to be
  a power of two ≥ K.
* ``simplex``: the k-th vertex of a regular simplex, as far from each other as K vectors can
  be: inner products −1/(K − 1); needs latent_dim ≥ K − 1.

Coordinates that a code does not use are zero.
"""

from __future__ import annotations

import numpy as np

from offset_autoencoder.config.offset_kinds import ClassCodeOffset, DataShape
from offset_autoencoder.errors import InputError
from offset_autoencoder.offsets.kind import Float32, Float64, OffsetKind, Samples, State, Training


def fit(where: str, params: ClassCodeOffset, training: Training, latent_dim: int) -> State:
    """Code, float32 (n_classes, latent_dim): a row per class.

    Raises:
        InputError: where the data has no labels, or latent_dim does not suit the code.
    """
    n_classes = None if training.y is None else training.n_classes
    shape = DataShape(len(training.x), training.x.shape[1], n_classes)
    params.check_shape(where, shape, [latent_dim])
    assert n_classes is not None
    if params.code == "random":
        code = random(params.seed, n_classes, latent_dim)
    elif params.code == "one_hot":
        code = np.eye(n_classes, latent_dim)
    elif params.code == "hadamard":
        code = hadamard(n_classes, latent_dim)
    else:
        code = simplex(n_classes, latent_dim)
    return {"code": code.astype(np.float32)}


def apply(where: str, state: State, samples: Samples) -> Float32:
    """Row of the code that each label names, float32 (n, latent_dim).

    Raises:
        InputError: where labels are missing, or are no class indices.
    """
    code: Float32 = state["code"]
    y = samples.y
    if y is None:
        raise InputError(where, "kind class_code needs labels", "give y, the class indices")
    # NumPy would take −1 for the last class.
    wrong = np.flatnonzero((y < 0) | (y >= len(code)))
    if wrong.size:
        first, row = wrong[0], samples.first_row + wrong[0]
        raise InputError(where, f"y[{row}] is {y[first]}, no class index from 0 to {len(code) - 1}")
    return code[y]


def random(seed: int, n_classes: int, latent_dim: int) -> Float64:
    """Directions uniform on the unit sphere, (n_classes, latent_dim): Gaussian, normalised."""
    rows = np.random.default_rng(seed).standard_normal((n_classes, latent_dim))
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)


def hadamard(n_classes: int, latent_dim: int) -> Float64:
    """Orthogonal rows of ±1/sqrt(latent_dim), (n_classes, latent_dim)."""
    common_bits = np.arange(n_classes)[:, None] & np.arange(latent_dim)
    odd = np.bitwise_count(common_bits) & 1
    rows: Float64 = np.where(odd, -1.0, 1.0) / np.sqrt(latent_dim)
    return rows


def simplex(n_classes: int, latent_dim: int) -> Float64:
    """Vertices of a regular simplex centred on the origin, (n_classes, latent_dim).

    The Helmert contrasts are K − 1 orthonormal rows, each orthogonal to the ones; the columns
    of that matrix are K vectors with inner products δ_ij − 1/K, which sqrt(K/(K − 1)) makes
    unit vectors.
    """
    vertices = np.zeros((n_classes, latent_dim))
    for i in range(1, n_classes):
        vertices[:i, i - 1] = 1.0
        vertices[i, i - 1] = -i
        vertices[:, i - 1] *= np.sqrt(n_classes / (n_classes - 1) / (i * (i + 1)))
    return vertices


KIND = OffsetKind(fit, apply)
