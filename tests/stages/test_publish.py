from __future__ import annotations

from pathlib import Path

import pytest

from offset_autoencoder.errors import InputError, run_command
from offset_autoencoder.stages import publish

PARAMS = Path(__file__).parents[2] / "params.yaml"


def test_without_runs_it_names_the_missing_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "params.yaml").write_text(PARAMS.read_text())
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SystemExit) as ended:
        run_command(publish.main)
    assert ended.value.code == 1
    assert capsys.readouterr().err.startswith("error: reports/runs.csv: no such file")
    assert [path.name for path in tmp_path.iterdir()] == ["params.yaml"]


def test_bad_params_are_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "params.yaml").write_text("sedes: 10\n")
    monkeypatch.chdir(tmp_path)
    with pytest.raises(InputError, match="did you mean 'seeds'"):
        publish.main()
