"""Snippets and commands of the README and of the pages, each tried as far as a test can.

YAML is read by the project's own reader. Python is executed in a small finished project, and so are
the commands of ``offset-autoencoder``. What trains for long, serves or talks to other machines goes
through the parser of its program: ``tests/end_to_end``, ``tests/tracking`` and ``tests/training``
run it.
"""

from __future__ import annotations

import contextlib
import csv
import importlib.util
import io
import re
import shlex
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from typer.testing import CliRunner

from offset_autoencoder import load_params
from offset_autoencoder.cli.app import app

ROOT = Path(__file__).parents[2]
PAGES = [
    *(ROOT / "README.md", ROOT / "CONTRIBUTING.md"),
    *sorted(ROOT.glob("docs/*.md")),
    *sorted(ROOT.glob("docs/guides/*.md")),
    *sorted(ROOT.glob("docs/reference/*.md")),
]
# Whose Python follows on from block to block: tests/api/test_python_page.py.
STORIES = ("README.md", "python.md", "tutorial.md")
RUN = "3fa9"  # stands for the first digits of an id
pytestmark = pytest.mark.slow

PARAMS: dict[str, Any] = {
    "seeds": [3],
    "data": {},
    "split": {},
    "offsets": {"none": {"kind": "zero"}, "frozen": {"kind": "hash"}, "pca": {"kind": "pca"}},
    "network": {"latent_dim": 16, "hidden": [8]},
    "train": {"epochs": 1, "batch_size": 128},
    "models": {"pca": {"offset": "pca", "rms": 0.1}, "frozen": {"offset": "frozen", "rms": 0.1}},
    "evaluate": {"baselines": ["frozen"], "draws": 1},
    "tracking": {},
}


def blocks(*languages: str) -> list[Any]:
    """Every fenced block in one of these languages, its page and place as its name."""
    found = []
    for page in PAGES:
        if page.name in STORIES and languages == ("python",):
            continue
        text = page.read_text(encoding="utf-8")
        for match in re.finditer(rf"^```({'|'.join(languages)})\n(.*?)^```", text, re.M | re.S):
            line = text[: match.start()].count("\n") + 1
            found.append(pytest.param(match[2], id=f"{page.relative_to(ROOT)}:{line}"))
    return found


def commands() -> list[str]:
    """Every command line of a block, and every command named in a sentence or table."""
    lines: list[str] = []
    for parameter in blocks("sh", "bash"):
        for line in str(parameter.values[0]).splitlines():
            lines += [part.strip() for part in line.partition("  #")[0].split("&&")]
    for page in PAGES:
        text = page.read_text(encoding="utf-8")
        programs = "offset-autoencoder|dvc|make|python -m|sphinx-build|mlflow"
        lines += re.findall(rf"(?<!`)`((?:{programs}) [a-z][^`\n]*)`(?!`)", text)
    return sorted({line for line in lines if line})


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A finished project of two runs on the digits, with new samples to apply them to."""
    from offset_autoencoder.stages import evaluate, offsets, prepare, publish, train

    root = tmp_path_factory.mktemp("project")
    with pytest.MonkeyPatch.context() as patch, contextlib.redirect_stdout(io.StringIO()):
        patch.chdir(root)
        for name in ("DVC_ROOT", "MLFLOW_TRACKING_URI", "OFFSET_AUTOENCODER_RUNS"):
            patch.delenv(name, raising=False)
        patch.setattr("webbrowser.open", lambda page: True)
        (root / "params.yaml").write_text(yaml.safe_dump(PARAMS, sort_keys=False))
        prepare.main()
        for name in PARAMS["offsets"]:
            offsets.main([name])
        train.main()
        evaluate.main()
        publish.main()
        x = np.random.default_rng(0).uniform(0, 16, (5, 64))
        np.save("new.npy", x)
        np.savez("new.npz", x=x)
        np.savetxt("new.csv", x, delimiter=",", header=",".join(f"p{i}" for i in range(64)))
        yield root


def run_id(project: Path) -> str:
    with (project / "models" / "index.csv").open(newline="") as index:
        return next(row["id"] for row in csv.DictReader(index) if row["model"] == "frozen")[:12]


@pytest.mark.parametrize("text", blocks("yaml"))
def test_yaml_is_read(text: str, tmp_path: Path) -> None:
    document = yaml.safe_load((ROOT / "params.yaml").read_text())
    for parameter in blocks("yaml"):  # models of one page name offsets of another
        document["offsets"] |= (yaml.safe_load(parameter.values[0]) or {}).get("offsets", {})
    for section, keys in yaml.safe_load(text).items():
        old = document.get(section)
        document[section] = {**old, **keys} if isinstance(old, dict) else keys
    path = tmp_path / "params.yaml"
    path.write_text(yaml.safe_dump(document, sort_keys=False))
    assert load_params(path).settings


@pytest.mark.parametrize("text", blocks("python"))
def test_python_is_executed(text: str, project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    x = np.random.default_rng(0).random((40, 64), dtype="float32")
    names: dict[str, Any] = {"x": x, "offsets": x[:, :16]}
    monkeypatch.chdir(project)
    exec(compile(text.replace(RUN, run_id(project)), "page", "exec"), names)
    if "harmonics" in names:
        assert names["harmonics"](x, 3, np.random.default_rng(0)).shape == (40, 3)


@pytest.mark.parametrize("command", commands())
def test_commands_are_understood(
    command: str, project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    command = re.sub(r"^([A-Z_]+=\S+ )+|^\.?venv/bin/", "", command.removeprefix(".venv/bin/"))
    program, *arguments = shlex.split(command)
    monkeypatch.chdir(project)
    match program:
        case "offset-autoencoder" if arguments[0] == "ui":
            assert "mlflow ui" in CliRunner().invoke(app, ["ui", "--help"]).output
        case "offset-autoencoder" if "[" not in command:
            own = [argument.replace(RUN, run_id(project)) for argument in arguments]
            if "--open" in own:  # which needs a running UI: tests/cli/test_show.py
                own.remove("--open")
            needs_input = own[0] in ("reconstruct", "errors", "encode", "offsets")
            if len(own) == 1 and needs_input:
                own.append("--help")
            for output in own[3:4] if needs_input else []:
                Path(output).unlink(missing_ok=True)
            result = CliRunner().invoke(app, own)
            assert result.exit_code == 0, result.output
        case "dvc":
            from dvc.cli import parse_args

            parse_args(arguments)
        case "make":
            done = subprocess.run(["make", "-n", *arguments], cwd=ROOT, capture_output=True)
            assert done.returncode == 0, done.stderr
        case "python":
            assert arguments[0] == "-m"
            monkeypatch.syspath_prepend(ROOT)
            assert importlib.util.find_spec(arguments[1])
        case "mlflow":
            from mlflow.cli import cli

            group: Any = cli
            while arguments and not arguments[0].startswith("-"):
                group = getattr(group, "commands", {}).get(arguments.pop(0))
            assert group is not None
            group.make_context("serve", arguments)
        case "git" | "pip" | "export" | "." | "cd":
            pass  # not the project's, and taught elsewhere
        case _:
            pytest.fail(f"no test knows {program}")
