from __future__ import annotations

import numpy as np
import pytest
from sklearn.decomposition import PCA

from offset_autoencoder.config.offset_kinds import DataShape, PcaOffset
from offset_autoencoder.errors import InputError
from offset_autoencoder.io import arrays
from offset_autoencoder.offsets import linear, pca
from offset_autoencoder.offsets.kind import Float32, Samples, Training

WHERE = "params.yaml: offsets.pca"


def scores(x: Float32, new: Float32, latent_dim: int, whiten: bool = False) -> Float32:
    state = pca.fit(WHERE, PcaOffset(whiten=whiten), Training(x), latent_dim)
    return pca.apply(WHERE, state, Samples(new))


def correlated(n: int, input_dim: int, seed: int = 0) -> Float32:
    generator = np.random.default_rng(seed)
    mixing = generator.standard_normal((input_dim, input_dim)) / np.arange(1, input_dim + 1)
    x = generator.standard_normal((n, input_dim)) @ mixing.T + 3
    return x.astype(np.float32)


@pytest.mark.parametrize("whiten", [False, True])
@pytest.mark.parametrize(("n", "input_dim"), [(300, 12), (9, 40), (12, 12)])
def test_agrees_with_scikit_learn_up_to_sign(n: int, input_dim: int, whiten: bool) -> None:
    x, new = correlated(n, input_dim), correlated(20, input_dim, seed=1)
    reference = PCA(5, whiten=whiten, svd_solver="full").fit(x.astype(np.float64))
    expected = reference.transform(new.astype(np.float64))
    got = scores(x, new, 5, whiten)
    signs = np.sign((got * expected).sum(axis=0))
    np.testing.assert_allclose(got, expected * signs, rtol=1e-4, atol=1e-5)


def test_largest_loading_is_positive() -> None:
    state = pca.fit(WHERE, PcaOffset(), Training(correlated(100, 10)), 10)
    components = state["components"]
    largest = np.abs(components).argmax(axis=1)
    assert (components[np.arange(10), largest] > 0).all()
    np.testing.assert_allclose(components @ components.T, np.eye(10), atol=1e-12)
    assert (np.diff(state["explained_variance"]) <= 0).all()


def test_components_beyond_the_rank_are_zero() -> None:
    x = correlated(50, 6)
    x[:, 2] = 1.5  # constant
    x[:, 4] = x[:, 0]  # a copy
    state = pca.fit(WHERE, PcaOffset(), Training(x), 6)
    assert (state["components"][4:] == 0).all()
    assert (state["components"][:4] != 0).any(axis=1).all()
    assert (pca.apply(WHERE, state, Samples(x))[:, 4:] == 0).all()


def test_whiten_beyond_the_rank_is_refused() -> None:
    x = correlated(50, 6)
    x[:, 2] = 1.5
    with pytest.raises(InputError, match=r"offsets.pca.whiten: .*5 directions.*latent_dim 6"):
        scores(x, x, 6, whiten=True)


def test_one_sample_has_one_zero_component() -> None:
    x = correlated(1, 5)
    assert (scores(x, x, 1) == 0).all()


def test_blocks_of_rows_do_not_change_the_fit() -> None:
    x = correlated(9000, 5)
    reference = PCA(2, svd_solver="full").fit(x.astype(np.float64))
    got = pca.fit(WHERE, PcaOffset(), Training(x), 2)
    np.testing.assert_allclose(got["explained_variance"], reference.explained_variance_, rtol=1e-9)


@pytest.mark.parametrize("large", [False, True])
@pytest.mark.parametrize(("n", "input_dim"), [(300, 12), (9, 40)])
def test_samples_that_do_not_fit_have_the_axes_of_those_that_do(
    n: int, input_dim: int, large: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    x = correlated(n, input_dim)
    reference = PCA(5, svd_solver="full").fit(x.astype(np.float64))
    monkeypatch.setattr(arrays, "CHUNK_VALUES", 100)
    if large:
        monkeypatch.setattr(linear, "_LARGE_ORDER", 3)
    state = pca.fit(WHERE, PcaOffset(), Training(x), 5)
    np.testing.assert_allclose(state["explained_variance"], reference.explained_variance_)
    cosines = (state["components"] * reference.components_).sum(axis=1)
    np.testing.assert_allclose(np.abs(cosines), 1, rtol=1e-9)


@pytest.mark.parametrize(("n", "input_dim"), [(50, 6), (8, 30)])
@pytest.mark.parametrize("large", [False, True])
def test_rank_of_samples_that_do_not_fit(
    n: int, input_dim: int, large: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    generator = np.random.default_rng(0)
    whole = generator.integers(-3, 4, (n, 2)) @ generator.integers(-3, 4, (2, input_dim))
    x = whole.astype(np.float32) + 1  # whole numbers, so that the rank is 2 in float32, too
    monkeypatch.setattr(arrays, "CHUNK_VALUES", 40)
    if large:
        monkeypatch.setattr(linear, "_LARGE_ORDER", 3)
    state = pca.fit(WHERE, PcaOffset(), Training(x), 4)
    assert (state["components"][2:] == 0).all()
    assert (state["components"][:2] != 0).any(axis=1).all()
    assert np.isfinite(state["components"]).all()
    with pytest.raises(InputError, match="varies in 2 directions only"):
        pca.fit(WHERE, PcaOffset(whiten=True), Training(x), 4)


@pytest.mark.parametrize(("samples", "features"), [(4, 9), (9, 4)])
def test_more_components_than_there_are_is_refused(samples: int, features: int) -> None:
    shape = DataShape(samples, features, None)
    PcaOffset().check_shape(WHERE, shape, [4])
    with pytest.raises(InputError, match=r"pca of .* has at most 4 components, latent_dim 5"):
        PcaOffset().check_shape(WHERE, shape, [4, 5])
