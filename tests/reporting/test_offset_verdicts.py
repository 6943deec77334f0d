from __future__ import annotations

import csv
import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from rich.console import Console

from offset_autoencoder.evaluation.offset_effects import OffsetEffects
from offset_autoencoder.evaluation.offset_verdict import OffsetVerdict, judge_offsets
from offset_autoencoder.evaluation.statistics import Estimate
from offset_autoencoder.reporting.offset_verdicts import print_verdicts, verdict_rows
from offset_autoencoder.reporting.tables import write_csv

MakeReport = Callable[..., Any]  # conftest's, which tests cannot import
CHANGES = {"frozen": (0.0, 0.0, -0.3), "pca": (6.8, 6.1, 2.7), "class_code": (1.9, 4.5, 0.9)}


def _verdicts(report: Any) -> list[OffsetVerdict]:
    measured = []
    for index, setting in enumerate(report.params.settings):
        if setting.spec.rms is not None:
            rng = np.random.default_rng(index)
            own = rng.normal(0.02, 1e-3, size=len(report.params.seeds))
            permuted, gaussian, none = (
                own * (1 + change + rng.normal(0, 0.01, size=len(own)))
                for change in CHANGES[setting.model]
            )
            share = 0.0 if setting.model == "frozen" else 0.4
            told = Estimate(share, 0.0, share - 0.005, share + 0.005, len(own))
            pulls = rng.normal(share, 1e-3, size=len(own))
            measured.append(
                OffsetEffects(setting, "mse", own, permuted, gaussian, none, told, pulls)
            )
    return judge_offsets(measured, margin=0.05, confidence=0.95, power=0.8)


def _printed(verdicts: list[OffsetVerdict], **console: Any) -> str:
    stream = io.StringIO()
    print_verdicts(Console(file=stream, width=80, **console), verdicts, confidence=0.95)
    return stream.getvalue()


def test_every_offset_has_one_line_in_80_columns(report: Any) -> None:
    verdicts = _verdicts(report)
    lines = _printed(verdicts).splitlines()
    assert max(map(len, lines)) <= 80
    rows = {tuple(line.split()[:2]): line for line in lines}
    for item in verdicts:
        row = rows[tuple(item.setting.label.split())]
        assert row.rstrip().endswith(item.word)
    noise, reads = rows["frozen", "rms=0.1"].split(), rows["pca", "rms=0.1"].split()
    change = verdicts[1].permuted.change
    assert noise[2:5] == [f"{100 * change.mean:+z.1f}", "±", f"{100 * change.half:.1f}"]
    assert reads[8:] == ["+270", "40", "40", "second", "encoder"]


def test_the_note_states_the_rule_with_its_margin(report: Any) -> None:
    text = " ".join(_printed(_verdicts(report)).split())
    assert "another's costs more than 5 %" in text
    assert "half the 95% interval" in text
    assert _printed([]) == ""


@pytest.mark.parametrize("seeds", [1, 3])
def test_few_seeds_leave_it_undecided_without_nan(seeds: int, make_report: MakeReport) -> None:
    text = _printed(_verdicts(make_report(seeds=seeds)))
    assert "nan" not in text
    assert text.count("undecided") == 9


def test_a_terminal_gets_colour(report: Any) -> None:
    text = _printed(_verdicts(report), force_terminal=True, color_system="standard")
    assert "\x1b[32msecond encoder" in text


def test_the_file_holds_the_figures_of_the_sentence(report: Any, tmp_path: Path) -> None:
    verdicts = _verdicts(report)
    write_csv(tmp_path / "verdicts.csv", *verdict_rows(verdicts, report.params.settings))
    with (tmp_path / "verdicts.csv").open(newline="") as stream:
        rows = list(csv.DictReader(stream))
    assert len(rows) == len(verdicts) == 9
    row = next(row for row in rows if (row["model"], row["rms"]) == ("class_code", "0.2"))
    assert (row["verdict"], row["permuted_shift"], row["seeds"]) == ("second encoder", "more", "10")
    assert float(row["permuted_low"]) < float(row["permuted"]) < float(row["permuted_high"])
    assert float(row["permuted_p_more"]) == 9 * 2**-10
    assert float(row["permuted_p_same"]) == 1
    assert f"another sample's {100 * float(row['permuted']):+.0f} %" in row["sentence"]
    assert row["seeds_needed"] == ""
    assert list(row)[:4] == ["model", "stddev", "rms", "verdict"]
