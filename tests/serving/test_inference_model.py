"""New samples get what the test samples got: the same scale, offset, code and reconstruction."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sklearn.datasets import load_digits
from tests.serving.small_project import DOCUMENT, runs_of

from offset_autoencoder.cli.apply import apply_model
from offset_autoencoder.cli.operations import Errors, Offsets, Reconstruct
from offset_autoencoder.data.new_samples import ColumnOptions
from offset_autoencoder.data.prepared import load_prepared
from offset_autoencoder.data.preprocessing import Preprocessing
from offset_autoencoder.errors import InputError
from offset_autoencoder.offsets.table import load_table
from offset_autoencoder.serving.export import save_model_folder
from offset_autoencoder.serving.inference_model import InferenceModel, load_model_folder, open_run
from offset_autoencoder.serving.metadata import ModelMetadata


def beside(model: InferenceModel, rows: Any) -> dict[str, Any]:
    """Side inputs of digits."""
    if model.metadata.needs == "labels":
        return {"labels": load_digits().target[rows]}
    if model.metadata.needs == "ids":
        return {"ids": rows}
    if model.metadata.needs == "offset":
        return {"offset": np.load("data/raw/vectors.npy")[rows]}
    return {}


@pytest.mark.parametrize("name", list(DOCUMENT["models"]))
def test_raw_test_samples_are_reconstructed_as_evaluate_measured(
    project: Path, tmp_path: Path, name: str
) -> None:
    row = runs_of(project)[name]
    save_model_folder(tmp_path / "model", open_run(row["id"], model=name))
    test = load_prepared().test
    raw = load_digits().images[test.ids]  # (n, 8, 8), 0 to 16
    expected = float(row["mse"])
    for model in (open_run(row["id"]), load_model_folder(tmp_path / "model")):
        found = model.apply(raw, **beside(model, test.ids))
        error = found["reconstruction"] / 16 - raw.reshape(len(raw), 64) / 16
        np.testing.assert_allclose(np.mean(np.square(error)), expected, rtol=1e-5)
        np.testing.assert_array_equal(
            model.reconstruct(raw, **beside(model, test.ids)), found["reconstruction"]
        )
        offset = DOCUMENT["models"][name].get("offset")
        if offset is not None:  # bit for bit: an offset by content would else be another
            np.testing.assert_array_equal(
                found["offset"], load_table(Path("data/offsets"), offset, 4).test
            )


def test_complex_samples_become_real_as_the_data_set_did(project: Path) -> None:
    model, x = open_run(runs_of(project)["class_code"]["id"]), load_digits().data[:5]
    z = x * np.exp(1j * x)
    with pytest.raises(InputError, match=r"real numbers, its dtype is complex128 \(give their"):
        model.encode(z)
    kept = Preprocessing(complex="abs")
    model.metadata = model.metadata.model_copy(update={"preprocessing": kept})
    np.testing.assert_array_equal(model.encode(z), model.encode(np.abs(z)))


def test_the_code_is_of_unit_norm_and_needs_no_label(project: Path) -> None:
    model = open_run(runs_of(project)["class_code"]["id"])
    code = model.encode(load_digits().data[:50])
    np.testing.assert_allclose(np.linalg.norm(code, axis=1), 1, rtol=1e-5)


def test_an_offset_that_is_given_takes_the_place_of_the_computed_one(project: Path) -> None:
    x, model = load_digits().data[:20], open_run(runs_of(project)["pca"]["id"])
    computed = model.offset(x)
    np.testing.assert_array_equal(model.reconstruct(x, offset=computed), model.reconstruct(x))
    assert np.abs(model.reconstruct(x, offset=computed[::-1]) - model.reconstruct(x)).max() > 1e-3


def test_samples_do_not_depend_on_those_beside_them(project: Path) -> None:
    x, model = load_digits().data[:300], open_run(runs_of(project)["frozen"]["id"])
    parts = np.concatenate([model.reconstruct(x[:1]), model.reconstruct(x[1:])])
    np.testing.assert_allclose(model.reconstruct(x), parts, rtol=1e-4, atol=1e-4)
    assert model.reconstruct(x[:0]).shape == (0, 64)


def test_an_offset_takes_no_tensorflow(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "offset_autoencoder.models.backend", None)
    assert open_run(runs_of(project)["pca"]["id"]).offset(load_digits().data[:3]).shape == (3, 4)


def given(**changes: Any) -> dict[str, Any]:
    return {"x": load_digits().data[:3], **changes}


@pytest.mark.parametrize(
    ("name", "samples", "said"),
    [
        ("pca", given(x=np.ones((3, 63))), "x: has shape (3, 63), expected (samples, 64)"),
        ("pca", given(x=np.ones(64)), "x: has shape (64,), expected (samples, 64)"),
        ("pca", given(x=[["a"] * 64]), "x: must hold real numbers, its dtype is <U1"),
        ("pca", given(x=[[1.0], [1.0, 2.0]]), "x: is not an array: its rows are not of one length"),
        ("pca", given(x=np.full((3, 64), np.nan), first_row=40), "x: row 40, column 0 is nan"),
        ("pca", given(x=np.full((3, 64), 1e300)), "x, scaled: row 0, column 0 is inf"),
        ("pca", given(offset=np.ones((3, 5))), "offset: has shape (3, 5), expected (3, 4)"),
        ("pca", given(offset=np.full((3, 4), np.inf)), "offset: row 0, column 0 is inf"),
        ("class_code", given(), "labels: missing (its offset is one vector per label"),
        ("class_code", given(labels=[1, 11, 2], first_row=40), "labels, row 41: is 11"),
        ("class_code", given(labels=[1, 2]), "labels: has shape (2,), expected (3,)"),
        ("interference", given(), "ids: missing"),
        ("interference", given(ids=[0.5, 1, 2]), "ids: must be whole numbers or text"),
        ("table", given(), "offset: missing"),
    ],
)
def test_what_does_not_suit_is_named(
    project: Path, name: str, samples: dict[str, Any], said: str
) -> None:
    model = open_run(runs_of(project)[name]["id"])
    with pytest.raises(InputError) as raised:
        model.offset(**samples)
    assert said in str(raised.value)


@pytest.mark.parametrize(
    ("trained_on", "shape", "is_refused"),
    [
        ({"image_shape": [32, 24, 3]}, (3, 32, 24), True),
        ({"image_shape": [32, 24, 3]}, (24, 32, 3), True),
        ({"image_shape": [32, 24, 3]}, (32, 24, 3), False),
        ({"image_shape": [32, 24, 3]}, (32 * 24 * 3,), False),
        ({"image_shape": [32, 24]}, (1, 32, 24), False),
        ({"sequence_shape": [20, 3]}, (3, 20), True),
        ({"sequence_shape": [20, 1]}, (1, 20), False),
        ({}, (3, 20), False),
    ],
)
def test_axes_in_another_order_than_in_training_are_refused(
    trained_on: dict[str, Any], shape: tuple[int, ...], is_refused: bool
) -> None:
    shapes = {"image_shape": None, "sequence_shape": None, **trained_on}
    metadata = ModelMetadata.model_construct(**shapes)
    if not is_refused:
        metadata.check_axes("x", shape)
        return
    with pytest.raises(InputError, match=r"x: has samples of shape .*was trained on .*moveaxis"):
        metadata.check_axes("x", shape)


def test_vectors_that_only_the_user_has_are_given_as_the_error_says(
    project: Path, tmp_path: Path
) -> None:
    run, x = runs_of(project)["table"]["id"], load_digits().data[:5]
    np.save(tmp_path / "new.npy", x)
    paths = tmp_path / "new.npy", tmp_path / "out.npy"
    for operation in (Errors, Reconstruct):
        with pytest.raises(InputError, match=r"--offset: missing") as raised:
            apply_model(operation, run, *paths, ColumnOptions(), force=True)
        assert "np.save('vectors.npy', v), v of shape (5, 4), and --offset" in str(raised.value)
        np.save(tmp_path / "vectors.npy", np.zeros((5, 4)))
        offset = tmp_path / "vectors.npy"
        apply_model(operation, run, *paths, ColumnOptions(), offset=offset, force=True)
    with pytest.raises(InputError, match=r"vectors of known samples: .*errors take the new ones"):
        apply_model(Offsets, run, *paths, ColumnOptions(), force=True)
    with pytest.raises(InputError, match=r"offset=vectors of shape \(5, 4\)"):
        open_run(run).reconstruct(x)
    assert open_run(run).reconstruct(x, offset=np.zeros((5, 4))).shape == (5, 64)
