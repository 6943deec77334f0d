"""Cores that this process may use, which on a cluster are fewer than the machine has."""

from __future__ import annotations

import contextlib
import os

from joblib import cpu_count


def available_cores() -> int:
    """Number of cores of the allocation: of the affinity, the cgroup and the Slurm task."""
    cores = int(cpu_count())
    with contextlib.suppress(KeyError, ValueError):  # set where a job asks for cores per task
        cores = min(cores, int(os.environ["SLURM_CPUS_PER_TASK"]))
    return max(1, cores)
