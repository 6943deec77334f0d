"""What the decoder does when what is added to the code is taken away, swapped, scaled or shaken.

The weights stay as they are: an intervention changes what a trained run is given, at test time.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from offset_autoencoder.evaluation.decoded import Array, Decode, Given, decoded_metrics
from offset_autoencoder.evaluation.draws import Draws


@dataclass(frozen=True)
class Intervention:
    """What is done to a run at test time.

    Attributes:
        name: ``own``: nothing. ``none``: no offset. ``permuted``: another sample's offset, so
            the offsets stay the same and who they belong to does not. ``gaussian``: in place of
            the offset, Gaussian noise with its mean and its standard deviation, and so its
            power, in each coordinate. ``alone``: the offset without the code. ``scaled``: the
            offset times ``level``. ``noise``: Gaussian noise of the standard deviation
            ``level`` on top of the code, the offset as it is.
        level: The factor or the standard deviation, None for the others.
    """

    name: str
    level: float | None = None

    @property
    def label(self) -> str:
        """``"permuted"``, ``"scaled 0.5"``."""
        return self.name if self.level is None else f"{self.name} {self.level:g}"


OWN = Intervention("own")
NONE = Intervention("none")
PERMUTED = Intervention("permuted")
GAUSSIAN = Intervention("gaussian")
ALONE = Intervention("alone")


def scaled(factor: float) -> Intervention:
    """The offset times a factor."""
    return Intervention("scaled", float(factor))


def noisy(stddev: float) -> Intervention:
    """Gaussian noise on top of the code."""
    return Intervention("noise", float(stddev))


def intervene(
    x: Array,
    code: Array | None,
    offset: Array,
    decode: Decode,
    draws: Draws,
    *,
    scales: Sequence[float],
    stddevs: Sequence[float],
    wanted: Sequence[str] = ("mse",),
    data_range: tuple[float, float] | None = None,
) -> dict[Intervention, dict[str, float]]:
    """A run's metrics under each intervention, the mean over the draws where there is chance.

    Args:
        x: The samples, (n, features).
        code: Their codes, (n, L), or None where the architecture names none.
        offset: What is added to the codes, or stands beside them, (n, L).
        decode: From codes and offsets to reconstructions, called as
            :func:`.decoded.decoded_metrics` says.
        draws: :func:`.draws.draw` for the run's seed and these shapes.
        scales: Factors of the offset, also negative ones.
        stddevs: Standard deviations of the noise on top of the code.
        wanted: The metrics, of :data:`.metrics.METRICS`.
        data_range: Lowest and highest value that the data can take, for psnr.

    Returns:
        The metrics by intervention, ``own`` first. What does not apply is not in it: all that
        changes the offset where that is zero, ``alone`` without codes, ``permuted`` for one
        sample. Without codes, ``noise`` is put on the offset.

    Raises:
        ValueError: where arrays do not fit each other, or psnr is wanted without a range.
    """
    if code is not None and code.shape != offset.shape:
        raise ValueError(f"code and offset differ in shape: {code.shape} and {offset.shape}")
    if not len(x) == len(offset) == draws.noise.shape[1] or draws.noise.shape[2:] != (
        offset.shape[1],
    ):
        raise ValueError(
            f"samples {x.shape}, offset {offset.shape} and draws {draws.noise.shape} do not fit"
        )
    given = _given(code, offset, draws, scales, stddevs)
    found: dict[object, list[dict[str, float]]] = defaultdict(list)
    for name, metrics in decoded_metrics(x, given, decode, wanted, data_range):
        found[name].append(metrics)
    averaged = {
        name: {metric: float(np.mean([one[metric] for one in each])) for metric in wanted}
        for name, each in found.items()
    }
    return _in_order(averaged, scales, stddevs)


def _given(
    code: Array | None,
    offset: Array,
    draws: Draws,
    scales: Sequence[float],
    stddevs: Sequence[float],
) -> Iterator[Given]:
    """What the decoder is given; an intervention comes once a draw."""
    yield Given(OWN, code, offset)
    if offset.any():
        yield Given(NONE, code, np.zeros_like(offset))
        for sources in draws.sources:
            yield Given(PERMUTED, code, offset[sources])
        mean = offset.mean(axis=0, dtype=np.float64).astype(np.float32)
        spread = offset.std(axis=0, dtype=np.float64).astype(np.float32)
        for normal in draws.replacement:
            yield Given(GAUSSIAN, code, mean + spread * normal)
        if code is not None:
            yield Given(ALONE, np.zeros_like(code), offset)
        for factor in dict.fromkeys(map(float, scales)):
            if factor not in (0, 1):
                yield Given(scaled(factor), code, np.float32(factor) * offset)
    for stddev in dict.fromkeys(map(float, stddevs)):
        for normal in draws.noise if stddev else ():
            noise = np.float32(stddev) * normal
            if code is None:
                yield Given(noisy(stddev), None, offset + noise)
            else:
                yield Given(noisy(stddev), code + noise, offset)


def _in_order(
    found: Mapping[object, dict[str, float]], scales: Sequence[float], stddevs: Sequence[float]
) -> dict[Intervention, dict[str, float]]:
    """The same in order, and the levels that are another intervention by definition."""
    same = {scaled(0): NONE, scaled(1): OWN, noisy(0): OWN}
    order = [OWN, NONE, PERMUTED, GAUSSIAN, ALONE]
    if NONE in found:
        order += map(scaled, scales)
    order += map(noisy, stddevs)
    return {one: found[same.get(one, one)] for one in order if same.get(one, one) in found}
