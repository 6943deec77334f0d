from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy.linalg import sqrtm
from tests.evaluation.interventions import OFFSET_ONLY, noisy, scaled

from offset_autoencoder.config.schema import Evaluate
from offset_autoencoder.evaluation import decoding
from offset_autoencoder.evaluation.decoding import reconstruction_metrics
from offset_autoencoder.evaluation.interventions import (
    ENOUGH_ROWS,
    EXCHANGES,
    GAUSSIAN,
    MEAN,
    OMITTED,
    OWN,
    PERMUTED,
    Draws,
    Intervention,
    chosen_interventions,
    draw,
    intervene,
    some_rows,
)
from offset_autoencoder.evaluation.metrics import METRICS, Domain

N, D, L = 50, 7, 3
RNG = np.random.default_rng(0)
X = RNG.random((N, D), dtype=np.float32)
CODE = RNG.normal(size=(N, L)).astype(np.float32)
OFFSET = (0.3 + RNG.normal(size=(N, L)) * [0.1, 0.5, 2]).astype(np.float32)
ADDED, BESIDE = (RNG.normal(size=(L, D)).astype(np.float32) for _ in range(2))
DRAWS = draw(3, seed=0, run_seed=0, samples=N, latent_dim=L)
CHOSEN = chosen_interventions(
    Evaluate(offset_scales=[-1.0, 0.0, 0.5, 1.0], noise_stddevs=[0.0, 0.2])
)
WITHOUT_LEVELS = [*EXCHANGES, OFFSET_ONLY]


def add(code: NDArray[Any] | None, offset: NDArray[Any]) -> NDArray[Any]:
    """An additive system, to one sigmoid layer."""
    assert code is not None
    return 1 / (1 + np.exp(-(code + offset) @ ADDED))


def beside(code: NDArray[Any] | None, offset: NDArray[Any]) -> NDArray[Any]:
    """A concatenating system."""
    assert code is not None
    return 1 / (1 + np.exp(-(code @ ADDED + offset @ BESIDE)))


def found(decode: Any = add, code: Any = CODE, offset: Any = OFFSET, **changed: Any) -> Any:
    options = {"domain": Domain(None), **changed}
    draws = options.pop("draws", DRAWS)
    return intervene(X, code, offset, decode, draws, CHOSEN, **options)


def mse(output: NDArray[Any]) -> float:
    return float(sum((a - b) ** 2 for a, b in zip(output.flat, X.flat, strict=True)) / X.size)


def _root(covariance: NDArray[Any]) -> NDArray[Any]:
    root: NDArray[Any] = sqrtm(covariance).real
    return root


@pytest.mark.parametrize("decode", [add, beside])
def test_each_intervention_is_what_it_says(decode: Any) -> None:
    expected: dict[Intervention, list[NDArray[Any]]] = {
        OWN: [decode(CODE, OFFSET)],
        PERMUTED: [decode(CODE, OFFSET[source]) for source in DRAWS.sources],
        GAUSSIAN: [
            decode(CODE, OFFSET.mean(axis=0) + normal @ _root(np.cov(OFFSET.T, bias=True)))
            for normal in DRAWS.replacement
        ],
        MEAN: [decode(CODE, OFFSET * 0 + OFFSET.mean(axis=0))],
        OMITTED: [decode(CODE, OFFSET * 0)],
        OFFSET_ONLY: [decode(CODE * 0, OFFSET)],
        scaled(-1): [decode(CODE, -OFFSET)],
        scaled(0): [decode(CODE, OFFSET * 0)],
        scaled(0.5): [decode(CODE, OFFSET / 2)],
        scaled(1): [decode(CODE, OFFSET)],
        noisy(0): [decode(CODE, OFFSET)],
        noisy(0.2): [decode(CODE + np.float32(0.2) * normal, OFFSET) for normal in DRAWS.noise],
    }
    errors = found(decode)
    assert list(errors) == list(expected)
    for intervention, outputs in expected.items():
        wanted = np.mean([mse(output) for output in outputs])
        assert errors[intervention]["mse"] == pytest.approx(wanted, rel=1e-5), intervention


