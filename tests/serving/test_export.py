"""A served model's folder: it needs nothing else, and what is damaged or strange is refused."""

from __future__ import annotations

import functools
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sklearn.datasets import load_digits
from tests.serving.small_project import runs_of

from offset_autoencoder.errors import InputError
from offset_autoencoder.models.inference import load_network
from offset_autoencoder.serving.export import save_model_folder
from offset_autoencoder.serving.inference_model import load_model_folder, open_run


@pytest.fixture(scope="module")
def saved(project_root: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of the model ``pca``."""
    folder = tmp_path_factory.mktemp("saved") / "model"
    save_model_folder(folder, open_run(runs_of(project_root)["pca"]["id"], project_root))
    return folder


@pytest.fixture
def folder(saved: Path, tmp_path: Path) -> Path:
    """A copy of it, to be damaged."""
    return Path(shutil.copytree(saved, tmp_path / "model"))


def edit(change: Callable[[dict[str, Any]], Any]) -> Callable[[Path], None]:
    def damage(folder: Path) -> None:
        document = json.loads((folder / "served.json").read_text())
        change(document)
        (folder / "served.json").write_text(json.dumps(document))

    return damage


def pickled(folder: Path) -> None:
    np.savez(folder / "offset" / "state.npz", axes=np.array([{}], dtype=object))


@pytest.mark.parametrize(
    ("damage", "said"),
    [
        (lambda folder: (folder / "served.json").unlink(), "is no model's folder"),
        (lambda folder: (folder / "served.json").write_text("{"), "is not JSON"),
        (edit(lambda facts: facts.update(format=1)), "has format 1, expected 2"),
        (edit(lambda facts: facts.pop("seed")), "served.json.seed: is missing (make the"),
        (edit(lambda facts: facts.update(more=1)), "served.json.more: unknown key (make"),
        (
            edit(lambda facts: facts.update(input_dim=0)),
            "input_dim: should be greater than or equal to 1",
        ),
        (edit(lambda facts: facts.update(latent_dim=5)), "its latent_dim is 4, the model's is 5"),
        (edit(lambda facts: facts.update(offset_kind="hash")), "its kind is 'pca'"),
        (lambda folder: (folder / "offset" / "offset.json").unlink(), "no such file"),
        (lambda folder: (folder / "scale.npz").write_bytes(b"no"), "is not a readable npz"),
        (lambda folder: (folder / "model.keras").write_bytes(b"no"), "cannot be loaded"),
        (pickled, "its content is not what was written"),
    ],
)
def test_a_damaged_folder_is_refused(
    folder: Path, damage: Callable[[Path], Any], said: str
) -> None:
    damage(folder)
    with pytest.raises(InputError) as raised:
        load_model_folder(folder).reconstruct(load_digits().data[:2])
    assert said in str(raised.value)


def test_a_lambda_layer_is_not_loaded(folder: Path) -> None:
    from offset_autoencoder.models.backend import keras

    x = keras.Input((64,), name="x")
    offset = keras.Input((4,), name="offset")
    code = keras.layers.Lambda(lambda value: value * 2)(x)
    keras.Model({"x": x, "offset": offset}, code).save(folder / "model.keras")
    with pytest.raises(InputError, match="cannot be loaded"):
        load_model_folder(folder).reconstruct(load_digits().data[:2])


def test_a_class_that_is_not_registered_is_named(tmp_path: Path) -> None:
    from offset_autoencoder.models.backend import keras
    from offset_autoencoder.models.inference import KerasNetwork

    class Bare(keras.layers.Layer):  # type: ignore[misc]
        def call(self, values: Any) -> Any:
            return values

    x, offset = keras.Input((6,), name="x"), keras.Input((4,), name="offset")

    def twice(values: Any) -> Any:
        return 2 * values

    for code, layer in ((Bare, Bare(name="own")), (twice, keras.layers.Lambda(twice, name="own"))):
        inner = keras.Sequential([keras.layers.Dense(6), layer])
        network = KerasNetwork(keras.Model({"x": x, "offset": offset}, inner(x)), "function")
        said = rf"its layer 'own' runs {code.__name__}, .*\(put @keras\.saving"
        with pytest.raises(InputError, match=said):
            network.save(tmp_path / "model.keras")
        assert not list(tmp_path.iterdir())
        keras.saving.register_keras_serializable("users")(code)
        network.save(tmp_path / "model.keras")
        load_network(tmp_path / "model.keras", "function", None)
        (tmp_path / "model.keras").unlink()


def test_a_lambda_over_what_has_no_name_is_refused_likewise(tmp_path: Path) -> None:
    from offset_autoencoder.models.backend import keras
    from offset_autoencoder.models.inference import KerasNetwork

    x, offset = keras.Input((6,), name="x"), keras.Input((4,), name="offset")
    y = keras.layers.Lambda(functools.partial(keras.ops.multiply, 2.0), name="own")(x)
    network = KerasNetwork(keras.Model({"x": x, "offset": offset}, y), "function")
    with pytest.raises(InputError, match="its layer 'own' runs partial, which safe mode"):
        network.save(tmp_path / "model.keras")


def test_a_run_of_other_samples_is_refused(project: Path, tmp_path: Path) -> None:
    """Its scale is gone: scaled by another one, new samples would be something else."""
    for name in ("models", "data/prepared", "data/offsets"):
        shutil.copytree(project / name, tmp_path / name)
    identity = runs_of(project)["pca"]["id"]
    open_run(identity, tmp_path)
    path = tmp_path / "data" / "prepared" / "schema.json"
    schema = json.loads(path.read_text())
    schema["digests"]["train"]["x"] = "0" * 64
    path.write_text(json.dumps(schema))
    with pytest.raises(InputError, match="was trained on other samples"):
        open_run(identity, tmp_path)


def test_a_run_whose_offset_is_gone_is_refused(project: Path, tmp_path: Path) -> None:
    for name in ("models", "data/prepared"):
        shutil.copytree(project / name, tmp_path / name)
    with pytest.raises(InputError, match="does not hold the offset that it was trained with"):
        open_run(runs_of(project)["pca"]["id"], tmp_path)
