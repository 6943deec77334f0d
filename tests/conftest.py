from __future__ import annotations

import ast
import contextlib
import functools
import os
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

import offset_autoencoder
from offset_autoencoder.config.offset_kinds import OFFSETS
from offset_autoencoder.cores import available_cores
from offset_autoencoder.models.architecture import Architecture
from offset_autoencoder.offsets import kind
from offset_autoencoder.runs import code_digest

PACKAGE = "offset_autoencoder"
SOURCES = Path(offset_autoencoder.__file__).parent.parent


_WORKER_BYTES = 3 * 2**30  # of one worker with TensorFlow, and of the processes that it starts


@pytest.hookimpl(tryfirst=True, optionalhook=True)
def pytest_xdist_auto_num_workers() -> int:
    """Twice as many workers as cores, if memory allows: many tests wait for other processes."""
    cores = available_cores()
    memory = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    with contextlib.suppress(OSError, ValueError):  # that of a container, where it has a limit
        memory = min(memory, int(Path("/sys/fs/cgroup/memory.max").read_text()))
    return max(cores, min(2 * cores, memory // _WORKER_BYTES))


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with files of slow tests, that of Ray first: the last to begin is waited for."""
    slow = {item.path for item in items if item.get_closest_marker("slow")}
    items.sort(key=lambda item: (item.path not in slow, item.path.stem != "test_ray"))


@dataclass(frozen=True, eq=False)
class ImportGraph:
    """Imports of each module, read from the import statements, those in functions too.

    Attributes:
        files: The file of each module under src/, by its full name.
        kinds: Kinds of offset that are asked for.
    """

    files: dict[str, Path]
    kinds: tuple[str, ...] = tuple(OFFSETS)

    @functools.cache  # noqa: B019
    def of_kind(self, kind: str) -> ImportGraph:
        """The imports where one kind of offset alone is asked for."""
        return ImportGraph(self.files, (kind,))

    @functools.cache  # noqa: B019
    def imports(self, module: str, *, types_too: bool = False) -> frozenset[str]:
        """The modules that a module names, ours by their full names, others as written.

        What stands under ``if TYPE_CHECKING:`` is never executed: it counts only where asked.
        """
        found: set[str] = set()
        waiting: list[ast.AST] = [ast.parse(self.files[module].read_text())]
        while waiting:
            node = waiting.pop()
            if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.dump(node.test):
                waiting += (node.body if types_too else []) + node.orelse
                continue
            waiting += ast.iter_child_nodes(node)
            if isinstance(node, ast.Import):
                found |= {alias.name for alias in node.names}
            elif isinstance(node, ast.ImportFrom):
                assert not node.level, f"{module} imports by a relative name"
                found.add(str(node.module))
                for alias in node.names:
                    whole = f"{node.module}.{alias.name}"
                    home = vars(offset_autoencoder)["_HOMES"].get(alias.name)
                    if whole in self.files:
                        found.add(whole)
                    elif node.module == PACKAGE and home:
                        found.add(f"{PACKAGE}.{home}")
        if module == kind.__name__:  # imports a kind by its name
            found |= {f"{PACKAGE}.offsets.{name}" for name in self.kinds}
        return frozenset(found)

    def reached(self, *modules: str) -> set[str]:
        """All that importing modules, and running what they hold, can import of ours or others.

        A module's packages come with it; the outermost one, which holds names for users and
        imports nothing by itself, does not.
        """
        reached: set[str] = set()
        waiting = list(modules)
        while waiting:
            name = waiting.pop()
            if name in reached or name == PACKAGE:
                continue
            reached.add(name)
            if name in self.files:
                waiting += self.imports(name)
                if "." in name:
                    waiting.append(name.rpartition(".")[0])
        return reached


Edit = Callable[[str, Callable[[], Any]], Any]


@pytest.fixture(scope="module")
def after_edit(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Edit]:
    """What a function of digests returns after an edit of one file of the package.

    Digests are those of a copy of the package, made of a digest per file, each taken once.
    """
    copy, digest_of_sources = tmp_path_factory.mktemp("copy"), code_digest.digest_of_sources
    ignored = shutil.ignore_patterns("__pycache__")
    shutil.copytree(SOURCES / PACKAGE, copy / PACKAGE, ignore=ignored)
    of_file = functools.cache(lambda source: digest_of_sources([source]))

    def edit(name: str, digests: Callable[[], Any]) -> Any:
        path = copy / PACKAGE / name
        text = path.read_text()
        path.write_text(f"{text}\nEDITED = 1\n")
        after = digests()
        path.write_text(text)
        return after

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(code_digest, "_PACKAGE", copy / PACKAGE)
        patch.setattr(code_digest, "digest_of_sources", lambda s: "".join(map(of_file, s)))
        yield edit


@pytest.fixture(scope="session")
def import_graph() -> ImportGraph:
    """The imports of everything under src/."""
    files = {}
    for path in sorted(SOURCES.rglob("*.py")):
        parts = path.relative_to(SOURCES).with_suffix("").parts
        files[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return ImportGraph(files)


DENSE = {"latent_dim": 4, "hidden": [8]}
IMAGES = {"kind": "convolutional", "latent_dim": 4, "filters": [3, 5]}
TRAINED_BY_KERAS = {"normalize": "power", "dropout": 0.2, "initializer": "he_normal"}
SERIES = {"kind": "convolutional_1d", "latent_dim": 4, "filters": [3, 5], "kernel_size": 4}
RECURRENT = {"kind": "recurrent", "latent_dim": 4, "hidden": [3, 5]}
SECOND = {"system": "two_encoder", "second_hidden": [6], "second_activation": "tanh"}
SYSTEMS: dict[str, dict[str, Any]] = {
    "additive": {},
    "concatenate": {"system": "concatenate"},
    "two_encoder": SECOND | {"frozen": False},
    "two_encoder, scaled": SECOND | {"frozen": False, "second_rms": 0.3},
    "two_encoder, frozen": SECOND | {"frozen": True, "second_rms": 0.3},
    "ensemble, mean": {"system": "ensemble", "encoders": 3, "combine": "mean"},
    "ensemble, sum": {"system": "ensemble", "encoders": 2, "combine": "sum"},
    "wide": {"encoder_hidden": [13]},
    "power norm and dropout": {"network": {**DENSE, **TRAINED_BY_KERAS}},
    "vae": {"system": "vae", "beta": 0.7, "warmup_steps": 7},
    "convolutional": {"network": IMAGES, "input_dim": 35, "image_shape": [7, 5]},
    "convolutional vae, in colour": {
        "system": "vae",
        "beta": 1.0,
        "warmup_steps": 0,
        "network": IMAGES,
        "input_dim": 60,
        "image_shape": [4, 5, 3],
    },
    "convolutional, channels first": {
        "network": IMAGES,
        "input_dim": 60,
        "image_shape": [3, 4, 5],
        "channels_first": True,
    },
    "convolutional_1d": {"network": SERIES, "input_dim": 14, "sequence_shape": [7, 2]},
    "recurrent": {"network": RECURRENT, "input_dim": 14, "sequence_shape": [7, 2]},
    "recurrent two_encoder, frozen, of LSTM, channels first": {
        "system": "two_encoder",
        "frozen": True,
        "network": {**RECURRENT, "cell": "lstm"},
        "input_dim": 14,
        "sequence_shape": [2, 7],
        "channels_first": True,
    },
    "convolutional two_encoder, frozen": {
        "system": "two_encoder",
        "second_activation": "relu",
        "frozen": True,
        "network": IMAGES,
        "input_dim": 35,
        "image_shape": [7, 5],
    },
}


@pytest.fixture(scope="session", params=SYSTEMS)
def architecture(request: pytest.FixtureRequest) -> Architecture:
    """A small model of every system in turn; its code has 4 coordinates."""
    return Architecture.model_validate(
        {"network": DENSE, "input_dim": 12, **SYSTEMS[request.param]}
    )
