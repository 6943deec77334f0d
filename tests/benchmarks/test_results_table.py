"""The figures of the documents are those of the rows that are kept beside them."""

from pathlib import Path

import pytest
from benchmarks.results_table import BEGIN, END, SOURCES, main, results_table, with_table

ROOT = Path(__file__).parents[2]
KEPT = [("README.md", "docs/results")]


@pytest.mark.parametrize(("document", "folder"), KEPT)
def test_the_table_of_a_document_is_that_of_its_rows(document: str, folder: str) -> None:
    text = (ROOT / document).read_text(encoding="utf-8")
    assert with_table(text, results_table(ROOT / folder)) == text


def test_every_figure_of_a_line_comes_from_its_row(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "plots").mkdir()
    settings, comparison, verdicts = (tmp_path / source for source in SOURCES)
    settings.write_text("setting,mean,low,high\nnone,0.008,0.007,0.009\nmine,0.006,0.005,0.007\n")
    comparison.write_text(
        "setting,baseline,metric,change,change_low,change_high,verdict\n"
        "mine,none,mse,-0.25,-0.3,-0.2,better than none by much\n"
        "mine,none,psnr,9,9,9,worse than none\n"
        "mine,gaussian,mse_as_trained,0.5,0.4,0.6,worse than gaussian\n"
        "mine,gaussian,mse,8,8,8,better than gaussian\n"
    )
    verdicts.write_text("setting,verdict\nmine,memorised\n")
    document = tmp_path / "document.md"
    document.write_text(f"before\n{BEGIN}\nold\n{END}\nafter\n")
    monkeypatch.setattr("sys.argv", ["", str(tmp_path), str(document), str(tmp_path / "kept")])
    main()
    text = document.read_text()
    assert text == with_table(f"before\n{BEGIN}\n{END}\nafter\n", results_table(tmp_path / "kept"))
    line = "`mine` | 6.00 ± 1.00 | -25.0 % [-30.0, -20.0] better | +50.0 % [+40.0, +60.0] worse"
    assert f"| {line} | memorised |" in text
    assert "| `none` | 8.00 ± 1.00 |  |  |  |" in text
    assert "- Against nothing added: **better**: `mine`." in text
    assert "psnr" not in (tmp_path / "kept" / "comparison.csv").read_text()


def test_a_document_without_markers_is_refused() -> None:
    with pytest.raises(ValueError, match="no markers"):
        with_table("text", "table")
