"""A run written as a served model's folder."""

from __future__ import annotations

import dataclasses
import shutil
from pathlib import Path

from offset_autoencoder.errors import InputError
from offset_autoencoder.io.files import replace_folder, write_npz
from offset_autoencoder.models.inference import KerasNetwork
from offset_autoencoder.offsets.table import INFO, STATE
from offset_autoencoder.runs.load import load_run
from offset_autoencoder.serving.facts import write_facts
from offset_autoencoder.serving.folder import NETWORK, OFFSET
from offset_autoencoder.serving.from_run import RunParts

_SCALE = "scale.npz"


def save_model_folder(folder: Path, parts: RunParts) -> None:
    """Write a run as a folder, whole or not at all; one that is there is replace_folder.

    Raises:
        InputError: where the network cannot be saved.
    """
    with replace_folder(folder) as new:
        model = load_run(parts.folder)
        try:
            model.save(new / NETWORK)
        except Exception as error:  # Keras raises whatever its parts raise
            said = (str(error).strip().splitlines() or [type(error).__name__])[0]
            raise InputError(str(parts.folder), f"its network cannot be saved: {said}") from error
        write_npz(new / _SCALE, {"shift": parts.scale[0], "factor": parts.scale[1]})
        if parts.offset is not None:
            (new / OFFSET).mkdir()
            for name in (INFO, STATE):
                shutil.copyfile(parts.offset / name, new / OFFSET / name)
        # A model taken apart can no longer be saved: only now.
        has_code = KerasNetwork(model, parts.facts.system).has_code
        write_facts(new, dataclasses.replace(parts.facts, has_code=has_code))
