"""Verdicts of the reports, cut down to what fits a cell."""

from __future__ import annotations

import re
from collections.abc import Mapping

_REASON = re.compile(r" by [\d.]| \(")


def short_verdict(row: Mapping[str, str]) -> str:
    """A row of ``comparison.csv`` without its figures: ``"worse than none"``."""
    return _REASON.split(row.get("verdict", ""), maxsplit=1)[0].partition(", neither ")[0]


def verdict_word(row: Mapping[str, str]) -> str:
    """The same without the baseline: ``"worse"``, ``"equivalent within 5 %"``."""
    named = row.get("baseline_setting") or row.get("baseline", "")
    return re.sub(rf" (than|to|against|from) {re.escape(named)}(?= |$)", "", short_verdict(row))


def signed_percent(share: str) -> str:
    """A share as a change: ``"+15.9 %"``; empty where it is not known."""
    try:
        return f"{100 * float(share):+.1f} %"
    except ValueError:
        return ""
