"""Kind ``adversarial``: the direction in which a step most hurts a reference autoencoder.

For each sample, with c its code under a reference autoencoder fitted as in kind ``encoder``::

    f(x) = argmax over d, ‖d‖ = √L, of loss(x, decoder(c + radius · d))

so that f(x) has a root mean square of 1 per coordinate; ``rms`` of a model then scales it.
The maximum is sought by projected gradient ascent on the sphere (Madry et al. 2018, there on
the sample). What it finds is a local maximum, the best of those that its starts lead to, and
not proven to be the global one; where the loss has a kink (relu) it can end a little short of
it. Each start is turned to the side on which the loss rises.

For a linear decoder and a squared error whose residual is out of its reach, f(x) is the
decoder's first right singular vector, and an ascent with a step of 1 is its power iteration.

It hurts the reference, not the network that it is added to, which can learn to live with it.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import numpy as np

from offset_autoencoder.config.offset_kinds import AdversarialOffset
from offset_autoencoder.offsets import kind
from offset_autoencoder.offsets.reference import encode, fit_reference_state, layers_of

_ROWS = 1024
# Maxima this near to each other are the same but for rounding: the first one counts.
_SAME = 1e-9

Tensor = Any


def fit(
    where: str, params: AdversarialOffset, training: kind.Training, latent_dim: int
) -> kind.State:
    """Layers of the reference, starts (restarts, latent_dim), and settings of the ascent.

    The starts are uniform on the unit sphere, and the same for all samples.

    Raises:
        InputError: where the reference's training diverged.
    """
    generator = kind.random_stream("adversarial", params.seed)
    return {
        **fit_reference_state(where, params, training, latent_dim),
        "output": np.array(params.output),
        "loss": np.array(params.loss),
        "starts": kind.unit_directions(generator, params.restarts, latent_dim),
        "radius": np.array(params.radius),
        "steps": np.array(params.steps, dtype=np.int64),
        "step": np.array(params.step),
    }


def load(where: str, state: kind.State) -> kind.Apply:
    """Worst direction found for each sample, float32 (n, latent_dim); the ascent is compiled."""
    climb = _compile_climb(state)

    def directions(samples: kind.Samples) -> kind.Float32:
        code = encode(state, samples.x)
        table = np.empty(code.shape, dtype=np.float32)
        for start in range(0, len(code), _ROWS):
            block = slice(start, start + _ROWS)
            unit = climb(samples.x[block].astype(np.float64), code[block])
            table[block] = unit * np.sqrt(code.shape[1])
        return table

    return directions


def _compile_climb(state: kind.State) -> Callable[[kind.Float64, kind.Float64], kind.Float64]:
    """Function of x (n, D) and codes (n, L) that gives unit directions (n, L), float64."""
    from offset_autoencoder.models.backend import keras, tf

    activation = keras.activations.get(state["activation"].item())
    output = keras.activations.get(state["output"].item())
    sample_losses = keras.losses.get(state["loss"].item())
    *hidden, last = [
        (tf.constant(kernel, tf.float64), tf.constant(bias, tf.float64))
        for kernel, bias in layers_of("decoder", state)
    ]
    latent_dim = state["starts"].shape[1]
    norm = state["radius"].item() * np.sqrt(latent_dim)
    step = state["step"].item()

    def loss_and_gradient(x: Tensor, code: Tensor) -> tuple[Tensor, Tensor]:
        with tf.GradientTape() as tape:
            tape.watch(code)
            hidden_values = code
            for kernel, bias in hidden:
                hidden_values = activation(hidden_values @ kernel + bias)
            loss = sample_losses(x, output(hidden_values @ last[0] + last[1]))
        return loss, tape.gradient(loss, code)

    def one_step(
        x: Tensor, code: Tensor, number: Tensor, unit: Tensor, best: Tensor, best_loss: Tensor
    ) -> tuple[Tensor, ...]:
        loss, gradient = loss_and_gradient(x, code + norm * unit)
        better = loss - best_loss > _SAME * tf.abs(loss)
        best = tf.where(better[:, None], unit, best)
        best_loss = tf.where(better, loss, best_loss)
        tangent = gradient - _dot(gradient, unit) * unit
        length = tf.norm(gradient, axis=1, keepdims=True)
        unit = tf.math.l2_normalize(unit + step * tf.math.divide_no_nan(tangent, length), axis=1)
        return number + 1, unit, best, best_loss

    def climb(x: Tensor, code: Tensor) -> Tensor:
        _, rising = loss_and_gradient(x, code)
        best, best_loss = tf.zeros_like(code), tf.fill(tf.shape(code)[:1], -np.float64(np.inf))
        for start in state["starts"]:
            unit = tf.ones_like(code) * start
            unit = tf.where(_dot(rising, unit) < 0, -unit, unit)
            # One more than the steps: the last one is judged and its own step not taken.
            _, _, best, best_loss = tf.while_loop(
                lambda number, *_: number <= state["steps"].item(),
                functools.partial(one_step, x, code),
                (0, unit, best, best_loss),
            )
        return best

    def _dot(a: Tensor, b: Tensor) -> Tensor:
        return tf.reduce_sum(a * b, axis=1, keepdims=True)

    rows = tf.TensorSpec([None, None], tf.float64)
    program = tf.function(climb, input_signature=[rows, rows], autograph=False)
    concrete = program.get_concrete_function()
    return lambda x, code: np.asarray(concrete(tf.constant(x), tf.constant(code)))


KIND = kind.OffsetKind(fit, load=load)
