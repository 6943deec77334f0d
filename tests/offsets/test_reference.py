from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from sklearn.decomposition import PCA

from offset_autoencoder.config.offset_kinds import EncoderOffset
from offset_autoencoder.errors import InputError
from offset_autoencoder.models.building import build_autoencoder
from offset_autoencoder.offsets.kind import Float32, State, Training
from offset_autoencoder.offsets.reference import fit_reference_state

RNG = np.random.default_rng(0)
MIXING = RNG.normal(size=(3, 8)) / 3
X = (RNG.normal(size=(300, 3)) @ MIXING + 0.1 * RNG.normal(size=(300, 8))).astype(np.float32)
X -= X.mean(axis=0)
X_VALIDATION = (RNG.normal(size=(80, 3)) @ MIXING).astype(np.float32)
LINEAR = {"output": "linear", "loss": "mean_squared_error", "learning_rate": 1e-2}


def fit(
    hidden: list[int] | None = None,
    latent_dim: int = 2,
    x_validation: Float32 | None = X_VALIDATION,
    **keys: object,
) -> State:
    options = {"hidden": hidden or [], "normalize": False, "epochs": 150, "patience": None}
    params = EncoderOffset.model_validate({**LINEAR, **options, **keys})
    return fit_reference_state(
        "offsets.mine", params, Training(X, x_validation=x_validation), latent_dim
    )


def test_linear_reference_comes_near_to_the_principal_components() -> None:
    # Whose error is the least that a linear autoencoder can have (Baldi & Hornik 1989).
    state = fit()
    code = X @ state["encoder.1.kernel"] + state["encoder.1.bias"]
    error = np.square(code @ state["decoder.1.kernel"] + state["decoder.1.bias"] - X).mean()
    pca = PCA(2).fit(X)
    least = np.square(pca.inverse_transform(pca.transform(X)) - X).mean()
    assert least * 0.999 < error < least * 1.02


def test_layers_are_those_of_a_plain_model_in_their_order_and_fitted_the_same_each_time() -> None:
    first, again = (fit([7, 5], 3, epochs=2) for _ in range(2))
    for part, widths in (("encoder", [8, 7, 5, 3]), ("decoder", [3, 5, 7, 8])):
        kernels = [first[f"{part}.{number}.kernel"].shape for number in (1, 2, 3)]
        assert kernels == list(pairwise(widths))
    assert {key: array.tobytes() for key, array in first.items()} == {
        key: array.tobytes() for key, array in again.items()
    }


def test_no_run_starts_from_the_weights_of_a_reference_with_its_seed() -> None:
    kernel = fit(seed=0, epochs=1, learning_rate=1e-12)["encoder.1.kernel"]
    for seed in (0, 1):
        model = build_autoencoder(8, 2, [], output="linear", normalize=False, seed=seed)
        own = np.asarray(model.get_layer("code").kernel)
        assert np.abs(own - kernel).max() > 0.1


def test_validation_samples_tell_when_to_stop() -> None:
    # Samples that no reconstruction fits better with training: the first epoch stays the best.
    far = np.full((5, 8), -50, np.float32)
    stopped, whole = (fit(x_validation=x, epochs=60, patience=1) for x in (far, None))
    difference = stopped["encoder.1.kernel"] - whole["encoder.1.kernel"]
    assert np.abs(difference).max() > 1e-3


def test_divergence_is_one_clear_line() -> None:
    with pytest.raises(InputError, match=r"offsets\.mine: .* diverged in epoch 1 \(lower its lear"):
        fit(epochs=3, learning_rate=1e30)
