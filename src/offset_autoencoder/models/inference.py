"""Inference of trained models on samples: codes, offsets and reconstructions.

Dense networks are run in NumPy, which takes less time for a hundred runs than TensorFlow takes
to start; all others are run by Keras. Noise is off in both.
"""

from __future__ import annotations

import functools
from abc import ABC, abstractmethod
from collections.abc import Callable, Hashable, Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

import numpy as np
from numpy.typing import NDArray

from offset_autoencoder.config.systems import SYSTEMS
from offset_autoencoder.errors import InputError, message_of
from offset_autoencoder.models.architecture import Architecture
from offset_autoencoder.user_code import find_attribute

Array = NDArray[np.float32]
Weights = Mapping[str, NDArray[Any]]
Decode = Callable[[Array | None, Array], Array]
Forward = Callable[[Any], Any]  # in the structures of a model's inputs and outputs
K = TypeVar("K", bound=Hashable)

_BLOCK_VALUES = 2**24  # features of a block of samples: 64 MB of float32


class Encoded(NamedTuple):
    """Output of the encoder for n samples.

    Attributes:
        code: (n, L) float32: the code before anything is added, the mean of a variational
            autoencoder's; None for a user's model without a separable code.
        offset: (n, L) float32: what is added to it or stands beside it, a learned second
            encoder's output included.
        log_variance: (n, L) float32 of a variational autoencoder's code, else None.
    """

    code: Array | None
    offset: Array
    log_variance: Array | None


class RunInference(ABC):
    """A run's network with its weights in place.

    Attributes:
        stays_open: Whether it can still be used once the next run's is open.
        trainable_parameters: Number of trainable parameters.
    """

    stays_open: bool
    trainable_parameters: int

    @abstractmethod
    def encode(self, x: Array, offset: Array) -> Encoded:
        """Codes and offsets of samples x, (n, D), with f(x) as it is added, (n, L)."""

    @abstractmethod
    def decoder(self, x: Array) -> Decode:
        """Function from codes and offsets, each (n, L), to reconstructions of samples x, (n, D).

        Codes may be None for a model without a separable code: x is encoded again.
        """


def open_inference(
    architectures: Mapping[K, Architecture], weights_of: Callable[[K], Weights]
) -> Iterator[tuple[K, RunInference]]:
    """Open run after run, those of one architecture together; ``weights_of`` an id by name.

    Each is to be used before the next, unless it stays open. TensorFlow is started where a
    network needs it, and only there.
    """
    from offset_autoencoder.models.dense import DenseNetwork, runs_in_numpy

    groups: dict[str, list[K]] = {}
    for run_id, architecture in architectures.items():
        groups.setdefault(architecture.key, []).append(run_id)
    for members in groups.values():
        architecture = architectures[members[0]]
        if runs_in_numpy(architecture):
            for run_id in members:
                yield run_id, DenseNetwork(architecture, weights_of(run_id))
            continue
        from offset_autoencoder.models.autoencoder import build_model

        shared = KerasNetwork(build_model(architecture), architecture.system, compiled=True)
        for run_id in members:
            shared.load(weights_of(run_id))
            yield run_id, shared


