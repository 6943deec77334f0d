from __future__ import annotations

import contextlib
import copy
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from offset_autoencoder.config import load_params, parse_params
from offset_autoencoder.config.document import read_document
from offset_autoencoder.config.offset_kinds import OFFSETS, HashOffset
from offset_autoencoder.errors import InputError

ROOT = Path(__file__).parents[2]
DEFAULT = read_document(ROOT / "params.yaml")


def changed(path: str, value: Any) -> dict[str, Any]:
    """The default params with the value at a dotted path replaced."""
    document = copy.deepcopy(DEFAULT)
    *outer, last = path.split(".")
    target = document
    for key in outer:
        target = target[key]
    target[last] = value
    return document


def test_the_default_experiment() -> None:
    params = load_params(ROOT / "params.yaml")
    assert params.seeds == tuple(range(20))
    assert params.models[:2] == ("none", "gaussian")
    powers: dict[str, list[float]] = {}
    for setting in params.settings:
        powers.setdefault(setting.model, []).append(setting.spec.rms or setting.spec.stddev)
    # What is compared at all powers of the noise, at one of them, and with nothing added.
    assert {tuple(each) for each in powers.values()} == {(0.05, 0.1, 0.2), (0.1,), (0.0,)}
    systems = {setting.spec.system for setting in params.settings}
    assert systems == {"additive", "concatenate", "two_encoder", "wide", "ensemble", "vae"}
    kinds = {offset.kind for offset in params.offsets.values()}
    assert set(OFFSETS) - kinds == {"file", "function"}  # those that need something of the user's
    assert set(params.offsets) == {s.spec.offset for s in params.settings} - {None}
    assert len(params.runs) == 20 * len(params.settings)


def test_the_mnist_example_is_eleven_models_by_ten_seeds_on_the_split_of_the_file() -> None:
    params = load_params(ROOT / "examples" / "mnist" / "params.yaml")
    assert (len(params.models), len(params.runs)) == (11, 110)
    assert params.data.path == {"train": "mnist.npz", "test": "mnist.npz"}
    assert {setting.network.hidden[0] for setting in params.settings} == {128}


def test_settings_are_the_product_of_the_lists() -> None:
    document = changed("models", {"a": {"offset": "frozen", "rms": [0.1, None], "epochs": [5, 9]}})
    document["network"]["latent_dim"] = [4, 8]
    document["evaluate"] = {}
    params = parse_params(document)
    assert [s.label for s in params.settings] == [
        f"a latent_dim={dim} rms={rms} epochs={epochs}"
        for dim in (4, 8)
        for rms in ("0.1", "null")
        for epochs in (5, 9)
    ]
    assert params.settings[0].train.epochs == 5
    assert params.latent_dims("frozen") == params.latent_dims("pca") == (4, 8)


def test_hidden_sweeps_by_a_list_of_lists() -> None:
    plain = parse_params(changed("network.hidden", [64, 32]))
    assert plain.settings[0].network.hidden == [64, 32]
    assert plain.settings[0].sweep == ()
    swept = parse_params(changed("network.hidden", [[64, 32], []]))
    assert [s.network.hidden for s in swept.settings[:2]] == [[64, 32], []]
    assert swept.settings[0].label == "none hidden=64-32"
    assert swept.settings[1].label == "none hidden=none"


def test_a_models_own_key_takes_the_place_of_a_shared_one_swept_or_not() -> None:
    document = changed("network.latent_dim", [4, 8])
    document["models"]["none"] |= {"latent_dim": 6, "hidden": [7], "batch_size": 5}
    params = parse_params(document)
    first, other = params.settings[:2]
    assert [s.network.latent_dim for s in params.settings if s.model == "none"] == [6]
    assert (first.network.hidden, first.train.batch_size) == ([7], 5)
    assert other.network.hidden == DEFAULT["network"]["hidden"]
    assert params.latent_dims("none") == (4, 6, 8)
    assert params.latent_dims("frozen") == (4, 8)


