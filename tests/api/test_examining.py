"""Examination of Keras models of one's own: what the offset is to them; what is refused."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from offset_autoencoder import InputError, build_autoencoder, examine
from offset_autoencoder.evaluation.statistics import signed_percent
from offset_autoencoder.models.backend import keras

RNG = np.random.default_rng(0)
FACTORS = RNG.random((5, 16)) / 5
X = (RNG.random((240, 5)) @ FACTORS).astype(np.float32)
OFFSET = (X @ RNG.normal(0, 0.5, (16, 3))).astype(np.float32)
TRAIN: dict[str, Any] = {"x_train": X[:160], "offset_train": OFFSET[:160]}
UNSEEN = X[160:], OFFSET[160:]


def added(code: Any, offset: Any) -> Any:
    return code + offset


def scaled(code: Any, offset: Any) -> Any:
    return keras.layers.Add()([keras.layers.Rescaling(2.0)(offset), code])


def two_inputs(
    combine: Callable[[Any, Any], Any] = added, names: tuple[str, str] = ("x", "offset")
) -> Any:
    """An untrained model whose code stands for 0: it decodes the offset alone."""
    x, offset = keras.Input((16,), name=names[0]), keras.Input((3,), name=names[1])
    code = keras.layers.Dense(3, name="bottleneck", kernel_initializer="zeros")(x)
    output = keras.layers.Dense(16, name="out")(combine(code, offset))
    return keras.Model([x, offset], output)


def fitted(model: Any) -> Any:
    """The model with the decoder that reads x from the offset, by least squares."""
    weights = np.linalg.lstsq(np.c_[OFFSET, np.ones(240)], X, rcond=None)[0]
    factor = 2.0 if any("rescaling" in layer.name for layer in model.layers) else 1.0
    model.get_layer("out").set_weights([weights[:3] / factor, weights[3]])
    return model


def sequential() -> Any:
    layers = keras.layers
    return keras.Sequential(
        [
            keras.Input((4, 4)),
            layers.Flatten(),
            layers.Dense(3, name="bottleneck"),
            layers.GaussianNoise(0.1, name="noise"),
            layers.Dense(16, name="out"),
            layers.Reshape((4, 4)),
        ]
    )


@pytest.mark.parametrize("combine", [added, scaled])
def test_interventions_and_probes_are_those_of_the_model(combine: Any) -> None:
    model = fitted(two_inputs(combine))
    result = examine(model, *UNSEEN, **TRAIN)
    x, offset = UNSEEN
    table = result.interventions.query("split == 'test' and metric == 'mse' and level.isna()")
    found = table.set_index("intervention")["mean"]
    mean = np.tile(offset.mean(axis=0), (80, 1))
    for name, given in (("own", offset), ("omitted", 0 * offset), ("mean", mean)):
        error = np.mean((model([x, given]) - x) ** 2)
        assert found[name] == pytest.approx(error, rel=1e-4)
    assert result.runs["mse"][0] == pytest.approx(found["own"])
    (probe,) = result.probes.itertuples()
    assert probe.code_explained == pytest.approx(0, abs=0.05)
    assert probe.offset_explained == pytest.approx(probe.sum_explained, abs=1e-6)
    assert probe.offset_explained > 0.3
    assert "inconclusive: nothing can be tested on one run alone" in str(result)
    assert str(result).splitlines()[1].startswith("one model: its figures alone, without intervals")
    assert "another's +" in str(result)


def test_a_list_of_models_has_a_verdict_and_a_page(tmp_path: Path) -> None:
    models = [fitted(two_inputs()) for _ in range(6)]
    for seed, model in enumerate(models):  # no two seeds alike
        weights, bias = model.get_layer("out").get_weights()
        shaken = weights * (1 + 0.01 * np.random.default_rng(seed).normal(size=weights.shape))
        model.get_layer("out").set_weights([shaken, bias])
    result = examine(models, *UNSEEN, **TRAIN)
    (verdict,) = result.verdicts.itertuples()
    assert (verdict.verdict, verdict.seeds) == ("second encoder", 6)
    assert "no control trained with nothing or trained with noise" in verdict.sentence
    assert result.note == ""
    result.save(tmp_path / "page.html")
    page = (tmp_path / "page.html").read_text(encoding="utf-8").partition("<script>")[0]
    assert '<h2 id="interventions-heading">' in page
    links, targets = (set(re.findall(f'{name}="#?([^"]+)"', page)) for name in ("href", "id"))
    assert {link for link in links if ":" not in link} <= targets  # no section is missing
    assert not re.search("no run finished|reports/", page, re.IGNORECASE)


def test_without_training_samples_probes_and_interventions_are_of_unseen_samples() -> None:
    model, (x, offset) = fitted(two_inputs()), UNSEEN
    result = examine(model, x, offset, labels=np.arange(80) % 2)
    assert set(result.interventions["split"]) == {"test"}
    assert result.probes["offset_explained"][0] > 0.3
    assert np.isnan(result.probes["generalization_gap"][0])
    assert result.verdicts.empty
    figures, note = str(result).splitlines()
    assert note.startswith("no training samples: give x_train and offset_train for a verdict")
    changes = result.interventions.set_index("intervention")["change"]
    assert figures == (
        f"model: mse {result.runs['mse'][0]:.4g}, "
        f"with another sample's vector {100 * changes['permuted']:+,.0f} %, "
        f"with the mean vector {100 * changes['mean']:+,.0f} %, "
        f"with none {100 * changes['omitted']:+,.0f} %"
    )


def test_offsets_of_zeros_have_training_samples_and_small_changes_a_decimal() -> None:
    model, (x, offset) = fitted(two_inputs()), UNSEEN
    nothing = {**TRAIN, "offset_train": 0 * TRAIN["offset_train"]}
    page = examine(model, x, 0 * offset, **nothing).page or ""
    assert "one in five of <code>x_train</code>" in page
    assert "One half" not in page
    for share, text in ((13.766, "+1,377 %"), (0.1049, "+10 %"), (0.0074, "+0.7 %")):
        assert f"{signed_percent(share, grouping=',')} %" == text
    assert signed_percent(-1e-9) == signed_percent(0.0) == "+0.0"


@pytest.mark.parametrize("count", [1, 2, 3])
def test_too_few_samples_or_labels_without_training_samples_are_one_line(count: int) -> None:
    model, (x, offset) = two_inputs(), UNSEEN
    with pytest.raises(InputError, match=rf"x: has {count} samples, needs 4 where x_train is not"):
        examine(model, x[:count], offset[:count])
    with pytest.raises(InputError, match=rf"labels: has {count} labels, x has 80 samples"):
        examine(model, x, offset, labels=[0] * count)


def test_an_offset_is_put_in_the_place_of_gaussian_noise() -> None:
    model = sequential()
    x, offset = UNSEEN
    images, train = x.reshape(-1, 4, 4), TRAIN["x_train"].reshape(-1, 4, 4)
    options = {"offset_train": TRAIN["offset_train"], "x_train": train}
    result = examine(
        model, images, offset, labels=np.arange(80) % 2, **options, labels_train=[0, 1] * 80
    )
    code = np.asarray(model.get_layer("bottleneck")(x))
    error = np.mean((model.get_layer("out")(code + offset) - x) ** 2)
    assert result.runs["mse"][0] == pytest.approx(error, rel=1e-5)
    told = examine(model, images, offset, code="bottleneck", **options)
    assert told.runs["mse"][0] == result.runs["mse"][0]
    assert 0 <= result.probes["offset_accuracy"][0] <= 1


def test_the_model_stays_as_it_is(tmp_path: Path) -> None:
    model = two_inputs()
    before = model([X, OFFSET])
    examine(model, *UNSEEN, **TRAIN)
    model.save(tmp_path / "model.keras")
    again = keras.saving.load_model(tmp_path / "model.keras")
    np.testing.assert_array_equal(again([X, OFFSET]), before)


def test_our_own_models_are_examined_by_their_unit_code() -> None:
    model = build_autoencoder(16, 3, 8, output="linear")
    result = examine(model, *UNSEEN, **TRAIN)
    assert result.runs["mse"][0] == pytest.approx(
        np.mean((model({"x": UNSEEN[0], "offset": UNSEEN[1]}) - UNSEEN[0]) ** 2), rel=1e-5
    )
    assert "code_explained" in result.probes


def test_inputs_of_other_names_are_told() -> None:
    model = two_inputs(names=("sample", "vector"))
    told = examine(model, *UNSEEN, **TRAIN, inputs=("sample", "vector"))
    assert told.runs["mse"][0] > 0
    with pytest.raises(InputError, match=r"inputs: model has no input 'x' .*'sample', 'vector'"):
        examine(model, *UNSEEN, **TRAIN)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"x_train": None}, "offset_train: is given without x_train"),
        ({"offset_train": None}, "offset_train: is missing"),
        ({"offset": OFFSET[:9]}, "offset: has 9 vectors, x has 80"),
        ({"offset": OFFSET[160:] * np.nan}, "offset: row 0, column 0 is nan"),
        ({"offset": OFFSET[160:, :2]}, r"offset_train: has rows of shape \(3,\), offset of \(2,\)"),
        (
            {"x": X[160:, :4], "x_train": X[:160, :4]},
            r"x: has samples of shape \(4,\), model takes",
        ),
        ({"model": "model.keras"}, "model: must be a Keras model, or a list of them, got a str"),
        ({"model": []}, "model: is an empty list"),
        ({"code": "botleneck"}, r"code: there is no layer 'botleneck' \(did you mean 'bottleneck'"),
        ({"code": "out"}, "code: the layer 'out' sees more than x, or what follows it reads x"),
        ({"labels": np.zeros(80)}, "labels_train: is missing, the other labels are given"),
        ({"evaluate": {"metrc": "mse"}}, r"evaluate\['metrc'\]: unknown key"),
        (
            {"model": keras.Sequential([keras.Input((16,)), keras.layers.Dense(16, name="d")])},
            r"model: has one input and no layers of Gaussian noise .* its layers are 'd'",
        ),
        (
            {"model": keras.Sequential([keras.layers.Dense(16)])},
            "model: its inputs are not known .call it on samples once",
        ),
    ],
)
def test_what_cannot_be_examined_is_one_line(change: dict[str, Any], message: str) -> None:
    given = {"model": two_inputs(), "x": UNSEEN[0], "offset": UNSEEN[1], **TRAIN} | change
    with pytest.raises(InputError, match=f"^{message}"):
        examine(**given)
