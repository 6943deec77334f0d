"""The stage ``messages``: one-hot messages as a data set, every message equally often.

The pipeline cuts its splits by the column ``split``; a sample's id counts through all rows,
so that an offset that goes by the id is independent of the message.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from offset_autoencoder.io.files import write_npz
from offset_autoencoder.paths import RAW

COPIES = {"train": 512, "validation": 8, "test": 64}


def make_messages(bits: int) -> dict[str, NDArray[Any]]:
    """All messages of k bits, M = 2^k, each :data:`COPIES` times per split.

    Returns:
        ``x`` (n, M) float32, ``message`` (n,) int64, ``id`` (n,) int64, ``split`` (n,) text.
    """
    count = 2**bits
    message = np.tile(np.arange(count), sum(COPIES.values()))
    split = np.concatenate([np.full(copies * count, name) for name, copies in COPIES.items()])
    x = np.eye(count, dtype=np.float32)[message]
    return {"x": x, "message": message, "id": np.arange(len(x)), "split": split}


def main() -> None:
    """Write ``data/raw/messages.npz``."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("bits", type=int, help="bits a message")
    write_npz(Path(RAW) / "messages.npz", make_messages(parser.parse_args().bits))


if __name__ == "__main__":
    main()
