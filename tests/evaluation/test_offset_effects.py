from __future__ import annotations

from collections.abc import Callable

import numpy as np

from offset_autoencoder.config import Params, Run
from offset_autoencoder.evaluation.interventions import (
    GAUSSIAN,
    OMITTED,
    OWN,
    PERMUTED,
    Intervention,
    summarise_interventions,
)
from offset_autoencoder.evaluation.offset_verdict import exchange_effects, offset_effects
from offset_autoencoder.evaluation.probes import Probe, summarise_probes

FACTORS = {OWN: 1.0, OMITTED: 0.7, PERMUTED: 1.5, GAUSSIAN: 1.3}


def test_what_was_measured_of_a_setting_comes_together_by_seed(
    make_params: Callable[..., Params],
) -> None:
    """Runs out of order and a diverged one; settings without an offset have no effects."""
    params = make_params(seeds=4)
    runs = [run for run in params.runs if run.label != "frozen rms=0.1 seed=2"][::-1]
    measured: list[tuple[Run, dict[Intervention, dict[str, float]]]] = []
    shifts: list[tuple[Run, float | None]] = []
    probes: list[tuple[Run, dict[str, Probe]]] = []
    for run in runs:
        offset = run.setting.model == "frozen"
        kinds = FACTORS if offset else {OWN: 1.0}
        values = {
            kind: {"mse": share * (run.seed + 1), "mae": 9.0} for kind, share in kinds.items()
        }
        measured.append((run, values))
        shifts.append((run, run.seed / 10 if offset else None))
        probes.append((run, {"offset": Probe(0.25, 0.01, None, None)} if offset else {}))
    found = offset_effects(
        shifts,
        summarise_interventions(measured, confidence=0.95),
        summarise_probes(probes, confidence=0.95),
        metric="mse",
    )
    labels = {item.setting.label: item for item in found}
    assert set(labels) == {"frozen rms=0.1", "frozen rms=0.2"}
    item = labels["frozen rms=0.1"]
    np.testing.assert_allclose(item.own, [1, 2, 4])
    np.testing.assert_allclose(item.donor_shift, [0, 0.1, 0.3])
    for exchanged, factor in ((item.permuted, 1.5), (item.gaussian, 1.3), (item.omitted, 0.7)):
        np.testing.assert_allclose(exchanged, factor * item.own)
    assert item.linear_decodability.mean == 0.25
    assert item.linear_decodability.low < 0.25
    effect, _ = exchange_effects(found, "omitted", margin=0.05, confidence=0.95)
    np.testing.assert_allclose(effect.change.mean, -0.3)
