from __future__ import annotations

import io
from collections.abc import Callable
from typing import Any

import pytest
from rich.console import Console

from offset_autoencoder.evaluation.intervention_summary import find
from offset_autoencoder.evaluation.interventions import PERMUTED
from offset_autoencoder.reporting.intervention_table import print_interventions
from offset_autoencoder.reporting.probe_table import print_probes, print_responses

Findings = Any  # conftest's, which tests cannot import
MakeFindings = Callable[..., Findings]
MakeReport = Callable[..., Any]


def _printed(findings: Findings, metric: str = "mse", stream: Any = None) -> str:
    stream = stream or io.StringIO()
    console = Console(file=stream, width=80)
    print_interventions(console, findings.interventions, metric=metric, confidence=0.95)
    print_probes(console, findings.probes, confidence=0.95)
    print_responses(console, findings.responses, findings.gaps, confidence=0.95)
    return stream.getvalue() if isinstance(stream, io.StringIO) else ""


def _rows(text: str, *words: str) -> list[str]:
    return [line for line in text.splitlines() if line.split()[: len(words)] == list(words)]


def test_four_tables_in_80_columns_without_colour(findings: Findings) -> None:
    text = _printed(findings)
    assert "\x1b" not in text
    assert "nan" not in text
    assert "…" not in text
    assert max(map(len, text.splitlines())) <= 80
    assert len(_rows(text, "pca", "rms=0.1")) == 4
    assert len(_rows(text, "none", "-")) == 3  # no offset: nothing to exchange
    assert "half the 95% interval" in " ".join(text.split())


def test_changes_are_in_percent_with_their_half_interval(findings: Findings) -> None:
    setting = next(s for s in findings.params.settings if s.label == "pca rms=0.2")
    item = find(findings.interventions, setting, PERMUTED, "mse")
    assert item is not None
    change = 100 * item.relative.mean
    assert (
        f"{change:+.0f} ± {100 * item.relative.half:.0f}"
        in _rows(_printed(findings), "pca", "rms=0.2")[0]
    )


def test_probes_and_answer(findings: Findings) -> None:
    explained, right, answer = _rows(_printed(findings), "pca", "rms=0.2")[1:]
    assert "50.0 ± 2.0" in explained
    assert "50.0 ± 3.9" in right
    assert answer.split()[-1] == "reinforces"
    assert "11.1 ± 0.0" in answer
    assert _rows(_printed(findings), "frozen", "rms=0.1")[3].split()[-1] == "ignores"


def test_one_seed_prints_means_alone(make_report: MakeReport, make_findings: MakeFindings) -> None:
    text = _printed(make_findings(make_report(seeds=1).params, labels=False))
    assert "nan" not in text
    assert "labels" not in text
    assert _rows(text, "pca", "rms=0.2")[-1].split()[-1] == "unknown"


def test_nothing_found_prints_nothing(findings: Findings) -> None:
    stream = io.StringIO()
    console = Console(file=stream, width=80)
    print_interventions(console, findings.interventions, metric="mae", confidence=0.95)
    print_probes(console, [], confidence=0.95)
    print_responses(console, [], [], confidence=0.95)
    assert stream.getvalue() == ""


def test_a_stream_that_is_not_unicode_gets_ascii(findings: Findings) -> None:
    raw = io.BytesIO()
    stream = io.TextIOWrapper(raw, encoding="ascii")
    _printed(findings, stream=stream)
    stream.flush()
    assert b"+/-" in raw.getvalue()


@pytest.mark.parametrize("metric", ["psnr", "explained_variance"])
def test_other_metrics_are_taken_back_to_the_error(
    metric: str, findings: Findings, make_findings: MakeFindings
) -> None:
    text = _printed(make_findings(findings.params, metric), metric)
    assert f"change of the error ({metric.replace('_', ' ')})" in text
    assert "nan" not in text
