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

from offset_autoencoder.config.offset_kinds import ClassCodeOffset
from offset_autoencoder.errors import InputError
from offset_autoencoder.offsets.kind import (
    Float32,
    Float64,
    OffsetKind,
    Samples,
    State,
    Training,
    unit_directions,
)


def fit(where: str, params: ClassCodeOffset, training: Training, latent_dim: int) -> State:
    """Code, float32 (n_classes, latent_dim): a row per class.

    Raises:
        InputError: where the data has no labels, or latent_dim does not suit the code.
    """
    if training.y is None or training.n_classes is None:
        raise InputError(
            where,
            "kind class_code needs labels, and the data has none",
            "name them in data.label, or take another kind",
        )
    if params.code == "random":
        generator = np.random.default_rng(params.seed)
        code = unit_directions(generator, training.n_classes, latent_dim)
    else:
        build = {"one_hot": _one_hot, "hadamard": _hadamard, "simplex": _simplex}[params.code]
        code = build(where, training.n_classes, latent_dim)
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


def _one_hot(where: str, n_classes: int, latent_dim: int) -> Float64:
    if latent_dim < n_classes:
        raise _too_short(where, "one_hot", n_classes, latent_dim, f"at least {n_classes}")
    return np.eye(n_classes, latent_dim)


def _hadamard(where: str, n_classes: int, latent_dim: int) -> Float64:
    if latent_dim < n_classes or latent_dim & (latent_dim - 1):
        next_power = 1 << (max(latent_dim, n_classes) - 1).bit_length()
        raise _too_short(
            where, "hadamard", n_classes, latent_dim, f"a power of two, the next is {next_power}"
        )
    common_bits = np.arange(n_classes)[:, None] & np.arange(latent_dim)
    odd = np.bitwise_count(common_bits) & 1
    rows: Float64 = np.where(odd, -1.0, 1.0) / np.sqrt(latent_dim)
    return rows


def _simplex(where: str, n_classes: int, latent_dim: int) -> Float64:
    # The Helmert contrasts are K − 1 orthonormal rows, each orthogonal to the ones; the columns of
    # that matrix are K vectors with inner products δ_ij − 1/K: sqrt(K/(K − 1)) makes them unit.
    if n_classes < 2:
        raise InputError(f"{where}.code", f"a simplex needs two classes, the data has {n_classes}")
    if latent_dim < n_classes - 1:
        raise _too_short(where, "simplex", n_classes, latent_dim, f"at least {n_classes - 1}")
    vertices = np.zeros((n_classes, latent_dim))
    for i in range(1, n_classes):
        vertices[:i, i - 1] = 1.0
        vertices[i, i - 1] = -i
        vertices[:, i - 1] *= np.sqrt(n_classes / (n_classes - 1) / (i * (i + 1)))
    return vertices


def _too_short(where: str, code: str, n_classes: int, latent_dim: int, expected: str) -> InputError:
    return InputError(
        f"{where}.code",
        f"code {code} of {n_classes} classes needs a latent_dim of {expected}, not {latent_dim}",
        "change network.latent_dim or take another code",
    )


KIND = OffsetKind(fit, apply)
