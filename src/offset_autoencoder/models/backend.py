"""Keras on TensorFlow, imported without the start-up messages that say nothing to a user."""

from __future__ import annotations

import contextlib
import os
import sys
import tempfile
from collections.abc import Iterator


@contextlib.contextmanager
def _native_messages_held() -> Iterator[None]:
    """Hold what native code writes to stderr; show it only where the block fails.

    TensorFlow's libraries log while they are loaded, before any log level is read.
    """
    sys.stderr.flush()
    with tempfile.TemporaryFile() as held:
        stderr = os.dup(2)
        os.dup2(held.fileno(), 2)
        try:
            yield
        except BaseException:
            held.seek(0)
            os.write(stderr, held.read())
            raise
        finally:
            sys.stderr.flush()
            os.dup2(stderr, 2)
            os.close(stderr)


os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ["KERAS_BACKEND"] = "tensorflow"
with _native_messages_held():
    import keras
    import tensorflow as tf
tf.get_logger().setLevel("ERROR")  # of warnings, only those on how it compiles ever come

__all__ = ["keras", "tf"]
