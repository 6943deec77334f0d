"""``reconstruct``, ``encode`` and ``offsets``: a model applied to a file, a chunk at a time."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from offset_autoencoder.cli.beside import Extras, find_extras
from offset_autoencoder.cli.chosen_columns import Named
from offset_autoencoder.cli.named_model import open_model
from offset_autoencoder.cli.new_samples import check_input, read_new
from offset_autoencoder.cli.output_file import Layout, check_output, output_file
from offset_autoencoder.data.chunks import chunks
from offset_autoencoder.data.scaling import apply_scale
from offset_autoencoder.data.stacked import Stacked
from offset_autoencoder.data.table import Table
from offset_autoencoder.errors import InputError
from offset_autoencoder.reporting.progress import progress
from offset_autoencoder.serving.applied import AppliedModel, Beside
from offset_autoencoder.serving.facts import Facts
from offset_autoencoder.serving.scaling_back import unscale

What = Literal["reconstruct", "encode", "offsets"]
Array = NDArray[np.float32]
Apply = Callable[[Array, Beside], Array]

_DOING = {"reconstruct": "reconstructing", "encode": "encoding", "offsets": "computing offsets of"}


def apply_model(
    what: What,
    model: str,
    source: Path,
    output: Path,
    named: Named,
    *,
    offset: Path | None = None,
    is_scaled: bool = False,
    force: bool = False,
) -> None:
    """Apply a model to a file, and say in a line what was written.

    Args:
        what: What is wanted of it.
        model: A run, a saved model's folder or a ``models:/`` address.
        source: The samples.
        output: Where to.
        named: Which part columns and arrays play.
        offset: A file of f(x) to be used in the place of the computed one, or None.
        is_scaled: Whether the samples are as in ``data/prepared``, and the result likewise.
        force: Whether an output that exists may be written over.

    Raises:
        InputError: where the output must not be written, the model or the samples cannot be had,
            or do not go together.
    """
    check_input(source)
    check_output(output, source, force=force)
    with open_model(model) as opened:
        facts = opened.facts
        if what == "offsets" and facts.offset_kind is None:
            raise InputError(
                f"model {model}",
                "adds no offset that is computed beforehand: there is none to write",
            )
        labelled = what != "encode" and facts.needs == "labels"
        table = read_new(source, named, labelled=labelled, trained_on=facts.columns)
        # The code depends on x alone.
        extras = (
            Extras(is_scaled)
            if what == "encode"
            else find_extras(facts, table, offset, is_scaled=is_scaled)
        )
        layout = _layout(what, table, facts)
        error = _Error()
        apply: dict[What, Apply] = {
            "reconstruct": _reconstruct(opened, error),
            "encode": lambda rows, given: opened.encode(rows, **given),
            "offsets": lambda rows, given: opened.offset(rows, **given),
        }
        _write(output, layout, _flat(table, facts), apply[what], extras, _DOING[what])
    said = f", mse {error.mean:.6g} of the scaled values" if what == "reconstruct" else ""
    print(f"{output}: {layout.rows} × {len(layout.columns)}{said}")


def _write(
    output: Path, layout: Layout, x: Stacked, apply: Apply, extras: Extras, doing: str
) -> None:
    with (
        output_file(output, layout) as append,
        progress(f"{doing} samples", len(x), float(len(x))) as report,
    ):
        for start, block in chunks(x, len(layout.columns)):
            rows = slice(start, start + len(block))
            append(apply(block, extras.of(rows)), rows)
            report(float(rows.stop), rows.stop)


def _reconstruct(opened: AppliedModel, error: _Error) -> Apply:
    """Reconstructions in the units that the samples came in; their error is taken as scaled."""

    def apply(rows: Array, given: Beside) -> Array:
        came_scaled = given.get("is_scaled", False)
        scaled = rows if came_scaled else apply_scale(rows, *opened.scale)
        given["is_scaled"] = True
        found = opened.reconstruct(scaled, **given)
        error.add(found, scaled)
        return found if came_scaled else unscale(found, opened.scale).astype(np.float32)

    return apply


class _Error:
    """The squared error of reconstructions, added up."""

    def __init__(self) -> None:
        self._squares, self._values = 0.0, 0

    def add(self, found: Array, scaled: Array) -> None:
        """Take in some samples, (n, D)."""
        self._squares += float(np.square(found - scaled.astype(np.float64)).sum())
        self._values += found.size

    @property
    def mean(self) -> float:
        """Over all values so far."""
        return self._squares / self._values


def _flat(table: Table, facts: Facts) -> Stacked:
    x = Stacked((table.x,))
    if x.shape[1] != facts.input_dim:
        raise InputError(
            table.origin,
            f"its samples have {x.shape[1]} features, the model takes {facts.input_dim}",
        )
    return x


def _layout(what: What, table: Table, facts: Facts) -> Layout:
    if what == "reconstruct":
        columns = table.columns or tuple(f"x_{i}" for i in range(facts.input_dim))
    else:
        prefix = {"encode": "code", "offsets": "offset"}[what]
        columns = tuple(f"{prefix}_{i}" for i in range(facts.latent_dim))
    return Layout(columns, len(table.x), table.ids)
