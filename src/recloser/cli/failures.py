"""One line and one exit status for everything that can end a command."""

import errno
import os
import sys
import threading
import traceback
import warnings
from collections.abc import Mapping, Sequence
from types import TracebackType
from typing import Any, Final

import click

from recloser.cli import streams
from recloser.errors import DamagedLogError, FoldError, FutureVersionError, RecloserError

DIFFERENCE: Final = 1
BAD_INPUT: Final = 2
DAMAGED: Final = 3
TORN: Final = 4
FUTURE: Final = 5
INTERNAL: Final = 70
INTERRUPTED: Final = 130

_LONGEST_LINE: Final = 2000  # a name, or an argument, may be much longer
_MESSAGES: Final[Mapping[type[BaseException], str]] = {
    click.Abort: "nothing was done, as nobody said yes",
    MemoryError: "there is not enough memory for this",
}
_REMEDIES: Final = {
    errno.ENOSPC: "free space on that disk, or choose another; TMPDIR says where temporary files go",
    errno.EDQUOT: "the quota is used up; free space there, or choose another disk",
    errno.EACCES: "this process has not the right to; choose another place, or give it the right",
    errno.EROFS: "the file system is read-only; choose another place",
    errno.EMFILE: "this process has too many files open; raise its limit (ulimit -n)",
    errno.ENOTDIR: "a file is in the place of a folder; choose another place",
    errno.EISDIR: "a folder is in the place of a file; choose another place",
}


def status_after(error: BaseException, arguments: Sequence[str]) -> int:
    """Say in one line what ended a command; the exit status.

    Args:
        error: What was raised.
        arguments: Those of the command; with ``--debug`` among them, a traceback is printed too.
    """
    error = _before_click(error)
    failure: OSError | None = error if isinstance(error, streams.OutputError) else None
    if isinstance(error, OSError) and failure is None:
        failure = streams.failure()  # of what click printed
    if failure is not None:
        streams.silence(sys.stdout)
    if isinstance(failure, BrokenPipeError):
        return 0  # the reader has seen enough
    if isinstance(error, KeyboardInterrupt):
        streams.write_error("\n")  # ends the line in which a terminal shows ^C
        return INTERRUPTED
    if type(error).__name__ == "NoArgsIsHelpError":  # not in every version of click
        assert isinstance(error, click.ClickException)
        streams.write_error(f"{error.format_message()}\n")
        return BAD_INPUT
    if "--debug" in arguments and not isinstance(error, click.ClickException | click.Abort):
        streams.write_error("".join(traceback.format_exception(error)))
    status, message = status_for(error), _message(error)
    if failure is not None:
        message = f"standard output can't be written: {failure.strerror or failure}"
    say(message)
    return status


def status_for(error: BaseException) -> int:
    """The exit status for an error."""
    if isinstance(error, FutureVersionError):
        return FUTURE
    if isinstance(error, DamagedLogError | FoldError):
        return DAMAGED
    expected = (RecloserError, OSError, MemoryError, click.ClickException, click.Abort)
    return BAD_INPUT if isinstance(error, expected) else INTERNAL


def failure_line(error: OSError) -> str:
    """One line for what the operating system refused: the place, the cause and the remedy."""
    cause = error.strerror or str(error)
    place = "" if error.filename is None else f"{_text(error.filename)}: "
    remedy = _REMEDIES.get(error.errno or 0)
    return f"{place}{cause}" + (f"; {remedy}" if remedy else "")


def say(message: str) -> None:
    """Print one line on standard error, with nothing in it that could steer a terminal."""
    from recloser.core.formatting import printable

    line = printable(message)
    if len(line) > _LONGEST_LINE:
        line = f"{line[: _LONGEST_LINE // 2]}…{line[-_LONGEST_LINE // 2 :]}"
    streams.write_error(f"recloser: {line}\n")


def say_all_in_lines() -> None:
    """Have warnings, log records and errors of threads printed in one line each."""
    import logging

    class Lines(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            say(_in_one_line(record.getMessage()))

    logging.lastResort = Lines(logging.WARNING)
    warnings.showwarning = _warn
    threading.excepthook = _in_thread
    sys.unraisablehook = _unraisable


def _before_click(error: BaseException) -> BaseException:
    """The interrupt that came at a question; click makes another error of it."""
    is_interrupted = isinstance(error, click.Abort)
    if is_interrupted and isinstance(error.__context__, KeyboardInterrupt):
        return error.__context__
    return error


def _message(error: BaseException) -> str:
    if isinstance(error, click.ClickException):
        return _usage(error)
    if isinstance(error, OSError) and not isinstance(error, RecloserError):
        return _in_one_line(failure_line(error))
    for expected, message in _MESSAGES.items():
        if isinstance(error, expected):
            return message
    if isinstance(error, RecloserError):
        return _in_one_line(str(error))
    text = _in_one_line(f"{type(error).__name__}: {error}")
    return (
        f"unexpected {text} ({_place(error.__traceback__)}); this is a fault of recloser: please "
        "report it, with what the same command prints after `recloser --debug`"
    )


def _usage(error: click.ClickException) -> str:
    message = _in_one_line(error.format_message())
    if not isinstance(error, click.UsageError) or error.ctx is None:
        return message
    return f"{message.removesuffix('.')}; see {error.ctx.command_path} --help"


def _in_one_line(text: str) -> str:
    lines = [line.strip() for line in text.split("\n")]
    return " ".join(line for line in lines if line)


def _place(trace: TracebackType | None) -> str:
    frames = traceback.extract_tb(trace)
    if not frames:
        return "no place known"
    return f"{os.path.basename(frames[-1].filename)}, line {frames[-1].lineno}"  # noqa: PTH119


def _text(name: object) -> str:
    return name.decode(errors="backslashreplace") if isinstance(name, bytes) else str(name)


def _warn(message: Warning | str, *_where: Any, **_more: Any) -> None:
    say(_in_one_line(str(message)))


def _in_thread(args: "threading.ExceptHookArgs") -> None:
    if args.exc_value is not None and args.exc_type is not SystemExit:
        say(_message(args.exc_value))


def _unraisable(args: "sys.UnraisableHookArgs") -> None:
    if args.exc_value is not None:
        say(_message(args.exc_value))
