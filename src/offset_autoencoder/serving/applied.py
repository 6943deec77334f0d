"""A trained run applied to new samples, which are given as the data set's came."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any, TypedDict, Unpack

import numpy as np
from numpy.typing import ArrayLike, NDArray

from offset_autoencoder.data.scaling import ShiftAndFactor, apply_scale, inverse_scale
from offset_autoencoder.errors import InputError, short_repr
from offset_autoencoder.models.inference import KerasNetwork
from offset_autoencoder.offsets.kind import Float32, Int64, Samples, check_finite
from offset_autoencoder.serving.facts import Facts

Offset = Callable[[Samples], Float32]

_HOW_TO_GIVE = {
    "labels": "its offset is one vector a label: give the labels, one a sample",
    "ids": "its offset goes by the sample's id: give the ids, one a sample",
    "offset": "its offset is a table of known samples: give the new ones' vectors, unscaled",
}


class Beside(TypedDict, total=False):
    """What may be given beside x.

    Attributes:
        labels: (n,) as the data set's came, for an offset of kind ``class_code``.
        ids: (n,) whole numbers or text, for an offset of kind ``interference``.
        offset: (n, L) f(x) as in ``data/offsets`` and as :meth:`AppliedModel.offset` gives it,
            in the place of the computed one; it is multiplied by the run's factor as that is.
        is_scaled: Whether x is scaled already as in ``data/prepared``; what comes out is so too.
        first_row: The row of the whole that the first sample is, for messages.
    """

    labels: ArrayLike | None
    ids: ArrayLike | None
    offset: ArrayLike | None
    is_scaled: bool
    first_row: int


class AppliedModel:
    """A run, its scale and its offset: what turns new samples into codes and reconstructions.

    All methods take any number of samples x, (n, D) or images (n, ...), real and finite, in
    the units of the data set; a large set is best given chunk by chunk.

    Args:
        facts: What the model is.
        scale: Shift and factor of :func:`.scaling.apply_scale`.
        offset: f(x) of scaled samples; None where nothing computes it.
        network: What loads the network, called when it is first needed: only then is
            TensorFlow imported.

    Raises:
        InputError: from every method, where the samples or what comes beside them do not suit.
    """

    def __init__(
        self,
        facts: Facts,
        scale: ShiftAndFactor,
        offset: Offset | None,
        network: Callable[[], KerasNetwork],
    ) -> None:
        self.facts = facts
        self.scale = scale
        self._offset = offset
        self._load = network

    @functools.cached_property
    def network(self) -> KerasNetwork:
        """The network, loaded when first asked for."""
        return self._load()

    def offset(self, x: ArrayLike, **beside: Unpack[Beside]) -> Float32:
        """f(x), (n, L) float32, as in ``data/offsets``: not yet multiplied by the run's factor."""
        return self._offset_of(self._scaled(x, beside), beside)

    def encode(self, x: ArrayLike, **beside: Unpack[Beside]) -> Float32:
        """The code, (n, L) float32, before the offset is added; it depends on x alone."""
        return self.network.code(self._scaled(x, beside))

    def reconstruct(self, x: ArrayLike, **beside: Unpack[Beside]) -> Float32:
        """The reconstruction, (n, D) float32 in the units of x, noise off."""
        return self._reconstruct(self._scaled(x, beside), beside)

    def apply(self, x: ArrayLike, **beside: Unpack[Beside]) -> dict[str, Float32]:
        """``reconstruction``, ``offset`` and, where the network names one, ``code``."""
        scaled = self._scaled(x, beside)
        offset = self._offset_of(scaled, beside)
        found = {
            "reconstruction": self._reconstruct(scaled, {**beside, "offset": offset}),
            "offset": offset,
        }
        return found | ({"code": self.network.code(scaled)} if self.network.has_code else {})

    def inverse_scale(self, x: Float32) -> NDArray[np.float64]:
        """Scaled samples (n, D) in the units of the data set."""
        return inverse_scale(x, self.scale)

    def _reconstruct(self, scaled: Float32, beside: Beside) -> Float32:
        # As the runs were trained: float32 times float32.
        added = self._offset_of(scaled, beside) * np.float32(self.facts.offset_factor)
        output = self.network.reconstruct(scaled, added)
        if beside.get("is_scaled"):
            return output
        return inverse_scale(output, self.scale).astype(np.float32)

    def _scaled(self, x: ArrayLike, beside: Beside) -> Float32:
        array, first_row = _numbers("x", x), beside.get("first_row", 0)
        features = int(np.prod(array.shape[1:]))
        if array.ndim < 2 or features != self.facts.input_dim:
            raise InputError(
                "x", f"has shape {array.shape}, expected (samples, {self.facts.input_dim})"
            )
        flat = array.reshape(len(array), features)
        check_finite("x", flat, first_row)
        shift, factor = (np.zeros(1), np.ones(1)) if beside.get("is_scaled") else self.scale
        scaled = apply_scale(flat, shift, factor)
        check_finite("x, scaled", scaled, first_row)
        return scaled

    def _offset_of(self, scaled: Float32, beside: Beside) -> Float32:
        n, facts, first_row = len(scaled), self.facts, beside.get("first_row", 0)
        given = beside.get("offset")
        if given is not None:
            array = _numbers("offset", given)
            if array.shape != (n, facts.latent_dim):
                raise InputError(
                    "offset", f"has shape {array.shape}, expected {(n, facts.latent_dim)}"
                )
            check_finite("offset", array, first_row)
            with np.errstate(over="ignore"):
                vectors = array.astype(np.float32)
            check_finite("offset, as float32", vectors, first_row)
            return vectors
        if facts.needs is not None and beside.get(facts.needs) is None:
            raise InputError(facts.needs, "missing", _HOW_TO_GIVE[facts.needs])
        if self._offset is None:
            return np.zeros((n, facts.latent_dim), np.float32)
        labels, ids = beside.get("labels"), beside.get("ids")
        samples = Samples(
            scaled,
            y=self._classes_of(labels, n, first_row) if facts.needs == "labels" else None,
            ids=_ids(ids, n) if facts.needs == "ids" else None,
            first_row=first_row,
        )
        return self._offset(samples)

    def _classes_of(self, labels: Any, n: int, first_row: int) -> Int64:
        known = list(self.facts.classes or ())
        values = _column("labels", labels, n).tolist()
        index = {label: number for number, label in enumerate(known)}
        for row, label in enumerate(values):
            if label not in index:
                raise InputError(
                    f"labels, row {first_row + row}",
                    f"is {short_repr(label)}, expected one of {short_repr(known)}",
                )
        return np.array([index[label] for label in values], np.int64)


def _numbers(where: str, values: ArrayLike) -> NDArray[Any]:
    try:
        array = np.asarray(values)
    except ValueError:
        raise InputError(where, "its rows are not of one length") from None
    if array.dtype.kind not in "fiub":
        raise InputError(where, f"must hold real numbers, its dtype is {array.dtype}")
    return array


def _column(where: str, values: ArrayLike, n: int) -> NDArray[Any]:
    array = np.asarray(values)
    if array.shape != (n,):
        raise InputError(where, f"has shape {array.shape}, expected ({n},), one a sample")
    if array.dtype.kind not in "iuU":
        raise InputError(where, f"must be whole numbers or text, its dtype is {array.dtype}")
    return array


def _ids(ids: Any, n: int) -> NDArray[Any]:
    array = _column("ids", ids, n)
    if array.dtype.kind == "u" and n and array.max() >= 2**63:
        raise InputError("ids", f"must be below 2**63, the largest is {array.max()}")
    return array if array.dtype.kind == "U" else array.astype(np.int64)
