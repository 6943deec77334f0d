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
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from offset_autoencoder.config.offset_kinds import EncoderOffset
from offset_autoencoder.data.samples import locate
from offset_autoencoder.errors import InputError, did_you_mean
from offset_autoencoder.io.arrays import rows_per_block
from offset_autoencoder.offsets.kind import Float32, OffsetKind, Samples, State, Training
from offset_autoencoder.offsets.reference import encode, fit_reference_state


def fit(where: str, params: EncoderOffset, training: Training, latent_dim: int) -> State:
    """Layers of the fitted encoder, or the bytes of the user's model.

    Raises:
        InputError: where the training diverged, or the file is no model that maps
            (n, input_dim) to (n, latent_dim) at that layer.
    """
    if params.path is not None:
        input_dim = training.x.shape[1]
        return _read_model(where, params.path, params.layer, training.raw, input_dim, latent_dim)
    state = fit_reference_state(where, params, training, latent_dim)
    return {key: array for key, array in state.items() if not key.startswith("decoder.")}


def load(where: str, state: State) -> Callable[[Samples], Float32]:
    """Load the user's model, if it is one, and return the function that :func:`apply` calls."""
    if "model" in state:
        layer = _load_layer(where, state)
        return lambda samples: layer(samples.x)
    return lambda samples: encode(where, state, samples.x).astype(np.float32)


def apply(where: str, state: State, samples: Samples) -> Float32:
    """Code of samples, float32 (n, latent_dim).

    Raises:
        InputError: where x has another number of features than the encoder.
    """
    return load(where, state)(samples)


def _read_model(
    where: str, path: str, layer: str, raw: Path, input_dim: int, latent_dim: int
) -> State:
    """Read a ``.keras`` file, and make sure that it can be applied.

    Args:
        where: The offset's place in params.yaml.
        path: The file, relative to ``raw``.
        layer: The name of the layer whose output is f(x).
        raw: ``data/raw``.
        input_dim: Features of a sample.
        latent_dim: Length that the vectors must have.

    Returns:
        The file's bytes, uint8, and the layer's name.

    Raises:
        InputError: where there is no such file or layer, the file cannot be loaded in safe
            mode, or the layer does not map (n, input_dim) to (n, latent_dim).
    """
    file = locate(raw, path, f"{where.removeprefix('params.yaml: ')}.path")
    content = file.read_bytes()
    encoder = _open_layer(str(file), content, f"{where}.layer", layer)
    shapes = tuple(encoder.input_shape), tuple(encoder.output_shape)
    if shapes != ((None, input_dim), (None, latent_dim)):
        raise InputError(
            f"{where}.layer",
            f"{layer!r} of {file} maps {_shape(shapes[0])} to {_shape(shapes[1])}, needed is "
            f"(n, {input_dim}) to (n, {latent_dim})",
            "name another layer, or set the latent_dim of its models",
        )
    return {"model": np.frombuffer(content, dtype=np.uint8), "layer": np.array(layer)}


def _load_layer(where: str, state: State) -> Callable[[Float32], Float32]:
    """Function from samples to the layer's output, float32 (n, latent_dim).

    Raises:
        InputError: where the stored model cannot be loaded.
    """
    encoder = _open_layer(where, state["model"].tobytes(), where, state["layer"].item())

    def apply(x: Float32) -> Float32:
        table = np.empty((len(x), encoder.output_shape[1]), dtype=np.float32)
        rows = rows_per_block(x.shape[1])
        for start in range(0, len(x), rows):
            block = slice(start, start + rows)
            table[block] = np.asarray(encoder(x[block], training=False))
        return table

    return apply


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


def _shape(shape: tuple[int | None, ...]) -> str:
    return f"({', '.join('n' if size is None else str(size) for size in shape)})"


KIND = OffsetKind(fit, apply, load)
