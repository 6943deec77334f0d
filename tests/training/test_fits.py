from __future__ import annotations

import numpy as np
import pytest
from sklearn.decomposition import PCA

from offset_autoencoder.config.schema import Network, Train
from offset_autoencoder.errors import InputError
from offset_autoencoder.models.autoencoder import build_autoencoder
from offset_autoencoder.training.fits import Reference, fit_reference

RNG = np.random.default_rng(0)
MIXING = RNG.normal(size=(3, 8)) / 3
X = (RNG.normal(size=(300, 3)) @ MIXING + 0.1 * RNG.normal(size=(300, 8))).astype(np.float32)
X -= X.mean(axis=0)
X_VALIDATION = (RNG.normal(size=(80, 3)) @ MIXING).astype(np.float32)
LINEAR = Network(
    latent_dim=2, hidden=[], output="linear", loss="mean_squared_error", normalize=False
)


def fit(network: Network = LINEAR, seed: int = 0, **train: object) -> Reference:
    train = {"epochs": 150, "learning_rate": 1e-2, "patience": None, **train}
    return fit_reference(
        "offsets.mine", X, X_VALIDATION, network=network, train=Train(**train), seed=seed
    )


def test_linear_reference_comes_near_to_the_principal_components() -> None:
    # Whose error is the least that a linear autoencoder can have (Baldi & Hornik 1989).
    reference = fit()
    ((encoder, shift),) = reference.encoder
    ((decoder, bias),) = reference.decoder
    error = np.square((X @ encoder + shift) @ decoder + bias - X).mean()
    pca = PCA(2).fit(X)
    least = np.square(pca.inverse_transform(pca.transform(X)) - X).mean()
    assert least * 0.999 < error < least * 1.02


def test_layers_are_those_of_a_plain_model_in_their_order_and_fitted_the_same_each_time() -> None:
    network = Network(latent_dim=3, hidden=[7, 5], output="linear", loss="mean_squared_error")
    first, again = fit(network, epochs=2), fit(network, epochs=2)
    assert [kernel.shape for kernel, _ in first.encoder] == [(8, 7), (7, 5), (5, 3)]
    assert [kernel.shape for kernel, _ in first.decoder] == [(3, 5), (5, 7), (7, 8)]
    for one, other in zip(
        first.encoder + first.decoder, again.encoder + again.decoder, strict=True
    ):
        assert one[0].tobytes() == other[0].tobytes()
        assert one[1].tobytes() == other[1].tobytes()


def test_no_run_starts_from_the_weights_of_a_reference_with_its_seed() -> None:
    ((kernel, _),) = fit(seed=0, epochs=1, learning_rate=1e-12).encoder
    for seed in (0, 1):
        model = build_autoencoder(8, 2, [], output="linear", normalize=False, seed=seed)
        own = np.asarray(model.get_layer("code").kernel)
        assert np.abs(own - kernel).max() > 0.1


def test_validation_samples_tell_when_to_stop() -> None:
    # Samples that no reconstruction fits better with training: the first epoch stays the best.
    far = np.full((5, 8), -50, np.float32)
    stopped = fit_reference(
        "", X, far, network=LINEAR, train=Train(epochs=60, patience=1, learning_rate=1e-2), seed=0
    )
    whole = fit_reference(
        "", X, None, network=LINEAR, train=Train(epochs=60, patience=1, learning_rate=1e-2), seed=0
    )
    assert not np.allclose(stopped.encoder[0][0], whole.encoder[0][0], atol=1e-3)


def test_divergence_is_one_clear_line() -> None:
    with pytest.raises(InputError, match=r"offsets\.mine: .* diverged in epoch 1 \(lower its lear"):
        fit(epochs=3, learning_rate=1e30)
