"""Error rates and power of the tests, and coverage of the intervals, by simulation.

Made-up experiments of which the truth is known, judged by the functions that judge the real
ones. Differences are in standard deviations of a paired difference, over seeds.
"""

from __future__ import annotations

import argparse
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from offset_autoencoder.evaluation.sign_flips import joint_sign_flips
from offset_autoencoder.evaluation.statistics import mean_and_interval, two_way_interval

Float64 = NDArray[np.float64]
Noise = Callable[[np.random.Generator, tuple[int, ...]], Float64]

CONFIDENCE, LEVEL = 0.95, 0.05
FAMILY = 25
EFFECTS = (0.5, 1.0, 1.5, 2.0)
NOISES: dict[str, Noise] = {
    "normal": lambda rng, shape: rng.normal(size=shape),
    "exponential": lambda rng, shape: rng.exponential(size=shape) - 1,
}


@dataclass(frozen=True)
class Rate:
    """How often something was seen."""

    seen: int
    of: int

    @property
    def share(self) -> float:
        """The share of the draws."""
        return self.seen / self.of

    @property
    def interval(self) -> tuple[float, float]:
        """Wilson's 95 % interval (1927) of the share in the long run."""
        z = 1.96
        middle = (self.share + z**2 / (2 * self.of)) / (1 + z**2 / self.of)
        half = z / (1 + z**2 / self.of)
        half *= math.sqrt(self.share * (1 - self.share) / self.of + z**2 / (4 * self.of**2))
        return middle - half, middle + half

    def __str__(self) -> str:
        """In percent, with its interval."""
        low, high = (max(100 * end, 0.0) for end in self.interval)
        return f"{100 * self.share:.1f} [{low:.1f}, {high:.1f}]"


def holm(p: Float64) -> Float64:
    """Holm's step-down correction (1979), which joint sign flips are put beside."""
    order = np.argsort(p)
    corrected = np.empty_like(p)
    factors = np.arange(len(p), 0, -1)
    corrected[order] = np.minimum(np.maximum.accumulate(p[order] * factors), 1)
    return corrected


def family_rates(
    seeds: int, noise: Noise, effects: Sequence[float], *, draws: int, seed: int
) -> dict[str, dict[str, Rate]]:
    """How often differences are found in a family of comparisons that share a baseline.

    Each of the 26 settings has errors of its own; the first comparisons have the effects, the
    others none.

    Returns:
        By correction, then ``false`` for even one difference found where there is none, ``word``
        for the same where the interval is asked for too, and the effects as text.
    """
    rng = np.random.default_rng([seed, seeds])
    found: dict[str, list[NDArray[np.bool_]]] = {"Holm": [], "joint sign flips": []}
    in_words: dict[str, list[bool]] = {name: [] for name in found}
    shifts = np.zeros(FAMILY)
    shifts[: len(effects)] = effects
    for _ in range(draws):
        errors = noise(rng, (seeds, FAMILY + 1))
        differences = errors[:, 1:] - errors[:, :1] + math.sqrt(2) * shifts
        p, corrected = joint_sign_flips(differences)
        estimates = [mean_and_interval(column, CONFIDENCE) for column in differences.T]
        one_side = np.array([each.low > 0 or each.high < 0 for each in estimates])
        for name, values in (("Holm", holm(p)), ("joint sign flips", corrected)):
            found[name].append(values <= LEVEL)
            in_words[name].append(bool(np.any((values <= LEVEL) & one_side & (shifts == 0))))
    rates = {}
    for name, each in found.items():
        matrix = np.array(each)
        false = np.any(matrix[:, shifts == 0], axis=1)
        rates[name] = {"false": Rate(int(false.sum()), draws)}
        rates[name]["word"] = Rate(sum(in_words[name]), draws)
        for index, effect in enumerate(effects):
            rates[name][f"{effect:g}"] = Rate(int(matrix[:, index].sum()), draws)
    return rates


