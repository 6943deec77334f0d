"""Every member of every registry, and what happens where a name is none."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from tests.small_params import small_params

from offset_autoencoder.config import parse_params
from offset_autoencoder.config.registries import (
    ACTIVATIONS,
    ALIASES,
    INITIALIZERS,
    LOSSES,
    OPTIMIZERS,
    SCHEDULES,
    Activation,
    Loss,
    Optimizer,
    Registry,
    load,
)
from offset_autoencoder.config.schema import NETWORK_KINDS, Network
from offset_autoencoder.config.systems import SYSTEMS, Model
from offset_autoencoder.errors import InputError
from offset_autoencoder.models.architecture import Architecture
from offset_autoencoder.models.backend import keras

REGISTRIES: list[Registry[Any]] = [
    *(LOSSES, OPTIMIZERS, SCHEDULES, ACTIVATIONS, NETWORK_KINDS, SYSTEMS)
]
N, D = 30, 6
RNG = np.random.default_rng(0)


def parsed(network: dict[str, Any], train: dict[str, Any], **model: Any) -> Any:
    document = small_params(network=network, train=train, models={"m": model})
    return parse_params(document).settings[0]


@pytest.mark.parametrize("registry", REGISTRIES, ids=lambda registry: registry.family)
def test_members_stand_under_their_names_and_others_are_errors(registry: Registry[Any]) -> None:
    assert [member.name for member in registry.values()] == list(registry)
    first = next(iter(registry))
    with pytest.raises(InputError) as caught:
        registry[first + "x"]
    family = registry.family
    mend = f"(did you mean {first!r}?)"
    assert str(caught.value) == f"{family}: unknown value {first + 'x'!r} {mend}"
    with pytest.raises(InputError, match=r"known are|only one known"):
        registry["0"]


@pytest.mark.parametrize(
    "target",
    [
        *(system.build for system in SYSTEMS.values()),
        *(kind.encode for kind in NETWORK_KINDS.values()),
        *(kind.decode for kind in NETWORK_KINDS.values()),
        *(kind.check for kind in NETWORK_KINDS.values() if kind.check),
    ],
)
def test_what_a_record_names_is_there(target: str) -> None:
    assert callable(load(target))


@pytest.mark.parametrize("loss", LOSSES.values(), ids=lambda loss: loss.name)
def test_a_loss_is_keras_own_and_a_likelihood_has_its_units(loss: Loss) -> None:
    x, y = RNG.dirichlet(np.ones(D), N), RNG.dirichlet(np.ones(D), N)
    ours = keras.losses.get(loss.name)
    assert loss.output is None or Network(loss=loss.name, output=loss.output).output == loss.output
    if loss.likelihood is None:
        with pytest.raises(ValueError, match="no likelihood"):
            loss.negative_log_likelihood(x, y)
        return
    # In nats the loss differs between two reconstructions as the likelihood does.
    other = RNG.dirichlet(np.ones(D), N)
    nats = loss.negative_log_likelihood(x, y) - loss.negative_log_likelihood(x, other)
    keras_loss = [
        float(np.mean(ours(x.astype(np.float32), r.astype(np.float32)))) for r in (y, other)
    ]
    difference = keras_loss[0] - keras_loss[1]
    assert nats * loss.nats_factor(D) == pytest.approx(difference, rel=1e-4, abs=1e-6)


@pytest.mark.parametrize("optimizer", OPTIMIZERS.values(), ids=lambda optimizer: optimizer.name)
def test_an_optimizer_is_keras_own_and_carries_its_slots(optimizer: Optimizer) -> None:
    variable = keras.Variable(np.ones(3, np.float32))
    stock = keras.optimizers.get(optimizer.name)
    stock.build([variable])
    slots = [v for v in stock.variables if tuple(v.shape) == (3,)]
    assert len(slots) == optimizer.slots


def keras_names(module: Any) -> set[str]:
    """Functions of a module of Keras, or its classes by their names in lower case."""
    names = {name for name in dir(module) if callable(getattr(module, name))}
    return {name for name in names if name.islower()} - {"get", "serialize", "deserialize"}


def test_every_activation_and_initializer_of_keras_that_needs_no_argument_has_its_name() -> None:
    assert set(ACTIVATIONS) | {"glu", "threshold"} == keras_names(keras.activations) - set(ALIASES)
    known = keras_names(keras.initializers) - {"constant", "stft"}
    aliases = {"uniform", "normal", "zero", "one"}
    assert set(INITIALIZERS) == known - aliases
    for alias, name in ALIASES.items():
        assert keras.activations.get(alias) is keras.activations.get(name)
        assert Network(activation=alias, output=name, loss="huber").activation == name


@pytest.mark.parametrize("activation", ACTIVATIONS.values(), ids=lambda member: member.name)
def test_an_activation_has_its_range(activation: Activation) -> None:
    x = np.linspace(-20, 20, 401, dtype=np.float32)[:, None] * np.linspace(-1, 1, 9)
    y = np.asarray(keras.activations.get(activation.name)(x.astype(np.float32)))
    found = "any" if y.min() < 0 else "non_negative" if y.max() > 1 else "unit_interval"
    assert found == activation.output_range


@pytest.mark.parametrize("schedule", SCHEDULES)
def test_a_schedule_is_keras_own(schedule: str) -> None:
    steps, rate, end = 50, 0.3, 0.02
    kinds = keras.optimizers.schedules
    by_keras: dict[str, Any] = {
        "constant": lambda step: rate,
        "cosine": kinds.CosineDecay(rate, steps, alpha=end),
        "exponential": kinds.ExponentialDecay(rate, steps, end),
        "linear": kinds.PolynomialDecay(rate, steps, rate * end),
        "inverse_time": kinds.InverseTimeDecay(rate, steps, 1 / end - 1),
    }
    factors = SCHEDULES[schedule].factor(np.arange(steps + 1) / steps, end)
    expected = [float(by_keras[schedule](step)) for step in range(steps + 1)]
    np.testing.assert_allclose(rate * factors, expected, rtol=1e-5)
    assert factors[0] == 1
    assert factors[-1] == pytest.approx(1 if schedule == "constant" else end)


@pytest.mark.parametrize("kind", NETWORK_KINDS)
def test_a_kind_has_keys_of_its_own_that_only_its_runs_depend_on(kind: str) -> None:
    record = NETWORK_KINDS[kind]
    others = {key for other in NETWORK_KINDS.values() if other.name != kind for key in other.keys}
    relevant = set(Network(kind=kind).relevant)
    assert set(record.keys) <= relevant
    assert not relevant & (others - set(record.keys))


@pytest.mark.parametrize("system", SYSTEMS)
def test_a_system_resolves_to_fields_of_an_architecture(system: str) -> None:
    record = SYSTEMS[system]
    resolved = SYSTEMS[record.resolved_as or system]
    keys: dict[str, Any] = {"match": "m", "function": "m:f"}
    model = Model(
        system=system,
        offset="o" if record.needs_offset else None,
        **{key: keys[key] for key in record.required},
    )
    resolve = resolved.resolve or (lambda spec, network, steps: spec.options)
    options = resolve(model, Network(), 7) if resolved is record else {}
    architecture = Architecture(system=resolved.name, network=Network(), input_dim=D, **options)
    assert set(options) <= set(Architecture.model_fields)
    assert Architecture.model_validate(architecture.dump()).key == architecture.key


def test_a_loss_of_keras_that_no_engine_knows_is_one_record(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(LOSSES, "log_cosh", Loss("log_cosh"))
    monkeypatch.setitem(OPTIMIZERS, "lion", Optimizer("lion", 1))
    setting = parsed({"loss": "log_cosh", "output": "linear"}, {"optimizer": "lion"})
    assert (setting.network.loss, setting.train.optimizer) == ("log_cosh", "lion")
    with pytest.raises(InputError, match="log_cosh is no likelihood, which system: vae needs"):
        parsed({"loss": "log_cosh", "output": "linear"}, {}, system="vae")


@pytest.mark.parametrize("section", ["network", "train"])
def test_a_name_that_no_member_has_is_one_line(section: str) -> None:
    sections: dict[str, dict[str, Any]] = {"network": {}, "train": {}}
    key = {"network": "loss", "train": "optimizer"}[section]
    sections[section][key] = "adan" if key == "optimizer" else "mean_square_error"
    with pytest.raises(InputError) as caught:
        parsed(**sections)
    assert f"params.yaml: {section}.{key}: unknown value" in str(caught.value)
    assert "did you mean" in str(caught.value)
