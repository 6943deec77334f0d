"""Layers with a seed each, so that one seed gives one set of weights, and layers of our own."""

from __future__ import annotations

import hashlib
from typing import Any, NamedTuple

from offset_autoencoder.models.backend import keras


def layer_seed(seed: int, layer: str) -> int:
    """The seed of one layer of a model, the same whatever other layers the model has."""
    return int.from_bytes(hashlib.sha256(f"{seed}/{layer}".encode()).digest()[:4], "big") >> 1


def glorot_uniform(seed: int, layer: str) -> Any:
    """The initializer of the kernel of a layer of this name."""
    return keras.initializers.GlorotUniform(seed=layer_seed(seed, layer))


def dense(width: int, activation: str, name: str, seed: int, **options: Any) -> Any:
    """A Dense layer: kernel Glorot uniform, seeded by seed and name, bias zero."""
    kernel = glorot_uniform(seed, name)
    return keras.layers.Dense(width, activation, kernel_initializer=kernel, name=name, **options)


class Strided(NamedTuple):
    """Keras's layers over so many dimensions: a convolution, the transposed one, and cropping."""

    convolution: Any
    transposed: Any
    cropping: Any


STRIDED = {
    1: Strided(keras.layers.Conv1D, keras.layers.Conv1DTranspose, keras.layers.Cropping1D),
    2: Strided(keras.layers.Conv2D, keras.layers.Conv2DTranspose, keras.layers.Cropping2D),
}
CONVOLUTIONS = tuple(kind for kinds in STRIDED.values() for kind in kinds[:2])
CELLS = {"gru": keras.layers.GRU, "lstm": keras.layers.LSTM}


def recurrent(cell: str, width: int, name: str, seed: int, **options: Any) -> Any:
    """A recurrent layer: kernel Glorot uniform, recurrent kernel orthogonal, Keras's biases."""
    own = keras.initializers.Orthogonal(seed=layer_seed(seed, f"{name}/recurrent"))
    options |= {"kernel_initializer": glorot_uniform(seed, name), "recurrent_initializer": own}
    return CELLS[cell](width, name=name, **options)


def strided(kind: Any, filters: int, size: int, name: str, seed: int, **options: Any) -> Any:
    """A convolution of stride 2: halves all sides, rounding up; transposed, doubles them."""
    kernel = glorot_uniform(seed, name)
    options |= {"strides": 2, "padding": "same", "kernel_initializer": kernel, "name": name}
    return kind(filters, size, **options)


