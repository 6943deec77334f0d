from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from offset_autoencoder.evaluation.interventions import draw


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