@pytest.mark.parametrize("rank", [1, 2, 5])
def test_gaussian_noise_in_its_place_has_the_offsets_mean_and_covariance(rank: int) -> None:
    seen = []

    def watch(code: NDArray[Any] | None, offset: NDArray[Any]) -> NDArray[Any]:
        seen.append(offset)
        return np.zeros((len(offset), 1), np.float32)

    n, width = 20_000, 5
    mixing = RNG.normal(size=(rank, width))
    offset = (RNG.exponential(size=(n, rank)) @ mixing - 1).astype(np.float32)
    draws = draw(1, seed=0, run_seed=0, samples=n, latent_dim=width)
    x = np.ones((n, 1), np.float32)
    intervene(x, np.zeros_like(offset), offset, watch, draws, WITHOUT_LEVELS, domain=Domain(None))
    given = np.concatenate(seen).reshape(-1, n, width)
    assert len(given) == len(WITHOUT_LEVELS)
    replaced = given[WITHOUT_LEVELS.index(GAUSSIAN)].astype(np.float64)
    size = offset.std(axis=0).max()
    np.testing.assert_allclose(replaced.mean(axis=0), offset.mean(axis=0), atol=0.04 * size)
    covariances = np.cov(replaced.T), np.cov(offset.T)
    np.testing.assert_allclose(*covariances, atol=0.06 * size**2)
    # It stays in the directions that the offset takes, but for rounding.
    values = np.linalg.eigvalsh(covariances[0])[::-1]
    assert np.all(values[rank:] < 1e-6 * values[0])
    assert np.all(values[:rank] > 1e-6 * values[0])
    paired = np.mean((replaced - replaced.mean(axis=0)) * (offset - offset.mean(axis=0)), axis=0)
    assert np.all(np.abs(paired) < 0.03 * size**2)
    permuted = given[WITHOUT_LEVELS.index(PERMUTED)]
    np.testing.assert_array_equal(np.sort(permuted, axis=0), np.sort(offset, axis=0))


def test_without_an_offset_only_noise_makes_a_difference() -> None:
    errors = found(offset=np.zeros_like(OFFSET))
    assert list(errors) == [OWN, noisy(0), noisy(0.2)]
    assert errors[OWN] == errors[noisy(0)] != errors[noisy(0.2)]


def test_an_architecture_without_a_code_is_given_all_samples_in_order() -> None:
    heights = []

    def whole(code: NDArray[Any] | None, offset: NDArray[Any]) -> NDArray[Any]:
        assert code is None
        heights.append(len(offset))
        return add(CODE, offset)

    errors = found(whole, code=None)
    assert set(heights) == {N}
    assert OFFSET_ONLY not in errors
    same = found()
    for intervention in errors:  # in an additive system noise on the offset is noise on the code
        assert errors[intervention]["mse"] == pytest.approx(same[intervention]["mse"], rel=1e-5)


def test_one_sample_cannot_be_permuted() -> None:
    draws = draw(2, seed=0, run_seed=0, samples=1, latent_dim=L)
    errors = intervene(X[:1], CODE[:1], OFFSET[:1], add, draws, WITHOUT_LEVELS, domain=Domain(None))
    assert list(errors) == [OWN, GAUSSIAN, MEAN, OMITTED, OFFSET_ONLY]
    # A single vector has no spread: noise of its mean and covariance is that vector.
    assert errors[GAUSSIAN] == errors[OWN] == errors[MEAN]


def test_every_metric_is_that_of_the_whole_reconstruction() -> None:
    domain = Domain((0, 2), in_unit_interval=True)
    whole = reconstruction_metrics(X, add(CODE, OFFSET), domain)
    own = found(metrics=list(whole), domain=domain)[OWN]
    assert list(whole) == [name for name, metric in METRICS.items() if not metric.detects]
    assert own == pytest.approx(whole, rel=1e-6)
    perfect = found(
        lambda code, offset: np.resize(X, (len(offset), D)),
        metrics=["psnr", "explained_variance"],
        domain=Domain((0, 1)),
    )
    assert perfect[PERMUTED] == {"psnr": np.inf, "explained_variance": 1}
    with pytest.raises(ValueError, match="range"):
        found(metrics=["psnr"])


@pytest.mark.parametrize("rows", [1, 7, N, 3 * N + 1])
def test_blocks_of_any_size_give_the_same(rows: int, monkeypatch: pytest.MonkeyPatch) -> None:
    calls = []

    def watch(code: NDArray[Any] | None, offset: NDArray[Any]) -> NDArray[Any]:
        assert code is not None
        calls.append(len(offset))
        assert len(code) == len(offset)
        return add(code, offset)

    whole = found()
    monkeypatch.setattr(decoding, "BLOCK_BYTES", rows * (8 * D + 16 * L))
    monkeypatch.setattr("offset_autoencoder.io.arrays.BLOCK_VALUES", 5 * D)
    blocks = found(watch)
    assert max(calls) <= rows
    assert sum(calls) == N * (1 + 3 + 3 + 1 + 1 + 1 + 2 + 3)
    for intervention, errors in whole.items():
        assert blocks[intervention] == pytest.approx(errors, rel=1e-6)


