"""A user's own module that needs TensorFlow."""

from __future__ import annotations

import tensorflow as tf

build = tf.function
