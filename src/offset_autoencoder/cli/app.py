"""``offset-autoencoder``: its commands with their options, help, completion and exit status.

Only what help needs is imported here: a command imports its work when it runs.
"""

from __future__ import annotations

import contextlib
import csv
import functools
import inspect
import itertools
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any, get_args

import typer
from typer.core import TyperGroup
from typer.exceptions import TyperException

from offset_autoencoder.errors import INTERRUPTED, InputError, run_command

PROGRAM = "offset-autoencoder"
_KEYWORD = inspect.Parameter.KEYWORD_ONLY

# Read by hand: a shell waits for every Tab, and every other reader of it imports more.
_INDEX = Path("models/index.csv")


class CommandGroup(TyperGroup):
    """Commands that end as :func:`.errors.run_command` says, and whose help is quick.

    A mistyped command line is an error like any other: one line without usage, status 1.
    """

    # Typer does not export the class of the contexts that it calls this with.
    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Print a command's help where it is asked for; otherwise parse the arguments.

        Typer would first build Pydantic adapters of all parameters, most of the time of a help.
        """
        command = self.get_command(ctx, args[0]) if args else None
        if command is not None:
            context = command.context_class(
                command, info_name=args[0], parent=ctx, **command.context_settings
            )
            options = itertools.takewhile(lambda argument: argument != "--", args[1:])
            if set(options) & set(context.help_option_names):
                print(context.get_help())
                ctx.exit()
        return super().parse_args(ctx, args)

    def main(self, *args: Any, **extra: Any) -> Any:
        """Parse the command line and run the command that it names.

        Raises:
            SystemExit: always; 0 on success, and else as :func:`.errors.run_command` says.
        """
        extra["standalone_mode"] = False
        run_command(lambda: self._run(*args, **extra))
        raise SystemExit(0)

    def _run(self, *args: Any, **extra: Any) -> None:
        try:
            status = super().main(*args, **extra)
        except TyperException as error:
            context = getattr(error, "ctx", None)
            command = context.command_path if context else str(self.name)
            what = error.format_message().rstrip(".")
            what = what[:1].lower() + what[1:]
            raise InputError(command, what, f"{command} --help says more") from None
        # Typer turns Ctrl-C into a status before anyone else sees it.
        if status == INTERRUPTED:
            raise KeyboardInterrupt("nothing was written")
        if status:
            raise SystemExit(status)


def complete_model(incomplete: str) -> list[str]:
    """Names of the models that have runs, for the shell."""
    names = dict.fromkeys(row["model"] for row in _index_rows())
    return [name for name in names if name.startswith(incomplete)]


def complete_run(incomplete: str) -> list[tuple[str, str]]:
    """First digits of the ids of runs, each with model and seed, for the shell."""
    return [
        (row["id"][: max(12, len(incomplete))], f"{row['model']}, seed {row['seed']}")
        for row in _index_rows()
        if row["id"].startswith(incomplete)
    ]


def _index_rows() -> Iterator[dict[str, str]]:
    needed = {"model", "seed", "id"}
    errors = contextlib.suppress(OSError, ValueError, csv.Error)
    with errors, _INDEX.open(newline="", encoding="utf-8") as stream:
        yield from (row for row in csv.DictReader(stream) if needed <= row.keys())


app = typer.Typer(
    name=PROGRAM,
    cls=CommandGroup,
    help="Inspect an offset-autoencoder project, and apply its models to new samples.",
    # Plain help takes half the time of Rich's panels.
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _argument(metavar: str, text: str, **settings: Any) -> Any:
    return typer.Argument(metavar=metavar, help=text, show_default=False, **settings)


def _option(metavar: str, text: str, *names: str, **settings: Any) -> Any:
    return typer.Option(*names, metavar=metavar, help=text, show_default=False, **settings)


def _flag(name: str, text: str, **settings: Any) -> Any:
    return typer.Option(name, help=text, **settings)


Model = Annotated[
    str,
    _argument(
        "MODEL",
        "A run's id, the first digits of it or its folder; a saved model's folder; "
        "models:/NAME/VERSION or models:/NAME@champion; or champion, that of the project.",
        autocompletion=complete_run,
    ),
]
Input = Annotated[
    Path,
    _argument("INPUT", "The samples, as in the data set: .npy, .npz, .csv, .parquet, .h5, ..."),
]
Output = Annotated[Path, _argument("OUTPUT", "The file to write: .npy, .csv or .parquet.")]
Features = Annotated[
    str | None,
    _option(
        "NAMES",
        "The features' columns, separated by commas, or the array of an npz or hdf5.  "
        "[default: those of params.yaml, else all but label, id and split]",
    ),
]
Label = Annotated[
    str | None,
    _option("NAME", "Column, array or file of the labels, which the offset class_code needs."),
]
Id = Annotated[
    str | None,
    _option(
        "NAME",
        "Column, array or file of the ids, which the offset interference needs, and by which "
        "vectors of an offset's file are found; written next to the result.",
        "--id",
    ),
]
Header = Annotated[
    bool | None,
    _flag(
        "--header/--no-header",
        "Whether the first line of a csv names its columns; else they are 0, 1, ...  "
        "[default: as params.yaml says]",
        show_default=False,
    ),
]
Offset = Annotated[
    Path | None,
    _option("FILE", "An npy file of f(x) to use instead of the computed one, unscaled."),
]
Scaled = Annotated[
    bool,
    _flag("--scaled", "The samples are scaled already, as in data/prepared, and so is the result."),
]
Force = Annotated[bool, _flag("--force", "Overwrite an output that exists.")]
AsJson = Annotated[bool, _flag("--json", "JSON instead of a table.")]
Run = Annotated[
    str,
    _argument(
        "RUN", "A run's id, the first digits of it, or its folder.", autocompletion=complete_run
    ),
]


def _version(requested: bool) -> None:
    if requested:
        from importlib.metadata import version

        print(version(PROGRAM))
        raise typer.Exit


@app.callback(invoke_without_command=True)
def _help(
    context: typer.Context,
    version: Annotated[
        bool, _flag("--version", "Print the version.", callback=_version, is_eager=True)
    ] = False,
) -> None:
    if context.invoked_subcommand is None:
        print(context.get_help())


def _add_operation(name: str, text: str, **own: Any) -> None:
    """Add the command of a class of :mod:`.operations`, of this name in capitals.

    ``own`` are the types of its options beside those that all have; by default an option is None,
    a flag false. All but ``offset`` go to the class.
    """
    columns = {"features": Features, "label": Label, "id": Id, "header": Header}

    def command(model: str, input: Path, output: Path, **options: Any) -> None:
        from offset_autoencoder.cli import operations
        from offset_autoencoder.cli.apply import apply_model
        from offset_autoencoder.data.new_samples import ColumnOptions

        chosen = ColumnOptions(**{key: options.pop(key) for key in columns})
        how = {"is_scaled": options.pop("scaled"), "force": options.pop("force")}
        how["offset"] = options.pop("offset", None)
        make = functools.partial(getattr(operations, name.title()), **options)
        apply_model(make, model, input, output, chosen, **how)

    positional = {"model": Model, "input": Input, "output": Output}
    parameters = [inspect.Parameter(n, _KEYWORD, annotation=t) for n, t in positional.items()]
    for option, kind in {**columns, **own, "scaled": Scaled, "force": Force}.items():
        default = False if get_args(kind)[0] is bool else None
        parameters.append(inspect.Parameter(option, _KEYWORD, annotation=kind, default=default))
    command.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    app.command(name, help=text)(command)


_RECONSTRUCT = """Write reconstructions of samples, and print their error.

