from __future__ import annotations

import io
from dataclasses import replace
from typing import Any

import pytest
from rich.console import Console
from tests.reporting.conftest import NOTHING, make_report, make_results, make_whole

from offset_autoencoder.evaluation.results import ExperimentResults
from offset_autoencoder.evaluation.statistics import Estimate
from offset_autoencoder.evaluation.summary import SettingSummary
from offset_autoencoder.reporting.terminal_report import print_report, print_verdicts


def _printed(whole: Any, width: int = 80, **console: Any) -> str:
    stream = io.StringIO()
    print_report(Console(file=stream, width=width, **console), whole)
    return stream.getvalue()


def _verdicts(whole: Any, width: int = 80, **console: Any) -> str:
    stream = io.StringIO()
    print_verdicts(Console(file=stream, width=width, **console), whole)
    return stream.getvalue()


def _rows(text: str, *words: str) -> list[str]:
    return [line for line in text.splitlines() if line.split()[: len(words)] == list(words)]


def _part(text: str, start: str, end: str) -> str:
    return text[text.index(start) : text.index(end)]


def test_every_setting_has_one_line_a_table_in_80_columns(whole: ExperimentResults) -> None:
    text = _printed(whole)
    assert "\x1b" not in text
    assert "…" not in text
    assert "−" not in text
    assert max(map(len, text.splitlines())) <= 80
    for summary in whole.summaries:
        line = _rows(text, *summary.setting.label.split())[0]
        assert f"{1e3 * summary.estimate.mean:.2f} ± {1e3 * summary.estimate.half:.2f}" in line
    assert text.startswith("mean squared error on the test split, in 1e-3, and against `none`\n")
    tables = {"none": 1, "gaussian stddev=0.1": 1, "pca rms=0.1": 4}
    assert {label: len(_rows(text, *label.split())) for label in tables} == tables


def test_it_is_short_and_ends_with_the_verdicts_and_where_the_rest_is(
    whole: ExperimentResults,
) -> None:
    for width in (80, 100):
        lines = _printed(whole, width).splitlines()
        assert len(lines) <= 13 + 9 + 9 + 9 + 44  # the rows of four tables, and all around them
        last = max(index for index, line in enumerate(lines) if line.startswith("class_code"))
        assert lines[last].split()[-2:] == ["second", "encoder"]
        for file in ("comparison.csv", "verdicts.csv", "probes.csv", "plots/"):
            assert file in " ".join(lines[last + 1 :])


def test_a_line_says_difference_p_wins_and_verdict(whole: ExperimentResults) -> None:
    item = next(
        item
        for item in whole.comparisons
        if (item.setting.label, item.baseline.model) == ("pca rms=0.1", "none")
    )
    assert _rows(_printed(whole), "pca", "rms=0.1")[0].split()[-6:] == [
        f"{1e3 * item.difference.mean:+.2f}",
        "±",
        f"{1e3 * item.difference.half:.2f}",
        f"≤{item.p_corrected:.2g}",  # 2 / 2**10, the least of ten seeds
        "10/10",
        "better",
    ]


def test_against_noise_like_is_compared_with_like(whole: ExperimentResults) -> None:
    """As deployed the noise is off and the offset on: beside it both on, and both off."""
    text = _printed(whole, 100)
    text = _part(text, "against `gaussian` at the same noise level", "verdict on")
    heading = " ".join(text.splitlines()[1].split())
    assert heading == "setting deployed ± as trained ± clean ±"
    found = {
        item.metric: item
        for item in whole.comparisons
        if (item.setting.label, item.baseline.model) == ("class_code rms=0.2", "gaussian")
    }
    expected = ["class_code", "rms=0.2"]
    for metric in ("mse", "mse_as_trained", "mse_clean"):
        change = found[metric].equivalence.change
        expected += [f"{100 * change.mean:+z.1f}", "±", f"{100 * change.half:.1f}"]
        expected += found[metric].outcome.split()
    assert [found[metric].outcome for metric in ("mse", "mse_clean")] == ["better", "equivalent"]
    assert _rows(text, "class_code", "rms=0.2")[0].split() == expected


