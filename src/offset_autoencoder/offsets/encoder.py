"""Kind ``encoder``: a second encoder that is fitted beforehand and then stands still.

f(x) is the code of a reference autoencoder, before any offset or noise: one that the kind fits
itself on the training split, with the project's trainer and nothing added to its code, or the
output of a layer of the user's own Keras model, or of a layer in a model within it. The fitted one
is stored as its weights and applied in NumPy; of the user's model the file itself is stored.
"""

from __future__ import annotations

import functools
import io
import math
import tempfile
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from offset_autoencoder.config.offset_kinds import EncoderOffset
from offset_autoencoder.data.readers import locate
from offset_autoencoder.errors import InputError, did_you_mean, first_names
from offset_autoencoder.io.arrays import rows_per_block
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
    batch, *sides = encoder.input_shape
    shape = [-1 if side is None else side for side in sides]

    def apply(samples: kind.Samples) -> kind.Float32:
        x, size = samples.x, batch or rows_per_block(samples.x.shape[1])
        table = np.empty((len(x), encoder.output_shape[1]), dtype=np.float32)
        for start in range(0, len(x), size):
            rows = x[start : start + size]
            if batch is not None:  # it takes as many, no fewer
                rows = np.pad(rows, ((0, batch - len(rows)), (0, 0)), "edge")
            code = encoder(rows.reshape(len(rows), *shape), training=False)
            table[start : start + size] = np.asarray(code)[: len(x) - start]
        return table

    return apply


def check(where: str, params: EncoderOffset, training: kind.Training, latent_dim: int) -> None:
    """Open the user's model, if it is one; errors are those of :func:`fit`."""
    if params.path is not None:
        _read_model(where, params, training, latent_dim)


def _read_model(
    where: str, params: EncoderOffset, training: kind.Training, latent_dim: int
) -> kind.State:
    """Bytes of a ``.keras`` file, uint8, and the layer's name, after a trial that it suits."""
    from offset_autoencoder.models.nested import all_layers

    assert params.path is not None
    file = locate(training.raw, params.path, f"{where.removeprefix('params.yaml: ')}.path")
    content, layer, input_dim = file.read_bytes(), params.layer, training.x.shape[1]
    fits = functools.partial(_fits, input_dim=input_dim, latent_dim=latent_dim)
    encoder = _open_layer(str(file), content, f"{where}.layer", layer, fits)
    if not fits(encoder):
        sides, inside = encoder.input_shape[1:], encoder.output_shape[1:]
        maps = " to ".join(str(("n", *shape)).replace("'n'", "n") for shape in (sides, inside))
        what = f"{layer!r} of {file} maps {maps.replace('None', 'any')}, "
        what += f"needed is (n, {input_dim}) to (n, {latent_dim})"
        mend = "name another layer, or set the latent_dim of its models"
        if sides.count(None) > 1:
            mend = f"save it with sides of {input_dim} values in all: keras.Input((20, 3)), say, "
            mend += "in the place of keras.Input((None, None))"
        elif not _takes(encoder, input_dim):
            mend = f"the model must take the {input_dim} values of a sample"
        raise InputError(f"{where}.layer", what, mend)
    if stateful := [part.name for part in all_layers(encoder) if getattr(part, "stateful", False)]:
        what = f"{layer!r} of {file} goes by the batches before: {stateful[0]!r} keeps its state"
        raise InputError(f"{where}.layer", what, "save it with stateful=False")
    return {"model": np.frombuffer(content, dtype=np.uint8), "layer": np.array(layer)}


def _fits(encoder: Any, input_dim: int, latent_dim: int) -> bool:
    """True if it maps samples, flat or in a shape of as many values, to vectors of the length."""
    batch, *length = encoder.output_shape
    is_batch = batch in (None, encoder.input_shape[0])
    return is_batch and length == [latent_dim] and _takes(encoder, input_dim)


def _takes(encoder: Any, input_dim: int) -> bool:
    """True if samples have as many values as its input, of which a side may be left open."""
    sides = encoder.input_shape[1:]
    values, is_open = math.prod(side for side in sides if side), sides.count(None)
    return input_dim % values == 0 if is_open == 1 else not is_open and input_dim == values


def _open_layer(
    where: str,
    content: bytes,
    where_layer: str,
    layer: str,
    fits: Callable[[Any], bool] = lambda encoder: True,
) -> Any:
    """Model from the one input that the layer sees to the layer's output, loaded in safe mode.

    Where there is none, layers are suggested whose model ``fits``.
    """
    import offset_autoencoder.models.layers  # noqa: F401  registers the project's layers
    from offset_autoencoder.models.backend import keras
    from offset_autoencoder.models.nested import all_layers

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
                "save it as .keras, with registered or stock layers and no Lambda; of a class of "
                "your own save the encoder alone, a functional or sequential model",
            ) from None
    encoder = _model_to(model, layer)
    if encoder is not None:
        return encoder
    names = list(dict.fromkeys(part.name for part in all_layers(model)))
    suited = [name for name in names if (other := _model_to(model, name)) and fits(other)]
    mend = (
        f"layers that do are {first_names(map(repr, suited))}"
        if suited
        else "none of its layers does"
    )
    if layer in names:
        what = f"{layer!r} is not the output of one of the model's inputs alone"
        raise InputError(where_layer, what, mend)
    suggestion = did_you_mean(layer, names) if not suited else did_you_mean(layer, suited)
    raise InputError(where_layer, f"no layer {layer!r}", suggestion)


def _model_to(model: Any, layer: str) -> Any:
    """Model from the input that a layer sees to its output; None where there is no such one."""
    from offset_autoencoder.models.backend import keras
    from offset_autoencoder.models.nested import with_output_of

    if (found := with_output_of(model, layer)) is None:
        return None
    graph, output = found
    for tensor in sorted(graph.inputs, key=lambda tensor: str(tensor.name) != "x"):
        try:
            return keras.Model(tensor, output)
        except ValueError:
            continue
    return None


KIND = kind.OffsetKind(fit, load=load, check=check)
