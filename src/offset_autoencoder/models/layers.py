"""Keras layers of the project's own, and Keras models of graphs."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Iterator, Sequence
from types import SimpleNamespace
from typing import Any

import numpy as np

from offset_autoencoder.config.systems import NoiseRange
from offset_autoencoder.models import initializers
from offset_autoencoder.models.backend import keras
from offset_autoencoder.models.graph import SHORTEST, Graph, Node
from offset_autoencoder.models.initializers import draw_kernel
from offset_autoencoder.models.initializers import layer_seed as layer_seed


@keras.saving.register_keras_serializable(package="offset_autoencoder")
class KernelInitializer(keras.initializers.Initializer):  # type: ignore[misc]
    """Draw a kernel by NumPy, the same under every backend: see :mod:`.initializers`.

    Args:
        name: Keras's name of the initializer.
        seed: Seed of the draws.
    """

    def __init__(self, name: str, seed: int) -> None:
        self.name, self.seed = name, seed

    def __call__(self, shape: Sequence[int], dtype: str | None = None) -> Any:
        """The kernel of a shape."""
        return keras.ops.convert_to_tensor(draw_kernel(self.name, self.seed, shape), dtype)

    def get_config(self) -> dict[str, Any]:
        """Arguments that rebuild it."""
        return {"name": self.name, "seed": self.seed}


def kernel_initializer(name: str, seed: int, layer: str) -> KernelInitializer:
    """The initializer of Keras's name for the kernel of a layer."""
    return KernelInitializer(name, layer_seed(seed, layer))


@contextlib.contextmanager
def drawn_as_on_tensorflow() -> Iterator[None]:
    """Within the block Keras's initializers draw what they draw on TensorFlow, on any backend."""
    if keras.config.backend() == "tensorflow":
        yield
        return
    module: Any = sys.modules["keras.src.initializers.random_initializers"]
    before = module.random
    draws = (initializers.normal, initializers.truncated_normal, initializers.uniform)
    by_numpy = {draw.__name__: _by_numpy(draw) for draw in draws}
    module.random = SimpleNamespace(**{**vars(before), **by_numpy})
    try:
        yield
    finally:
        module.random = before


def _by_numpy(draw: Any) -> Any:
    """A function of ``keras.random`` that draws by NumPy."""

    def drawn(shape: Sequence[int], *, seed: Any, dtype: Any = None, **parameters: float) -> Any:
        numbers = seed if isinstance(seed, int) else np.asarray(seed.next()).tolist()
        return keras.ops.convert_to_tensor(draw(numbers, shape, **parameters), dtype)

    return drawn


CONVOLUTIONS = tuple(
    getattr(keras.layers, f"Conv{sides}D{kind}") for sides in (1, 2) for kind in ("", "Transpose")
)


def keras_model(graph: Graph, seed: int, name: str) -> Any:
    """Keras model of a graph; the seed decides its kernels and what it draws, layer by layer."""
    tensors = {node: keras.Input((node.width,), name=key) for key, node in graph.inputs.items()}
    for node in graph.layers:
        read = [tensors[read] for read in node.inputs]
        tensors[node] = _keras_layer(node, seed)(read if len(read) > 1 else read[0])
    inputs = {key: tensors[node] for key, node in graph.inputs.items()}
    return keras.Model(inputs, tensors[graph.output], name=name)


def _keras_layer(node: Node, seed: int) -> Any:
    """Keras layer of a node, with a seed of its own for whatever it draws."""
    options, drawn = dict(node.options), {"kernel": "", "recurrent": "/recurrent"}
    for part, of_layer in drawn.items():
        if (key := f"{part}_initializer") in options:
            options[key] = kernel_initializer(options[key], seed, f"{node.name}{of_layer}")
    if node.kind in ("Dropout", "CodeNoise", "SampledCode"):
        options["seed"] = layer_seed(seed, node.name)
    own = {"CodeNoise": CodeNoise, "SampledCode": SampledCode, "UnitNorm": UnitNorm}
    own |= {"PowerNorm": PowerNorm, "CodePenalty": CodePenalty}
    kind = own.get(node.kind) or getattr(keras.layers, node.kind)
    return kind(**options, name=node.name)


class _CodeLayer(keras.layers.Layer):  # type: ignore[misc]
    """A layer that leaves shapes as they are, and whose arguments are attributes of it."""

    _arguments: tuple[str, ...] = ()

    def compute_output_shape(self, input_shape: tuple[int | None, ...]) -> tuple[int | None, ...]:
        """The input's shape."""
        return input_shape

    def get_config(self) -> dict[str, Any]:
        """Arguments that rebuild the layer."""
        return {**super().get_config(), **{key: getattr(self, key) for key in self._arguments}}


