"""The command ``check``: errors of ``prepare`` and of the user's own offsets, and the time ahead.

It leaves no file.
"""

from __future__ import annotations

import tempfile
from pathlib import Path

from offset_autoencoder import paths
from offset_autoencoder.config import Params
from offset_autoencoder.config.schema import EXECUTORS
from offset_autoencoder.cores import available_cores
from offset_autoencoder.data.prepared import PreparedData
from offset_autoencoder.errors import printable
from offset_autoencoder.io.arrays import temporary_folder
from offset_autoencoder.offsets.kind import find_kind, training_of
from offset_autoencoder.offsets.table import zero_warning
from offset_autoencoder.reporting.terminal import duration, progress
from offset_autoencoder.runs.spec import identify
from offset_autoencoder.stages.prepare import Source, load_checked_params
from offset_autoencoder.stages.train import architectures_of
from offset_autoencoder.training.batches import chunks_of
from offset_autoencoder.training.expected_time import estimate_seconds
from offset_autoencoder.training.jax_process import engine_in_id, trains_on_jax
from offset_autoencoder.training.schedule import group_into_populations
from offset_autoencoder.user_code import find_target

_NOT_TIMED = "runs on JAX or on more data than train.memory_limit"


def check(*, estimate: bool = True) -> None:
    """Check params.yaml and the data, and print one line on each.

    The data set is prepared in a temporary folder. With ``estimate`` networks are built, and
    trained for a few epochs, and a line says how long the training takes.

    Raises:
        InputError: for the first thing that ``prepare`` would refuse, or that is wrong with a file
            of vectors, a saved model, the name of a function under ``offsets:`` or, with
            ``estimate``, a network.
    """
    params = load_checked_params()
    print(f"{paths.PARAMS}: {count_runs(params)}")
    source = Source.load(params)
    n = len(source.samples.x)
    with tempfile.TemporaryDirectory(prefix=".check.", dir=temporary_folder()) as folder:
        with progress("checking samples", n, float(n)) as report:
            data, lines = source.write(Path(folder), lambda count: report(float(count), count))
        print("data: " + "\n".join(map(printable, lines)))
        print(source.outlook())
        _check_offsets(params, data)
        said = "nothing is wrong that can be found without computing offsets or a training"
        if estimate:
            said = f"{_training_time(params, data)}\n{said}"
    print(said)


def _check_offsets(params: Params, data: PreparedData) -> None:
    """Read the user's own vectors, open own models, and find own functions."""
    for name, offset in params.offsets.items():
        where = f"{paths.PARAMS}: offsets.{name}"
        for key, function in offset.functions.items():
            find_target(f"{where}.{key}", function)
        kind = find_kind(where, offset.kind)
        for latent_dim in params.latent_dims(name):
            if kind.check:
                kind.check(where, offset, training_of(data, paths.RAW), latent_dim)
            if kind.read:
                vectors = kind.read(name, offset, data, latent_dim, paths.RAW)
                if not any(chunk.any() for chunk in vectors["train"]):
                    print(zero_warning(name))


def _training_time(params: Params, data: PreparedData) -> str:
    """Line on how long this machine trains all runs; offsets of zeros take as long as others."""
    architectures = architectures_of(params.settings, data.schema)
    x, x_validation = data.train.x, data.validation.x
    is_here, timed = EXECUTORS[params.executor].is_here, []
    for run in params.runs:
        label, train = run.setting.label, run.setting.train
        engine = engine_in_id(train.engine, architectures[label], or_on_a_gpu=is_here)
        identified = identify(
            run,
            architecture=architectures[label],
            data=None,
            table=label,
            offset_factor=1.0,
            engine=engine,
        )
        is_cut = chunks_of(train.memory_limit, len(x), x[:1].nbytes, train.batch_size) is not None
        if not (is_cut or trains_on_jax(identified.spec)):
            timed.append(identified)
    if not timed:
        return f"training: no time is estimated for {_NOT_TIMED}"
    populations = sum(1 for _ in group_into_populations(timed))
    with progress("timing networks", populations, float(populations)) as report:
        seconds = estimate_seconds(timed, x, x_validation, lambda done: report(float(done), done))
    cores, runs = available_cores(), len(params.runs)
    which = "" if len(timed) == runs else f", without {runs - len(timed)} {_NOT_TIMED}"
    return (
        f"training{which}: about {duration(seconds)} on {cores} core{'s' * (cores != 1)} of this "
        "machine if no run stops early; runs that exist already are not trained again"
    )


def count_runs(params: Params) -> str:
    """Size of the experiment: ``"17 models, 27 settings, 20 seeds, 540 runs"``."""
    counted = {
        word: len(getattr(params, f"{word}s")) for word in ("model", "setting", "seed", "run")
    }
    return ", ".join(f"{count} {word}{'s' * (count != 1)}" for word, count in counted.items())
