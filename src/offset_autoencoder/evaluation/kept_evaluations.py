"""Evaluations that are kept by the run's id, so that only what is new is examined.

A run's is ``.evaluations/ID.npz`` in the run store: its figures as JSON, the errors of its test
samples as arrays. It says what it was measured of and by, and is passed over where that is another
now.
"""

from __future__ import annotations

import contextlib
import functools
import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from offset_autoencoder.config.schema import Evaluate
from offset_autoencoder.errors import InputError
from offset_autoencoder.evaluation.controls import Network
from offset_autoencoder.evaluation.encoder_adaptation import EncoderAdaptation
from offset_autoencoder.evaluation.interventions import Exchanges, Intervention
from offset_autoencoder.evaluation.metrics import METRICS
from offset_autoencoder.evaluation.probes import Probe
from offset_autoencoder.evaluation.run_evaluation import RunEvaluation
from offset_autoencoder.evaluation.sample_errors import SampleErrors, TestedSamples
from offset_autoencoder.io.files import read_npz, sha256_of_json, write_npz
from offset_autoencoder.runs.code_digest import library_versions
from offset_autoencoder.runs.store import EVALUATIONS

_PACKAGE = Path(__file__).parent.parent
_MEASURES = ("config", "data", "evaluation", "io", "models", "offsets", "runs", "stages")
# What is done with the figures of runs, and decides none of them.
_COMPARES = {"baselines", "own_baselines", "select", "confidence", "margin", "power"}


@functools.cache
def _code_digest() -> str:
    """SHA-256 of the packages that measure: a file too many costs no more than one evaluation."""
    digest = hashlib.sha256()
    for path in sorted(path for name in _MEASURES for path in (_PACKAGE / name).rglob("*.py")):
        digest.update(f"{path.relative_to(_PACKAGE).as_posix()}\n".encode() + path.read_bytes())
    return digest.hexdigest()


@dataclass(frozen=True)
class KeptEvaluations:
    """The kept evaluations of the runs of an experiment that share a split.

    Attributes:
        store: The run store.
        evaluate: The section of params.yaml.
        data: What JSON can hold, equal for equal samples.
        runs: Digest of each run's weights and offset table by its id.
    """

    store: Path
    evaluate: Evaluate
    data: Any
    runs: Mapping[str, str]

    @functools.cached_property
    def _basis(self) -> str:
        by = self.evaluate.model_dump(mode="json", exclude=_COMPARES)
        return sha256_of_json([by, self.data, _code_digest(), library_versions(), [*METRICS]])

    @functools.cached_property
    def _ids(self) -> dict[str, str]:
        return {digest: run_id for run_id, digest in self.runs.items()}

    def _path(self, run_id: str) -> Path:
        return self.store / EVALUATIONS / f"{run_id}.npz"

    def write(self, run_id: str, evaluation: RunEvaluation) -> None:
        """Keep a run's evaluation in place of its last; a store that cannot be written keeps none.

        What was measured against a run is kept by that run's digest, not by its id alone.
        """
        errors, adaptation = evaluation.errors, evaluation.encoder_adaptation
        assert errors is not None
        document = {
            "basis": [self._basis, self.runs[run_id]],
            "metrics": evaluation.metrics,
            "train_metric": evaluation.train_metric,
            "exchanges": _dump(evaluation.exchanges),
            "probes": {part: vars(probe) for part, probe in evaluation.probes.items()},
            "encoder_adaptation": None if adaptation is None else vars(adaptation),
            "references": {name: self.runs[run] for name, run in evaluation.references.items()},
            "guests": {self.runs[run]: _dump(one) for run, one in evaluation.guests.items()},
            "error_metric": errors.metric,
            "thresholds": errors.thresholds,
        }
        arrays = {"test": errors.test, "compared": errors.compared}
        if errors.compared is errors.test:  # written once
            del arrays["compared"]
        arrays["document"] = np.frombuffer(json.dumps(document).encode(), np.uint8)
        kept = {name: np.empty(0) if array is None else array for name, array in arrays.items()}
        with contextlib.suppress(InputError, OSError):
            write_npz(self._path(run_id), kept)

    def read(self, run_id: str, samples: TestedSamples) -> RunEvaluation | None:
        """A run's evaluation; None where there is none of these samples, or its file is damaged.

        Its references and guests are those that are among the runs.
        """
        ids = self._ids
        try:
            arrays = read_npz(self._path(run_id))
            document = json.loads(arrays["document"].tobytes())
            if document["basis"] != [self._basis, self.runs[run_id]]:
                return None
            test = arrays["test"]
            compared = arrays.get("compared", test)
            references: dict[Network, str] = {
                name: ids[run] for name, run in document["references"].items() if run in ids
            }
            adaptation = document["encoder_adaptation"]
            return RunEvaluation(
                metrics=document["metrics"],
                train_metric=document["train_metric"],
                exchanges=_parse(document["exchanges"]),
                probes={part: Probe(**probe) for part, probe in document["probes"].items()},
                encoder_adaptation=adaptation and EncoderAdaptation(**adaptation),
                references=references,
                guests={
                    ids[run]: _parse(one) for run, one in document["guests"].items() if run in ids
                },
                errors=SampleErrors(
                    document["error_metric"],
                    test,
                    tuple(document["thresholds"]),
                    samples,
                    compared if len(compared) else None,
                ),
            )
        except (InputError, OSError, KeyError, TypeError, ValueError):
            return None


def _dump(exchanges: Exchanges) -> dict[str, Any]:
    metrics = {
        split: [[item.name, item.level, values] for item, values in of_split.items()]
        for split, of_split in exchanges.metrics.items()
    }
    return {"metrics": metrics, "donor_shift": exchanges.donor_shift}


def _parse(document: Mapping[str, Any]) -> Exchanges:
    metrics = {
        split: {Intervention(name, level): values for name, level, values in of_split}
        for split, of_split in document["metrics"].items()
    }
    return Exchanges(metrics, document["donor_shift"])
