from __future__ import annotations

import contextlib
import copy
import io
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from tests.folders import contents
from tests.serving.small_project import untrained
from tests.small_params import small_params

SECTIONS: dict[str, Any] = {
    "seeds": 2,
    "network": {"latent_dim": 4, "hidden": [8]},
    "train": {"epochs": 2, "batch_size": 128, "learning_rate": 0.01},
    "models": {
        "none": {"offset": "none"},
        "gaussian": {"offset": "none", "stddev": [0.1]},
        "frozen": {"offset": "frozen", "rms": 0.1},
    },
    "evaluate": {"baselines": ["none"]},
}


class Experiment:
    """A small project in the working folder, whose stages run in this process."""

    def write(self, **sections: Any) -> dict[str, Any]:
        """Write params.yaml with whole sections given anew."""
        document = small_params(**copy.deepcopy(SECTIONS) | sections)
        Path("params.yaml").write_text(yaml.safe_dump(document, sort_keys=False))
        return document

    def prepare(self, **sections: Any) -> None:
        """Write params.yaml, and run all that comes before ``train``."""
        from offset_autoencoder.stages import offsets, prepare

        Path("data/raw").mkdir(parents=True, exist_ok=True)
        document = self.write(**sections)
        with contextlib.redirect_stdout(io.StringIO()):
            prepare.main()
            for name in document["offsets"]:
                offsets.main([name])

    def train(self) -> list[str]:
        """Run ``train``; the lines that it printed."""
        from offset_autoencoder.stages import train

        return self._lines(train.main)

    def evaluate(self) -> list[str]:
        """Run ``evaluate``; the lines that it printed."""
        from offset_autoencoder.stages import evaluate

        return self._lines(evaluate.main)

    @staticmethod
    def _lines(main: Callable[[], None]) -> list[str]:
        printed = io.StringIO()
        with contextlib.redirect_stdout(printed):
            main()
        return printed.getvalue().splitlines()

    @staticmethod
    @contextlib.contextmanager
    def without_training() -> Any:
        """Within the block, a stage that begins to train fails."""
        with pytest.MonkeyPatch.context() as patch:
            patch.setitem(sys.modules, "offset_autoencoder.training.schedule", None)
            yield

    contents = staticmethod(contents)


@pytest.fixture(scope="session")
def experiment() -> Experiment:
    return Experiment()


@pytest.fixture
def quickly() -> Iterator[None]:
    """Training that compiles nothing, for tests of which runs train and not of what they learn."""
    with untrained():
        yield
