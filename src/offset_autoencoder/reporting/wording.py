"""Words and numbers of the reports: names of settings, means with their intervals."""

from __future__ import annotations

import math
import statistics
from collections import Counter
from collections.abc import Iterable, Mapping

from offset_autoencoder.config import Params, Setting, SplitName, format_value
from offset_autoencoder.errors import named
from offset_autoencoder.evaluation.comparison import LEVEL_KEYS
from offset_autoencoder.evaluation.controls import Network
from offset_autoencoder.evaluation.metrics import METRICS
from offset_autoencoder.evaluation.offset_effects import InterventionSummary
from offset_autoencoder.evaluation.offset_verdict import OffsetVerdict
from offset_autoencoder.evaluation.results import ExperimentResults
from offset_autoencoder.evaluation.statistics import Design, Estimate, percent, share_percent

PARTS = {"offset": "offset", "code": "code", "sum": "code + offset", "both": "side by side"}
"""Names of the parts that are probed."""

SAMPLES: dict[SplitName, str] = {"test": "unseen samples", "train": "training samples"}
"""Names of the samples of a split on which offsets are exchanged."""

MEANINGS: Mapping[str, str] = {
    "second encoder": "the decoder reads x from the offset: on unseen samples another sample's "
    "vector costs, so does the mean vector, and the reconstruction moves to that other sample",
    "memorised": "whose vector it is matters on training samples alone: the table was learnt by "
    "heart",
    "noise": "neither on unseen nor on training samples does it matter whose vector it is; a fresh "
    "draw does the same; but the mean vector for all changes the error",
    "cancelled or ignored": "nothing of the offset matters, not even omitting it",
    "other": "something else is shown; its reason is with the verdicts",
    "better": "a better value than the baseline's: corrected p small enough, zero outside the "
    "interval",
    "worse": "a worse value than the baseline's: corrected p small enough, zero outside the "
    "interval",
    "equivalent": "shown to differ by less than the margin, which is more than not significant",
    "inconclusive": "neither a difference nor its absence is shown, as where the interval leaves "
    "out zero and p, once corrected, is too large: more seeds may tell",
    "too few seeds": "not even the largest difference could be significant with so few seeds",
    "not comparable": "no seed at which both finished, or a value that is not finite",
    "diverged": "no run of one of the two finished",
}
"""What the words of verdicts claim."""

CUT = "[ ]: the ends of an interval that ends at a bound of the metric."

_MOST_DECIMALS = 6
_MOST_FOR_HALF = 3


def short_name(control: Network) -> str:
    """A control in the names of columns: ``nothing``, ``noise``."""
    return control.rpartition(" ")[2]


def unit_of_changes(items: Iterable[OffsetVerdict | InterventionSummary]) -> str:
    """Network whose error changes of the error are shares of, in words."""
    by_model: dict[str, bool] = {}
    for item in items:
        by_model[item.setting.model] = item.has_baseline
    own = [model for model, has in by_model.items() if not has]
    if own and len(own) == len(by_model):
        return "each network itself, as deployed, for want of one trained with nothing"
    without = (
        f" (of {', '.join(map(named, own))}, without one: of itself, as deployed)" if own else ""
    )
    return f"the network trained with nothing{without}"


def unsettled_note(results: ExperimentResults) -> str:
    """Sentence on comparisons that no number of seeds would settle; empty where there are none.

    Of the metric of ``evaluate`` as deployed.
    """
    every = (item for item in results.comparisons if item.metric == results.evaluate.metric)
    unsettled = [item for item in every if not item.is_settled]
    floors = sorted(item.needed.floor for item in unsettled if item.needed.none_settles)
    if not floors or not floors[-1]:
        return ""
    least, most = (share_percent(floor) for floor in (floors[0], floors[-1]))
    span = least if least == most else f"{least.removesuffix(' %')} to {most}"
    words = Counter(item.outcome for item in unsettled)
    counts = " and ".join(f"{count} {word}" for word, count in sorted(words.items()))
    return (
        f"If means and spreads are as seen, no number of seeds would settle {len(floors)} of the "
        f"comparisons as deployed that are not settled ({counts}): splits of the same samples "
        f"leave the interval of the change at ± {span} or more."
    )


def unconverged_note(results: ExperimentResults) -> str:
    """Clause on runs that would have gone on, and what mends it; empty where there are none."""
    if not (count := results.unconverged):
        return ""
    were = "run was" if len(results.runs) == 1 else "runs were"
    return (
        f"{count} of {len(results.runs)} {were} still improving at the last epoch: "
        "raise train.epochs"
    )


