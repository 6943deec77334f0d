"""Error that bad input raises, and how a command ends when it does."""

from __future__ import annotations

import contextlib
import difflib
import reprlib
import sys
import unicodedata
from collections.abc import Callable, Iterable, Iterator, Sequence

_SHORT = reprlib.Repr()
_SHORT.maxlevel = 3
_SHORT.maxstring = _SHORT.maxother = 200
_SHORT.maxlong = 60
_MAX_LENGTH = 300
_NAMED = 8


class InputError(Exception):
    """Bad input from a user: a key of params.yaml, a file, an array.

    The message is one line that says what is wrong, where, what was expected and how to
    fix it. A command that meets it prints that line and exits with status 1.

    Args:
        where: The place: ``"params.yaml: models.gaussian.stddev"``, ``"data/raw/x.csv, row 3"``.
        what: What is wrong there, and what was expected.
        hint: How to fix it, where that is not obvious.
    """

    def __init__(self, where: str, what: str, hint: str | None = None) -> None:
        self.where = where
        self.what = what
        self.hint = hint
        message = f"{where}: {what}" + (f" ({hint})" if hint else "")
        super().__init__(" ".join(message.split()))


class InputErrors(InputError):
    """Several mistakes that do not depend on each other, a line each; the first one's place."""

    def __init__(self, errors: Sequence[InputError]) -> None:
        super().__init__(errors[0].where, errors[0].what, errors[0].hint)
        self.args = ("\n".join(map(str, errors)),)


class Obstacles:
    """Errors of checks that do not depend on each other, raised together when all are done."""

    def __init__(self) -> None:
        self._errors: dict[str, InputError] = {}

    @contextlib.contextmanager
    def noting(self) -> Iterator[None]:
        """Note bad input that the block meets, and go on after the block."""
        try:
            yield
        except InputError as error:
            self._errors[str(error)] = error

    def raise_noted(self) -> None:
        """Raise what was noted, if anything was.

        Raises:
            InputError: the one that was noted, or a line of each.
        """
        errors = list(self._errors.values())
        if errors:
            raise errors[0] if len(errors) == 1 else InputErrors(errors)


@contextlib.contextmanager
def adding(clause: str) -> Iterator[None]:
    """Add a clause, if it is not empty, to what bad input within the block is said to be."""
    try:
        yield
    except InputError as error:
        if not clause:
            raise
        raise InputError(error.where, f"{error.what}{clause}", error.hint) from None


def short_repr(value: object) -> str:
    """Python representation of a value, cut off after 300 characters."""
    text = _SHORT.repr(value)
    return text if len(text) <= _MAX_LENGTH else f"{text[:_MAX_LENGTH]}..."


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """Clause that names the nearest of the known words, or some of them where none is near.

    Words are quoted: a user may call one ``none``.
    """
    choices = [str(choice) for choice in known]
    near = [choice for choice in choices if _plain(choice) == _plain(str(word))]
    if near and unicodedata.normalize("NFC", near[0]) == unicodedata.normalize("NFC", str(word)):
        return f"did you mean {near[0]!a}, the same in another form of Unicode?"
    near = near or difflib.get_close_matches(str(word), choices, n=1, cutoff=0.6)
    if near:
        return f"did you mean {near[0]!r}?"
    if not choices:
        return "there is nothing to choose from"
    if len(choices) == 1:
        return f"the only one known is {choices[0]!r}"
    return "known are " + first_names(map(repr, sorted(choices)))


def _plain(word: str) -> str:
    return unicodedata.normalize("NFC", word).strip().lower()


def first_names(names: Iterable[object], count: int = _NAMED) -> str:
    """Enumeration of the first few names, and how many more there are: ``"a, b and 7 more"``."""
    listed = [str(name) for name in names]
    more = len(listed) - count
    return ", ".join(listed[:count]) + (f" and {more} more" if more > 0 else "")


def run_command(command: Callable[[], None]) -> None:
    """Run a command, turning bad input and Ctrl-C into one line and an exit status.

    Raises:
        SystemExit: with 1 after an :class:`InputError`, with 130 after Ctrl-C.
    """
    try:
        command()
    except InputError as error:
        for line in str(error).splitlines():
            print(f"error: {line}", file=sys.stderr)
        raise SystemExit(1) from None
    except KeyboardInterrupt as interrupt:
        kept = str(interrupt) or "what was finished is kept"
        print(f"interrupted: {kept}", file=sys.stderr)
        raise SystemExit(130) from None