@keras.saving.register_keras_serializable(package="offset_autoencoder")
class CodeNoise(_CodeLayer):
    """Add Gaussian noise in training: ``y = x + stddev · n``, n ~ N(0, 1) per coordinate.

    Of a range of standard deviations each vector draws its own. Unlike Keras's ``GaussianNoise``
    it takes any standard deviation and always a seed of its own, so that adding it to a model
    leaves the initial weights of the others alone.

    Args:
        stddev: Standard deviation per coordinate, in units of the code, or a range of them as
            :class:`.systems.NoiseRange` has it: (low, high, in_decibels).
        seed: Seed of the noise.

    Raises:
        ValueError: where stddev is negative.

    Shapes:
        ``(batch, features)`` to the same; any float dtype.
    """

    _arguments = ("stddev", "seed")

    def __init__(self, stddev: float | Sequence[Any], seed: int = 0, **options: Any) -> None:
        super().__init__(**options)
        self.stddev = float(stddev) if isinstance(stddev, int | float) else NoiseRange(*stddev)
        if not (self.stddev[0] if isinstance(self.stddev, NoiseRange) else self.stddev) >= 0:
            raise ValueError(f"stddev must be 0 or more, got {stddev!r}")
        self.seed = seed
        self.seed_generator = keras.random.SeedGenerator(seed)

    def call(self, inputs: Any, training: bool = False) -> Any:
        """Add noise in training, nothing otherwise."""
        if not training or self.stddev == 0:
            return inputs
        shape, options = keras.ops.shape(inputs), {"dtype": inputs.dtype}
        noise = keras.random.normal(shape, seed=self.seed_generator, **options)
        scale: Any = self.stddev
        if isinstance(scale, NoiseRange):
            share = keras.random.uniform((shape[0], 1), seed=self.seed_generator, **options)
            scale = scale.at(share)
        return inputs + scale * noise


@keras.saving.register_keras_serializable(package="offset_autoencoder")
class SampledCode(_CodeLayer):
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

    _arguments = ("beta", "scale", "warmup_steps", "seed")

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


@keras.saving.register_keras_serializable(package="offset_autoencoder")
class UnitNorm(_CodeLayer):
    """Scale each vector to unit L2 norm: ``y = x / ||x||``.

    A vector shorter than ``epsilon`` has no direction (all ReLUs before it dead, say): it
    maps to zeros and passes no gradient, where a division would give NaN to both. Squares of half
    precision, which ends at 65504, are taken in float32.

    Args:
        epsilon: The shortest length that is still normalised.

    Shapes:
        ``(batch, features)`` to the same; any float dtype.
    """

    _arguments = ("epsilon",)

    def __init__(self, epsilon: float = SHORTEST, **options: Any) -> None:
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


def _at_least_float32(values: Any) -> Any:
    """Values of half precision as float32, others as they are."""
    is_half = keras.backend.standardize_dtype(values.dtype) in ("float16", "bfloat16")
    return keras.ops.cast(values, "float32") if is_half else values


@keras.saving.register_keras_serializable(package="offset_autoencoder")
class PowerNorm(_CodeLayer):
    """Scale vectors to a mean squared norm of 1: ``y = x / √E‖x‖²`` (O'Shea & Hoydis 2017).

    In training the mean is that of the batch, and its gradient counts. Afterwards it is
    ``power``, a mean over the last batches of training: of all until there were 1 / ``rate``, then
    one with weights that fall off by 1 − ``rate`` from batch to batch. So a sample's code depends
    on no other sample, and the mean squared norm of new samples is 1 as far as they are like the
    training samples. The project's engines set ``power`` after each epoch to what it is over them.

    Args:
        rate: Weight of the latest batch.

    Shapes:
        ``(batch, features)`` to the same; any float dtype.
    """

    _arguments = ("rate",)

    def __init__(self, rate: float = 0.05, **options: Any) -> None:
        super().__init__(**options)
        self.rate = rate

    def build(self, input_shape: Any) -> None:
        """Make the mean and the number of batches that it is of."""
        options = {"shape": (), "trainable": False, "dtype": "float32"}
        self.power = self.add_weight(name="power", initializer="ones", **options)
        self.batches = self.add_weight(name="batches", initializer="zeros", **options)

    def call(self, inputs: Any, training: bool = False) -> Any:
        """Normalise by the batch in training, by ``power`` otherwise."""
        ops, power = keras.ops, self.power.value
        if training:
            square = ops.sum(ops.square(ops.cast(inputs, "float32")), axis=-1)
            power = ops.mean(square)
            batches = self.batches + 1.0
            weight = ops.maximum(self.rate, 1.0 / batches)
            self.power.assign(self.power + weight * (power - self.power))
            self.batches.assign(batches)
        # A batch of zeros (dead ReLUs before it) has no power: it stays zeros.
        scale = ops.rsqrt(ops.maximum(power, 1e-12))
        return inputs * ops.cast(scale, inputs.dtype)


@keras.saving.register_keras_serializable(package="offset_autoencoder")
class CodePenalty(_CodeLayer):
    """Add ``l1 · Σ|x| + l2 · Σx²`` of each vector, averaged over the batch, to the loss.

    The vectors pass unchanged. Keras's own activity regularizers sum over the batch, so that
    their weight would depend on the batch size.

    Args:
        l1: Weight of the sum of absolute values.
        l2: Weight of the sum of squares.

    Shapes:
        ``(batch, features)`` to the same; any float dtype.
    """

    _arguments = ("l1", "l2")

    def __init__(self, l1: float = 0.0, l2: float = 0.0, **options: Any) -> None:
        super().__init__(**options)
        self.l1, self.l2 = float(l1), float(l2)

    def call(self, inputs: Any) -> Any:
        """The vectors, and their penalty as a loss."""
        ops = keras.ops
        each = self.l1 * ops.abs(inputs) + self.l2 * ops.square(inputs)
        self.add_loss(ops.mean(ops.sum(each, axis=-1)))
        return inputs
