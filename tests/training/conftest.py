from __future__ import annotations

from typing import Any

import pytest
from tests.runs.conftest import make_runs

from offset_autoencoder.config.registries import ENGINES, load
from offset_autoencoder.training import engine as engine_module
from offset_autoencoder.user_code import keras_backend

__all__ = ["make_runs"]
# tests/training/test_jax.py has the others run in a process with their backend.
HERE = [name for name, record in ENGINES.items() if record.backend in (None, keras_backend())]
ANY_NETWORK = {"tensorflow": "keras", "jax": "jax"}[keras_backend()]


@pytest.fixture(scope="session")
def programs() -> dict[str, Any]:
    """The programs compiled so far, by population."""
    return {}


@pytest.fixture
def compiled_once(programs: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    """Within a test, a population that was compiled before is not compiled again."""
    engine = load(ENGINES[ANY_NETWORK].implementation)
    compile_programs = engine.programs_kind

    def compiled(population: Any) -> Any:
        if population.key not in programs:
            programs[population.key] = compile_programs(population)
        return programs[population.key]

    monkeypatch.setattr(engine, "programs_kind", staticmethod(compiled))


@pytest.fixture(params=HERE)
def engine(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Every engine in turn: the one that ``auto`` prefers; what it cannot train, another does."""
    name = str(request.param)
    preferred = {member: ENGINES[member] for member in (name, ANY_NETWORK)}
    monkeypatch.setattr(engine_module, "ENGINES", preferred)
    return name
