"""The variational autoencoder's code: drawn around its mean in training."""

from __future__ import annotations

from typing import Any

from offset_autoencoder.models.backend import keras


@keras.saving.register_keras_serializable(package="offset_autoencoder")
class SampledCode(keras.layers.Layer):  # type: ignore[misc]
    """Draw the code and add its KL divergence to the loss (Kingma & Welling 2014).

    In training ``z = mean + exp(½ · log_variance) · n``, n ~ N(0, 1) a coordinate; else the mean.
    The loss added is ``beta_t · scale · KL``, KL averaged over the batch, with

        KL(N(mean, variance) ‖ N(0, 1)) = ½ Σ (mean² + variance − log variance − 1)

    in nats, summed over the coordinates (their appendix B). In training ``beta_t`` rises in a
    straight line over the first ``warmup_steps`` batches; else it is ``beta``.

    Args:
        beta: Weight of the KL divergence (Higgins et al. 2017).
        scale: What brings nats a sample to the scale of the reconstruction loss: one over the
            number of features where that loss is a mean over the features.
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
        mean, log_variance, *draws = inputs
        beta = self.beta
        if training and self.step is not None:
            self.step.assign(self.step + 1)
            beta = beta * ops.minimum(self.step / self.warmup_steps, 1.0)
        variance = ops.exp(log_variance)
        divergence = ops.sum(ops.square(mean) + variance - log_variance - 1.0, axis=-1) / 2
        self.add_loss(beta * self.scale * ops.mean(divergence))
        if not training:
            return mean
        noise = (
            draws[0]
            if draws
            else keras.random.normal(ops.shape(mean), dtype=mean.dtype, seed=self.seed_generator)
        )
        return mean + ops.exp(log_variance / 2) * noise

    def compute_output_shape(self, input_shape: Any) -> Any:
        """The mean's shape."""
        return input_shape[0]

    def get_config(self) -> dict[str, Any]:
        """What rebuilds the layer."""
        own = {
            "beta": self.beta,
            "scale": self.scale,
            "warmup_steps": self.warmup_steps,
            "seed": self.seed,
        }
        return {**super().get_config(), **own}
