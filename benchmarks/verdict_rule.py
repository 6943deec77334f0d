"""How often the rule of the verdicts gives each word, on summaries built to be each of them.

An experiment is four offsets of each kind, judged together. A kind states the mean and the standard
deviation over seeds of every change of the error, in % of the error of the network trained with
nothing, and of the donor shift, in %; seeds are drawn as normal and independent. What the seeds of
one split have in common, the draw of its test samples, is not in here: see docs/statistics.md.

    python -m benchmarks.verdict_rule --experiments 60 --seeds 10
"""

from __future__ import annotations

import argparse
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from offset_autoencoder.config import Setting, parse_params
from offset_autoencoder.config.schema import Evaluate
from offset_autoencoder.evaluation.controls import CONTROLS, Network
from offset_autoencoder.evaluation.offset_effects import QUANTITIES, ByQuantity, OffsetEffects
from offset_autoencoder.evaluation.offset_verdict import OffsetWord, judge_offsets
from offset_autoencoder.evaluation.statistics import ONE_SPLIT, Design, Estimate

OFFSETS_PER_KIND = 4
DIGITS = Design(True, 359 / 1168, 270 / 1168, 1168 / 629)
Normal = tuple[float, float]  # mean and standard deviation over seeds, in %


@dataclass(frozen=True)
class Kind:
    """An offset as it is built, and the words that would be true of it.

    ``own`` are the quantities by name (``permuted``, ``permuted_train``, ..., ``donor_shift``);
    one of training samples that is not named is that of unseen samples. ``control`` likewise, of
    both controls; what is not named there is a change of 0 ± 4 %.
    """

    name: str
    true: tuple[OffsetWord, ...]  # without ``inconclusive``, which is never wrong
    own: Mapping[str, Normal]
    control: Mapping[str, Normal] = field(default_factory=dict)


_COSTS = {"gaussian": (15, 4), "mean": (12, 4), "omitted": (14, 4), "donor_shift": (4.0, 0.8)}
_SAVES = {"mean": (-30, 3), "omitted": (-30, 3), "donor_shift": (0, 0.3)}
_NONE = dict.fromkeys(("permuted", "gaussian", "mean", "omitted"), (0.0, 1.5))
KINDS = (
    Kind("second encoder", ("second encoder",), {"permuted": (15, 4), **_COSTS}),
    Kind(
        "memorised",
        ("memorised",),
        {"permuted": (0, 2.5), "permuted_train": (15, 3), "gaussian": (0, 2.5), **_SAVES},
    ),
    Kind("noise", ("noise",), {"permuted": (0, 2.5), "gaussian": (0, 2.5), **_SAVES}),
    Kind(
        "cancelled or ignored",
        ("cancelled or ignored",),
        {**_NONE, "donor_shift": (0, 0.1)},
        {"mean": (-60, 6), "omitted": (-60, 6)},
    ),
    Kind(
        "other: the mean vector does as well",
        ("other",),
        {"permuted": (15, 4), **_COSTS, "mean": (0, 2.5)},
    ),
)
BORDERLINE = (
    # What a control shows, too: no network has made anything of it.
    Kind(
        "a control shows the same",
        ("other",),
        {"permuted": (15, 4), **_COSTS},
        {"permuted": (15, 4), **_COSTS},
    ),
    # All at the margin and at the least donor shift: of no such change is any word true.
    Kind(
        "at the margin",
        (),
        {
            **dict.fromkeys(("permuted", "gaussian", "mean", "omitted"), (5.0, 3.0)),
            "donor_shift": (1.0, 0.5),
        },
    ),
    # Matters on training samples by the margin, and on unseen ones by nothing.
    Kind(
        "memorised by the margin",
        (),
        {"permuted": (0, 2.5), "permuted_train": (5, 2.5), "gaussian": (0, 2.5), **_SAVES},
    ),
)


def simulated_effects(
    kind: Kind, setting: Setting, seeds: int, rng: np.random.Generator
) -> OffsetEffects:
    """The effects of an offset of a kind over so many seeds."""

    def drawn(normals: Mapping[str, Normal], default: Normal) -> ByQuantity:
        found = {}
        for name in QUANTITIES:
            alike = normals.get(name.removesuffix("_train"), default)
            mean, std = normals.get(name, alike)
            found[name] = rng.normal(mean, std, size=seeds) / 100
        return found

    controls: dict[Network, ByQuantity] = {
        control: drawn({"donor_shift": (0, 1), **kind.control}, (0, 4)) for control in CONTROLS
    }
    share = Estimate(0.4, 0.0, 0.39, 0.41, seeds)
    own, each = drawn(kind.own, (0, 4)), tuple(range(seeds))
    return OffsetEffects(setting, "mse", each, own, controls, {}, True, share)


def simulate(
    kinds: Iterable[Kind],
    seeds: int,
    experiments: int,
    *,
    seed: int = 0,
    design: Design = ONE_SPLIT,
) -> dict[str, Counter[OffsetWord]]:
    """How often each word was given, by kind, over experiments of four offsets of every kind."""
    setting = _a_setting()
    offsets = [kind for kind in kinds for _ in range(OFFSETS_PER_KIND)]
    given: dict[str, Counter[OffsetWord]] = {kind.name: Counter() for kind in offsets}
    for experiment in range(experiments):
        rng = np.random.default_rng([seed, seeds, experiment])
        effects = [simulated_effects(kind, setting, seeds, rng) for kind in offsets]
        for kind, verdict in zip(offsets, judge_offsets(effects, Evaluate(), design), strict=True):
            given[kind.name][verdict.word] += 1
    return given


def _a_setting() -> Setting:
    """Any setting with an offset: the rule does not look at it."""
    sections = ("data", "split", "network", "train", "evaluate", "tracking")
    document = {
        "seeds": 1,
        **{section: {} for section in sections},
        "offsets": {"frozen": {"kind": "hash"}},
        "models": {"frozen": {"offset": "frozen", "rms": 0.1}},
        "evaluate": {"baselines": []},
    }
    return parse_params(document).settings[0]


WORDS: Sequence[OffsetWord] = (
    "second encoder",
    "memorised",
    "noise",
    "cancelled or ignored",
    "other",
    "inconclusive",
)


def table(given: Mapping[str, Counter[OffsetWord]]) -> str:
    """The shares, in %, as a table in Markdown."""
    lines = [f"| built as | {' | '.join(WORDS)} |", f"|---|{'---|' * len(WORDS)}"]
    for kind, words in given.items():
        shares = (100 * words[word] / words.total() for word in WORDS)
        cells = " | ".join(f"{share:.1f}" if share else "" for share in shares)
        lines.append(f"| {kind} | {cells} |")
    return "\n".join(lines)


def main() -> None:
    """Print the confusion tables of 10 and 20 seeds."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--experiments", type=int, default=12)
    parser.add_argument("--seeds", type=int, nargs="+", default=[10, 20])
    parser.add_argument("--varies", action="store_true", help="a split per seed, as of the digits")
    options = parser.parse_args()
    design = DIGITS if options.varies else ONE_SPLIT
    for seeds in options.seeds:
        print(f"\n{seeds} seeds, {options.experiments} experiments, % of the verdicts\n")
        print(table(simulate((*KINDS, *BORDERLINE), seeds, options.experiments, design=design)))


if __name__ == "__main__":
    main()
