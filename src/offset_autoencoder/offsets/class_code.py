"""Kind ``class_code``: one unit-norm vector per label, the same for all samples of a class.

For K classes:

* ``random``: independent and uniform on the unit sphere; suits any latent_dim.
* ``one_hot``: the k-th unit vector; needs latent_dim ≥ K.
* ``hadamard``: the k-th row of Sylvester's Hadamard matrix over sqrt(latent_dim): orthogonal,
  every coordinate of the same magnitude; needs latent_dim to be a power of two ≥ K.
* ``simplex``: the k-th vertex of a regular simplex, as far from each other as K vectors can
  be: inner products −1/(K − 1); needs latent_dim ≥ K − 1.

Coordinates that a code does not use are zero.
"""

from __future__ import annotations

import numpy as np

from offset_autoencoder.config.offset_kinds import ClassCodeOffset
from offset_autoencoder.errors import InputError
from offset_autoencoder.offsets import kind


def fit(
    where: str, params: ClassCodeOffset, training: kind.Training, latent_dim: int
) -> kind.State:
    """Code, float32 (n_classes, latent_dim): a row per class."""
    n_classes = training.n_classes
    assert n_classes is not None
    code = np.eye(n_classes, latent_dim)
    if params.code == "random":
        code = kind.unit_directions(np.random.default_rng(params.seed), n_classes, latent_dim)
    elif params.code == "hadamard":
        from scipy.linalg import hadamard

        code = hadamard(latent_dim, dtype=np.int8)[:n_classes] / np.sqrt(latent_dim)
    elif params.code == "simplex":
        from scipy.linalg import helmert

        # The Helmert contrasts are K − 1 orthonormal rows, each orthogonal to the ones; the
        # columns of that matrix are K vectors with inner products δ_ij − 1/K, which the factor
        # makes unit vectors.
        factor = np.sqrt(n_classes / (n_classes - 1))
        code = np.zeros((n_classes, latent_dim))
        code[:, : n_classes - 1] = helmert(n_classes).T * factor
    return {"code": code.astype(np.float32)}


def apply(where: str, state: kind.State, samples: kind.Samples) -> kind.Float32:
    """Row of the code that each label names, float32 (n, latent_dim).

    Raises:
        InputError: where labels are missing, or are no class indices.
    """
    code: kind.Float32 = state["code"]
    y = samples.y
    if y is None:
        raise InputError(where, "kind class_code needs labels", "give y, the class indices")
    # NumPy would take −1 for the last class.
    wrong = np.flatnonzero((y < 0) | (y >= len(code)))
    if wrong.size:
        first, row = wrong[0], samples.first_row + wrong[0]
        raise InputError(where, f"y[{row}] is {y[first]}, no class index from 0 to {len(code) - 1}")
    return code[y]


KIND = kind.OffsetKind(fit, apply)
