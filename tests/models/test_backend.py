"""Keras as the project starts it, whatever the user's keras.json says."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

PROGRAM = """
import numpy as np
from offset_autoencoder.errors import run_command

def build():
    from offset_autoencoder.config.schema import Network
    from offset_autoencoder.models.architecture import Architecture
    from offset_autoencoder.models.autoencoder import build_model
    from offset_autoencoder.models.backend import keras

    network = Network(kind="convolutional", latent_dim=3, filters=[2])
    model = build_model(Architecture(network=network, input_dim=36, image_shape=[4, 3, 3]), 1)
    x = np.random.default_rng(0).random((2, 36), np.float32)
    y = np.asarray(model({"x": x, "offset": np.zeros((2, 3), np.float32)}))
    print(y.dtype, y.tobytes().hex())

run_command(build)
"""


def built(folder: Path, config: Any) -> subprocess.CompletedProcess[str]:
    if config is not None:
        (folder / "keras.json").write_text(json.dumps(config))
    environment = {**os.environ, "KERAS_HOME": str(folder)}
    command = [sys.executable, "-c", PROGRAM]
    return subprocess.run(command, capture_output=True, text=True, env=environment)


def test_a_keras_json_changes_no_network(tmp_path: Path) -> None:
    (tmp_path / "own").mkdir()
    (tmp_path / "theirs").mkdir()
    plain = built(tmp_path / "own", None)
    assert (plain.returncode, plain.stderr) == (0, "")
    theirs = {"image_data_format": "channels_first", "floatx": "float16", "epsilon": 1e-4}
    other = built(tmp_path / "theirs", {**theirs, "backend": "jax"})
    assert other.returncode == 0, other.stderr
    assert other.stdout == plain.stdout
    first, *more = other.stderr.splitlines()
    assert first.startswith("note: image_data_format is channels_last in this project, not")
    assert len(more) == 2


@pytest.mark.parametrize(
    ("config", "reason"),
    [
        ({"image_data_format": "none of these"}, "Invalid `image_data_format` configuration"),
        ([{"floatx": "float32"}], "'list' object has no attribute 'get'"),
        ({"floatx": ["float32"]}, "unhashable type: 'list'"),
    ],
)
def test_a_keras_json_that_keras_refuses_is_one_line(
    tmp_path: Path, config: Any, reason: str
) -> None:
    done = built(tmp_path, config)
    assert done.returncode == 1
    assert done.stderr.startswith(f"error: {tmp_path}/keras.json: Keras cannot start: {reason}")
    assert len(done.stderr.splitlines()) == 1