@keras.saving.register_keras_serializable(package="offset_autoencoder")
class CodeNoise(keras.layers.Layer):  # type: ignore[misc]
    """Add Gaussian noise in training: ``y = x + stddev · n``, n ~ N(0, 1) per coordinate.

    Unlike ``keras.layers.GaussianNoise`` it takes any standard deviation and always a seed of
    its own, so that adding it to a model leaves the initial weights of the others alone.

    Args:
        stddev: Standard deviation per coordinate, in units of the code.
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
        """Arguments that rebuild the layer."""
        return {**super().get_config(), "stddev": self.stddev, "seed": self.seed}


@keras.saving.register_keras_serializable(package="offset_autoencoder")
class SampledCode(keras.layers.Layer):  # type: ignore[misc]
    """Draw the code and add its KL divergence to the loss (Kingma & Welling 2014).

    In training ``z = mean + exp(½ · log_variance) · n``, n ~ N(0, 1) per coordinate; else the mean.
    The loss added is ``beta_t · scale · KL``, KL averaged over the batch, with

        KL(N(mean, variance) ‖ N(0, 1)) = ½ Σ (mean² + variance − log variance − 1)

    in nats, summed over the coordinates (their appendix B). In training ``beta_t`` rises in a
    straight line over the first ``warmup_steps`` batches; else it is ``beta``.

    Args:
        beta: Weight of the KL divergence (Higgins et al. 2017).
        scale: Factor from nats per sample to the units of the reconstruction loss.
        warmup_steps: Batches until ``beta_t`` is ``beta``.
        seed: Seed of the draws.

    Shapes:
        Inputs: mean and log variance, both (batch, L), and optionally standard normal draws
        (batch, L) to take instead of its own. Output: (batch, L).
    """

    def __init__(
        self,
        beta: float = 1.0,
        scale: float = 1.0,
        warmup_steps: int = 0,
        seed: int = 0,
        **options: Any,
    ) -> None:
        super().__init__(**options)
        self.beta, self.scale = float(beta), float(scale)
        self.warmup_steps, self.seed = int(warmup_steps), seed
        self.seed_generator = keras.random.SeedGenerator(seed)

    def build(self, input_shape: Any) -> None:
        """Make the count of batches seen, where there is a warm-up."""
        self.step = (
            self.add_weight(name="step", shape=(), initializer="zeros", trainable=False)
            if self.warmup_steps
            else None
        )

    def call(self, inputs: Any, training: bool = False) -> Any:
        """The code, and the KL divergence as a loss."""
        ops = keras.ops
        dtype = inputs[0].dtype
        mean, log_variance, *draws = map(_at_least_float32, inputs)
        beta = self.beta
        if training and self.step is not None:
            self.step.assign(self.step + 1)
            beta = beta * ops.minimum(self.step / self.warmup_steps, 1.0)
        variance = ops.exp(log_variance)
        divergence = ops.sum(ops.square(mean) + variance - log_variance - 1.0, axis=-1) / 2
        self.add_loss(beta * self.scale * ops.mean(divergence))
        if not training:
            return ops.cast(mean, dtype)
        noise = (
            draws[0]
            if draws
            else keras.random.normal(ops.shape(mean), dtype=mean.dtype, seed=self.seed_generator)
        )
        return ops.cast(mean + ops.exp(log_variance / 2) * noise, dtype)

    def compute_output_shape(self, input_shape: Any) -> Any:
        """The mean's shape."""
        return input_shape[0]

    def get_config(self) -> dict[str, Any]:
        """Arguments that rebuild the layer."""
        own = {key: getattr(self, key) for key in ("beta", "scale", "warmup_steps", "seed")}
        return {**super().get_config(), **own}


@keras.saving.register_keras_serializable(package="offset_autoencoder")
class UnitNorm(keras.layers.Layer):  # type: ignore[misc]
    """Scale each vector to unit L2 norm: ``y = x / ||x||``.

    A vector shorter than ``epsilon`` has no direction (all ReLUs before it dead, say): it
    maps to zeros and passes no gradient, where a division would give NaN to both. Squares of half
    precision, which ends at 65504, are taken in float32.

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
        ops, dtype = keras.ops, inputs.dtype
        inputs = _at_least_float32(inputs)
        square = ops.sum(ops.square(inputs), axis=-1, keepdims=True)
        # Of a NaN neither this nor its opposite holds: it must stay one, as the run diverged.
        too_short = square <= self.epsilon**2
        # Both branches are differentiated, so the unused one must be finite as well.
        length = ops.sqrt(ops.where(too_short, ops.ones_like(square), square))
        unit = ops.where(too_short, ops.zeros_like(inputs), inputs / length)
        return ops.cast(unit, dtype)

    def compute_output_shape(self, input_shape: tuple[int | None, ...]) -> tuple[int | None, ...]:
        """The input's shape."""
        return input_shape

    def get_config(self) -> dict[str, Any]:
        """Arguments that rebuild the layer."""
        return {**super().get_config(), "epsilon": self.epsilon}


def _at_least_float32(values: Any) -> Any:
    """Values of half precision as float32, others as they are."""
    is_half = keras.backend.standardize_dtype(values.dtype) in ("float16", "bfloat16")
    return keras.ops.cast(values, "float32") if is_half else values
