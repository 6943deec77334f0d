from __future__ import annotations

from typing import Any

import pytest
from tests.runs.conftest import make_runs

from offset_autoencoder.config.registries import ENGINES
from offset_autoencoder.training import engine as engine_module

__all__ = ["make_runs"]


@pytest.fixture(scope="session")
def programs() -> dict[str, Any]:
    """The programs compiled so far, by population."""
    return {}


@pytest.fixture
def compiled_once(programs: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    """Within a test, a population that was compiled before is not compiled again."""
    from offset_autoencoder.training import keras_engine
    from offset_autoencoder.training.keras_programs import Programs as compile_programs

    def compiled(population: Any) -> Any:
        if population.key not in programs:
            programs[population.key] = compile_programs(population)
        return programs[population.key]

    monkeypatch.setattr(keras_engine, "Programs", compiled)


@pytest.fixture(params=list(ENGINES))
def engine(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Every engine in turn: the one that ``auto`` prefers; what it cannot train, Keras does."""
    name = str(request.param)
    preferred = {member: ENGINES[member] for member in (name, "keras")}
    monkeypatch.setattr(engine_module, "ENGINES", preferred)
    return name
