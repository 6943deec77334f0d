from __future__ import annotations

import copy
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import pandas as pd
import pytest

from offset_autoencoder.config import Params, parse_params
from offset_autoencoder.evaluation.summary import setting_cells, sweep_keys

DOCUMENT: dict[str, Any] = {
    "seeds": 10,
    "data": {},
    "split": {},
    "offsets": {"none": {"kind": "zero"}, "frozen": {"kind": "hash"}, "pca": {"kind": "pca"}},
    "network": {},
    "train": {},
    "models": {
        "none": {"offset": "none"},
        "gaussian": {"offset": "none", "stddev": [0.1, 0.2]},
        "frozen": {"offset": "frozen", "rms": [0.1, 0.2]},
    },
    "evaluate": {},
    "tracking": {},
}


@pytest.fixture
def make_params() -> Callable[..., Params]:
    """Params like the default ones, with whole sections given anew."""

    def make(**sections: Any) -> Params:
        return parse_params({**copy.deepcopy(DOCUMENT), **sections})

    return make


@pytest.fixture
def make_runs() -> Callable[..., pd.DataFrame]:
    """A table of runs: ``effects`` are the settings' shifts of mse, by label."""

    def make(params: Params, effects: Mapping[str, float], noise: float = 1e-4) -> pd.DataFrame:
        keys = sweep_keys(params.settings)
        rows = []
        for index, setting in enumerate(params.settings):
            for seed in params.seeds:
                shared = np.random.default_rng([seed]).normal(0, 1e-2)
                own = np.random.default_rng([seed, index]).normal(0, noise)
                mse = 0.05 + shared + own + effects.get(setting.label, 0.0)
                rows.append(
                    {
                        "id": f"{setting.label}-{seed}",
                        **setting_cells(setting, keys),
                        "seed": seed,
                        "status": "finished",
                        "mse": mse,
                        "psnr": -mse,
                        "mse_as_trained": mse + 0.01,
                        "mse_clean": mse + 0.02,
                    }
                )
        return pd.DataFrame(rows)

    return make
