"""Every mistake of the command line ends in one line and an exit status, as those of a stage do."""

from __future__ import annotations

import os
import sys
from typing import Any

from typer.exceptions import TyperException

from offset_autoencoder.cli.quick_help import QuickHelpGroup
from offset_autoencoder.errors import InputError, run_command

_INTERRUPTED = 130


class OneLineErrors(QuickHelpGroup):
    """A group of commands that end as :func:`.errors.run_command` says.

    What the user typed wrong is an error like any other: status 1, one line, no usage above it.
    """

    def main(self, *args: Any, **extra: Any) -> Any:
        """Parse the command line and run the command that it names.

        Raises:
            SystemExit: always; 0 where all went well, 1 after bad input, 130 after Ctrl-C.
        """
        extra["standalone_mode"] = False
        try:
            run_command(lambda: self._run(*args, **extra))
            sys.stdout.flush()
        except BrokenPipeError:
            # Whoever read has seen enough: `offset-autoencoder runs | head`.
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            raise SystemExit(1) from None
        raise SystemExit(0)

    def _run(self, *args: Any, **extra: Any) -> None:
        try:
            status = super().main(*args, **extra)
        except TyperException as error:
            context = getattr(error, "ctx", None)
            command = context.command_path if context else str(self.name)
            what = error.format_message().rstrip(".")
            mend = f"{command} --help says more"
            raise InputError(command, what[:1].lower() + what[1:], mend) from None
        # Typer turns Ctrl-C into a status before anyone else sees it.
        if status == _INTERRUPTED:
            raise KeyboardInterrupt("nothing was written")
        if status:
            raise SystemExit(status)
