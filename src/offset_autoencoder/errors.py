"""Error that bad input raises, and the boundary at which every error of a command ends.

Whatever goes wrong in a stage or a command is a line on the standard error: bad input, a full
disk, and, with the path of a log, what no check foresees.
"""

from __future__ import annotations

import contextlib
import difflib
import errno
import functools
import inspect
import os
import re
import reprlib
import sys
import unicodedata
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import NoReturn, ParamSpec, TypeVar

_P = ParamSpec("_P")
_Result = TypeVar("_Result")

_SHORT = reprlib.Repr()
_SHORT.maxlevel = 3
_SHORT.maxstring = _SHORT.maxother = 200
_SHORT.maxlong = 60
_MAX_LENGTH = 300
_NAMED, _NEAREST = 8, 5
_ALIKE = 0.8  # from there on a name is taken for another one, mistyped

BAD_INPUT, UNFORESEEN, INTERRUPTED = 1, 70, 130
"""Exit statuses; 70 is that of an internal error in ``sysexits.h``."""

# Lines of TensorFlow's log, as they come before a level is read and after it.
_LOG_LINES = re.compile(
    rb"^(WARNING: All log messages before absl::|[IWE]\d{4} \d|To enable the following instr).*\n",
    re.MULTILINE,
)
_AGAIN = "then run the command again"
_DISK = {
    errno.ENOSPC: ("the disk is full", f"free some space, {_AGAIN}"),
    errno.EDQUOT: ("the disk quota is used up", f"free some space, {_AGAIN}"),
    errno.EFBIG: ("the file is larger than is allowed", f"see ulimit -f, {_AGAIN}"),
    errno.EROFS: ("the file system is read-only", f"mount it for writing, {_AGAIN}"),
    errno.EACCES: ("permission is denied", f"see who owns it by ls -ld, {_AGAIN}"),
    errno.EPERM: ("the system does not permit it", f"see who owns it by ls -ld, {_AGAIN}"),
    errno.ENOENT: ("there is no such file or folder, or no more", f"put it back, {_AGAIN}"),
    errno.ENOTDIR: ("it lies in what is no folder", f"see what is in its place, {_AGAIN}"),
    errno.ESTALE: ("its file system is gone", f"mount it again, {_AGAIN}"),
    errno.ENAMETOOLONG: (
        "the path is longer than the file system allows",
        "move the project to a shorter path, or shorten the name",
    ),
    errno.EMFILE: ("too many files are open", f"raise the limit by ulimit -n 8192, {_AGAIN}"),
    errno.ENFILE: ("too many files are open", f"end other programs, {_AGAIN}"),
    errno.EIO: ("the disk reports an error", "check the disk, and copy the project from it"),
}
"""What is wrong with a disk, and how to mend it, by the number of an ``OSError``."""
_FEW_INODES = 100
_NO_INODES = ("the disk holds as many files as it can", f"remove some files, {_AGAIN}")
_NO_MEMORY = (
    "there is not enough memory",
    "end other programs, or lower train.memory_limit, train.batch_size or the width of networks",
)
_WHOLE = "nothing is half-written"


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
        super().__init__(_one_line(message))


class InputErrors(InputError):
    """Several mistakes that do not depend on each other, a line each; the first one's place."""

    def __init__(self, errors: Sequence[InputError]) -> None:
        super().__init__(errors[0].where, errors[0].what, errors[0].hint)
        self.errors = tuple(errors)
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
            self.note(error)

    def note(self, error: InputError) -> None:
        """Note bad input."""
        self._errors[str(error)] = error

    def raise_noted(self) -> None:
        """Raise what was noted, if anything was.

        Raises:
            InputError: the one that was noted, or a line of each.
        """
        if self._errors:
            raise self.noted()

    def noted(self) -> InputError:
        """What was noted: the one error, or a line of each."""
        errors = list(self._errors.values())
        return errors[0] if len(errors) == 1 else InputErrors(errors)


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


