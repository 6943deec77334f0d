"""Keras and its backend, imported without the start-up messages that say nothing to a user.

The backend is TensorFlow, but in a process that trains on JAX: there TensorFlow is not imported.
"""

from __future__ import annotations

import contextlib
import importlib.abc
import os
import sys
import traceback
from collections.abc import Iterator
from pathlib import Path

from offset_autoencoder.errors import InputError, native_messages_held
from offset_autoencoder.user_code import keras_backend


class _NoTensorFlow(importlib.abc.MetaPathFinder):
    """Refusal to import TensorFlow, which Keras looks for and which would take the GPU's memory."""

    def find_spec(self, name: str, *_: object) -> None:
        """Raise an ImportError for TensorFlow, know nothing of other modules."""
        if name.partition(".")[0] == "tensorflow":
            mend = "write it by keras.ops, or set train.engine: keras"
            raise ImportError(f"train.engine: jax has no TensorFlow: {mend}", name=name)


def _set_own_config() -> None:
    """Undo what Keras took from the user's keras.json, on which no run's weights may depend."""
    own = {"image_data_format": "channels_last", "floatx": "float32", "epsilon": 1e-7}
    for key, value in own.items():
        if (theirs := getattr(keras.config, key)()) != value:
            getattr(keras.config, f"set_{key}")(value)
            note = f"note: {key} is {value} in this project, not {theirs} as in keras.json"
            print(note, file=sys.stderr)


os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ["KERAS_BACKEND"] = keras_backend()
if not (uses_tensorflow := keras_backend() == "tensorflow"):
    # Read when JAX is imported: the same bytes twice on one device.
    os.environ["XLA_FLAGS"] = f"{os.environ.get('XLA_FLAGS', '')} --xla_gpu_deterministic_ops=true"
    sys.meta_path.insert(0, _NoTensorFlow())
try:
    with native_messages_held():
        import keras

        if uses_tensorflow:
            import tensorflow as tf
except Exception as error:
    _files = [Path(frame.filename).parts for frame in traceback.extract_tb(error.__traceback__)]
    if ("keras", "src", "backend", "config.py") not in [parts[-4:] for parts in _files]:
        raise
    # Whatever Keras does not expect in there: an unknown word, a list in the place of one.
    _path = f"{os.environ.get('KERAS_HOME') or '~/.keras'}/keras.json"
    raise InputError(_path, f"Keras cannot start: {error}", "mend or remove the file") from None
_set_own_config()
if uses_tensorflow:
    tf.get_logger().setLevel("ERROR")  # of warnings, only those on how it compiles ever come


@contextlib.contextmanager
def float32_policy() -> Iterator[None]:
    """Within the block layers compute in float32, whatever policy was set before."""
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy("float32")
    try:
        yield
    finally:
        keras.config.set_dtype_policy(before)


__all__ = ["float32_policy", "keras", "tf"]