def test_numbers_may_be_text() -> None:
    document = changed("train.learning_rate", "1e-2")
    document["models"]["gaussian"]["stddev"] = ["0.1", "3e-1"]
    document["network"]["latent_dim"] = "8"
    document["seeds"] = "3"
    params = parse_params(document)
    setting = params.settings[2]
    assert (setting.train.learning_rate, setting.spec.stddev) == (0.01, 0.3)
    assert setting.network.latent_dim == 8
    assert params.seeds == (0, 1, 2)
    assert setting.label == "gaussian stddev=0.3"


def test_blank_sections_take_the_defaults() -> None:
    document = {**DEFAULT, "data": None, "split": {}, "network": {}, "train": {}, "evaluate": None}
    params = parse_params(document)
    assert params.data.source == "digits"
    assert params.evaluate.baselines == ["none", "gaussian"]


def test_offsets_carry_their_kind() -> None:
    params = parse_params(changed("offsets.frozen", {"kind": "hash", "seed": 7}))
    assert params.offsets["frozen"] == HashOffset(seed=7)


@pytest.mark.parametrize(
    ("path", "value", "message"),
    [
        ("executor", "slurm", "params.yaml: executor: unknown value 'slurm'"),
        ("model", {}, "params.yaml: model: unknown section .did you mean 'models'"),
        ("models.gaussian.stdev", 0.1, "models.gaussian.stdev: unknown key .did you mean 'stddev'"),
        ("models.gaussian.stddev", [0.1, -1], r"models.gaussian.stddev\[1\]: .* got -1"),
        ("models.gaussian.stddev", [], "at least one value"),
        ("models.gaussian.stddev", [0.1, 0.1], "each value once"),
        ("models.gaussian.stddev", [0.1, "1e-1"], "each value once"),
        ("models.gaussian.stddev", float("nan"), "models.gaussian.stddev: .* got nan"),
        ("models.gaussian.stddev", True, "not true or false"),
        ("models.none.offset", "nne", "no offset 'nne' .did you mean 'none'"),
        ("models.none.rms", 0.1, "models.none.rms: offset 'none' is zero"),
        ("models.none.rms", 0, "models.none.rms: .*greater than 0"),
        ("models.1st", {"offset": "none"}, "models.1st: a name is"),
        ("models.none", [], "models.none: must be a mapping"),
        ("models.none", {"rms": 0.1}, "models.none.rms: rms scales an offset"),
        ("models", {}, "models: names no model"),
        ("offsets.a/b", {"kind": "zero"}, "offsets.a/b: a name is"),
        ("offsets.x", {"kind": "hsh"}, "offsets.x.kind: unknown kind 'hsh' .did you mean 'hash'"),
        (
            "offsets.x",
            {"kind": "hash", "sed": 1},
            "offsets.x.sed: unknown key .did you mean 'seed'",
        ),
        ("offsets.x", {"seed": 1}, "offsets.x: needs a kind"),
        ("offsets.x", {"kind": ["hash"]}, "offsets.x.kind: unknown kind"),
        ("offsets.x", {"kind": "file"}, "offsets.x.path: is missing"),
        ("offsets.x", {"kind": "file", "path": {"trai": "a"}}, "name for each of train"),
        ("offsets.x", {"kind": "function", "function": "nocolon"}, "offsets.x.function: .*match"),
        ("data.source", "digit", "unknown value 'digit' .did you mean 'digits'"),
        ("data.sorce", "digits", "data.sorce: unknown key .did you mean 'source'"),
        ("data.path", "x.csv", "data.path: path goes with source: file"),
        ("data", {"source": "file"}, "data.source: source: file needs a path"),
        ("data", {"source": "file", "path": ["a", "b"]}, "data.path: takes one name, .*per split"),
        ("data", {"source": "file", "label": ["a", "b"]}, r"data.label: .* table\['all'\] ="),
        ("split.group", ["a"], "split.group: takes one name, .*write it without brackets: a"),
        ("split.order", ["a", "b"], "split.order: takes one name, .*write one of ISO dates"),
        ("offsets.x", {"kind": "file", "path": "a", "id": ["a", "b"]}, r"offsets.x.id: takes one"),
        ("split.test", 0.9, "split.test: .* nothing is left to train on"),
        ("split.test", 0, "split.test: .*greater than 0"),
        ("network.latent_dim", 0, "network.latent_dim: .* got 0"),
        ("network.latent_dim", 2.5, "network.latent_dim: .* got 2.5"),
        ("network.hidden", [32, "a"], r"network.hidden\[1\]: .* got 'a'"),
        ("network.hidden", [[32], [0]], r"network.hidden\[1\]\[0\]: .* got 0"),
        ("network.hidden", 32, "network.hidden: .*list"),
        ("network.output", "linear", "network.output: .* needs output: sigmoid, got linear"),
        ("network.output", ["sigmoid", "linear"], r"network.output\[1\]: .* needs output: sigmoid"),
        ("models.none.output", "linear", "models.none.output: .* needs output: sigmoid"),
        ("models.none.loss", "categorical_crossentropy", "network.output: .* needs .*: softmax"),
        ("offsets.x", {"kind": "encoder", "layer": "code"}, "offsets.x.layer: layer goes with"),
        ("train.learning_rate", [1e-3, "0.001"], "train.learning_rate: .* once, got 0.001 twice"),
        ("train.learning_rate", 1e300, "train.learning_rate: .* that float32 holds"),
        ("train.epochs", 10**7, "train.epochs: .*less than or equal to 1000000"),
        ("train.batch_size", 10**30, "train.batch_size: .*less than 2147483648"),
        ("network.latent_dim", 10**9, "network.latent_dim: .* got 1000000000"),
        ("models.gaussian.stddev", [0.1, 1e300], r"models.gaussian.stddev\[1\]: .* float32 holds"),
        ("models.frozen.rms", 1e-300, "models.frozen.rms: .* float32 holds, 1.2e-38 to 3.4e38"),
        ("network.output", ["sigmoid", "lin"], r"network.output\[1\]: unknown value 'lin'"),
        ("network.activation", "rellu", "activation: unknown value .rellu. .did you mean .relu."),
        ("network.initializer", "he_norml", ".did you mean 'he_normal'"),
        ("network.dropout", 1, "network.dropout: .* less than 1, got 1"),
        ("network.normalize", "powr", "unknown value 'powr' .did you mean 'power'"),
        ("network.code_l2", 0.1, "network.code_l2: the sum of squares of a code of unit norm is 1"),
        ("models.vae.code_l1", 0.1, "models.vae.code_l1: system: vae has the KL divergence in its"),
        ("models.vae.loss", "huber", "network.loss|vae.loss: loss: huber is no likelihood"),
        ("train.schedule", "cosin", "train.schedule: unknown value 'cosin' .did you mean 'cosine'"),
        ("train.schedule_end", 0, "train.schedule_end: .*greater than 0"),
        ("models.gaussian.stddev", {"low": 1, "high": 1}, "low must be below high, got 1 and 1"),
        ("models.gaussian.stddev", [{"low": -1, "high": 1}], r"stddev\[0\]: .* got -1"),
        ("models.gaussian.stddev", {"low": 1}, "a range is {low: ..., high: ...}, got {'low': 1}"),
        ("network.loss", ["huber", "poisson"], "offsets.reference.loss: is not clear"),
        ("train.learning_rate", "abc", "train.learning_rate: .* got 'abc'"),
        ("train.patience", True, "not true or false"),
        ("train.epoch", 3, "train.epoch: unknown key .did you mean 'epochs'"),
        ("seeds", [1, 1], "each seed once"),
        ("seeds", [], "at least one seed"),
        ("seeds", [0, -1], r"seeds\[1\]: .* got -1"),
        ("seeds", 0, "seeds: .* got 0"),
        ("seeds", True, "not true or false"),
        ("seeds", 1_000_000_000, "seeds: .*less than or equal to 100000, got 1000000000"),
        ("seeds", 99_999, "models.gaussian: brings the number of runs to 399,996, at most 100,000"),
        ("train.epochs", list(range(1, 10_002)), "models.none: brings .* to 200,020"),
        ("evaluate.baselines", ["nne"], r"evaluate.baselines\[0\]: there is no model 'nne'"),
        ("evaluate.own_baselines", {"wide": "nne"}, r"own_baselines.wide: there is no model 'nne'"),
        (
            "evaluate.own_baselines",
            {"wid": "vae"},
            "own_baselines: there is no model 'wid' .did you",
        ),
        ("evaluate.own_baselines", {"vae": "vae"}, "own_baselines.vae: 'vae' is the model itself"),
        ("evaluate.own_baselines", {"vae": "none"}, "'none' is a baseline of every model already"),
        ("evaluate.select", ["train.stddev"], r"select\[0\]: unknown key 'train.stddev'"),
        ("evaluate.select", ["rms", "rms"], "evaluate.select: .* once, got 'rms' twice"),
        ("evaluate.select", ["learning_rate"], ".did you mean 'train.learning_rate'"),
        (
            "evaluate.select",
            ["rms", "network.hidden"],
            r"select\[1\]: no model sweeps network.hidden",
        ),
        ("evaluate.baselines", ["none", "none"], "evaluate.baselines: .* once, got 'none' twice"),
        ("evaluate.offset_scales", [0, 1, "0"], "evaluate.offset_scales: .* once, got 0.0 twice"),
        ("evaluate.noise_stddevs", [0.1, 0.1], "evaluate.noise_stddevs: .* once, got 0.1 twice"),
        ("evaluate.noise_stddevs", list(range(101)), "evaluate.noise_stddevs: .*at most 100"),
        ("tracking.experiment", "", "tracking.experiment"),
    ],
)
def test_each_error_names_its_key(path: str, value: Any, message: str) -> None:
    with pytest.raises(InputError, match=message) as caught:
        parse_params(changed(path, value))
    assert "\n" not in str(caught.value)
    assert str(caught.value).startswith("params.yaml: ")


