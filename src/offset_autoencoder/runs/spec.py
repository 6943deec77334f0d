"""Run specifications: what determines a run, its id, and the outcome of its training."""

from __future__ import annotations

import dataclasses
import functools
import importlib.metadata
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, Self, TypeVar

from offset_autoencoder.config import Run
from offset_autoencoder.config.registries import ENGINES
from offset_autoencoder.config.schema import Train
from offset_autoencoder.config.systems import NoiseRange
from offset_autoencoder.errors import InputError
from offset_autoencoder.io.files import sha256_of_json
from offset_autoencoder.models.architecture import Architecture
from offset_autoencoder.runs.code_digest import code_digest, library_versions

Status = Literal["finished", "diverged"]


@dataclass(frozen=True)
class Chunks:
    """Chunks of samples larger than memory: a run has one chunk in hand, and reads one ahead.

    Attributes:
        block: Adjoining rows that are always read together, a multiple of the batch size.
        blocks: Number of blocks, from anywhere in the file, that make a chunk.
    """

    block: int
    blocks: int

    @property
    def rows(self) -> int:
        """Rows per chunk."""
        return self.block * self.blocks


@dataclass(frozen=True)
class RunSpec:
    """Everything that determines a run's weights, and nothing else.

    No model's or offset's name is part of it: renaming one retrains nothing.

    Attributes:
        architecture: The layers of its model.
        train: How it is trained; the keys that do not decide weights are left out of the id.
        offset_factor: Factor of the offset table: rms over the table's own, or 1.
        stddev: Gaussian noise per coordinate of the code, in training, or the range of it.
        table: Digest of its offset table over the samples of ``data``; None where it has none.
        data: Digest of the samples that it trains and validates on.
        seed: Seed of the initial weights, the batches and the noise.
        code: Digest of the code that decides weights.
        versions: Versions of the libraries that decide weights.
        chunks: How the samples are cut, where they are larger than the memory allowed.
    """

    architecture: Architecture
    train: Train
    offset_factor: float
    stddev: float | NoiseRange
    table: str | None
    data: str
    seed: int
    code: str
    versions: Mapping[str, str]
    chunks: Chunks | None = None

    @functools.cached_property
    def id(self) -> str:
        """The run's id: SHA-256 of the fingerprint's canonical JSON, 64 hex digits."""
        return sha256_of_json(self.fingerprint())

    def fingerprint(self) -> dict[str, Any]:
        """Everything that determines the run, as ``spec.json`` holds it."""
        fingerprint = {
            **{field.name: getattr(self, field.name) for field in dataclasses.fields(self)},
            "architecture": self.architecture.dump(),
            "train": self.train.relevant,
            "versions": dict(self.versions),
        }
        if self.chunks is None:
            del fingerprint["chunks"]
        else:
            fingerprint["chunks"] = dataclasses.asdict(self.chunks)
        return fingerprint

    @classmethod
    def parse(cls, fingerprint: Mapping[str, Any]) -> Self:
        """Read a spec from its fingerprint.

        Raises:
            KeyError, TypeError, ValueError: where it is not one.
        """
        chunks, stddev = fingerprint.get("chunks"), fingerprint["stddev"]
        fields = {
            **fingerprint,
            "stddev": NoiseRange(*stddev) if isinstance(stddev, list) else stddev,
            "architecture": _parse_section(Architecture, json.dumps(fingerprint["architecture"])),
            "train": _parse_section(Train, json.dumps(fingerprint["train"])),
            "chunks": None if chunks is None else Chunks(**chunks),
        }
        return cls(**fields)


S = TypeVar("S", Architecture, Train)


# Runs of a setting share both, and to validate them takes longer than to read the file.
@functools.lru_cache(maxsize=1024)
def _parse_section(section: type[S], text: str) -> S:
    return section.model_validate_json(text)


@dataclass(frozen=True)
class IdentifiedRun:
    """A run of params.yaml and what determines it.

    Attributes:
        run: The model's name, sweep values and seed, by which people know it.
        spec: What determines its weights.
    """

    run: Run
    spec: RunSpec

    @property
    def id(self) -> str:
        """The run's id."""
        return self.spec.id