def split_rates(
    seeds: int, *, samples: int = 600, draws: int, seed: int
) -> dict[str, dict[str, Rate]]:
    """Coverage and false differences where each seed draws a split of its own, 65 to 20 %.

    Linear regressions on normal features. *Coverage*: five features, which carry the signal, and
    fifteen more that are noise; the expected error of p features fitted on n samples is
    ``σ²·(1 + p / (n − p − 1))``. *False*: five features of noise against five others, whose
    expected errors are equal. Every seed adds noise of its own, as initial weights do.

    Returns:
        By interval or test, the rates of ``coverage`` and ``false``.
    """
    rng = np.random.default_rng([seed, seeds, samples])
    n_train, n_test = round(0.65 * samples), round(0.2 * samples)
    overlap = n_test / n_train
    truth = 20 / (n_train - 21) - 5 / (n_train - 6)
    counts = {
        name: {"coverage": 0, "false": 0}
        for name in ("Student's interval", "Nadeau and Bengio's interval", "sign flips", "both")
    }
    for _ in range(draws):
        x = rng.normal(size=(samples, 25))
        y = x[:, :5].sum(axis=1) + rng.normal(size=samples)
        noise = rng.normal(size=samples)
        wider, others = np.empty((2, seeds))
        for index in range(seeds):
            order = rng.permutation(samples)
            train, test = order[:n_train], order[-n_test:]

            def error(columns: slice, target: Float64) -> float:
                a, b = x[train, columns], target[train]  # noqa: B023 - called at once
                fit = np.linalg.solve(a.T @ a, a.T @ b)
                return float(np.mean(np.square(target[test] - x[test, columns] @ fit)))  # noqa: B023

            own = 0.005 * rng.normal(size=2)
            wider[index] = error(slice(0, 20), y) - error(slice(0, 5), y) + own[0]
            others[index] = error(slice(0, 5), noise) - error(slice(5, 10), noise) + own[1]
        p = float(joint_sign_flips(others[:, np.newaxis]).p[0])
        counts["sign flips"]["false"] += p <= LEVEL
        for name, shared in (
            ("Student's interval", 0.0),
            ("Nadeau and Bengio's interval", overlap),
        ):
            of_wider, of_others = (
                mean_and_interval(values, CONFIDENCE, shared) for values in (wider, others)
            )
            counts[name]["coverage"] += of_wider.low <= truth <= of_wider.high
            outside = of_others.low > 0 or of_others.high < 0
            counts[name]["false"] += outside
            if shared:
                counts["both"]["false"] += outside and p <= LEVEL
    return {
        name: {kind: Rate(seen, draws) for kind, seen in each.items()}
        for name, each in counts.items()
    }


def two_way_rates(
    seeds: int, noise: Noise, *, samples: int = 359, draws: int, seed: int
) -> dict[str, Rate]:
    """Coverage of the mean over other seeds and other samples, of crossed random effects.

    Standard deviations: 0.2 of seeds, 3 of samples, 1 of both together, so that samples make most
    of the variance of the mean.
    """
    rng = np.random.default_rng([seed, seeds, samples])
    covered = {"over seeds": 0, "over seeds and test samples": 0}
    for _ in range(draws):
        values = 0.2 * noise(rng, (seeds, 1)) + 3 * noise(rng, (1, samples))
        values = values + noise(rng, (seeds, samples))
        alone = mean_and_interval(values.mean(axis=1), CONFIDENCE)
        both = two_way_interval(values, CONFIDENCE)
        for name, estimate in zip(covered, (alone, both), strict=True):
            covered[name] += estimate.low <= 0 <= estimate.high
    return {name: Rate(seen, draws) for name, seen in covered.items()}


def _table(headings: Sequence[str], rows: Sequence[Sequence[object]]) -> None:
    print(f"| {' | '.join(headings)} |")
    print(f"|{'---|' * len(headings)}")
    for row in rows:
        print(f"| {' | '.join(map(str, row))} |", flush=True)
    print()


def print_tables(draws: Callable[[int], int], seed: int) -> None:
    """Print every table; ``draws`` says how many experiments of so many seeds to simulate."""
    print(f"Even one false difference among {FAMILY} that share a baseline, %:\n")
    rows: list[Sequence[object]] = []
    powers: list[Sequence[object]] = []
    for seeds in (10, 20):
        for truth, noise, effects in (
            ("no effect anywhere, normal", "normal", ()),
            ("no effect anywhere, exponential", "exponential", ()),
            ("four have an effect, normal", "normal", EFFECTS),
        ):
            rates = family_rates(seeds, NOISES[noise], effects, draws=draws(seeds), seed=seed)
            for name, each in rates.items():
                rows.append((seeds, truth, name, each["false"], each["word"]))
                if effects:
                    shares = [f"{each[f'{effect:g}'].share:.0%}" for effect in effects]
                    powers.append((seeds, name, *shares))
    _table(("seeds", "truth", "corrected by", "by p", "by p and interval"), rows)
    print("Differences found, by their size in standard deviations of a paired difference:\n")
    _table(("seeds", "corrected by", *(f"{effect:g}" for effect in EFFECTS)), powers)
    print("Each seed has a split of its own: coverage, and false differences, %:\n")
    rows = []
    for seeds in (10, 20):
        for name, each in split_rates(seeds, draws=draws(10) // 4, seed=seed).items():
            covers = each["coverage"] if "interval" in name else ""
            rows.append((seeds, name, covers, each["false"]))
    _table(("seeds", "by", "coverage", "false differences"), rows)
    print("One split of 359 test samples: coverage of the mean over other seeds and samples, %:\n")
    rows = []
    for seeds in (10, 20):
        for effects_are, noise_of in NOISES.items():
            covered = two_way_rates(seeds, noise_of, draws=draws(10) // 2, seed=seed)
            rows.append((seeds, effects_are, *covered.values()))
    _table(("seeds", "effects", "interval over seeds", "over seeds and test samples"), rows)


def main() -> None:
    """Print the tables of ``docs/statistics.md``."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--draws", type=int, default=4000, help="experiments of ten seeds")
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    # The tests of twenty seeds cost ninety times as much.
    share = {10: 1.0, 20: 0.3}
    print_tables(lambda seeds: round(share[seeds] * arguments.draws), arguments.seed)


if __name__ == "__main__":
    main()