def test_sweeps_whose_product_could_never_be_held_are_refused_at_once() -> None:
    document = changed("models.none", {"offset": "none"})
    for key in ("epochs", "batch_size", "patience"):
        document["train"][key] = list(range(1, 10_001))
    with pytest.raises(InputError, match=r"models\.none: brings .* 20,000,000,000,000"):
        parse_params(document)


def test_an_error_shows_no_endless_value() -> None:
    value: list[Any] = ["lol"]
    for _ in range(30):  # as a file of a few lines can, by its anchors
        value = [value] * 10
    for path in ("network", "offsets.x", "data.source", "train.epochs"):
        with pytest.raises(InputError) as caught:
            parse_params(changed(path, {"kind": value} if path == "offsets.x" else [value]))
        assert len(str(caught.value)) < 500


@pytest.mark.parametrize("section", list(DEFAULT))
def test_a_section_left_out_is_an_error(section: str) -> None:
    document = {key: value for key, value in DEFAULT.items() if key != section}
    with pytest.raises(InputError, match=f"{section}: missing section"):
        parse_params(document)


def test_sections_left_out_or_unknown_are_all_said() -> None:
    missing = {key: DEFAULT[key] for key in ("seeds", "models", "network")}
    with pytest.raises(InputError) as caught:
        parse_params(missing)
    named = [line.partition(": missing section")[0] for line in str(caught.value).splitlines()]
    others = ("data", "split", "offsets", "train", "evaluate", "tracking")
    assert named == [f"params.yaml: {key}" for key in others]
    with pytest.raises(InputError) as caught:  # of a name that is mistyped not twice
        parse_params(missing | {"modles": {}, "sed": 3})
    assert [line.partition(" (")[0] for line in str(caught.value).splitlines()] == [
        "params.yaml: modles: unknown section",
        "params.yaml: sed: unknown section",
    ]


