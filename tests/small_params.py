"""A small document of params, for tests that give some of its sections anew."""

from __future__ import annotations

from typing import Any


def small_params(**sections: Any) -> dict[str, Any]:
    return {
        "seeds": 1,
        **{name: {} for name in ("data", "split", "network", "train", "evaluate", "tracking")},
        "offsets": {"none": {"kind": "zero"}, "frozen": {"kind": "hash"}},
        "models": {"none": {"offset": "none"}},
        **sections,
    }
