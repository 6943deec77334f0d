"""The promises that every member of a family keeps: metrics and interventions."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
import pytest

from offset_autoencoder.config.schema import Evaluate
from offset_autoencoder.errors import InputError
from offset_autoencoder.evaluation import decoding, metrics
from offset_autoencoder.evaluation.decoding import decoded_metrics, reconstruction_metrics
from offset_autoencoder.evaluation.interventions import (
    INTERVENTIONS,
    OWN,
    Intervention,
    chosen_interventions,
    draw,
    intervene,
)
from offset_autoencoder.evaluation.metrics import (
    CONDITIONS,
    METRICS,
    Domain,
    metric_of,
)
from offset_autoencoder.evaluation.statistics import relative_change

N, D, L = 40, 6, 3
RNG = np.random.default_rng(0)
X = RNG.random((N, D), dtype=np.float32)
NEAR, FAR = (X + share * (RNG.random((N, D), dtype=np.float32) - X) for share in (0.2, 0.8))
DOMAIN = Domain((0.0, 1.0), in_unit_interval=True, image_shape=(2, 3))
CODE, OFFSET = (RNG.normal(size=(N, L)).astype(np.float32) for _ in range(2))
WEIGHTS = RNG.normal(size=(L, D)).astype(np.float32)
DRAWS = draw(2, seed=0, run_seed=0, samples=N, latent_dim=L)


@pytest.fixture(params=[name for name, metric in METRICS.items() if not metric.detects])
def metric(request: pytest.FixtureRequest) -> metrics.Metric:
    return METRICS[request.param]


@pytest.fixture(params=INTERVENTIONS)
def intervention(request: pytest.FixtureRequest) -> Intervention:
    kind = INTERVENTIONS[request.param]
    return Intervention(kind.name, 0.5 if kind.levels else None)


def decode(code: Any, offset: Any) -> Any:
    return 1 / (1 + np.exp(-(offset if code is None else code + 2 * offset) @ WEIGHTS))


def test_a_nearer_reconstruction_is_better(metric: metrics.Metric) -> None:
    near, far = (reconstruction_metrics(X, x, DOMAIN)[metric.name] for x in (NEAR, FAR))
    assert near != far
    assert (near > far) == metric.higher_is_better


def test_the_error_behind_a_metric_is_larger_where_it_is_worse(metric: metrics.Metric) -> None:
    near, far = (reconstruction_metrics(X, x, DOMAIN)[metric.name] for x in (NEAR, FAR))
    worse, same = relative_change(np.array([far, near]), np.array([near, near]), metric.name)
    assert worse > 0
    assert same == 0


def test_every_condition_of_a_metric_is_the_metric(metric: metrics.Metric) -> None:
    assert {metric_of(metric.name + suffix).name for suffix in CONDITIONS} == {metric.name}


def test_a_metric_in_blocks_is_that_of_the_whole(
    metric: metrics.Metric, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(decoding, "_CACHED_VALUES", 7 * D)
    inputs = iter([("near", CODE, OFFSET)])
    ((_, values),) = decoded_metrics(X, inputs, lambda *_: NEAR, [metric.name], DOMAIN)
    whole = reconstruction_metrics(X, NEAR, DOMAIN)[metric.name]
    assert values == {metric.name: pytest.approx(whole, rel=1e-6)}


def test_errors_of_samples_have_the_metric_as_mean(metric: metrics.Metric) -> None:
    errors = metrics.sample_errors(metric.name, X, NEAR)
    assert (errors is None) == (metric.per_sample is None)
    if errors is not None:
        assert errors.shape == (N,)
        assert errors.dtype == np.dtype(np.float32)
        whole = reconstruction_metrics(X, NEAR, DOMAIN)[metric.name]
        assert np.mean(errors) == pytest.approx(whole, rel=1e-6)
        first = reconstruction_metrics(X[:1], NEAR[:1], DOMAIN)[metric.name]
        assert errors[0] == pytest.approx(first, rel=1e-6)


@pytest.mark.parametrize("name", METRICS)
def test_a_metric_has_one_source(name: str) -> None:
    metric = METRICS[name]
    assert [metric.function, metric.from_mse, metric.from_errors].count(None) == 2


@pytest.mark.parametrize("name", METRICS)
def test_a_metric_has_names_for_pictures(name: str) -> None:
    assert METRICS[name].label
    assert "," not in METRICS[name].error_label


@pytest.mark.parametrize("name", [name for name, metric in METRICS.items() if metric.detects])
def test_a_metric_of_detection_is_there_where_anomalies_are_known(name: str) -> None:
    assert name not in reconstruction_metrics(X, NEAR, DOMAIN)
    few = np.arange(N) < 5
    worse = np.where(few[:, np.newaxis], FAR, NEAR)  # the anomalies' reconstructions
    domain = dataclasses.replace(DOMAIN, anomalies=few)
    apart, alike = (reconstruction_metrics(X, y, domain)[name] for y in (worse, NEAR))
    assert apart == 1
    assert alike < 0.9
    change, same = relative_change(np.array([0.8, 0.9]), np.array([0.9, 0.9]), name)
    assert change == pytest.approx(1.0)  # twice as much is wrong
    assert same == 0
    # The error that tells is another where that is asked for.
    by_mae = dataclasses.replace(domain, error="mae")
    y = np.where(few[:, np.newaxis], X + 0.01, X)
    y[-1, 0] += 0.05  # mae 0.0083, mse 0.0004: beyond the 0.0001 of the anomalies
    assert reconstruction_metrics(X, y, by_mae)[name] == 1
    assert reconstruction_metrics(X, y, domain)[name] < 1


def test_a_new_metric_is_a_record_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """Structural similarity of whole samples: its columns are there, in every condition."""

    def ssim(x: Any, y: Any, domain: Domain) -> float:
        covariance = np.mean((x - x.mean(1, keepdims=True)) * (y - y.mean(1, keepdims=True)), 1)
        contrast = (2 * covariance + 9e-4) / (x.var(axis=1) + y.var(axis=1) + 9e-4)
        means = x.mean(axis=1), y.mean(axis=1)
        light = (2 * means[0] * means[1] + 1e-4) / (means[0] ** 2 + means[1] ** 2 + 1e-4)
        return float(np.mean(light * contrast))

    added = metrics.Metric(
        "ssim",
        "structural similarity",
        ssim,
        higher_is_better=True,
        error_ratio=lambda values, baseline: (1 - values) / (1 - baseline),
    )
    monkeypatch.setitem(METRICS, "ssim", added)
    test_a_nearer_reconstruction_is_better(added)
    test_the_error_behind_a_metric_is_larger_where_it_is_worse(added)
    test_a_metric_in_blocks_is_that_of_the_whole(added, monkeypatch)
    assert list(reconstruction_metrics(X, NEAR, DOMAIN))[-1] == "ssim"


def test_an_intervention_has_one_value_a_metric(intervention: Intervention) -> None:
    chosen = [OWN, intervention]
    values = intervene(X, CODE, OFFSET, decode, DRAWS, chosen, metrics=["mae"], domain=DOMAIN)
    assert list(values) == list(dict.fromkeys(chosen))
    assert (values[intervention] == values[OWN]) == (intervention == OWN)


def test_an_intervention_leaves_its_inputs_alone(intervention: Intervention) -> None:
    code, offset = CODE.copy(), OFFSET.copy()
    pairs = list(intervention.kind.inputs(code, offset, DRAWS, intervention.level or 0.0))
    for changed_code, changed_offset in pairs:
        assert changed_code is not None
        assert changed_code.shape == changed_offset.shape == OFFSET.shape
        assert changed_code.dtype == changed_offset.dtype == np.float32
    np.testing.assert_array_equal(code, CODE)
    np.testing.assert_array_equal(offset, OFFSET)


def test_an_intervention_on_the_offset_needs_one(intervention: Intervention) -> None:
    zero = np.zeros_like(OFFSET)
    values = intervene(X, CODE, zero, decode, DRAWS, [intervention], domain=DOMAIN)
    assert (intervention in values) != intervention.kind.needs_offset


def test_an_intervention_is_asked_for_and_shown(intervention: Intervention) -> None:
    kind = intervention.kind
    assert kind.name in {chosen.name for chosen in chosen_interventions(Evaluate())}
    assert kind.label
    for level, same in kind.same_as.items():
        assert dataclasses.replace(intervention, level=level).canonical == Intervention(same)
    assert intervention.canonical == intervention


def test_an_unknown_intervention_is_refused() -> None:
    with pytest.raises(InputError, match=r"intervention: unknown value 'gausian' \(did you mean"):
        _ = Intervention("gausian").kind
