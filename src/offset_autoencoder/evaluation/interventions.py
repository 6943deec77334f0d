"""Interventions: what is added to the code taken away, swapped, scaled or shaken after training.

The weights stay as they are: an intervention changes the inputs of a trained decoder. To add
one, add its record to :data:`INTERVENTIONS`; its tables and pictures follow from the record.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from offset_autoencoder.config import SplitName
from offset_autoencoder.config.registries import Registry
from offset_autoencoder.config.schema import Evaluate
from offset_autoencoder.evaluation.decoding import decoded_metrics
from offset_autoencoder.evaluation.metrics import Array, Decode, Domain

ENOUGH_ROWS = 4096

Inputs = Iterable[tuple[Array | None, Array]]


@dataclass(frozen=True)
class Draws:
    """Permutations and noise for the samples of one split, the same for every run of a seed.

    ``sources`` is whose offset each sample gets when they are permuted, never its own.
    """

    sources: NDArray[np.int64]  # (draws, n); without rows where there is but one sample
    replacement: Array  # standard normal numbers in place of an offset, (draws, n, L)
    noise: Array  # the same, to put on a code


@dataclass(frozen=True)
class InterventionKind:
    """An intervention of whatever level.

    ``inputs`` leads from code (n, L) or None, offset (n, L), draws and level to the decoder's
    inputs: pairs of code and offset, one per draw or just one; none where it does not apply.
    """

    name: str  # in interventions.csv
    label: str  # in tables and pictures
    inputs: Callable[[Array | None, Array, Draws, float], Inputs]
    plot: Literal["interventions", "offset_scales", "robustness"] | None  # in reports/plots/
    needs_offset: bool = True  # left out for a run without one
    levels: str | None = None  # the key of evaluate in params.yaml that holds them
    same_as: Mapping[float, str] = field(default_factory=dict)  # levels equal by definition
    exchanges: bool = False  # of what verdicts rest on: on training samples and controls, too


def _permuted(code: Array | None, offset: Array, draws: Draws, level: float) -> Inputs:
    """Another sample's offset: the offsets stay the same, who they belong to does not."""
    for sources in draws.sources:
        yield code, offset[sources]


def _gaussian(code: Array | None, offset: Array, draws: Draws, level: float) -> Inputs:
    """Gaussian noise with the offset's mean and covariance over the samples.

    The normal numbers times the symmetric root of the covariance, whatever its rank: noise stays
    in the directions that the offset takes, where per-coordinate noise would fill all.
    """
    mean = offset.mean(axis=0, dtype=np.float64)
    centred = offset - mean
    variances, directions = np.linalg.eigh(centred.T @ centred / len(offset))
    root = (directions * np.sqrt(np.maximum(variances, 0))) @ directions.T
    for normal in draws.replacement:
        yield code, mean.astype(np.float32) + normal @ root.astype(np.float32)


def _mean(code: Array | None, offset: Array, draws: Draws, level: float) -> Inputs:
    """The mean vector of the samples for all of them: none of what tells them apart."""
    mean = offset.mean(axis=0, dtype=np.float64).astype(np.float32)
    yield code, np.tile(mean, (len(offset), 1))


def _noise(code: Array | None, offset: Array, draws: Draws, level: float) -> Inputs:
    """Gaussian noise of the level's standard deviation on top of the code, the offset as it is."""
    for normal in draws.noise:
        noise = np.float32(level) * normal
        yield (None, offset + noise) if code is None else (code + noise, offset)


INTERVENTIONS: Registry[InterventionKind] = Registry(
    "intervention",
    [
        InterventionKind(
            "own",
            "its own",
            lambda code, offset, *_: [(code, offset)],
            None,
            needs_offset=False,
            exchanges=True,
        ),
        InterventionKind(
            "permuted", "another sample's", _permuted, "interventions", exchanges=True
        ),
        InterventionKind("gaussian", "Gaussian noise", _gaussian, "interventions", exchanges=True),
        InterventionKind("mean", "the mean vector", _mean, "interventions", exchanges=True),
        InterventionKind(
            "omitted",
            "no offset",
            lambda code, offset, *_: [(code, np.zeros_like(offset))],
            "interventions",
            exchanges=True,
        ),
        InterventionKind(
            "offset_only",
            "no code",
            lambda code, offset, *_: [] if code is None else [(np.zeros_like(code), offset)],
            "interventions",
        ),
        InterventionKind(
            "scaled",
            "offset scaled",
            lambda code, offset, _, level: [(code, np.float32(level) * offset)],
            "offset_scales",
            levels="offset_scales",
            same_as={0.0: "omitted", 1.0: "own"},
        ),
        InterventionKind(
            "noise",
            "Gaussian noise on the code",
            _noise,
            "robustness",
            needs_offset=False,
            levels="noise_stddevs",
            same_as={0.0: "own"},
        ),
    ],
)


@dataclass(frozen=True)
class Intervention:
    """An intervention at one level, the factor or the standard deviation; None without levels."""

    name: str
    level: float | None = None

    @property
    def kind(self) -> InterventionKind:
        """Its record; InputError where there is none, naming the nearest."""
        return INTERVENTIONS[self.name]

    @property
    def canonical(self) -> Intervention:
        """The intervention that this one is equal to by definition, itself for most."""
        same = None if self.level is None else self.kind.same_as.get(self.level)
        return self if same is None else Intervention(same)


