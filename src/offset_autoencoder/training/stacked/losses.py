"""The reconstruction loss of a batch, as Keras defines it and faster where that can be."""

from __future__ import annotations

from typing import Any

from offset_autoencoder.models.backend import keras, tf

Tensor = Any

_MOST_FACTORS = 64


def reconstruction_loss(loss: str, x: Tensor, reconstruction: Tensor) -> Tensor:
    """The mean loss over a batch: see :class:`~offset_autoencoder.config.schema.Network`.

    Args:
        loss: The network's loss.
        x: (batch, features).
        reconstruction: (batch, features), the output of the model.

    Returns:
        A scalar.
    """
    # Keras hands the logits on with what a sigmoid returns, and its own loss takes them too.
    logits = getattr(reconstruction, "_keras_logits", None)
    if loss == "binary_crossentropy" and logits is not None:
        return sigmoid_crossentropy(x, logits)
    return tf.reduce_mean(keras.losses.get(loss)(x, reconstruction))


def sigmoid_crossentropy(x: Tensor, logits: Tensor) -> Tensor:
    """Binary cross-entropy of sigmoid(logits), the mean over batch and features.

    ``mean(max(l, 0) − l·x + log(1 + exp(−|l|)))``. A logarithm costs more than the rest of it
    together, so the sum of logarithms is taken as the logarithm of products of at most 64
    factors between 1 and 2, which neither overflow nor lose more than rounding. The gradient is
    ``sigmoid(l) − x`` over the number of elements.

    Args:
        x: (batch, features), in [0, 1].
        logits: (batch, features).
    """
    features = logits.shape[-1]
    factors = max(f for f in range(1, _MOST_FACTORS + 1) if features % f == 0)

    @tf.custom_gradient  # type: ignore[untyped-decorator]
    def crossentropy(logits: Tensor) -> tuple[Tensor, Any]:
        exponential = tf.exp(-tf.abs(logits))
        factor = 1.0 + exponential
        sigmoid = tf.where(logits >= 0, 1.0, exponential) / factor
        products = tf.reduce_prod(tf.reshape(factor, [-1, features // factors, factors]), axis=-1)
        # Sample by sample: one sum over all elements would round away digits in float32.
        each = tf.reduce_sum(tf.math.log(products), axis=-1)
        each += tf.reduce_sum(tf.nn.relu(logits) - logits * x, axis=-1)
        elements = tf.cast(tf.size(logits), logits.dtype)

        def gradient(upstream: Tensor) -> Tensor:
            return (upstream / elements) * (sigmoid - x)

        return tf.reduce_mean(each) / float(features), gradient

    return crossentropy(logits)
