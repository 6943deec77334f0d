from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from offset_autoencoder.config import Params, Run, Setting
from offset_autoencoder.config.schema import Evaluate
from offset_autoencoder.evaluation.encoder_adaptation import donor_shift
from offset_autoencoder.evaluation.interventions import (
    GAUSSIAN,
    OMITTED,
    OWN,
    PERMUTED,
    Intervention,
    summarise_interventions,
)
from offset_autoencoder.evaluation.offset_verdict import (
    OffsetEffects,
    OffsetVerdict,
    exchange_effects,
    judge_offsets,
    offset_effects,
)
from offset_autoencoder.evaluation.probes import Probe, summarise_probes
from offset_autoencoder.evaluation.statistics import Estimate, mean_and_interval

MakeParams = Callable[..., Params]
Array = NDArray[np.float32]
SAMPLES, WIDTH = 1000, 8
# As a second encoder's.
READS: dict[str, Any] = {
    "permuted": 0.8,
    "omitted": 0.4,
    "linear_decodability": 0.4,
    "donor_shift": 0.1,
}


@pytest.fixture
def setting(make_params: MakeParams) -> Setting:
    return next(setting for setting in make_params().settings if setting.model == "frozen")


def _judge(measured: list[OffsetEffects], margin: float = 0.05) -> list[OffsetVerdict]:
    return judge_offsets(measured, Evaluate(margin=margin))


def _told(share: float, half: float = 0.001) -> Estimate:
    return Estimate(share, 0.0, share - half, share + half, 10)


def _made(
    setting: Setting, *, seeds: int = 10, scatter: float = 0.01, **given: Any
) -> OffsetEffects:
    """Effects by their relative changes; decodability and donor shift as they are."""
    rng = np.random.default_rng(4)
    own = rng.normal(0.02, 0.002, size=seeds)
    changes = {"permuted": 0.0, "gaussian": 0.0, "omitted": -0.3, **given}
    values = {
        name: own * (1 + changes[name] + rng.normal(0, scatter, size=seeds))
        for name in ("permuted", "gaussian", "omitted")
    }
    share, half = given.get("linear_decodability", 0.0), given.get("decodability_half", 0.001)
    return OffsetEffects(
        setting=setting,
        metric="mse",
        own=own,
        linear_decodability=_told(share, half),
        donor_shift=rng.normal(given.get("donor_shift", 0.0), 1e-3, size=seeds),
        **values,
    )


@pytest.mark.parametrize(
    ("word", "says", "given"),
    [
        ("noise", "nor that it is fixed", {}),
        ("noise", "nor that it is fixed", {"omitted": 0.4}),
        ("second encoder", "reads x from it", READS),
        ("neither", "yet does as well without", {**READS, "omitted": -0.03}),
        ("neither", "yet does as well without", {**READS, "omitted": -0.05}),
        ("neither", "yet does better without", {**READS, "omitted": -0.3}),
        ("inconclusive", "not clear whether it needs to", {**READS, "omitted": 0.05}),
        ("neither", "nothing linear of x", {"permuted": 0.8, "donor_shift": 0.1}),
        ("neither", "decoder reads no x", {"permuted": 0.8, "linear_decodability": 0.4}),
        ("neither", "own does more harm", {"permuted": -0.2, "linear_decodability": 0.4}),
        ("neither", "how it is distributed", {"gaussian": 0.5}),
        ("neither", "not even left out", {"omitted": 0.01}),
        ("inconclusive", "not clear whether it matters whose it is", {"permuted": 0.05}),
        ("inconclusive", "whether noise does the same", {"gaussian": 0.05}),
        ("inconclusive", "whether it matters at all", {"omitted": 0.05}),
        (
            "inconclusive",
            "whether the decoder reads x",
            {
                "permuted": 0.8,
                "linear_decodability": 0.012,
                "decodability_half": 0.005,
                "donor_shift": 0.1,
            },
        ),
        ("inconclusive", "too few seeds", {**READS, "seeds": 4}),
    ],
)
def test_each_way_the_rule_can_go(
    word: str, says: str, given: dict[str, Any], setting: Setting
) -> None:
    (verdict,) = _judge([_made(setting, **given)])
    assert verdict.word == word, verdict.sentence
    assert says in verdict.sentence
    assert verdict.sentence.startswith("frozen rms=0.1: ")


