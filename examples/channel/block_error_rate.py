"""The stage ``block_error_rate``: every run of ``models/`` over the channel, beside theory."""

from __future__ import annotations

import dataclasses

from rich.console import Console

from channel.link import codebook, interference_of, make_link, no_interference
from channel.monte_carlo import Link, count_block_errors
from channel.picture import draw_block_error_rate
from channel.results import Measured, best_of
from channel.tables import metrics_of, print_tables, rows_of
from channel.theory import maximum_likelihood, theory_of
from offset_autoencoder.config import Run, load_params
from offset_autoencoder.errors import run_command
from offset_autoencoder.io.files import write_json
from offset_autoencoder.io.tables import write_csv
from offset_autoencoder.offsets.table import folder_of
from offset_autoencoder.paths import MODELS, OFFSETS, PARAMS, REPORTS
from offset_autoencoder.reporting.terminal import progress
from offset_autoencoder.runs.files import read_saved_run
from offset_autoencoder.runs.load import open_model
from offset_autoencoder.runs.store import read_index, runs_folder

EBN0_DB = tuple(range(-2, 7))
# Who has the fewest errors was also lucky: one simulation chooses, another is reported.
CHOOSING, CHOOSING_SEED = 400, 0
REPORTED, REPORTED_SEED = 2000, 1
CONFIDENCE = 0.95


def main() -> None:
    """Measure every run, the best seed of each setting once more, and write what came out."""
    params = load_params(PARAMS)
    finished = [
        (row.id, run)
        for row, run in zip(read_index(MODELS), params.runs, strict=True)
        if row.status == "finished"
    ]
    links: dict[str, Link] = {}
    runs = []
    with progress("simulating runs", len(finished), float(len(finished))) as report:
        for run_id, run in finished:
            links[run_id] = link_of(run_id, run)
            points = count_block_errors(
                links[run_id], EBN0_DB, at_least=CHOOSING, seed=CHOOSING_SEED
            )
            setting = run.setting
            runs.append(Measured(setting.label, setting.model, run.seed, run_id, tuple(points)))
            report(float(len(runs)), len(runs))
    best = [measure_again(run, links[run.id]) for run in best_of(runs, "setting")]
    # The bound is that of words of equal power.
    bounded = {row_id for row_id, _ in finished if not links[row_id].has_mean_power}
    of_models = {run.id for run in best_of(runs, "model")}
    printed = [run for run in best if run.id in of_models]
    bits = next(iter(links.values())).messages.bit_length() - 1
    dimensions = params.settings[0].network.latent_dim
    theory = theory_of(bits, dimensions, EBN0_DB)
    title = f"{bits} bits in {dimensions} dimensions, best of {len(params.seeds)} seeds"
    for name, measured in (("runs", runs), ("best", best)):
        rows = [row for run in measured for row in rows_of(run, EBN0_DB, theory, CONFIDENCE)]
        write_csv(REPORTS / f"block_error_rate_{name}.csv", list(rows[0]), rows)
    write_json(REPORTS / "block_error_rate.json", metrics_of(best, EBN0_DB, theory))
    draw_block_error_rate(
        REPORTS / "block_error_rate.png",
        EBN0_DB,
        theory,
        {run.setting: run.points for run in printed},
        title=title,
        confidence=CONFIDENCE,
    )
    held = [run for run in runs if run.id in bounded]
    print_tables(Console(), held, printed, EBN0_DB, theory, title=title, confidence=CONFIDENCE)


def link_of(run_id: str, run: Run) -> Link:
    """A run as a transmitter and a receiver."""
    model = open_model(runs_folder(MODELS) / run_id, scales_offset=False)
    setting = run.setting
    latent_dim, offset = setting.network.latent_dim, setting.spec.offset
    interfere = no_interference(latent_dim)
    if offset is not None:
        table = folder_of(OFFSETS, offset, latent_dim, swept=False)
        factor = read_saved_run(runs_folder(MODELS) / run_id).spec.offset_factor
        interfere = interference_of(table, factor, model.input["x"].shape[1])
    return make_link(model, interfere, informed=setting.spec.system == "function")


def measure_again(run: Measured, link: Link) -> Measured:
    """A chosen run by noise that did not choose it, and its code under the best decoder."""
    points = count_block_errors(link, EBN0_DB, at_least=REPORTED, seed=REPORTED_SEED)
    codes = codebook(link)
    own = None if codes is None else maximum_likelihood(codes, EBN0_DB, directions=1 << 19).rate
    return dataclasses.replace(run, points=tuple(points), best_decoder=own)


if __name__ == "__main__":
    run_command(main)