def named(label: str) -> str:
    """A name of the user's within a sentence: set off, as it may be a word of it, like `none`."""
    return f"`{label}`"


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """Clause that names the nearest of the known words, where none is near the nearest five.

    A few are all named. Words are quoted: a user may call one ``none``.
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
    choices.sort()
    if len(choices) <= _NAMED:
        return "known are " + first_names(map(repr, choices))
    matcher = difflib.SequenceMatcher(b=_plain(str(word)))  # it prepares b once
    ratios = {}
    for choice in choices:
        matcher.set_seq1(_plain(choice))
        ratios[choice] = matcher.ratio()
    nearest = sorted(choices, key=lambda choice: -ratios[choice])
    return "known are " + first_names(map(repr, nearest), _NEAREST)


def known_arguments(
    elsewhere: Mapping[str, str],
) -> Callable[[Callable[_P, _Result]], Callable[_P, _Result]]:
    """Decorator of a function that has it refuse names of arguments that it does not have.

    ``elsewhere`` says how to write what may be taken for arguments: ``{"epochs": "train={...}"}``.
    """

    def decorate(function: Callable[_P, _Result]) -> Callable[_P, _Result]:
        known = inspect.signature(function).parameters

        @functools.wraps(function)
        def checked(*positional: _P.args, **named: _P.kwargs) -> _Result:
            unknown = Obstacles()
            for name in [name for name in named if name not in known]:
                is_mistyped = difflib.get_close_matches(name, known, 1, _ALIKE)
                hint = None if is_mistyped else elsewhere.get(name)
                hint = hint or did_you_mean(name, known)
                unknown.note(InputError(name, f"is no argument of {function.__name__}", hint))
            unknown.raise_noted()
            return function(*positional, **named)

        return checked

    return decorate


def _plain(word: str) -> str:
    return unicodedata.normalize("NFC", word).strip().lower()


def first_names(names: Iterable[object], count: int = _NAMED) -> str:
    """Enumeration of the first few names, and how many more there are: ``"a, b and 7 more"``."""
    listed = [str(name) for name in names]
    more = len(listed) - count
    return ", ".join(listed[:count]) + (f" and {more} more" if more > 0 else "")


def printable(text: str) -> str:
    """Text with escapes in place of what a terminal would obey or cannot show."""
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


def _one_line(text: str) -> str:
    return printable(" ".join(text.split()))


def message_of(error: BaseException) -> str:
    """Message of an exception as one line, where it has one; its class may be anybody's."""
    try:
        return _one_line(str(error))
    except Exception:
        return "its message cannot be printed"


def is_of_disk(error: BaseException) -> bool:
    """True if an exception is about a disk, a folder or memory, and not about what a file holds."""
    return isinstance(error, MemoryError) or (isinstance(error, OSError) and error.errno in _DISK)


@contextlib.contextmanager
def writing(path: Path, prefix: Path) -> Iterator[None]:
    """Have an ``OSError`` of the block name the file that it was writing.

    What takes the place of ``path`` in the end has until then a name of this prefix and random
    letters: a file, or a folder, in which what is written may lie in the folder ``new``.
    """
    try:
        yield
    except OSError as error:
        name = error.filename2 or error.filename
        if name is None:
            if re.search("Not enough free space|requested and .* written", str(error)):
                error.errno, error.strerror = errno.ENOSPC, str(error)  # of NumPy, without a number
            if error.errno is not None:
                error.filename = str(path)
        elif str(prefix) in str(name):  # after the working folder, perhaps
            _, *parts = Path(str(name).rpartition(str(prefix))[2]).parts
            error.filename = str(Path(path, *parts[parts[:1] == ["new"] :]))
            error.filename2 = None
        raise


@contextlib.contextmanager
def native_messages_held(
    *, shows_after_failure: bool = True, drops_logs_alone: bool = False
) -> Iterator[None]:
    """Hold what native code writes to stderr; show it at most where the block fails.

    Libraries log while they are loaded, before any log level is read. With ``drops_logs_alone``
    all but TensorFlow's log is shown when the block ends.
    """
    import tempfile

    sys.stderr.flush()
    with tempfile.TemporaryFile() as held:
        stderr, shows = os.dup(2), drops_logs_alone
        os.dup2(held.fileno(), 2)
        try:
            yield
        except BaseException:
            shows |= shows_after_failure
            raise
        finally:
            sys.stderr.flush()
            held.seek(0)
            text = held.read() if shows else b""
            os.write(stderr, _LOG_LINES.sub(b"", text) if drops_logs_alone else text)
            os.dup2(stderr, 2)
            os.close(stderr)