def anomaly_note(params: Params) -> str:
    """Sentence on what is normal and what an anomaly; empty where none are sought."""
    if (anomaly := params.evaluate.anomaly) is None:
        return ""
    label = params.data.label if isinstance(params.data.label, str) else "label"
    classes = ", ".join(str(each) for each in anomaly.normal)
    return (
        f"An anomaly experiment: normal are the samples whose {named(label)} is {classes}. All "
        "others are anomalies, which the test split alone has. A sample is told by its "
        f"{METRICS[anomaly.error].error_label}."
    )


def better_word(metric: str) -> str:
    """``lower`` or ``higher``: values of a metric that are better."""
    return "higher" if METRICS[metric].higher_is_better else "lower"


def over_seeds(design: Design) -> str:
    """``mean and 95 % interval over seeds``, or over seeds and splits."""
    return f"mean and {percent(design.confidence)} interval over {design.over}"


def first_epoch(last: int) -> int:
    """The first epoch that is drawn of learning curves whose longest ends at ``last``.

    Of long curves the first tenth is left out: it falls from so far above that it would flatten
    all that follows.
    """
    return math.ceil(last / 10) if last > 20 else 1


def series(setting: Setting) -> str:
    """The line a setting belongs to when it is drawn against its noise level.

    The model and what else it sweeps: ``"pca"``, ``"pca latent_dim=8"``. A model with both rms
    and noise has its level from rms, so its stddev stays in the name.
    """
    axis = ("rms",) if setting.spec.rms is not None else ("stddev", "ebn0_db")
    return f"{setting.model} {setting.sweep_label(axis)}".strip()


def swept_values(setting: Setting) -> str:
    """A setting's swept values, one word for rms and stddev: ``"noise_level=0.1"``.

    So settings that add as much to the code have one colour, whichever key it comes from.
    """
    axis = "rms" if setting.spec.rms is not None else "stddev"
    swept = {("noise_level" if key == axis else key): value for key, value in setting.sweep}
    return " ".join(f"{key}={format_value(value)}" for key, value in swept.items())


def full_label(setting: Setting) -> str:
    """A setting's label, and the noise level it has without sweeping it: ``"centroid rms=0.1"``."""
    added = setting.noise_level
    if added is None or LEVEL_KEYS & dict(setting.sweep).keys():
        return setting.label
    return f"{setting.label} {'rms' if setting.spec.rms is not None else 'stddev'}={added:g}"


def mean_and_half(
    estimate: Estimate,
    *,
    decimals: int,
    factor: float = 1,
    signed: bool = False,
    interval: bool = True,
) -> str:
    """``"+650.2 ± 14.1"``; ``-`` for what is not known, a mean alone where it has no interval.

    ``"0.97 [0.84, 1.00]"`` where the interval ends at a bound of the metric. All are multiplied by
    ``factor``: 100 for percent. A half interval that is not zero and would be shown as zero adds
    decimals, up to three.
    """
    half = factor * estimate.half
    interval = interval and math.isfinite(half)
    while interval and half and decimals < _MOST_FOR_HALF and not round(half, decimals):
        decimals += 1
    sign = "+" if signed else ""
    mean = _number(factor * estimate.mean, decimals, sign=sign)
    if interval and estimate.is_cut:
        ends = (_number(factor * end, decimals, sign=sign) for end in (estimate.low, estimate.high))
        return f"{mean} [{', '.join(ends)}]"
    return f"{mean} ± {_number(half, decimals)}" if interval else mean


def exponent_of(means: Iterable[float]) -> int:
    """The power of a thousand to show very small or large values in; 0 for those between."""
    sizes = [abs(mean) for mean in means if math.isfinite(mean) and mean]
    if not sizes:
        return 0
    size = statistics.median(sizes)
    return 0 if 0.1 <= size < 1e5 else 3 * math.floor(math.log10(10 * size) / 3)


def in_unit(name: str, exponent: int) -> str:
    """A heading that says in which power of ten its numbers are."""
    return f"{name}, 1e{exponent}".replace("1e-", "1e−") if exponent else name


def decimals_of(estimates: Iterable[Estimate], *, factor: float = 1) -> int:
    """Decimals that give a column's typical half interval two digits, or its typical mean four."""
    estimates = list(estimates)
    halves = [item.half for item in estimates if math.isfinite(item.half) and item.half > 0]
    means = [abs(item.mean) for item in estimates if math.isfinite(item.mean) and item.mean]
    if halves:
        return max(0, 1 - _magnitude(factor * statistics.median(halves)))
    return max(0, 3 - _magnitude(factor * statistics.median(means))) if means else 0


def _magnitude(size: float) -> int:
    # Rounded first: a thousandth times 0.1 is a little less than 1e-4.
    return math.floor(round(math.log10(size), 9))


def _number(value: float, decimals: int, *, sign: str = "") -> str:
    if not math.isfinite(value):
        return "-" if math.isnan(value) else f"{value}"
    if decimals > _MOST_DECIMALS or abs(value) >= 1e6:
        return f"{value:{sign}.2e}"
    return f"{value:{sign}z.{decimals}f}"
