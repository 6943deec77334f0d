"""dvc.yaml names every module that a stage can import; and who may import whom."""

from __future__ import annotations

import ast
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).parent.parent.parent
PACKAGE = "offset_autoencoder"
STAGES = yaml.safe_load((ROOT / "dvc.yaml").read_text())["stages"]

# `publish` runs every time: it needs no dependency on code.
CHECKED = sorted(set(STAGES) - {"publish"})
# For users' own functions, which params.yaml names.
USERS_OWN = "src/custom"

LAYERS = (
    ("errors", "paths", "user_code"),
    ("io",),
    ("config",),
    ("models",),
    ("data",),
    ("runs",),
    ("training",),
    ("offsets",),
    ("evaluation",),
    ("serving",),
    ("reporting",),
    ("tracking",),
    ("stages",),
    ("cli",),
)


def code_deps(stage: str) -> list[str]:
    entry = STAGES[stage]
    deps = entry.get("do", entry)["deps"]
    return [dep for dep in deps if dep.startswith("src/")]


def covers(dep: str, file: str) -> bool:
    return file == dep or file.startswith(f"{dep}/")


def says_nothing(path: Path) -> bool:
    """Whether a module is at most a docstring."""
    return all(
        isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)
        for node in ast.parse(path.read_text()).body
    )


def code_of(stage: str, import_graph: Any) -> set[str]:
    """The files under src/ that a stage can import, as dvc.yaml writes them."""
    modules = import_graph.reached(f"{PACKAGE}.stages.{stage}") & import_graph.files.keys()
    files = [import_graph.files[module] for module in modules]
    return {file.relative_to(ROOT).as_posix() for file in files if not says_nothing(file)}


@pytest.mark.parametrize("stage", CHECKED)
def test_a_stage_depends_on_all_the_code_it_can_import(stage: str, import_graph: Any) -> None:
    deps = code_deps(stage)
    files = code_of(stage, import_graph)
    assert f"src/{PACKAGE}/stages/{stage}.py" in files
    assert [file for file in sorted(files) if not any(covers(dep, file) for dep in deps)] == []


@pytest.mark.parametrize("stage", CHECKED)
def test_a_stage_depends_on_no_other_code(stage: str, import_graph: Any) -> None:
    files = code_of(stage, import_graph)
    deps = [dep for dep in code_deps(stage) if dep != USERS_OWN]
    assert [dep for dep in deps if not any(covers(dep, file) for file in files)] == []
    assert len(set(deps)) == len(deps)
    assert all((ROOT / dep).exists() for dep in deps)


def test_no_stage_takes_anything_from_the_outermost_package(import_graph: Any) -> None:
    # That is what lets dvc.yaml leave it out: a new public name reruns nothing.
    for module in import_graph.files:
        for node in ast.walk(ast.parse(import_graph.files[module].read_text())):
            if isinstance(node, ast.ImportFrom) and node.module == PACKAGE:
                modules = {f"{PACKAGE}.{alias.name}" for alias in node.names}
                assert modules <= import_graph.files.keys(), module


PROBE = """
import ast, importlib, json, sys
PACKAGE = "offset_autoencoder"
stages = json.loads(sys.argv[1])
found = {stage: {} for stage in stages}

def start(stage):
    for name in [name for name in sys.modules if name.partition(".")[0] == PACKAGE]:
        del sys.modules[name]
    importlib.import_module(f"{PACKAGE}.stages.{stage}")

for stage in stages:
    start(stage)
    found[stage]["at_start"] = sorted(sys.modules)
for stage, modules in stages.items():
    start(stage)
    for name in modules:
        importlib.import_module(name)
    files = [m.__file__ for n, m in sys.modules.items() if n.partition(".")[0] == PACKAGE]
    found[stage]["files"] = files
print(json.dumps(found))
"""


@pytest.fixture(scope="module")
def imported(import_graph: Any) -> dict[str, dict[str, list[str]]]:
    """What a process has imported, stage by stage, at its start and when all code has run."""
    stages = ("prepare", "offsets", "train", "evaluate")  # TensorFlow comes in with the last
    wanted = {
        stage: sorted(import_graph.reached(f"{PACKAGE}.stages.{stage}") & import_graph.files.keys())
        for stage in stages
    }
    assert set(wanted) == set(CHECKED)
    done = subprocess.run(
        [sys.executable, "-c", PROBE, json.dumps(wanted)],
        capture_output=True,
        text=True,
        check=True,
    )
    return json.loads(done.stdout.splitlines()[-1])


@pytest.mark.parametrize("stage", CHECKED)
def test_what_is_read_from_the_statements_is_what_is_imported(
    stage: str, imported: dict[str, dict[str, list[str]]], import_graph: Any
) -> None:
    files = {
        Path(file).relative_to(ROOT).as_posix()
        for file in imported[stage]["files"]
        if not says_nothing(Path(file))
    }
    assert files - {f"src/{PACKAGE}/__init__.py"} == code_of(stage, import_graph)


def test_stages_start_light(imported: dict[str, dict[str, list[str]]]) -> None:
    heavy = {"tensorflow", "keras", "sklearn", "pandas", "scipy", "matplotlib", "pyarrow", "mlflow"}
    for stage in ("prepare", "offsets", "train"):
        assert not heavy & set(imported[stage]["at_start"]), stage
    assert not {"tensorflow", "keras", "mlflow"} & set(imported["evaluate"]["at_start"])


def of_ours(module: str) -> str:
    return module.removeprefix(f"{PACKAGE}.").partition(".")[0]


def layer(module: str) -> int:
    (number,) = [number for number, names in enumerate(LAYERS) if of_ours(module) in names]
    return number


def test_nothing_imports_upward(import_graph: Any) -> None:
    upward = [
        f"{module} imports {imported}"
        for module in sorted(import_graph.files)
        if module.startswith(f"{PACKAGE}.")
        for imported in sorted(import_graph.imports(module, types_too=True))
        if imported.startswith(f"{PACKAGE}.") and layer(imported) > layer(module)
    ]
    assert upward == []


def test_only_tracking_knows_mlflow(import_graph: Any) -> None:
    knowing = {
        of_ours(module)
        for module in import_graph.files
        if any(
            name.partition(".")[0] == "mlflow"
            for name in import_graph.imports(module, types_too=True)
        )
    }
    assert knowing <= {"tracking"}
    for stage in CHECKED:
        reached = import_graph.reached(f"{PACKAGE}.stages.{stage}")
        # A training only starts the process that follows it.
        follows = {f"{PACKAGE}.tracking", f"{PACKAGE}.tracking.following"}
        tracking = {name for name in reached if name.startswith(f"{PACKAGE}.tracking")}
        assert tracking == (follows if stage == "train" else set())


def test_publishing_needs_no_tensorflow(import_graph: Any) -> None:
    tracking = [name for name in import_graph.files if of_ours(name) == "tracking"]
    reached = import_graph.reached(*tracking, f"{PACKAGE}.stages.publish")
    assert not {name.partition(".")[0] for name in reached} & {"tensorflow", "keras"}
    assert f"{PACKAGE}.models.backend" not in reached
