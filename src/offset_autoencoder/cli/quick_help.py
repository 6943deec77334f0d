"""Help that is there before Typer imports what it reads values with.

Typer makes a Pydantic adapter of every parameter, the program's own first, before it comes to the
``--help`` of a command. So that is looked for first.
"""

from __future__ import annotations

import itertools
from typing import Any

from typer.core import TyperCommand, TyperGroup

HELP = ("-h", "--help")


class QuickHelp(TyperCommand):
    """A command that looks for its help option first."""

    # Typer does not export the class of the contexts that it calls these with.
    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Print help where it is asked for; else read the arguments."""
        own = itertools.takewhile(lambda argument: argument != "--", args)
        if set(own) & set(ctx.help_option_names):
            print(ctx.get_help())
            ctx.exit()
        return super().parse_args(ctx, args)


class QuickHelpGroup(TyperGroup):
    """A group that lets a command give its help before its own options are read."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Hand over to the command where help is asked for; else read the arguments."""
        command = self.get_command(ctx, args[0]) if set(args[1:]) & set(HELP) else None
        if command is not None:
            command.make_context(args[0], args[1:], parent=ctx)
        return super().parse_args(ctx, args)