OWN = Intervention("own")
OMITTED = Intervention("omitted")
PERMUTED = Intervention("permuted")
GAUSSIAN = Intervention("gaussian")
MEAN = Intervention("mean")
EXCHANGES = tuple(Intervention(kind.name) for kind in INTERVENTIONS.values() if kind.exchanges)
"""The interventions that verdicts rest on, the offset left as it is first."""


@dataclass(frozen=True)
class Exchanges:
    """Exchanges of one offset in one network.

    Attributes:
        metrics: By split the metrics under each intervention: all of them on the test split in the
            network's own case, else :data:`EXCHANGES`.
        donor_shift: See :func:`.encoder_adaptation.donor_shift`; None without an offset.
    """

    metrics: Mapping[SplitName, Mapping[Intervention, Mapping[str, float]]]
    donor_shift: float | None


def chosen_interventions(evaluate: Evaluate) -> list[Intervention]:
    """Every intervention that params.yaml asks for, in the order of the reports."""
    return [
        Intervention(kind.name, level)
        for kind in INTERVENTIONS.values()
        for level in (map(float, getattr(evaluate, kind.levels)) if kind.levels else (None,))
    ]


def intervene(
    x: Array,
    code: Array | None,
    offset: Array,
    decode: Decode,
    draws: Draws,
    interventions: Sequence[Intervention],
    *,
    metrics: Sequence[str] = ("mse",),
    domain: Domain,
) -> dict[Intervention, dict[str, float]]:
    """A run's metrics under each intervention, the mean over the draws where it draws.

    Samples x are (n, features), code (or None where the architecture names none) and offset
    (n, L), ``draws`` for the run's seed and these shapes; ``decode`` is called as
    :func:`.decoding.decoded_metrics` says.

    Returns:
        By intervention, in order, without what does not apply: all that changes an offset for a run
        without one, ``offset_only`` without a code, ``permuted`` with a single sample.

    Raises:
        ValueError: where shapes do not fit.
        InputError: where an intervention is unknown.
    """
    if code is not None and code.shape != offset.shape:
        raise ValueError(f"code and offset differ in shape: {code.shape} and {offset.shape}")
    if len(x) != len(offset) or draws.noise.shape[1:] != offset.shape:
        raise ValueError(
            f"samples {x.shape}, offset {offset.shape} and draws {draws.noise.shape} do not fit"
        )
    has_offset = bool(offset.any())
    applied = [item for item in interventions if has_offset or not item.kind.needs_offset]
    inputs = (
        (item, *pair)
        for item in dict.fromkeys(item.canonical for item in applied)
        for pair in item.kind.inputs(code, offset, draws, item.level or 0.0)
    )
    values: dict[Intervention, list[dict[str, float]]] = defaultdict(list)
    for item, measured in decoded_metrics(x, inputs, decode, metrics, domain):
        values[item].append(measured)
    means = {
        item: {name: float(np.mean([one[name] for one in drawn])) for name in metrics}
        for item, drawn in values.items()
    }
    return {item: means[item.canonical] for item in applied if item.canonical in means}


def some_rows(samples: int, most: int | None = None) -> NDArray[np.int64]:
    """Places of samples, ascending: all, or :data:`ENOUGH_ROWS` drawn at random, always the same.

    Not evenly spaced ones: of a file with a period in its order, such as days, those could all be
    Sundays.
    """
    if samples <= (most := most or ENOUGH_ROWS):
        return np.arange(samples, dtype=np.int64)
    return np.sort(np.random.default_rng(0).choice(samples, most, replace=False))


def draw(count: int, *, seed: int, run_seed: int, samples: int, latent_dim: int) -> Draws:
    """Draw for the runs of a seed, ``samples`` vectors of ``latent_dim`` numbers.

    Runs of one seed get the same draws, so that what they differ in is not chance; those of
    another get others. Of ``count`` draws no more are made than bring :data:`ENOUGH_ROWS`
    samples together.

    Raises:
        ValueError: where there is nothing to draw.
    """
    if min(count, samples, latent_dim) < 1:
        raise ValueError(f"nothing to draw: {count} draws of ({samples}, {latent_dim})")
    count = min(count, -(-ENOUGH_ROWS // samples))
    permuting, replacing, shaking = (
        np.random.default_rng(np.random.SeedSequence(seed, spawn_key=(run_seed, stream)))
        for stream in range(3)
    )
    shape = (count, samples, latent_dim)
    sources = [_derangement(permuting, samples) for _ in range(count if samples > 1 else 0)]
    return Draws(
        sources=np.array(sources, dtype=np.int64).reshape(-1, samples),
        replacement=replacing.standard_normal(shape, dtype=np.float32),
        noise=shaking.standard_normal(shape, dtype=np.float32),
    )


def _derangement(rng: np.random.Generator, samples: int) -> NDArray[np.int64]:
    """A permutation without fixed points: one cycle through all, in random order."""
    order = rng.permutation(samples)
    sources = np.empty(samples, dtype=np.int64)
    sources[order] = np.roll(order, 1)
    return sources
