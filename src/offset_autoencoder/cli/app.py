"""``offset-autoencoder``: its commands with their options and help.

Nothing is imported here but what help needs: a command imports its work when it is run.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from offset_autoencoder.cli import completion
from offset_autoencoder.cli.one_line import OneLineErrors
from offset_autoencoder.cli.quick_help import HELP, QuickHelp

PROGRAM = "offset-autoencoder"

app = typer.Typer(
    name=PROGRAM,
    cls=OneLineErrors,
    help="Look at an offset-autoencoder project, and apply its models to new samples.",
    # Plain help is there in half the time of Rich's panels.
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": list(HELP)},
)

Model = Annotated[
    str,
    typer.Argument(
        metavar="MODEL",
        help="A run's id, the first digits of it or its folder; a saved model's folder; "
        "models:/NAME/VERSION or models:/NAME@champion; or champion, that of the project.",
        show_default=False,
        autocompletion=completion.run_ids,
    ),
]
Input = Annotated[
    Path,
    typer.Argument(
        metavar="INPUT",
        help="The samples, as they came: .npy, .npz, .csv, .csv.gz or .parquet.",
        show_default=False,
    ),
]
Output = Annotated[
    Path,
    typer.Argument(metavar="OUTPUT", help="Where to: .npy, .csv or .parquet.", show_default=False),
]
Features = Annotated[
    str | None,
    typer.Option(
        metavar="NAMES",
        help="The features' columns, commas between them, or the array of an npz.  "
        "[default: those of params.yaml, else all but label, id and split]",
        show_default=False,
    ),
]
Label = Annotated[
    str | None,
    typer.Option(
        metavar="NAME",
        help="Column, array or file of the labels, which the offset class_code asks for.",
        show_default=False,
    ),
]
Id = Annotated[
    str | None,
    typer.Option(
        "--id",
        metavar="NAME",
        help="Column, array or file of the ids, which the offset interference asks for; "
        "written beside the result.",
        show_default=False,
    ),
]
Scaled = Annotated[
    bool,
    typer.Option(
        "--scaled",
        help="The samples are scaled already, as in data/prepared, and so is the result.",
    ),
]
Force = Annotated[bool, typer.Option("--force", help="Write over an output that exists.")]
AsJson = Annotated[bool, typer.Option("--json", help="JSON instead of a table.")]
Run = Annotated[
    str,
    typer.Argument(
        metavar="RUN",
        help="A run's id, the first digits of it, or its folder.",
        show_default=False,
        autocompletion=completion.run_ids,
    ),
]


def _version(asked: bool) -> None:
    if asked:
        from importlib.metadata import version

        print(version(PROGRAM))
        raise typer.Exit


@app.callback(invoke_without_command=True)
def _help(
    context: typer.Context,
    version: Annotated[
        bool,
        typer.Option("--version", help="Print the version.", callback=_version, is_eager=True),
    ] = False,
) -> None:
    if context.invoked_subcommand is None:
        print(context.get_help())


@app.command(cls=QuickHelp)
def reconstruct(
    model: Model,
    input: Input,
    output: Output,
    features: Features = None,
    label: Label = None,
    id: Id = None,
    offset: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="An npy file of f(x) to take in the place of the computed one, unscaled.",
            show_default=False,
        ),
    ] = None,
    scaled: Scaled = False,
    force: Force = False,
) -> None:
    """Write a model's reconstructions of samples, and say the error.

    The values are in the units of the input; the error is that of the values as the network
    sees them, which is what the reports state.
    """
    from offset_autoencoder.cli.apply import apply_model
    from offset_autoencoder.cli.chosen_columns import Named

    named = Named(features, label, id)
    apply_model(
        "reconstruct",
        model,
        input,
        output,
        named,
        offset=offset,
        is_scaled=scaled,
        force=force,
    )


@app.command(cls=QuickHelp)
def encode(
    model: Model,
    input: Input,
    output: Output,
    features: Features = None,
    label: Label = None,
    id: Id = None,
    scaled: Scaled = False,
    force: Force = False,
) -> None:
    """Write a model's codes of samples, before anything is added."""
    from offset_autoencoder.cli.apply import apply_model
    from offset_autoencoder.cli.chosen_columns import Named

    named = Named(features, label, id)
    apply_model("encode", model, input, output, named, is_scaled=scaled, force=force)


@app.command(cls=QuickHelp)
def offsets(
    model: Model,
    input: Input,
    output: Output,
    features: Features = None,
    label: Label = None,
    id: Id = None,
    scaled: Scaled = False,
    force: Force = False,
) -> None:
    """Write the offsets f(x) of samples that a model adds.

    As in data/offsets: not yet multiplied by the factor that gives them the model's rms.
    """
    from offset_autoencoder.cli.apply import apply_model
    from offset_autoencoder.cli.chosen_columns import Named

    named = Named(features, label, id)
    apply_model("offsets", model, input, output, named, is_scaled=scaled, force=force)


@app.command(cls=QuickHelp)
def check() -> None:
    """Check params.yaml and the data, and write nothing.

    What is refused here is what the stage prepare refuses.
    """
    from offset_autoencoder.cli.check import check

    check()


@app.command(cls=QuickHelp)
def runs(
    model: Annotated[
        list[str] | None,
        typer.Option(
            "--model",
            "-m",
            metavar="NAME",
            help="Of this model alone; may be given several times.",
            show_default=False,
            autocompletion=completion.models,
        ),
    ] = None,
    current: Annotated[
        bool, typer.Option("--current", help="Those in models/ alone, not what was published.")
    ] = False,
    json: AsJson = False,
) -> None:
    """List the runs, and whether they are published.

    Those in models/, with their test metric once they are evaluated; and those that were
    published before, and are history now.
    """
    from offset_autoencoder.cli.runs import print_runs

    print_runs(tuple(model or ()), only_current=current, as_json=json)


@app.command(cls=QuickHelp)
def show(
    run: Run,
    json: AsJson = False,
    open: Annotated[
        bool, typer.Option("--open", help="Open its page in MLflow's UI, in the browser.")
    ] = False,
) -> None:
    """Show one run: settings, losses, test metrics, files, page."""
    from offset_autoencoder.cli.show import show_run

    show_run(run, as_json=json, in_browser=open)


@app.command(
    cls=QuickHelp,
    context_settings={
        "allow_extra_args": True,
        "ignore_unknown_options": True,
        "help_option_names": ["--help"],  # -h is a host there
    },
)
def ui(context: typer.Context) -> None:
    """Open MLflow's UI on the project's store.

    Further arguments go to mlflow ui: --port 5001, say.
    """
    from offset_autoencoder.tracking import ui

    # It reads its arguments, and the name in its messages, from the command line.
    sys.argv = [f"{PROGRAM} ui", *context.args]
    ui.main()


def main() -> None:
    """Run the command that the command line names."""
    app()


if __name__ == "__main__":
    main()
