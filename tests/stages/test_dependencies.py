"""dvc.yaml names every module that a stage can import; and who may import whom."""

from __future__ import annotations

import ast
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml
from tests.small_params import small_params

import offset_autoencoder
from offset_autoencoder.config.offset_kinds import OFFSETS as KINDS
from offset_autoencoder.config.registries import ENGINES
from offset_autoencoder.config.schema import EXECUTORS
from offset_autoencoder.config.systems import SYSTEMS
from offset_autoencoder.stages.offset_code import code_of_kind

ROOT = Path(__file__).parent.parent.parent
PACKAGE = "offset_autoencoder"
STAGES = yaml.safe_load((ROOT / "dvc.yaml").read_text())["stages"]

# `publish` runs every time: it needs no dependency on code. Of `offsets` each kind has its own.
OFFSETS_OF_KIND = [f"offsets of kind {kind}" for kind in KINDS]
CHECKED = [*sorted(set(STAGES) - {"publish", "offsets"}), *OFFSETS_OF_KIND]
# For users' own functions, which params.yaml names.
USERS_OWN = "src/custom"

# What the kinds that train can import, too, and why it decides nothing about their bytes.
DECIDES_NO_OFFSET = {
    "cores.py",  # how many runs train side by side
    "models/inference.py",  # opens trained runs; the forward pass is models/dense.py
    "runs/code_digest.py",  # names a run
    "runs/files.py",  # writes results
    "runs/spec.py",  # names a run
    "training/pool.py",  # when and where a run trains
}

LAYERS = (
    ("cores", "errors", "paths", "user_code"),
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
    ("api",),
    ("cli",),
)


def module_of(stage: str) -> str:
    return f"{PACKAGE}.stages.{stage.partition(' ')[0]}"


def code_deps(stage: str) -> list[str]:
    """The code that a stage depends on; of an offset by its file of ``data/offset_code``, too."""
    name, _, kind = stage.partition(" of kind ")
    entry = STAGES[name]
    deps = entry.get("do", entry)["deps"]
    code = [dep for dep in deps if dep.startswith("src/")]
    if name == "offsets":
        assert "data/offset_code/${key}" in deps
    return [*code, *digested(kind)] if kind else code


def digested(kind: str) -> list[str]:
    paths = [f"src/{PACKAGE}/{name.replace('.', '/')}" for name in code_of_kind(kind)]
    return [path if (ROOT / path).is_dir() else f"{path}.py" for path in paths]


def covers(dep: str, file: str) -> bool:
    return file == dep or file.startswith(f"{dep}/")


def says_nothing(path: Path) -> bool:
    """True if a module is at most a docstring."""
    return all(
        isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)
        for node in ast.parse(path.read_text()).body
    )


def code_of(stage: str, import_graph: Any) -> set[str]:
    """The files under src/ that a stage can import, as dvc.yaml writes them."""
    _, _, kind = stage.partition(" of kind ")
    graph = import_graph.of_kind(kind) if kind else import_graph
    modules = graph.reached(module_of(stage)) & graph.files.keys()
    files = [graph.files[module] for module in modules]
    return {file.relative_to(ROOT).as_posix() for file in files if not says_nothing(file)}


def code_by_name_too(stage: str, import_graph: Any) -> set[str]:
    """:func:`code_of`, and where it trains what it loads by name: executors, engines, layers."""
    files = code_of(stage, import_graph)
    names = [executor.train for executor in EXECUTORS.values()] if stage == "train" else []
    if names or f"src/{PACKAGE}/training/engine.py" in files:
        names += [engine.implementation for engine in ENGINES.values()]
        names += [system.build for system in SYSTEMS.values()]
        by_name = {name.partition(":")[0] for name in names}
        modules = import_graph.reached(*by_name) & import_graph.files.keys()
        paths = [import_graph.files[module] for module in modules]
        files |= {path.relative_to(ROOT).as_posix() for path in paths if not says_nothing(path)}
    return files


@pytest.mark.parametrize("stage", CHECKED)
def test_a_stage_depends_on_all_the_code_it_can_import(stage: str, import_graph: Any) -> None:
    deps = code_deps(stage)
    files = code_by_name_too(stage, import_graph)
    assert f"src/{module_of(stage).replace('.', '/')}.py" in files
    trains = any(stage == f"offsets of kind {kind}" for kind in KINDS if KINDS[kind].trains)
    assert {file for file in files if not any(covers(dep, file) for dep in deps)} == {
        f"src/{PACKAGE}/{name}" for name in (DECIDES_NO_OFFSET if trains else ())
    }


@pytest.mark.parametrize("stage", CHECKED)
def test_a_stage_depends_on_no_other_code(stage: str, import_graph: Any) -> None:
    files = code_by_name_too(stage, import_graph)
    if stage == "offset_code":  # reads it
        read = {dep for kind in KINDS for dep in digested(kind)}
        files |= {f"{dep}/" if (ROOT / dep).is_dir() else dep for dep in read}
    elif stage in OFFSETS_OF_KIND:  # what any kind can import beside its own module
        kind = stage.rpartition(" ")[2]
        of_others = {dep for other in KINDS for dep in digested(other)} - set(digested(kind))
        files |= {
            file
            for file in code_of("offsets", import_graph)
            if not any(covers(dep, file) for dep in of_others)
        }
    deps = [dep for dep in code_deps(stage) if dep != USERS_OWN]
    assert [dep for dep in deps if not any(covers(dep, file) for file in files)] == []
    assert len(set(deps)) == len(deps)
    assert all((ROOT / dep).exists() for dep in deps)