def test_wrong_keys_and_values_of_a_section_are_all_said() -> None:
    for wrong, said in (
        ({"hiden": 3, "outputs": "x"}, ["unknown key (did", "unknown key (did"]),
        ({"latent_dim": 0, "loss": "mse2"}, ["should be greater", "unknown value 'mse2'"]),
    ):
        with pytest.raises(InputError) as caught:
            parse_params(changed("network", DEFAULT["network"] | wrong))
        lines = str(caught.value).splitlines()
        assert len(lines) == 2
        for line, key, what in zip(lines, wrong, said, strict=True):
            assert line.startswith(f"params.yaml: network.{key}: {what}")
    # A value that suits no member of a union is one mistake.
    with pytest.raises(InputError) as caught:
        parse_params(changed("data", {"source": "file", "path": 3.5}))
    assert len(str(caught.value).splitlines()) == 1


def test_wrong_keys_of_all_sections_and_models_are_said_at_once() -> None:
    wrong = copy.deepcopy(DEFAULT)
    for section in ("data", "split", "network", "train", "evaluate", "tracking"):
        wrong[section]["wrong"] = 1
    for name in ("frozen", "vae"):
        wrong["models"][name]["wrong"] = 1
    wrong["models"]["wide"] = 3
    with pytest.raises(InputError) as caught:
        parse_params(wrong)
    places = {line.split(": ")[1] for line in str(caught.value).splitlines()}
    keys = ("data", "split", "network", "train", "evaluate", "tracking")
    assert places == {
        *(f"{key}.wrong" for key in (*keys, "models.frozen", "models.vae")),
        "models.wide",
    }


