"""Damaged prepared data, tables, runs and reports: a line, or what would have come out anyway."""

from __future__ import annotations

import shutil
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tests.faults.commands import COMMANDS, applied, command_line, end, remove, write_project
from tests.faults.conftest import EXAMPLES, ending
from tests.folders import contents

from offset_autoencoder.config import load_params
from offset_autoencoder.data.varying import load_splits
from offset_autoencoder.paths import MODELS, PARAMS, PREPARED
from offset_autoencoder.runs.store import read_index
from offset_autoencoder.stages import evaluate, publish

IS_LONG = EXAMPLES > 200
STAGES = ["prepare", "offset_code", "offsets of zeros", "offsets", "train"]
STAGES += ["evaluate", "publish"] * IS_LONG
READ = ("data/prepared", "data/offsets", "models", *(("reports",) * IS_LONG))


def _evaluated() -> list[Any]:
    """Metrics of every run and the errors of the test samples: what evaluate makes reports of."""
    params = load_params(PARAMS)
    index = read_index(MODELS)
    evaluate.check_index(index, params.runs)
    results = evaluate.evaluate(params, load_splits(PREPARED), index)
    columns = {name: values.tolist() for name, values in results.sample_errors.items()}
    return [[(row.id, row.metrics) for row in results.runs], columns]


def _written(operation: str, suffix: str) -> Callable[[], Any]:
    def run() -> Any:
        applied(operation, suffix).run()
        return Path(f"written/{operation}.{suffix}").read_bytes()

    return run


READERS: dict[str, Callable[[], Any]] = {
    "reconstruct": _written("reconstruct", "npy"),
    "encode": _written("encode", "csv"),
    "offsets of samples": _written("offsets", "npy"),
    "errors": _written("errors", "npy"),
    "runs": command_line("runs", "--current").run,
    "show": command_line("show", "frozen").run,
    "evaluate": _evaluated,
    **({"publish": publish.main} if IS_LONG else {}),
}


@pytest.fixture(scope="module")
def evaluated(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """A project that was evaluated and published; stood in."""
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(tmp_path_factory.mktemp("damage"))
        patch.delenv("DVC_ROOT", raising=False)
        patch.delenv("MLFLOW_TRACKING_URI", raising=False)
        write_project()
        remove(())
        for name in STAGES:
            assert end(COMMANDS[name]) == (0, []), name
        shutil.copytree(".", "../kept", dirs_exist_ok=True)
        yield Path("../kept").resolve()


def _damage(path: Path, rng: np.random.Generator) -> str:
    """Flip a byte, cut the end off, remove it, or put another file of its kind in its place."""
    content, kind = bytearray(path.read_bytes()), rng.choice(["flip", "cut", "remove", "swap"])
    others = sorted(other for other in path.parent.parent.rglob(path.name) if other != path)
    if kind == "remove":
        path.unlink()
    elif kind == "swap" and others:
        shutil.copyfile(others[rng.integers(len(others))], path)
    elif kind == "cut":
        path.write_bytes(content[: rng.integers(len(content) + 1)])
    elif content:
        near_the_start = min(len(content), 200) if rng.random() < 0.5 else len(content)
        content[rng.integers(near_the_start)] ^= 1 << rng.integers(8)
        path.write_bytes(content)
    return str(kind)


def _end(name: str) -> tuple[Any, list[str]] | None:
    """Result of a reader and what it printed; None where it ended in a line."""
    found: list[Any] = []
    end = ending(lambda: found.append(READERS[name]()))
    lines = [line for line in end.out.splitlines() if " kB" not in line]  # sizes of a run's files
    return None if end.status else (found[0], lines)


def test_damage_is_a_line_or_changes_nothing(
    evaluated: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rng = np.random.default_rng(0)
    files = sorted(path for folder in READ for path in Path(folder).rglob("*") if path.is_file())
    expected, ends = {name: _end(name) for name in READERS}, Counter[str]()
    names, slow = [name for name in READERS if name != "evaluate"], EXAMPLES // 40
    for example in range(EXAMPLES // 2):
        name = "evaluate" if example < slow else names[example % len(names)]
        path = files[rng.integers(len(files))]
        how, found = _damage(path, rng), _end(name)
        ends["a line" if found is None else "as before"] += 1
        path.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(evaluated / path, path)
        if name == "publish":  # it published what the damaged reports say, or a part
            mended = _end(name) and _end(name)
            found = found and mended
        # Tables without a digest are listed as they are.
        is_listed = path.parts[0] == "reports" or path == MODELS / "index.csv"
        if not (is_listed and name in ("runs", "show")):
            assert found in (None, expected[name]), (name, path, how)
    assert all(contents(folder) == contents(evaluated / folder) for folder in READ)
    assert min(ends.values()) > EXAMPLES // 20
    with capsys.disabled():
        print(f"damaged files: {dict(ends)}", end=" ")
