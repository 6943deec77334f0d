"""What each offset is to its network: ``reports/verdicts.csv`` and its table in the terminal."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from rich.console import Console
from rich.text import Text

from offset_autoencoder.config import Setting
from offset_autoencoder.evaluation.encoder_adaptation import EncoderAdaptationSummary
from offset_autoencoder.evaluation.offset_verdict import OffsetVerdict
from offset_autoencoder.evaluation.runs_table import setting_cells, sweep_keys
from offset_autoencoder.evaluation.statistics import Estimate
from offset_autoencoder.evaluation.verdict_wording import percent
from offset_autoencoder.reporting.console_table import (
    Column,
    plus_minus,
    print_note,
    print_table,
    setting_column,
)
from offset_autoencoder.reporting.interval_text import mean_and_half

_STYLES = {"noise": "yellow", "second encoder": "green", "neither": "red", "inconclusive": "dim"}
_ANSWERS = {"unknown": "-"}


def verdict_rows(
    verdicts: Sequence[OffsetVerdict], settings: Sequence[Setting]
) -> tuple[list[str], list[dict[str, Any]]]:
    """Columns and rows of ``reports/verdicts.csv``.

    For each of ``permuted``, ``gaussian`` and ``omitted`` the change of the error as a share of
    that with its own offset, its interval, the corrected one-sided p that it is above the
    margin, below its negative and within it, and which of them is shown; then what the offset
    says linearly of x and how far it shifts the reconstruction to its donor, with their intervals.
    """
    keys = sweep_keys(settings)
    columns = ["model", "setting", *keys, "verdict", "metric", "seeds", "margin"]
    for name in ("permuted", "gaussian", "omitted"):
        columns += [name, f"{name}_low", f"{name}_high"]
        columns += [f"{name}_p_{claim}" for claim in ("more", "less", "same")]
        columns.append(f"{name}_shift")
    for name in ("linear_decodability", "donor_shift"):
        columns += [name, f"{name}_low", f"{name}_high"]
    columns += ["seeds_needed", "sentence"]
    return columns, [{**setting_cells(item.setting, keys), **_cells(item)} for item in verdicts]


def print_verdicts(
    console: Console,
    verdicts: Sequence[OffsetVerdict],
    responses: Sequence[EncoderAdaptationSummary],
    *,
    confidence: float,
) -> None:
    """Print the verdict on each offset with the figures that it rests on.

    Args:
        console: Where to; one on a file or a pipe gets plain text. Where it is narrow, what the
            encoder does is left out, and where that is not enough, Gaussian noise's intervals.
        verdicts: The verdicts, as :func:`.offset_verdict.judge_offsets` gives them.
        responses: How the encoders answer the offsets.
        confidence: The share of intervals that hold the true value.
    """
    if not verdicts:
        return
    pm = plus_minus(console)
    answers = {item.setting.label: item.word for item in responses}
    columns = [
        setting_column([item.setting for item in verdicts]),
        Column(f"another's {pm}", [_percent(item.permuted.change, pm) for item in verdicts]),
        Column(f"Gaussian {pm}", [_percent(item.gaussian.change, pm) for item in verdicts]),
        Column("none", [_percent(item.omitted.change, "") for item in verdicts]),
        Column("tells", [_share(item.linear_decodability) for item in verdicts]),
        Column("pull", [_share(item.donor_shift) for item in verdicts]),
        Column("verdict", [Text(v.word, style=_STYLES[v.word]) for v in verdicts], right=False),
    ]
    known = [answers.get(item.setting.label, "unknown") for item in verdicts]
    encoder = Column("encoder", [_ANSWERS.get(word, word) for word in known], right=False)
    title = "what each offset is to its network; change of the error with another, in %"
    narrow = list(columns)
    narrow[2] = Column("Gaussian", [_percent(item.gaussian.change, "") for item in verdicts])
    narrowest = list(narrow)
    narrowest[1] = Column("another's", [_percent(item.permuted.change, "") for item in verdicts])
    wide = [*columns[:-1], encoder, columns[-1]]
    shown = print_table(console, title, wide, columns, narrow, narrowest)
    note = _note(verdicts[0], confidence, pm)
    if encoder.heading in shown:
        note += " encoder: its code reinforces, cancels or ignores the offset."
    print_note(console, note)


def _note(first: OffsetVerdict, confidence: float, pm: str) -> str:
    margin = percent(first.permuted.within.margin)
    return (
        "The offset is exchanged for another sample's, for Gaussian noise of the same power, or "
        f"left out (none). {pm}: half the {percent(confidence).replace(' ', '')} interval over "
        "seeds. tells: variance of x that a linear map of the offset explains, %. pull: share of "
        "the way to the other sample that its offset takes the output, %. second encoder: "
        f"another's costs more than {margin}, leaving it out too; tells and pull are above 1 %. "
        f"noise: another's and Gaussian are within {margin}, none is not."
    )


def _cells(item: OffsetVerdict) -> dict[str, Any]:
    cells: dict[str, Any] = {
        "verdict": item.word,
        "metric": item.metric,
        "seeds": item.seeds,
        "margin": item.permuted.within.margin,
        "seeds_needed": item.seeds_needed,
        "sentence": item.sentence,
    }
    effects = {"permuted": item.permuted, "gaussian": item.gaussian, "omitted": item.omitted}
    for name, effect in effects.items():
        cells |= _estimate(name, effect.change)
        cells[f"{name}_p_more"] = effect.p_more
        cells[f"{name}_p_less"] = effect.p_less
        cells[f"{name}_p_same"] = effect.within.p_corrected
        cells[f"{name}_shift"] = effect.shift
    cells |= _estimate("linear_decodability", item.linear_decodability)
    return cells | _estimate("donor_shift", item.donor_shift)


def _estimate(name: str, estimate: Estimate) -> dict[str, float]:
    return {name: estimate.mean, f"{name}_low": estimate.low, f"{name}_high": estimate.high}


def _percent(change: Estimate, pm: str) -> str:
    if not math.isfinite(change.mean):
        return "-"
    decimals = 1 if abs(change.mean) < 0.1 else 0
    return mean_and_half(change, pm, decimals=decimals, factor=100, signed=True)


def _share(share: Estimate) -> str:
    if not math.isfinite(share.mean):
        return "-"
    return f"{100 * share.mean:z.{1 if abs(share.mean) < 0.1 else 0}f}"