@pytest.mark.parametrize("kind", KINDS)
def test_the_trainer_decides_the_offsets_that_train_and_no_other(
    kind: str, import_graph: Any
) -> None:
    engine = f"src/{PACKAGE}/training/keras_engine.py"
    files = code_by_name_too(f"offsets of kind {kind}", import_graph)
    assert (engine in files) == KINDS[kind].trains
    assert (engine in digested(kind)) == KINDS[kind].trains
    assert not any(covers(dep, engine) for dep in code_deps("offsets"))


def copy_of_the_pipeline(folder: Path) -> None:
    """A project with an offset of each kind, whose stages have all been done."""
    for name in ("src", ".dvcignore"):
        copy = shutil.copytree if (ROOT / name).is_dir() else shutil.copyfile
        copy(ROOT / name, folder / name)
    keys = {"file": {"path": "vectors.npy"}, "function": {"function": "custom.mine:f"}}
    params = small_params(
        offsets={f"of_{kind}": {"kind": kind, **keys.get(kind, {})} for kind in KINDS},
        models={"none": {"offset": "of_zero"}},
    )
    (folder / "params.yaml").write_text(yaml.safe_dump(params))
    document = yaml.safe_load((ROOT / "dvc.yaml").read_text())
    del document["plots"]
    for name, stage in document["stages"].items():
        entry = stage.get("do", stage)
        files = [out for out in entry.get("outs", []) if isinstance(out, str)]
        if name != "offset_code":
            entry["cmd"] = "mkdir -p models && touch models/x" if name == "train" else "true"
            entry["cmd"] += "".join(f" && mkdir -p {out} && touch {out}/x" for out in files)
            entry.pop("metrics", None)
    for name in ("evaluate", "publish"):
        del document["stages"][name]
    (folder / "dvc.yaml").write_text(yaml.safe_dump(document))
    (folder / "data" / "raw").mkdir(parents=True)


def dvc(folder: Path, *arguments: str) -> str:
    done = subprocess.run(
        [sys.executable, "-m", "dvc", *arguments],
        cwd=folder,
        capture_output=True,
        text=True,
        env={
            **os.environ,
            "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
        },
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.mark.slow
def test_a_change_to_the_trainer_reruns_only_the_offsets_whose_bytes_it_decides(
    tmp_path: Path,
) -> None:
    copy_of_the_pipeline(tmp_path)
    dvc(tmp_path, "init", "--no-scm", "--quiet")
    dvc(tmp_path, "repro", "--quiet")
    trainer = tmp_path / "src" / PACKAGE / "training"

    def rerun(**edits: str) -> set[str]:
        """Stages that run after edits of the trainer's modules."""
        for module, edit in edits.items():
            path = trainer / f"{module}.py"
            path.write_text(f"{path.read_text()}\n{edit}\n")
        lines = dvc(tmp_path, "repro").splitlines()
        return {line.split("'")[1] for line in lines if line.startswith("Running")}

    comment = "# A comment, and the same code."
    edited = rerun(keras_engine=comment, pool="SCHEDULED_OTHERWISE = True")
    assert edited == {"offset_code", "train"}
    training = {f"offsets@of_{kind}" for kind in KINDS if KINDS[kind].trains}
    assert rerun(**{"numba_engine/kernels": "CHANGED = True"}) == {
        "offset_code",
        "train",
        *training,
    }


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
    importlib.import_module(f"{PACKAGE}.stages.{stage.partition(' ')[0]}")

at_start = {}
for stage in stages:
    module = stage.partition(" ")[0]
    if module not in at_start:
        start(stage)
        at_start[module] = sorted(sys.modules)
    found[stage]["at_start"] = at_start[module]
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
    """Modules that a process has imported at the start of a stage and when all code has run."""
    stages = sorted(CHECKED, key=lambda stage: stage in {"train", "evaluate"})
    stages.sort(key="evaluate".__eq__)  # TensorFlow comes in with the last
    paths = {path: name for name, path in import_graph.files.items()}
    needed = {
        stage: sorted(paths[ROOT / file] for file in code_of(stage, import_graph))
        for stage in stages
    }
    done = subprocess.run(
        [sys.executable, "-c", PROBE, json.dumps(needed)],
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
    for stage in set(CHECKED) - {"evaluate"}:
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
        reached = import_graph.reached(module_of(stage))
        # A training only starts the process that follows it.
        follows = {f"{PACKAGE}.tracking", f"{PACKAGE}.tracking.following"}
        tracking = {name for name in reached if name.startswith(f"{PACKAGE}.tracking")}
        assert tracking == (follows if stage == "train" else set())
    of_python = {f"{PACKAGE}.{home}" for home in vars(offset_autoencoder)["_HOMES"].values()}
    reached = import_graph.reached(*of_python)
    assert {name for name in reached if name.startswith(f"{PACKAGE}.tracking")} == follows


def test_publishing_needs_no_tensorflow(import_graph: Any) -> None:
    tracking = [name for name in import_graph.files if of_ours(name) == "tracking"]
    reached = import_graph.reached(*tracking, f"{PACKAGE}.stages.publish")
    assert not {name.partition(".")[0] for name in reached} & {"tensorflow", "keras"}
    assert f"{PACKAGE}.models.backend" not in reached