def test_an_autoencoder_fitted_for_an_offset_has_the_loss_of_the_network() -> None:
    linear = {"loss": "mean_squared_error", "output": "linear"}
    document = changed("network", {**DEFAULT["network"], **linear})
    document["offsets"] |= {
        "own": {"kind": "adversarial", "loss": "poisson", "output": "softplus"},
        "cross": {"kind": "encoder", "loss": "binary_crossentropy"},
        "bounded": {"kind": "encoder", "output": "tanh", "normalize": "none"},
        "saved": {"kind": "encoder", "path": "mine.keras"},
    }
    found: Any = parse_params(document).offsets
    names = ("worst_case", "reference", "own", "cross", "bounded")
    assert [(found[name].loss, found[name].output) for name in names] == [
        *[("mean_squared_error", "linear")] * 2,
        ("poisson", "softplus"),
        ("binary_crossentropy", "sigmoid"),
        ("mean_squared_error", "tanh"),
    ]
    assert (found["worst_case"].normalize, found["bounded"].normalize) == (True, False)
    before: Any = parse_params(DEFAULT).offsets["worst_case"]
    assert (before.loss, before.output) == ("binary_crossentropy", "sigmoid")


@pytest.mark.parametrize(
    ("value", "norm"),
    [(True, "unit"), (False, "none"), ("true", "unit"), ("unit", "unit"), (None, "none")],
)
def test_a_norm_has_older_names(value: Any, norm: str) -> None:
    params = parse_params(changed("network.normalize", value))
    assert params.settings[0].network.normalize == norm


JUNK = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=2)
    ),
    max_leaves=4,
)


@given(st.sampled_from(list(DEFAULT)), st.sampled_from(["", "x", "kind", "none"]), JUNK)
def test_junk_is_an_error_or_is_taken_never_a_crash(section: str, key: str, junk: Any) -> None:
    document = copy.deepcopy(DEFAULT)
    if key and isinstance(document[section], dict):
        document[section][key] = junk
    else:
        document[section] = junk
    with contextlib.suppress(InputError):
        parse_params(document)
