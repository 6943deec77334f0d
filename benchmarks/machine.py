"""Machine and versions that the figures of a benchmark were measured with."""

from __future__ import annotations

import importlib.metadata
import platform
import re
from pathlib import Path

from offset_autoencoder.cores import available_cores

_PACKAGES = ("numpy", "numba", "tensorflow", "keras", "torch", "jax", "jaxlib")


def machine() -> dict[str, object]:
    """Processor, cores, Python, and the versions of what is installed."""
    versions = {}
    for package in _PACKAGES:
        try:
            versions[package] = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            continue
    return {
        "processor": _processor(),
        "cores": available_cores(),
        "python": platform.python_version(),
        "packages": versions,
    }


def _processor() -> str:
    try:
        cpuinfo = Path("/proc/cpuinfo").read_text()
    except OSError:
        return platform.processor() or platform.machine()
    model = re.search(r"model name\s*: (.*)", cpuinfo)
    return model.group(1) if model else platform.machine()
