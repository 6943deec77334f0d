"""Convolutional encoders and decoders on images of any size."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

from offset_autoencoder.config.schema import Network
from offset_autoencoder.models.architecture import Architecture
from offset_autoencoder.models.autoencoder import build_model
from offset_autoencoder.models.backend import tf

L = 6


def convolutional(
    shape: list[int], filters: list[int], kernel_size: int = 3, *, reads: str = "image_shape"
) -> Architecture:
    network = Network(
        kind="convolutional" if reads == "image_shape" else "convolutional_1d",
        latent_dim=L,
        filters=filters,
        kernel_size=kernel_size,
        activation="linear",  # so that no unit is dead
        output="linear",
        loss="mean_squared_error",
        normalize=False,
    )
    options: dict[str, Any] = {reads: shape}
    return Architecture(network=network, input_dim=math.prod(shape), **options)


@pytest.mark.parametrize(
    ("shape", "filters", "kernel_size"),
    [
        ([8, 8], [3], 3),
        ([7, 5], [3, 4], 3),
        ([7, 5, 3], [3, 4], 3),
        ([5, 9, 3], [3, 4, 5], 4),
        ([1, 1], [3, 4], 3),
        ([1, 6, 1], [3], 2),
        ([28, 28], [4, 4], 5),
    ],
)
def test_every_pixel_is_read_and_written(
    shape: list[int], filters: list[int], kernel_size: int
) -> None:
    check_reads_and_writes(convolutional(shape, filters, kernel_size))


@pytest.mark.parametrize(
    ("shape", "filters", "kernel_size"),
    [([7, 2], [3, 4], 3), ([275, 1], [4, 4, 4], 5), ([1, 9], [3, 4], 3), ([2, 1], [3], 2)],
)
def test_every_step_is_read_and_written(
    shape: list[int], filters: list[int], kernel_size: int
) -> None:
    check_reads_and_writes(convolutional(shape, filters, kernel_size, reads="sequence_shape"))


def test_channels_first_is_the_same_network_of_the_same_pixels() -> None:
    last = convolutional([7, 5, 3], [3, 4])
    first = last.model_copy(update={"image_shape": [3, 7, 5], "channels_first": True})
    images = np.random.default_rng(0).random((4, 7, 5, 3), dtype=np.float32)
    outputs = []
    for architecture, samples in ((last, images), (first, np.moveaxis(images, -1, 1))):
        inputs = {"x": samples.reshape(4, -1), "offset": np.zeros((4, L))}
        outputs.append(np.asarray(build_model(architecture, seed=1)(inputs)))
    as_last = np.moveaxis(outputs[1].reshape(4, 3, 7, 5), 1, -1).reshape(4, -1)
    np.testing.assert_array_equal(as_last, outputs[0])


def check_reads_and_writes(architecture: Architecture) -> None:
    shape = architecture.image_shape or architecture.sequence_shape or []
    model = build_model(architecture, seed=1)
    pixels = math.prod(shape)
    assert model.output.shape == (None, pixels)
    code = model.get_layer("code")
    x = tf.constant(np.random.default_rng(0).random((1, pixels), dtype=np.float32))
    from keras import Model

    encoder = Model(model.inputs, code.output)
    decoder = Model([code.output, model.input["offset"]], model.output)
    zero = tf.zeros((1, L))
    with tf.GradientTape() as tape:
        tape.watch(x)
        encoded = encoder({"x": x, "offset": zero})
    read = np.asarray(tape.jacobian(encoded, x))[0, :, 0]  # (L, pixels)
    assert np.abs(read).max(axis=0).min() > 0
    with tf.GradientTape() as tape:
        tape.watch(encoded)
        image = decoder([encoded, zero])
    written = np.asarray(tape.jacobian(image, encoded))[0, :, 0]  # (pixels, L)
    assert np.abs(written).max(axis=1).min() > 0


def test_pixels_keep_their_places() -> None:
    # One filter that copies: a bright pixel in the code's picture is bright where it was.
    shape = [6, 4]
    model = build_model(convolutional(shape, [1], kernel_size=1))
    size = (3, 2)
    weights = {w.path: w for w in model.weights}
    weights["encoder_1/kernel"].assign(np.ones((1, 1, 1, 1)))
    weights["code/kernel"].assign(np.eye(6))
    weights["decoder_dense/kernel"].assign(np.eye(6))
    weights["reconstruction_image/kernel"].assign(np.ones((1, 1, 1, 1)))
    image = np.random.default_rng(0).random(shape)
    inputs = {"x": image.reshape(1, -1), "offset": np.zeros((1, L))}
    output = np.asarray(model(inputs)).reshape(shape)
    # Stride 2 takes every second pixel and puts it back in its place.
    kept = output != 0
    assert kept.sum() == math.prod(size)
    np.testing.assert_allclose(output[kept], image[kept], rtol=1e-6)


@pytest.mark.parametrize("shape", [None, [16], [2, 2, 2, 2]])
def test_refuses_samples_that_are_no_images(shape: list[int] | None) -> None:
    architecture = convolutional([4, 4], [2]).model_copy(update={"image_shape": shape})
    with pytest.raises(ValueError, match="image shape"):
        build_model(architecture)
