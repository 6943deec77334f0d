"""The unit L2 norm of the code."""

from __future__ import annotations

from typing import Any

from offset_autoencoder.models.backend import keras


@keras.saving.register_keras_serializable(package="offset_autoencoder")
class UnitNorm(keras.layers.Layer):  # type: ignore[misc]
    """Scale each vector to unit L2 norm: ``y = x / ||x||``.

    A vector shorter than ``epsilon`` has no direction (all ReLUs before it dead, say): it
    maps to zeros and passes no gradient, where a division would give NaN to both.

    Args:
        epsilon: The shortest length that is still normalised.

    Shapes:
        ``(batch, features)`` to the same; any float dtype.
    """

    def __init__(self, epsilon: float = 1e-6, **options: Any) -> None:
        super().__init__(**options)
        self.epsilon = epsilon

    def call(self, inputs: Any) -> Any:
        """Normalise over the last axis."""
        ops = keras.ops
        square = ops.sum(ops.square(inputs), axis=-1, keepdims=True)
        # Of a NaN neither this nor its opposite holds: it must stay one, as the run diverged.
        too_short = square <= self.epsilon**2
        # Both branches are differentiated, so the unused one must be finite as well.
        length = ops.sqrt(ops.where(too_short, ops.ones_like(square), square))
        return ops.where(too_short, ops.zeros_like(inputs), inputs / length)

    def compute_output_shape(self, input_shape: tuple[int | None, ...]) -> tuple[int | None, ...]:
        """The input's shape."""
        return input_shape

    def get_config(self) -> dict[str, Any]:
        """What rebuilds the layer."""
        return {**super().get_config(), "epsilon": self.epsilon}
