"""The inverse of the scaling."""

from __future__ import annotations

from typing import Any, Literal

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from numpy.typing import NDArray

from offset_autoencoder.config.schema import Data
from offset_autoencoder.data.scaling import fit_scale, inverse_scale


@given(
    raw=arrays(np.float64, (7, 3), elements=st.integers(-50, 50).map(float)),
    kind=st.sampled_from(("none", "unit", "minmax", "standard")),
)
def test_unscaling_undoes_the_scale_also_of_constant_features(
    raw: NDArray[Any], kind: Literal["none", "unit", "minmax", "standard"]
) -> None:
    raw[:, 1] = 5
    scale = fit_scale(Data(source="digits", scale=kind), raw)
    back = inverse_scale(scale.apply(raw), (scale.shift, scale.factor))
    np.testing.assert_allclose(back, raw, rtol=1e-5, atol=1e-4)