@dataclass(frozen=True)
class SavedRun:
    """A trained run as ``spec.json`` describes it.

    Attributes:
        status: ``"diverged"`` where a loss was not finite; then there are no weights.
        epochs: Epochs trained.
        best_epoch: The epoch of its weights, from 1; None where it diverged.
        diverged_epoch: The epoch in which it diverged; None where it finished.
        stopped_early: Whether patience ended it before its last epoch.
        parameters: Numbers in its weights; None where it diverged.
        engine: Name of the engine that trained it; None of one trained before that was noted.
        digests: SHA-256 of its files by name; empty of one trained before they were noted.
        processor: Fingerprint of the processor that trained it on a cluster; None elsewhere.
    """

    spec: RunSpec
    status: Status
    epochs: int
    best_epoch: int | None
    diverged_epoch: int | None
    stopped_early: bool
    parameters: int | None
    engine: str | None = None
    digests: Mapping[str, str] = dataclasses.field(default_factory=dict)
    processor: str | None = None

    @property
    def id(self) -> str:
        """The run's id."""
        return self.spec.id

    def dump(self) -> dict[str, Any]:
        """The content of ``spec.json``; with digests of the files also one of all the rest."""
        document = {
            "id": self.id,
            "fingerprint": self.spec.fingerprint(),
            "offset_factor": self.spec.offset_factor,
            **{key: getattr(self, key) for key in _OUTCOME},
        }
        if self.processor is None:
            del document["processor"]
        if not self.digests:
            del document["digests"]
            return document
        return {**document, "sha256": sha256_of_json(document)}

    @classmethod
    def parse(cls, document: Mapping[str, Any]) -> Self:
        """Read the content of ``spec.json``.

        Raises:
            KeyError, TypeError, ValueError: where it is not one, or a digest in it is not that of
                what it is of: the id, or that of all the rest.
        """
        rest = {key: document[key] for key in document if key != "sha256"}
        outcome = {key: rest[key] for key in _OUTCOME if key in rest or key not in _LATER}
        saved = cls(spec=RunSpec.parse(rest["fingerprint"]), **outcome)
        if saved.status not in ("finished", "diverged") or saved.id != rest["id"]:
            raise ValueError("the id is not that of the fingerprint")
        if saved.digests and document["sha256"] != sha256_of_json(rest):
            raise ValueError("is not what was written")
        return saved


_OUTCOME = tuple(field.name for field in dataclasses.fields(SavedRun) if field.name != "spec")
_LATER = ("engine", "digests", "processor")


def identify(
    run: Run,
    *,
    architecture: Architecture,
    data: Any,
    table: Any,
    offset_factor: float,
    chunks: Chunks | None = None,
    engine: str | None = None,
) -> IdentifiedRun:
    """Give a run its id.

    ``data`` and ``table`` are digests, by split or otherwise, that JSON can hold: of the samples
    that it trains and validates on, and of its offset table over these. ``engine`` is the one that
    trains it, where that is not what the run says.
    """
    train = run.setting.train.model_copy(update={} if engine is None else {"engine": engine})
    spec = RunSpec(
        architecture=architecture,
        train=train,
        offset_factor=offset_factor,
        stddev=run.setting.spec.noise_range or run.setting.spec.stddev,
        table=None if table is None else sha256_of_json(table),
        data=sha256_of_json(data),
        seed=run.seed,
        code=code_digest(),
        versions=library_versions() | engine_versions(train.engine),
        chunks=chunks,
    )
    return IdentifiedRun(run, spec)


def engine_versions(engine: str) -> dict[str, str]:
    """Versions of the libraries that an engine needs beside those, if a run's id names it.

    Raises:
        InputError: where one is not installed.
    """
    packages = ENGINES[engine].packages if engine in ENGINES else ()
    try:
        return {name: importlib.metadata.version(name) for name in packages}
    except importlib.metadata.PackageNotFoundError as error:
        mend = (
            f'in a clone of the project: pip install ".[{engine}]", or ".[{engine}-cuda]" for a GPU'
        )
        what = f"{engine} needs {error.name}, which is not installed"
        raise InputError("train.engine", what, mend) from None