class KerasNetwork(RunInference):
    """A Keras model on any number of samples; its halves are compiled when first needed.

    Once it was used, the model can be called but no longer saved: see
    :func:`split_encoder_decoder`.

    Args:
        model: Inputs ``x`` and ``offset``.
        system: Name of the system that built it.
        where: The place that errors name.
        compiled: Run as a graph. It is faster, but fuses product and bias, which rounds otherwise
            for a few rows than for many: a sample's values depend on the batch that it comes in.
        code: Name of the layer whose output is the code; None: what the system's record says.
    """

    stays_open = False

    def __init__(
        self,
        model: Any,
        system: str,
        where: str = "model",
        *,
        compiled: bool = False,
        code: str | None = None,
    ) -> None:
        self.model = model
        self.where = where
        self.trainable_parameters = sum(int(np.prod(v.shape)) for v in model.trainable_weights)
        self._compiled = compiled
        self._system = system
        self._code = code

    @functools.cached_property
    def _halves(self) -> tuple[Forward, Forward] | None:
        halves = split_encoder_decoder(self.model, self._system, self._code)
        if halves is None:
            return None
        encoder, decoder = (_in_blocks(half, self._compiled) for half in halves)
        return encoder, decoder

    @functools.cached_property
    def _whole(self) -> Forward:
        return _in_blocks(self.model, self._compiled)

    @property
    def has_code(self) -> bool:
        """True if it names a code that depends on x alone."""
        return self._halves is not None

    def load(self, weights: Weights) -> None:
        """Take over the weights of a run, by name."""
        from offset_autoencoder.models.nested import named_weights

        for name, variable in named_weights(self.model).items():
            variable.assign(weights[name])

    def save(self, path: Path) -> None:
        """Write the model as a ``.keras`` file that :func:`load_network` can load.

        Raises:
            InputError: where it cannot be saved, or safe mode would not know a layer.
        """
        from offset_autoencoder.models.backend import keras

        for layer in self.model._flatten_layers():
            code = layer.function if isinstance(layer, keras.layers.Lambda) else type(layer)
            # A Lambda may hold any callable object, which has no name.
            name = getattr(code, "__name__", type(code).__name__)
            if hasattr(code, "__name__") and (
                code.__module__.startswith("keras.")
                or keras.saving.get_registered_object(keras.saving.get_registered_name(code))
            ):
                continue
            what = f"its layer {layer.name!r} runs {name}, which safe mode does not know"
            mend = "put @keras.saving.register_keras_serializable() above the class, with a"
            mend += " get_config that gives all arguments of __init__, or above a named function"
            raise InputError(self.where, what, mend)
        try:
            self.model.save(path)
        except Exception as error:  # Keras raises whatever its parts raise
            what = f"its network cannot be saved: {message_of(error):.300}"
            raise InputError(self.where, what) from error

    def encode(self, x: Array, offset: Array) -> Encoded:
        """See :meth:`RunInference.encode`."""
        if self._halves is None:
            return Encoded(None, offset, None)
        output = self._halves[0]({"x": x, "offset": offset})
        return Encoded(output["code"], output["offset"], output.get("log_variance"))

    def decoder(self, x: Array) -> Decode:
        """See :meth:`RunInference.decoder`."""

        def decode(code: Array | None, offset: Array) -> Array:
            if code is None or self._halves is None:
                return self.reconstruct(x, offset)
            output: Array = self._halves[1]([code, offset])
            return output

        return decode

    def reconstruct(self, x: Array, offset: Array) -> Array:
        """The reconstructions (n, D) of samples (n, D) with offsets as added (n, L)."""
        output: Array = self._whole({"x": x, "offset": offset})
        return output

    def code(self, x: Array) -> Array:
        """The code before anything is added, (n, L), of samples (n, D).

        Raises:
            InputError: where the network is the user's own and names no code that x alone decides.
        """
        shape = (len(x), self.model.input["offset"].shape[-1])
        code = self.encode(x, np.broadcast_to(np.float32(0), shape)).code
        if code is None:
            from offset_autoencoder.models.nested import layers_named

            what, mend = "its network has no layer 'code'", "name that layer 'code'"
            if layers_named(self.model, "code"):
                what = "its layer 'code' sees more than x, or what follows it reads x as well"
                mend = "name the layer 'code' that x alone decides and that x reaches the output by"
            mend += " in the function that builds it, as a layer of a functional model"
            raise InputError(self.where, what, mend)
        return code