def run_command(command: Callable[[], None]) -> None:
    """Run a command, turning every error and Ctrl-C into one line and an exit status.

    Raises:
        SystemExit: with 1 after an :class:`InputError` and after errors of disk and memory, with
            70 after any other exception, whose traceback is then in a log, with 130 after Ctrl-C.
    """
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):  # no name fails for the terminal's encoding
            stream.reconfigure(errors="backslashreplace")
    try:
        command()
        sys.stdout.flush()
    except InputError as error:
        _end(BAD_INPUT, *(f"error: {line}" for line in str(error).splitlines()))
    except KeyboardInterrupt as interrupt:
        _end(INTERRUPTED, f"interrupted: {str(interrupt) or 'what was finished is kept'}")
    except BrokenPipeError:
        _discard_output()  # its reader has ended: `offset-autoencoder runs | head`
        raise SystemExit(BAD_INPUT) from None
    except Exception as error:
        if is_of_disk(error):
            _discard_output()
            _end(BAD_INPUT, f"error: {_of_disk(error)}")
        _end(UNFORESEEN, f"error: {_unforeseen(error)}")


def _discard_output() -> None:
    """Have Python not try again, when it ends, to write what could not be written."""
    with contextlib.suppress(OSError, ValueError):
        sys.stdout.flush()
    with contextlib.suppress(OSError, ValueError):  # it is no file
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _end(status: int, *lines: str) -> NoReturn:
    with contextlib.suppress(OSError, ValueError):  # nobody listens
        print(*lines, sep="\n", file=sys.stderr, flush=True)
    raise SystemExit(status) from None


def _of_disk(error: BaseException) -> InputError:
    if not isinstance(error, OSError):
        what, mend = _NO_MEMORY
        return InputError("memory", f"{what}: {message_of(error)}; {_WHOLE}", mend)
    is_missing = error.errno == errno.ENOENT
    unnamed = "the working folder" if is_missing else "the standard output or a temporary file"
    where = str(error.filename2 or error.filename or unnamed)
    what, mend = fault_of_disk(error)
    return InputError(where, f"{what}; {_WHOLE}", mend)


def fault_of_disk(error: OSError) -> tuple[str, str]:
    """Fault of the disk by an error that :func:`is_of_disk`, and its mend, each in words."""
    path = error.filename2 or error.filename
    if error.errno == errno.ENOSPC and path and _has_no_inodes(Path(str(path))):
        return _NO_INODES
    return _DISK[error.errno or errno.EIO]


def _has_no_inodes(path: Path) -> bool:
    for folder in path.absolute().parents:
        with contextlib.suppress(OSError):
            system = os.statvfs(folder)
            # What could not be written has given its own back by now.
            return system.f_files > 0 and system.f_favail < min(_FEW_INODES, system.f_bavail)
    return False


def _unforeseen(error: BaseException) -> InputError:
    # Here, as every command starts with this module.
    import platform
    import tempfile
    import traceback

    frame = traceback.extract_tb(error.__traceback__)[-1]
    place = f"{Path(frame.filename).name}, line {frame.lineno}"
    lines = [
        f"command: {' '.join(sys.argv)}\n",
        f"system: Python {platform.python_version()}, {platform.platform()}\n",
        *traceback.format_exception(error),
    ]
    try:  # a file that stays, outside of the project
        handle, log = tempfile.mkstemp(prefix="offset-autoencoder-", suffix=".log")
        with os.fdopen(handle, "w", encoding="utf-8", errors="backslashreplace") as stream:
            stream.writelines(lines)
        mend = f"the traceback is in {log}: please report it with that file"
    except OSError as full:
        mend = f"please report it; its traceback cannot be kept: {message_of(full)}"
    what = f"a fault of the program, which no check foresaw, at {place}"
    return InputError(type(error).__name__, f"{message_of(error)}: {what}; {_WHOLE}", mend)
