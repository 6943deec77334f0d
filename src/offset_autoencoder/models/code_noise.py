"""Gaussian noise on the code, drawn in training."""

from __future__ import annotations

from typing import Any

from offset_autoencoder.models.backend import keras


@keras.saving.register_keras_serializable(package="offset_autoencoder")
class CodeNoise(keras.layers.Layer):  # type: ignore[misc]
    """Add Gaussian noise in training: ``y = x + stddev · n``, n ~ N(0, 1) a coordinate.

    Unlike ``keras.layers.GaussianNoise`` it takes any standard deviation and always a seed of
    its own, so that adding it to a model leaves the initial weights of the others alone.

    Args:
        stddev: Standard deviation a coordinate, in units of the code.
        seed: Seed of the noise.

    Raises:
        ValueError: where stddev is negative.

    Shapes:
        ``(batch, features)`` to the same; any float dtype.
    """

    def __init__(self, stddev: float, seed: int = 0, **options: Any) -> None:
        super().__init__(**options)
        if not stddev >= 0:
            raise ValueError(f"stddev must be 0 or more, got {stddev!r}")
        self.stddev = float(stddev)
        self.seed = seed
        self.seed_generator = keras.random.SeedGenerator(seed)

    def call(self, inputs: Any, training: bool = False) -> Any:
        """Add noise in training, nothing otherwise."""
        if not training or self.stddev == 0:
            return inputs
        noise = keras.random.normal(
            keras.ops.shape(inputs), dtype=inputs.dtype, seed=self.seed_generator
        )
        return inputs + self.stddev * noise

    def compute_output_shape(self, input_shape: tuple[int | None, ...]) -> tuple[int | None, ...]:
        """The input's shape."""
        return input_shape

    def get_config(self) -> dict[str, Any]:
        """What rebuilds the layer."""
        return {**super().get_config(), "stddev": self.stddev, "seed": self.seed}
