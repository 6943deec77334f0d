"""Stage ``offset_code``: digest of the code of each offset's kind → ``data/offset_code/NAME``.

DVC cannot give one offset of ``foreach`` other dependencies than the next. So an offset depends on
a file of its own that holds the digest of the code which its kind alone needs: its module and,
where it trains a network, the code that decides weights. A change to an engine then reruns no
offset that does not train, and one to a scheduler, to comments or to layout reruns none.
"""

from __future__ import annotations

from offset_autoencoder import paths
from offset_autoencoder.config import load_params
from offset_autoencoder.config.offset_kinds import OFFSETS
from offset_autoencoder.errors import run_command
from offset_autoencoder.io.files import replace_folder
from offset_autoencoder.runs.code_digest import WEIGHT_CODE, digest_of

# What decides the bytes of some kinds alone, beside what dvc.yaml names for every offset.
_TRAINING = (*WEIGHT_CODE, "models.dense", "offsets.reference")


def main() -> None:
    """Write ``data/offset_code``.

    Raises:
        InputError: where something is wrong with params.yaml.
    """
    params = load_params(paths.PARAMS)
    with replace_folder(paths.OFFSET_CODE) as folder:
        for name, section in params.offsets.items():
            (folder / name).write_text(f"{digest_of(code_of_kind(section.kind))}\n")


def code_of_kind(kind: str) -> tuple[str, ...]:
    """Modules and packages of ours that only this kind, or kinds like it, need."""
    section = OFFSETS[kind]
    return (f"offsets.{kind}", *section.shares, *(_TRAINING if section.trains else ()))


if __name__ == "__main__":
    run_command(main)
