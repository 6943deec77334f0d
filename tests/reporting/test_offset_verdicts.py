from __future__ import annotations

import csv
import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from offset_autoencoder.evaluation.offset_verdict import OffsetVerdict
from offset_autoencoder.io.tables import write_csv
from offset_autoencoder.reporting.offset_verdicts import print_verdicts, verdict_rows

MakeReport = Callable[..., Any]  # conftest's, which tests cannot import
MakeVerdicts = Callable[..., list[OffsetVerdict]]


def _printed(
    verdicts: list[OffsetVerdict], width: int = 80, responses: Any = (), **console: Any
) -> str:
    stream = io.StringIO()
    where = Console(file=stream, width=width, **console)
    print_verdicts(where, verdicts, responses, confidence=0.95)
    return stream.getvalue()


def test_every_offset_has_one_line_in_80_columns(report: Any, make_verdicts: MakeVerdicts) -> None:
    verdicts = make_verdicts(report.params)
    lines = _printed(verdicts).splitlines()
    assert max(map(len, lines)) <= 80
    rows = {tuple(line.split()[:2]): line for line in lines}
    for item in verdicts:
        row = rows[tuple(item.setting.label.split())]
        assert row.rstrip().endswith(item.word)
    noise, reads = rows["frozen", "rms=0.1"].split(), rows["pca", "rms=0.1"].split()
    change = verdicts[1].permuted.change
    assert noise[2:5] == [f"{100 * change.mean:+z.1f}", "±", f"{100 * change.half:.1f}"]
    assert reads[-5:] == ["+270", "40", "40", "second", "encoder"]
    fixed = rows["class_code", "rms=0.1"].split()
    assert fixed[2:5] == ["+190.3", "±", "0.4"]  # a half interval below 0.5 is not 0


def test_a_wide_console_says_what_the_encoder_does(
    report: Any, findings: Any, make_verdicts: MakeVerdicts
) -> None:
    verdicts = make_verdicts(report.params)
    lines = _printed(verdicts, 100, findings.encoder_adaptations).splitlines()
    rows = {" ".join(line.split()[:2]): line.rstrip() for line in lines}
    answers = {item.setting.label: item.word for item in findings.encoder_adaptations}
    assert answers["pca rms=0.2"] == "reinforces"
    for item in verdicts:
        assert rows[item.setting.label].endswith(f"  {item.word}")
        assert answers[item.setting.label] in rows[item.setting.label]
    assert "encoder: its code" in " ".join(lines)
    assert "encoder: its code" not in _printed(verdicts, 80, findings.encoder_adaptations)


def test_the_note_states_the_rule_with_its_margin(report: Any, make_verdicts: MakeVerdicts) -> None:
    text = " ".join(_printed(make_verdicts(report.params)).split())
    assert "another's costs more than 5 %, leaving it out too" in text
    assert "half the 95% interval" in text
    assert _printed([]) == ""


@pytest.mark.parametrize("seeds", [1, 3])
def test_few_seeds_leave_it_inconclusive_without_nan(
    seeds: int, make_report: MakeReport, make_verdicts: MakeVerdicts
) -> None:
    text = _printed(make_verdicts(make_report(seeds=seeds).params))
    assert "nan" not in text
    assert text.count("inconclusive") == 9


def test_a_terminal_gets_colour(report: Any, make_verdicts: MakeVerdicts) -> None:
    text = _printed(make_verdicts(report.params), force_terminal=True, color_system="standard")
    assert "\x1b[32msecond encoder" in text


def test_the_file_holds_the_figures_of_the_sentence(
    report: Any, make_verdicts: MakeVerdicts, tmp_path: Path
) -> None:
    verdicts = make_verdicts(report.params)
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
    assert list(row)[:4] == ["model", "setting", "stddev", "rms"]