The values are in the units of the input; the error is that of the values as the network
sees them, which is what the reports state.
"""
_ERRORS = """Write the error of each sample, and what it exceeds.

That is the 90th, 95th or 99th percentile of the errors of the validation split:
above_percentile is 95 where the error exceeds the second of them and not the third, 0 where
it exceeds none. The error is that of the values as the network sees them.
"""
_OFFSETS = """Write the offsets f(x) of samples that a model adds.

As in data/offsets: not yet multiplied by the factor that gives them the model's rms.
"""
_METRIC = "mse, mae or binary_crossentropy.  [default: by params.yaml, else mse]"
_THRESHOLD = "Mark what exceeds it, not the quantiles of the validation split."
_add_operation("reconstruct", _RECONSTRUCT, offset=Offset)
_add_operation(
    "errors",
    _ERRORS,
    offset=Offset,
    metric=Annotated[str | None, _option("NAME", _METRIC)],
    threshold=Annotated[float | None, _option("ERROR", _THRESHOLD)],
    per_feature=Annotated[bool, _flag("--per-feature", "Write the error of each feature, too.")],
)
_add_operation("encode", "Write a model's codes of samples, before anything is added.")
_add_operation("offsets", _OFFSETS)


_QUICK = "Build and train no network, so that no time is estimated, nor a wrong network found."


@app.command()
def check(quick: Annotated[bool, _flag("--quick", _QUICK)] = False) -> None:
    """Check params.yaml and the data, and write nothing.

    Refused is what the stage prepare refuses, and a network that cannot be trained. Each network
    is trained for a few epochs, to say how long the training takes.
    """
    from offset_autoencoder.stages.check import check

    check(estimate=not quick)


@app.command()
def train(
    share: Annotated[
        str,
        _option("K/N", "Only the share K of N of them, K from 0 to N - 1.  [default: all]"),
    ] = "0/1",
) -> None:
    """Train the runs that do not exist yet, into the run store.

    For clusters: a share per job, any number at once, after dvc repro prepare offsets. A later
    dvc repro finds these runs, and trains what is missing. The environment variable
    OFFSET_AUTOENCODER_RUNS names the folder of the run store, .runs by default.
    """
    from offset_autoencoder.stages.train import Share, train_share

    # Typer loses what an interrupt says.
    run_command(lambda: train_share(Share.parse(share)))


@app.command()
def runs(
    model: Annotated[
        list[str] | None,
        _option(
            "NAME",
            "Only runs of this model; may be given several times.",
            "--model",
            "-m",
            autocompletion=complete_model,
        ),
    ] = None,
    current: Annotated[
        bool, _flag("--current", "Only those in models/, not what was published.")
    ] = False,
    json: AsJson = False,
) -> None:
    """List the runs, and whether they are published.

    Those in models/, with their test metric once they are evaluated; and those that were
    published before, and are history now.
    """
    from offset_autoencoder.cli.runs import print_runs

    print_runs(tuple(model or ()), only_current=current, as_json=json)


@app.command()
def show(
    run: Run,
    json: AsJson = False,
    open: Annotated[bool, _flag("--open", "Open its page in MLflow's UI, in the browser.")] = False,
) -> None:
    """Show one run: settings, losses, test metrics, files, page."""
    from offset_autoencoder.cli.show import show_run

    show_run(run, as_json=json, in_browser=open)


@app.command(
    context_settings={
        "allow_extra_args": True,
        "ignore_unknown_options": True,
        "help_option_names": ["--help"],  # mlflow ui has a -h of its own, the host
    },
)
def ui(context: typer.Context) -> None:
    """Open MLflow's UI at the settings of the project's experiment.

    With --no-browser it only prints the link. Further arguments go to mlflow ui, such as
    --port 5001.
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
