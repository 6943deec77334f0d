"""Stage ``offsets@NAME``: one offset of params.yaml → ``data/offsets/NAME``."""

from __future__ import annotations

import argparse
from collections.abc import Sequence

from offset_autoencoder.config import load_params
from offset_autoencoder.config.offset_kinds import ZeroOffset
from offset_autoencoder.data.prepared import load_prepared
from offset_autoencoder.data.varying import load_splits
from offset_autoencoder.errors import InputError, did_you_mean, run_command
from offset_autoencoder.io.files import read_json
from offset_autoencoder.offsets.kind import build_offset
from offset_autoencoder.offsets.table import INFO, STATE_SHA256, zero_warning
from offset_autoencoder.paths import HERE, Project


def main(arguments: Sequence[str] | None = None) -> None:
    """Build the offset named on the command line.

    Args:
        arguments: The command line without the program; None takes the process's own.

    Raises:
        InputError: where there is no such offset, or it cannot be had with this data.
    """
    parser = argparse.ArgumentParser(
        prog="python -m offset_autoencoder.stages.offsets", description=main.__doc__
    )
    parser.add_argument("name", metavar="NAME", help="a name under offsets: in params.yaml")
    name = parser.parse_args(arguments).name
    build(name)


def build(name: str, project: Project = HERE) -> None:
    """Build an offset of a project, and print a line on it.

    Raises:
        InputError: as :func:`main`.
    """
    params = load_params(project.params)
    if name not in params.offsets:
        hint = did_you_mean(name, params.offsets)
        raise InputError(f"{project.params}: offsets", f"there is no offset {name!r}", hint)
    # From a file of prepare's and not from params.yaml, so that DVC runs the stage again when
    # the list changes, and only then.
    path = project.prepared / "latent_dims.json"
    latent_dims = read_json(path)
    if not isinstance(latent_dims, dict) or not latent_dims.get(name):
        raise InputError(str(path), f"names no latent dim for {name!r}", "run dvc repro prepare")
    section, data = params.offsets[name], load_prepared(project.prepared)
    splits = load_splits(project.prepared)
    rms = build_offset(
        project.offsets,
        name,
        section,
        data,
        latent_dims[name],
        project.raw,
        splits.seeds,
        splits.of,
    )
    dims = ", ".join(str(latent_dim) for latent_dim in rms)
    values = ", ".join(f"{value:#.3g}" for value in rms.values())
    line = f"offset {name}: {section.kind}, latent dim{'s' * (len(rms) > 1)} {dims}, rms {values}"
    infos = [read_json(path) for path in (project.offsets / name).rglob(INFO)]
    # What learns from no sample has one state in all splits.
    is_fitted = len({info.get(STATE_SHA256) for info in infos}) > len(rms)
    print(line + f", fitted on {len(splits.seeds)} splits" * is_fitted)
    if not all(rms.values()) and not isinstance(section, ZeroOffset):
        print(zero_warning(name))


if __name__ == "__main__":
    run_command(main)