def test_a_narrow_console_has_every_condition_and_its_verdict(whole: ExperimentResults) -> None:
    text = _part(_printed(whole), "against `gaussian` at the same noise level", "verdict on")
    words = _rows(text, "class_code", "rms=0.2")[0].split()
    assert (len(words), words[3], words[7]) == (8, "better", "equiv.")


def test_a_baseline_without_noise_has_a_table_of_differences() -> None:
    made = make_report(evaluate={"baselines": ["none", "frozen"]})
    text = _part(
        _printed(make_whole(made)), "against `frozen` at the same noise level", "verdict on"
    )
    assert "difference ±" in text
    assert _rows(text, "pca", "rms=0.1")[0].split()[-1] == "better"
    assert len(_rows(text, "gaussian")) == 3


def test_equivalent_is_a_word_of_its_own_or_an_addition_and_the_legend_explains(
    whole: ExperimentResults,
) -> None:
    text = _printed(whole)
    assert _rows(text, "frozen", "rms=0.05")[0].split()[-1] == "equivalent"
    assert _rows(text, "class_code", "rms=0.05")[0].split()[-4:] == ["better", "<", "5", "%"]
    legend = " ".join(text.split())
    for said in (
        "shown to change by less than 5 %",
        "half the 95% interval over training seeds, on one split.",
        "corrected for all comparisons with a baseline together (`none` 12, `gaussian` 9)",
        "Inconclusive does not mean equal",
        "diverged: `pca rms=0.2`, 1 of 10 runs",
        "another's and the mean vector cost more than 5 % on unseen samples",
        "noise off and offset on; on: as trained, both on",
    ):
        assert said in legend
    assert _verdicts(replace(whole, verdicts=[])) == ""


def test_who_is_not_compared_is_said_but_of_the_baselines() -> None:
    models = {
        "none": {"offset": "none"},
        "gaussian": {"offset": "none", "stddev": [0.1, 0.2]},
        "pca": {"offset": "pca", "rms": [0.1, 0.3]},
        "wide": {"system": "ensemble"},
    }
    text = _printed(make_results(models=models))
    assert "no noise level to match `gaussian` by: `wide`\n" in text
    assert "no `gaussian` setting that matches: `pca rms=0.3`\n" in text
    assert "no none" not in text


@pytest.mark.parametrize(("count", "said"), [(0, None), (1, "1 of 130"), (24, "24 of 130")])
def test_runs_that_would_have_gone_on_are_counted(
    count: int, said: str | None, whole: ExperimentResults
) -> None:
    text = _printed(replace(whole, unconverged=count))
    assert ("raise train.epochs" in text) == (said is not None)
    assert said is None or f"{said} runs were still improving at the last epoch" in text


def test_bounds_of_a_variational_autoencoder_are_one_line(whole: ExperimentResults) -> None:
    setting = whole.settings[0]
    values = {"elbo": (-24.79, 0.07), "nll": (21.98, 0.13), "kl": (2.81, 0.06)}
    bounds = [
        SettingSummary(setting, name, Estimate(mean, 1.0, mean - half, mean + half, 10), 0)
        for name, (mean, half) in values.items()
    ]
    line = "none: elbo -24.79 ± 0.07, nll 21.98 ± 0.13, kl 2.81 ± 0.06 nats per sample"
    assert line in _printed(replace(whole, bounds=bounds)).splitlines()


@pytest.mark.parametrize("seeds", [1, 3])
def test_few_seeds_print_no_nan_and_no_verdict(seeds: int) -> None:
    results = make_results(seeds=seeds)
    text = _printed(results)
    assert "nan" not in text
    assert "too few seeds" in text
    assert _verdicts(results).count("inconclusive") == 9
    assert "better " not in text.split("As deployed")[0]
    assert max(map(len, text.splitlines())) <= 80


