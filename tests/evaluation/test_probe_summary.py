from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from offset_autoencoder.config import Params
from offset_autoencoder.evaluation.probes import Probe, ProbeSummary, summarise_probes
from offset_autoencoder.evaluation.statistics import mean_and_interval

MakeParams = Callable[..., Params]


def _summaries(params: Params, *, labels: bool = True) -> dict[tuple[str, str], ProbeSummary]:
    probes = []
    for run in params.runs:
        own = 0.7 + 0.01 * run.seed
        found = {"code": Probe(own, 0.2, own if labels else None, 0.2 if labels else None)}
        if run.setting.model == "frozen":
            shared = Probe(0.4, 0.02, 0.5 if labels else None, 0.05 if labels else None)
            found |= {"offset": shared, "both": Probe(0.9, 0.1, None, None)}
        probes.append((run, found))
    summaries = summarise_probes(probes, confidence=0.95)
    return {(item.setting.label, item.part): item for item in summaries}


def test_intervals_are_over_seeds(make_params: MakeParams) -> None:
    summaries = _summaries(make_params())
    item = summaries["none", "code"]
    shares = 0.7 + 0.01 * np.arange(10)
    assert item.explained == mean_and_interval(shares, 0.95)
    assert item.accuracy == item.explained
    assert item.over == "seeds"


def test_a_table_that_all_seeds_share_has_the_interval_of_the_samples(
    make_params: MakeParams,
) -> None:
    item = _summaries(make_params())["frozen rms=0.1", "offset"]
    assert item.over == "samples"
    assert item.accuracy is not None
    assert (item.explained.low, item.explained.high) == pytest.approx(
        (0.4 - 1.959964 * 0.02, 0.4 + 1.959964 * 0.02)
    )
    assert item.accuracy.half == pytest.approx(1.959964 * 0.05)
    assert item.explained.count == 10


def test_a_setting_has_its_own_parts_in_order(make_params: MakeParams) -> None:
    summaries = _summaries(make_params(), labels=False)
    parts = [part for label, part in summaries if label == "frozen rms=0.2"]
    assert parts == ["offset", "code", "both"]
    assert ("none", "offset") not in summaries
    assert all(item.accuracy is None for item in summaries.values())
