"""Words on the columns that splits go by, ``split.group`` and ``split.order``."""

from __future__ import annotations

import itertools

import numpy as np

from offset_autoencoder.config.data_schema import SPLITS, Split
from offset_autoencoder.data.prepared import SplitRows
from offset_autoencoder.data.samples import Samples
from offset_autoencoder.data.splits import group_leakage


def kept_whole(split: Split, samples: Samples) -> str:
    """Clause on what the splits go by beside the ids, or ``""``."""
    is_stratified = split.stratify and samples.y is not None
    if samples.groups is not None:
        groups = len(np.unique(samples.groups))
        about = ", classes shared out as evenly as they allow" if is_stratified else ""
        return f", {groups} groups ({_named(split, 'group')}) kept whole{about}"
    if samples.moments is not None:
        about = ", not stratified" if is_stratified else ""
        return f", one split in the order of {_named(split, 'order')}{about}"
    return ""


def broken_splits(split: Split, samples: Samples, rows: SplitRows) -> list[str]:
    """Lines where splits that the data bring part a group, or do not follow each other in time."""
    texts: list[str] = []
    if (groups := samples.groups) is not None:
        clauses = [
            f"{parted} of {len(np.unique(groups[rows[name]]))} in {name}"
            for name, parted in group_leakage(groups, rows).items()
            if parted
        ]
        if clauses:
            what = f"groups ({_named(split, 'group')}) that also stand in an earlier split"
            texts.append(f"{what}: {', '.join(clauses)}")
    if samples.moments is not None:
        for name, later in itertools.pairwise(SPLITS):
            moments = samples.moments[rows[name]]
            if late := int(np.sum(moments >= samples.moments[rows[later]].min())):
                what = f"samples of {name} that do not lie before {later} in"
                texts.append(f"{what} {_named(split, 'order')}: {late} of {len(moments)}")
    return texts


def _named(split: Split, key: str) -> str:
    value = getattr(split, key)
    return str(value if isinstance(value, str) else value["train"])
