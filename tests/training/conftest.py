from __future__ import annotations

from typing import Any

import pytest
from tests.runs.conftest import make_runs

__all__ = ["make_runs"]


@pytest.fixture(scope="session")
def programs() -> dict[str, Any]:
    """The programs compiled so far, by population."""
    return {}


@pytest.fixture
def compiled_once(programs: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    """Within a test, a population that was compiled before is not compiled again."""
    from offset_autoencoder.training import keras_programs

    def compile_epoch(population: Any) -> Any:
        if population.key not in programs:
            programs[population.key] = keras_programs.compile_epoch(population)
        return programs[population.key]

    monkeypatch.setattr(crew, "compile_epoch", compile_epoch)


@pytest.fixture(params=["fused", "stacked"])
def way(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Both ways to train a network of dense layers."""
    from offset_autoencoder.training.population import Population

    if request.param == "stacked":
        monkeypatch.setattr(Population, "fused", None)
    return str(request.param)