def load_network(path: Path, system: str, function: str | None) -> KerasNetwork:
    """Load a ``.keras`` file in Keras's safe mode, which runs no code that the file brings.

    ``system`` and ``function`` built it: the module of a user's function registers its layers.

    Raises:
        InputError: where the file is missing, damaged or not safe to load.
    """
    import offset_autoencoder.models.layers  # noqa: F401  registers the project's layers
    from offset_autoencoder.models.backend import keras

    if function is not None:
        find_attribute(str(path), function)
    try:
        model = keras.saving.load_model(path, compile=False, safe_mode=True)
    except Exception as error:  # Keras raises whatever its parts raise
        raise InputError(str(path), f"cannot be loaded: {message_of(error):.300}") from error
    return KerasNetwork(model, system, str(path))


def split_encoder_decoder(
    model: Any, system: str, code_layer: str | None = None
) -> tuple[Any, Any] | None:
    """The encoder and the decoder of a model, which share its weights.

    The encoder maps ``{"x", "offset"}`` to ``{"code", "offset"}``, each (batch, L): the code as it
    is before anything is added, and what is added: the input, or the output of a second encoder
    plus it. A variational autoencoder's has ``log_variance`` too. The decoder maps
    ``[code, offset]`` to the reconstruction (batch, input_dim).

    None for a user's model without a layer named ``code``, or as ``code_layer`` says (see
    :mod:`.nested`), one whose code depends on the offset too, so that another offset would need
    another code, or one whose decoder reads x by another way. The model itself can be called
    afterwards, but no longer saved: its layers then belong to several models.
    """
    from offset_autoencoder.models.backend import keras
    from offset_autoencoder.models.nested import with_output_of

    record = SYSTEMS[system]
    layers = {layer.name: layer for layer in model.layers}
    if record.is_users:  # where the layer is a model, or stands in one, its output is another's
        if (found := with_output_of(model, code_layer or record.code_layers[0])) is None:
            return None
        model, code = found
    else:
        code = next(layers[name].output for name in record.code_layers if name in layers)
    inputs = model.input
    offset = layers[record.offset_layer].output if record.offset_layer else inputs["offset"]
    outputs = {"code": code, "offset": offset}
    if record.log_variance_layer:
        outputs["log_variance"] = layers[record.log_variance_layer].output
    try:
        keras.Model(inputs["x"], code)  # raises where the code needs the offset
        return keras.Model(inputs, outputs), keras.Model([code, offset], model.output)
    except ValueError:
        return None


def _in_blocks(model: Any, compiled: bool) -> Forward:
    """A model as a function of NumPy arrays in the structure of its inputs, called block by block.

    It is compiled to a graph that is traced once, at the first call, or run layer by layer.
    """
    from offset_autoencoder.models.backend import tf

    nest = tf.nest

    def forward(inputs: Any) -> Any:
        return model(inputs, training=False)

    if compiled:
        signature = nest.map_structure(
            lambda tensor: tf.TensorSpec((None, *tensor.shape[1:]), tf.float32), model.input
        )
        forward = tf.function(forward, [signature], autograph=False)
    # Of a recurrent layer all steps are in memory, and of a convolution all filters.
    outputs = [getattr(layer, "output", None) for layer in model.layers]
    tensors = nest.flatten([model.input, model.output, *outputs])
    shapes = [tensor.shape[1:] for tensor in tensors if hasattr(tensor, "shape")]
    widest = max(int(np.prod([side or 1 for side in shape])) for shape in shapes)

    def call(inputs: Any) -> Any:
        samples = len(nest.flatten(inputs)[0])
        if not samples:  # TensorFlow adds no bias to nothing
            row = nest.map_structure(lambda a: np.zeros((1, a.shape[1]), np.float32), inputs)
            return nest.map_structure(lambda a: a[:0], call(row))
        size = max(1, _BLOCK_VALUES // widest)
        blocks = []
        for start in range(0, samples, size):
            rows = slice(start, start + size)
            block = nest.map_structure(lambda a, rows=rows: tf.constant(a[rows]), inputs)
            # A model of the user's may compute in half precision.
            blocks.append(nest.map_structure(lambda t: np.asarray(t, np.float32), forward(block)))
        return nest.map_structure(lambda *parts: np.concatenate(parts), *blocks)

    return call