@pytest.mark.parametrize(("scale", "shown"), [(1e-9, "in 1e-12"), (1e3, "± "), (1e9, "in 1e6")])
def test_values_of_any_size_stay_readable(scale: float, shown: str) -> None:
    text = _printed(make_results(scale=scale))
    assert shown in text
    assert max(map(len, text.splitlines())) <= 80
    mean = _rows(text, "none")[0].split()[1]
    assert 0.1 <= float(mean) < 1e5


def test_an_experiment_without_baselines_prints_its_means() -> None:
    models = {"alone": {"offset": "none", "stddev": [0.1, 0.2]}}
    text = _printed(make_results(models=models))
    assert "difference" not in text
    assert _rows(text, "alone", "stddev=0.1")


def test_a_stream_that_is_not_unicode_gets_ascii(whole: ExperimentResults) -> None:
    raw = io.BytesIO()
    stream = io.TextIOWrapper(raw, encoding="ascii")
    print_report(Console(file=stream, width=80), whole)
    stream.flush()
    assert b"+/-" in raw.getvalue()


def test_a_setting_whose_runs_all_diverged_has_that_for_a_verdict(whole: ExperimentResults) -> None:
    lost = next(s for s in whole.summaries if s.setting.label == "pca rms=0.2")
    nan = float("nan")
    nothing = Estimate(nan, nan, nan, nan, 0)
    gone = [
        replace(item, difference=nothing, outcome="diverged")
        if item.setting == lost.setting
        else item
        for item in whole.comparisons
    ]
    summaries = [
        replace(lost, estimate=nothing, diverged=10) if item is lost else item
        for item in whole.summaries
    ]
    text = _printed(replace(whole, comparisons=gone, summaries=summaries))
    assert _rows(text, "pca", "rms=0.2")[0].split() == ["pca", "rms=0.2", "-", "diverged"]
    assert "0/0" not in text


def test_where_every_run_diverged_that_is_all_that_is_said() -> None:
    made = make_report(seeds=2, diverged=True)
    text = _printed(make_whole(made, curves=[], samples="none", **NOTHING))
    assert "diverged: `none`, 2 of 2 runs" in text
    assert _rows(text, "none")[0].split() == ["none", "-", "diverged"]
    assert "nan" not in text
    assert "to match" not in text
    assert "that matches" not in text


def test_every_offset_has_one_line_in_80_columns(whole: ExperimentResults) -> None:
    verdicts = whole.verdicts
    lines = _verdicts(whole).splitlines()
    assert max(map(len, lines)) <= 80
    rows = {tuple(line.split()[:2]): line for line in lines}
    for item in verdicts:
        row = rows[tuple(item.setting.label.split())]
        assert row.rstrip().endswith(item.word)
    noise, reads = rows["frozen", "rms=0.1"].split(), rows["pca", "rms=0.1"].split()
    shown = (verdicts[1].effects[name].change.mean for name in ("permuted", "permuted_train"))
    assert noise[2:5:2] == [f"{100 * change:+z.1f}" for change in shown]
    assert [reads[3], *reads[-3:]] == ["+250", "40", "second", "encoder"]
    costs = next(line for line in lines if line.startswith("class_code rms=0.1"))
    assert costs.count("±") == 4


def test_a_wide_console_says_what_the_encoder_does(whole: ExperimentResults) -> None:
    verdicts = whole.verdicts
    lines = _verdicts(whole, 200).splitlines()
    rows = {" ".join(line.split()[:2]): line.rstrip() for line in lines}
    answers = {item.setting.label: item.word for item in whole.encoder_adaptations}
    assert answers["pca rms=0.2"] == "reinforces"
    for item in verdicts:
        assert rows[item.setting.label].endswith(f"  {item.word}")
        assert answers[item.setting.label] in rows[item.setting.label]
    assert "encoder: its code" in " ".join(lines)
    assert "encoder: its code" not in _verdicts(whole)


def test_a_terminal_gets_colour(whole: ExperimentResults) -> None:
    text = _printed(whole, force_terminal=True, color_system="standard")
    assert "\x1b[32mbetter" in text
    assert "\x1b[32msecond encoder" in text
