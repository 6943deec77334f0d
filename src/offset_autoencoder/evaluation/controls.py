"""Controls: networks that never saw an offset, to which its vectors are handed.

What an exchange does to the network that was trained with an offset says something of that
network only where it does not do the same to any network. So the vectors, by the same factor, are
handed to the run of the same seed, network and training that was trained with nothing added, and to
the one that was trained with Gaussian noise of the same rms.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Literal

from offset_autoencoder.config import Run, Setting

Network = Literal["own", "trained with nothing", "trained with noise"]
OWN_NETWORK: Network = "own"
NOTHING: Network = "trained with nothing"
NOISE: Network = "trained with noise"
CONTROLS: tuple[Network, ...] = (NOTHING, NOISE)


@dataclass(frozen=True)
class Controls:
    """References and guests of the runs of an experiment, by their ids.

    Attributes:
        references: Of each run those of the same seed, network and training that were trained with
            nothing and with Gaussian noise of its rms, where there are such.
        guests: Of each of these the runs whose offset is handed to it: those of its references
            whose decoder reads the sum of code and offset, as its own does.
    """

    references: Mapping[str, Mapping[Network, str]]
    guests: Mapping[str, tuple[str, ...]]


def match_controls(runs: Mapping[str, Run], has_offset: Callable[[Run], bool]) -> Controls:
    """Match runs by id; ``has_offset`` says if vectors other than zeros are added to a run."""
    by_level: dict[tuple[str, str], str] = {}
    for run_id, run in runs.items():
        spec = run.setting.spec
        if is_plain_network(run) and spec.rms is None and not has_offset(run):
            by_level[twin_of(run), _level(spec.stddev)] = run_id
    references: dict[str, dict[Network, str]] = {}
    guests: dict[str, list[str]] = {}
    for run_id, run in runs.items():
        spec = run.setting.spec
        levels = {NOTHING: 0.0} | ({} if spec.rms is None else {NOISE: spec.rms})
        matches = ((name, by_level.get((twin_of(run), _level(at)))) for name, at in levels.items())
        references[run_id] = {name: match for name, match in matches if match is not None}
        if decodes_sum(run.setting) and has_offset(run):
            for match in references[run_id].values():
                guests.setdefault(match, []).append(run_id)
    return Controls(references, {control: tuple(ids) for control, ids in guests.items()})


def is_plain_network(run: Run) -> bool:
    """True if a run has one encoder, its code, and a decoder of the sum."""
    system = run.setting.spec.system_record
    return system.starts_as_plain and not (system.concatenates or system.learns_offset)


def decodes_sum(setting: Setting) -> bool:
    """True if a setting's decoder reads code + offset, the code being of a plain network's kind.

    Not so where it reads them side by side, where the user's function builds it, and in a
    variational autoencoder, whose code is on a scale of its own.
    """
    system = setting.spec.system_record
    return not (system.concatenates or system.is_users or system.learns_noise)


def twin_of(run: Run) -> str:
    """Equal for runs that differ in what is added alone: same network, training and seed."""
    return repr((run.setting.network, run.setting.train, run.seed))


def _level(stddev: float) -> str:
    return f"{stddev:.9g}"
