"""Kind ``encoder``: a second encoder that is fitted beforehand and then stands still.

f(x) is the code of a reference autoencoder, before any offset or noise: one that the kind fits
itself on the training split, with the project's trainer and nothing added to its code, or the
output of a layer of the user's own Keras model. The fitted one is stored as its weights and
applied in NumPy; of the user's model the file itself is stored.
"""

from __future__ import annotations

import io
import tempfile
import zipfile
from pathlib import Path
from typing import Any

import numpy as np

from offset_autoencoder.config.offset_kinds import EncoderOffset
from offset_autoencoder.data.sources import locate
from offset_autoencoder.errors import InputError, did_you_mean
from offset_autoencoder.offsets import kind
from offset_autoencoder.offsets.reference import encode, fit_reference_state


def fit(where: str, params: EncoderOffset, training: kind.Training, latent_dim: int) -> kind.State:
    """Layers of the fitted encoder, or the bytes of the user's model.

    Raises:
        InputError: where the training diverged, or the file is no model that maps
            (n, input_dim) to (n, latent_dim) at that layer.
    """
    if params.path is not None:
        return _read_model(where, params, training, latent_dim)
    state = fit_reference_state(where, params, training, latent_dim)
    return {key: array for key, array in state.items() if not key.startswith("decoder.")}


def load(where: str, state: kind.State) -> kind.Apply:
    """Code of samples, float32 (n, latent_dim); the user's model is loaded, if it is one.

    Raises:
        InputError: where the stored model cannot be loaded.
    """
    if "model" not in state:
        return lambda samples: encode(state, samples.x).astype(np.float32)
    encoder = _open_layer(where, state["model"].tobytes(), where, state["layer"].item())

    def apply(samples: kind.Samples) -> kind.Float32:
        x = samples.x
        table = np.empty((len(x), encoder.output_shape[1]), dtype=np.float32)
        for block in kind.row_blocks(*x.shape):
            table[block] = np.asarray(encoder(x[block], training=False))
        return table

    return apply


def _read_model(
    where: str, params: EncoderOffset, training: kind.Training, latent_dim: int
) -> kind.State:
    """Bytes of a ``.keras`` file, uint8, and the layer's name, after a trial that it suits."""
    assert params.path is not None
    file = locate(training.raw, params.path, f"{where.removeprefix('params.yaml: ')}.path")
    content, layer, input_dim = file.read_bytes(), params.layer, training.x.shape[1]
    encoder = _open_layer(str(file), content, f"{where}.layer", layer)
    shapes = (encoder.input_shape, encoder.output_shape)
    maps, needed = (
        " to ".join(str(tuple(shape)).replace("None", "n") for shape in pair)
        for pair in (shapes, ((None, input_dim), (None, latent_dim)))
    )
    if maps != needed:
        raise InputError(
            f"{where}.layer",
            f"{layer!r} of {file} maps {maps}, needed is {needed}",
            "name another layer, or set the latent_dim of its models",
        )
    return {"model": np.frombuffer(content, dtype=np.uint8), "layer": np.array(layer)}


def _open_layer(where: str, content: bytes, where_layer: str, layer: str) -> Any:
    """Model from the one input that the layer sees to the layer's output, loaded in safe mode."""
    import offset_autoencoder.models  # noqa: F401  registers the project's layers
    from offset_autoencoder.models.backend import keras

    if not zipfile.is_zipfile(io.BytesIO(content)):  # Keras would say that there is no file
        raise InputError(
            where,
            "is not a Keras model file, or is damaged or truncated",
            "write it with model.save, as .keras, or copy it again",
        )
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "model.keras"
        path.write_bytes(content)
        try:
            model = keras.saving.load_model(path, compile=False, safe_mode=True)
        except Exception as error:  # whatever the file's own classes raise
            message = " ".join(str(error).split()).replace(str(path), "the file")
            raise InputError(
                where,
                f"cannot be loaded as a Keras model in safe mode: {message[:300]}",
                "save it as .keras, with registered or stock layers and no Lambda",
            ) from None
    names = [part.name for part in model.layers]
    if layer not in names:
        raise InputError(where_layer, f"no layer {layer!r}", did_you_mean(layer, names))
    for tensor in sorted(model.inputs, key=lambda tensor: str(tensor.name) != "x"):
        try:
            return keras.Model(tensor, model.get_layer(layer).output)
        except (ValueError, AttributeError):
            continue
    raise InputError(where_layer, f"{layer!r} is not the output of one of the model's inputs alone")


KIND = kind.OffsetKind(fit, load=load)