def test_what_does_not_fit_is_refused() -> None:
    with pytest.raises(ValueError, match="shape"):
        found(code=CODE[:, :2])
    with pytest.raises(ValueError, match="fit"):
        found(code=CODE[:5], offset=OFFSET[:5])
    with pytest.raises(ValueError, match="fit"):
        found(draws=Draws(DRAWS.sources, DRAWS.replacement, DRAWS.noise[:, :, :1]))
    with pytest.raises(ValueError, match="decoding must give"):
        found(lambda code, offset: X)


@given(st.integers(0, 2**32 - 1), st.integers(2, 60), st.integers(1, 5))
@settings(max_examples=40, deadline=None)
def test_every_offset_goes_to_exactly_one_other_sample(seed: int, samples: int, count: int) -> None:
    sources = draw(count, seed=0, run_seed=seed, samples=samples, latent_dim=1).sources
    assert sources.shape == (count, samples)
    for source in sources:
        assert sorted(source) == list(range(samples))
        assert not np.any(source == np.arange(samples))


def test_every_other_sample_is_as_likely() -> None:
    many = [draw(1, seed=0, run_seed=s, samples=4, latent_dim=1).sources[0] for s in range(3000)]
    counts = np.array([np.bincount(column, minlength=4) for column in np.array(many).T])
    assert np.all(np.diag(counts) == 0)
    assert np.all(np.abs(counts[~np.eye(4, dtype=bool)] - 1000) < 100)


def test_runs_of_a_seed_share_their_draws_and_others_do_not() -> None:
    def drawn(count: int = 4, seed: int = 1, run_seed: int = 2) -> list[np.ndarray]:
        draws = draw(count, seed=seed, run_seed=run_seed, samples=30, latent_dim=3)
        return [draws.sources, draws.replacement, draws.noise]

    for one, same, fewer, other, anew in zip(
        drawn(), drawn(), drawn(count=2), drawn(run_seed=3), drawn(seed=2), strict=True
    ):
        np.testing.assert_array_equal(one, same)
        np.testing.assert_array_equal(one[:2], fewer)  # the first draws stay
        assert not np.array_equal(one, other)
        assert not np.array_equal(one, anew)
        assert not np.array_equal(one[0], one[1])
    _, replacement, noise = drawn()
    assert replacement.dtype == noise.dtype == np.float32
    assert not np.array_equal(replacement, noise)


@pytest.mark.parametrize(("samples", "count"), [(360, 8), (1000, 5), (4096, 1), (5000, 1)])
def test_many_samples_need_few_draws(samples: int, count: int) -> None:
    draws = draw(8, seed=0, run_seed=0, samples=samples, latent_dim=2)
    assert len(draws.sources) == len(draws.replacement) == len(draws.noise) == count


def test_one_sample_has_no_other() -> None:
    draws = draw(3, seed=0, run_seed=0, samples=1, latent_dim=2)
    assert draws.sources.shape == (0, 1)
    assert draws.noise.shape == (3, 1, 2)


@pytest.mark.parametrize("wrong", [{"count": 0}, {"samples": 0}, {"latent_dim": 0}])
def test_nothing_to_draw_is_refused(wrong: dict[str, int]) -> None:
    asked = {"count": 2, "samples": 5, "latent_dim": 2, **wrong}
    with pytest.raises(ValueError, match="nothing to draw"):
        draw(asked.pop("count"), seed=0, run_seed=0, **asked)


@pytest.mark.parametrize("samples", [1, 7, ENOUGH_ROWS, ENOUGH_ROWS + 1, 7 * ENOUGH_ROWS])
def test_some_of_many_samples_are_drawn_whatever_period_their_order_has(samples: int) -> None:
    rows = some_rows(samples)
    assert len(rows) == min(samples, ENOUGH_ROWS)
    assert (np.diff(rows) > 0).all()
    assert set(rows.tolist()) <= set(range(samples))
    np.testing.assert_array_equal(rows, some_rows(samples))
    if samples == 7 * ENOUGH_ROWS:  # as many of each day of the week, to chance
        days = np.bincount(rows % 7) / len(rows)
        assert np.abs(days - 1 / 7).max() < 4 * np.sqrt(6 / 49 / len(rows))