def _world(setting: Setting, build: Callable[[Array, np.random.Generator], Any]) -> OffsetVerdict:
    """Ten networks that decode a sum, each nearly exactly, measured as the project measures."""
    rows = []
    for seed in range(10):
        rng = np.random.default_rng(seed)
        x = rng.standard_normal((SAMPLES, WIDTH), dtype=np.float32)
        code, offset = build(x, rng)
        flaw = np.eye(WIDTH) + rng.normal(0, 0.05, size=(WIDTH, WIDTH))

        def decode(code: Array | None, offset: Array, flaw: Any = flaw) -> Array:
            assert code is not None
            return ((code + offset) @ flaw).astype(np.float32)

        order = rng.permutation(SAMPLES)
        sources = np.empty((1, SAMPLES), dtype=np.int64)
        sources[0, order] = np.roll(order, 1)
        noise = (offset.std(axis=0) * rng.standard_normal(offset.shape)).astype(np.float32)
        given = (offset, offset[sources[0]], noise, np.zeros_like(offset))
        errors = [float(np.mean((decode(code, each) - x) ** 2)) for each in given]
        fitted, unseen = slice(SAMPLES // 2), slice(SAMPLES // 2, None)
        linear = np.linalg.lstsq(offset[fitted], x[fitted], rcond=None)[0]
        left = float(np.sum((offset[unseen] @ linear - x[unseen]) ** 2))
        tells = 1 - left / float(np.sum((x[unseen] - x[unseen].mean(axis=0)) ** 2))
        rows.append([*errors, tells, donor_shift(x, code, offset, decode, sources)])
    own, permuted, gaussian, none, tells, pulls = np.array(rows).T
    told = mean_and_interval(tells, 0.95)
    effects = OffsetEffects(setting, "mse", own, permuted, gaussian, none, told, pulls)
    return _judge([effects])[0]


def test_what_a_decoder_reads_is_a_second_encoder(setting: Setting) -> None:
    half = np.float32(np.arange(WIDTH) < WIDTH // 2)
    verdict = _world(setting, lambda x, rng: (x * half, x * (1 - half)))
    assert verdict.word == "second encoder"
    assert verdict.linear_decodability.mean == pytest.approx(0.5, abs=0.03)
    assert verdict.donor_shift.mean == pytest.approx(0.5, abs=0.05)


def test_what_has_nothing_to_do_with_x_is_noise(setting: Setting) -> None:
    verdict = _world(setting, lambda x, rng: (x, rng.normal(0, 0.5, x.shape).astype(np.float32)))
    assert verdict.word == "noise"
    assert verdict.omitted.shift == "less"


def test_what_the_encoder_takes_back_is_neither_though_it_tells_all_of_x(setting: Setting) -> None:
    turn = np.kron(np.eye(WIDTH // 2), [[0, 1], [-1, 0]]).astype(np.float32)
    verdict = _world(setting, lambda x, rng: (x - x @ turn, x @ turn))
    assert verdict.word == "neither"
    assert "decoder reads no x from it" in verdict.sentence
    assert verdict.linear_decodability.low > 0.99


def test_one_vector_for_all_samples_is_neither(setting: Setting) -> None:
    verdict = _world(setting, lambda x, rng: (x - np.float32(0.5), np.full_like(x, 0.5)))
    assert verdict.word == "neither"
    assert "does the very same" in verdict.sentence


def test_offsets_judged_together_are_corrected_together(setting: Setting) -> None:
    reads = _made(setting, **READS, seeds=6)
    alone = _judge([reads])[0]
    assert (alone.word, alone.permuted.p_more) == ("second encoder", 2**-6)
    vague = _made(setting, **{**READS, "permuted": 0.08}, scatter=0.05, seeds=6)
    alone, among = _judge([vague])[0], _judge([vague, *[reads] * 3])[0]
    assert among.permuted.p_more == max(alone.permuted.p_more, 2**-6)
    few = _judge([_made(setting, **READS, seeds=4)])[0]
    assert "too few seeds" in few.sentence
    assert "about 5 seeds would settle it" in few.sentence


def test_a_cost_whose_size_one_seed_makes_is_open(setting: Setting) -> None:
    """All ten seeds beyond the margin, but an interval across it."""
    made = _made(setting, scatter=0, **{**READS, "permuted": 0.06})
    made.permuted[0] = 5 * made.own[0]
    (verdict,) = _judge([made])
    assert verdict.permuted.p_more == 2**-10
    assert (verdict.word, verdict.permuted.shift) == ("inconclusive", "inconclusive")


def test_a_score_is_judged_by_the_error_behind_it(setting: Setting) -> None:
    made = _made(setting, **READS)
    scores = {
        name: -10 * np.log10(getattr(made, name))
        for name in ("own", "permuted", "gaussian", "omitted")
    }
    psnr = OffsetEffects(
        setting=setting,
        metric="psnr",
        linear_decodability=made.linear_decodability,
        donor_shift=made.donor_shift,
        **scores,
    )
    (of_error,), (of_score,) = _judge([made]), _judge([psnr])
    assert of_score.word == of_error.word == "second encoder"
    assert of_score.permuted.change.mean == pytest.approx(of_error.permuted.change.mean)


def test_noise_is_seldom_said_of_what_is_not(setting: Setting) -> None:
    """An offset that costs just the margin when permuted must not be called noise."""
    rng = np.random.default_rng(0)
    false = 0
    for _ in range(200):
        own = np.ones(8)
        permuted, gaussian = 1 + rng.normal([[0.05], [0.0]], 0.02, size=(2, 8))
        made = OffsetEffects(
            setting, "mse", own, permuted, gaussian, 0.5 * own, _told(0.0), np.zeros(8)
        )
        false += _judge([made])[0].word == "noise"
    assert false <= 20  # 200 at 5 %, and three standard deviations


def test_seeds_are_needed_where_it_is_inconclusive_alone(setting: Setting) -> None:
    """One vector for all samples: what its exchange does is open, what it is is not."""
    made = _made(setting, permuted=0.05)
    assert _judge([made])[0].seeds_needed is not None
    same = dataclasses.replace(made, permuted=made.own.copy())
    (settled,) = _judge([same])
    assert (settled.word, settled.seeds_needed) == ("neither", None)
    assert "would settle" not in settled.sentence


@pytest.mark.parametrize("seeds", [0, 1])
def test_nothing_is_said_without_seeds(seeds: int, setting: Setting) -> None:
    (verdict,) = _judge([_made(setting, seeds=seeds)])
    assert verdict.word == "inconclusive"
    assert verdict.seeds_needed is None
    assert "nan" not in verdict.sentence


def test_a_value_that_is_not_finite_settles_nothing(setting: Setting) -> None:
    made = _made(setting)
    made.permuted[3] = np.nan
    (verdict,) = _judge([made])
    assert verdict.word == "inconclusive"
    assert "nan" not in verdict.sentence


FACTORS = {OWN: 1.0, OMITTED: 0.7, PERMUTED: 1.5, GAUSSIAN: 1.3}


def test_what_was_measured_of_a_setting_comes_together_by_seed(
    make_params: Callable[..., Params],
) -> None:
    """Runs out of order and a diverged one; settings without an offset have no effects."""
    params = make_params(seeds=4)
    runs = [run for run in params.runs if run.label != "frozen rms=0.1 seed=2"][::-1]
    measured: list[tuple[Run, dict[Intervention, dict[str, float]]]] = []
    shifts: list[tuple[Run, float | None]] = []
    probes: list[tuple[Run, dict[str, Probe]]] = []
    for run in runs:
        offset = run.setting.model == "frozen"
        kinds = FACTORS if offset else {OWN: 1.0}
        values = {
            kind: {"mse": share * (run.seed + 1), "mae": 9.0} for kind, share in kinds.items()
        }
        measured.append((run, values))
        shifts.append((run, run.seed / 10 if offset else None))
        probes.append((run, {"offset": Probe(0.25, 0.01, None, None)} if offset else {}))
    found = offset_effects(
        shifts,
        summarise_interventions(measured, confidence=0.95),
        summarise_probes(probes, confidence=0.95),
        metric="mse",
    )
    labels = {item.setting.label: item for item in found}
    assert set(labels) == {"frozen rms=0.1", "frozen rms=0.2"}
    item = labels["frozen rms=0.1"]
    np.testing.assert_allclose(item.own, [1, 2, 4])
    np.testing.assert_allclose(item.donor_shift, [0, 0.1, 0.3])
    for exchanged, factor in ((item.permuted, 1.5), (item.gaussian, 1.3), (item.omitted, 0.7)):
        np.testing.assert_allclose(exchanged, factor * item.own)
    assert item.linear_decodability.mean == 0.25
    assert item.linear_decodability.low < 0.25
    effect, _ = exchange_effects(found, "omitted", Evaluate())
    np.testing.assert_allclose(effect.change.mean, -0.3)
