"""Turns every error that can end a command into one line and one exit status."""

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

_LONGEST_LINE: Final = 2000  # characters; a name or an argument may be much longer
_MESSAGES: Final[Mapping[type[BaseException], str]] = {
    click.Abort: "nothing was done, because the question was not answered with yes",
    MemoryError: "there is not enough memory for this command",
}
_REMEDIES: Final = {
    errno.ENOSPC: "free space on that disk, or choose another; TMPDIR sets where temporary files go",
    errno.EDQUOT: "the disk quota is used up; free space there, or choose another disk",
    errno.EACCES: "choose another place, or change the permissions of this one",
    errno.EROFS: "the file system is read-only; choose another place",
    errno.EMFILE: "raise the limit of open files (ulimit -n)",
    errno.ENOTDIR: "a file is where a folder is needed; choose another place",
    errno.EISDIR: "a folder is where a file is needed; choose another place",
}


def status_after(error: BaseException, arguments: Sequence[str]) -> int:
    """Print the one line for an error that ended a command, and return the exit status.

    Args:
        error: The exception that the command raised.
        arguments: The arguments of the command line; ``--debug`` adds a traceback.
    """
    error = _original(error)
    failure: OSError | None = error if isinstance(error, streams.OutputError) else None
    if isinstance(error, OSError) and failure is None:
        failure = streams.failure()  # click may have failed to print
    if failure is not None:
        streams.silence(sys.stdout)
    if isinstance(failure, BrokenPipeError):
        return 0  # the reader has seen enough
    if isinstance(error, KeyboardInterrupt):
        streams.write_error("\n")  # end the line in which a terminal shows ^C
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
    print_error_line(message)
    return status


def status_for(error: BaseException) -> int:
    """The exit status that an exception results in."""
    if isinstance(error, FutureVersionError):
        return FUTURE
    if isinstance(error, DamagedLogError | FoldError):
        return DAMAGED
    expected = (RecloserError, OSError, MemoryError, click.ClickException, click.Abort)
    return BAD_INPUT if isinstance(error, expected) else INTERNAL


def failure_line(error: OSError) -> str:
    """One line for an error of the operating system: the path, the cause and the remedy."""
    cause = error.strerror or str(error)
    path = "" if error.filename is None else f"{_text(error.filename)}: "
    remedy = _REMEDIES.get(error.errno or 0)
    return f"{path}{cause}" + (f"; {remedy}" if remedy else "")


def print_error_line(message: str) -> None:
    """Print one line to standard error; escapes what could steer a terminal and cuts the middle."""
    from recloser.core.formatting import printable

    line = printable(message)
    if len(line) > _LONGEST_LINE:
        line = f"{line[: _LONGEST_LINE // 2]}…{line[-_LONGEST_LINE // 2 :]}"
    streams.write_error(f"recloser: {line}\n")


def print_warnings_in_lines() -> None:
    """Make warnings, log records and errors of threads appear as one line each."""
    import logging

    class Lines(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            print_error_line(_in_one_line(record.getMessage()))

    logging.lastResort = Lines(logging.WARNING)
    warnings.showwarning = _warn
    threading.excepthook = _in_thread
    sys.unraisablehook = _unraisable


def _original(error: BaseException) -> BaseException:
    # Click turns Ctrl-C at a question into the error that "no" as an answer raises.
    if isinstance(error, click.Abort) and isinstance(error.__context__, KeyboardInterrupt):
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
        f"unexpected {text} ({_raised_at(error.__traceback__)}); this is a fault of recloser: please "
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


def _raised_at(trace: TracebackType | None) -> str:
    frames = traceback.extract_tb(trace)
    if not frames:
        return "location unknown"
    return f"{os.path.basename(frames[-1].filename)}, line {frames[-1].lineno}"  # noqa: PTH119


def _text(name: object) -> str:
    return name.decode(errors="backslashreplace") if isinstance(name, bytes) else str(name)


def _warn(message: Warning | str, *_where: Any, **_more: Any) -> None:
    print_error_line(_in_one_line(str(message)))


def _in_thread(args: "threading.ExceptHookArgs") -> None:
    if args.exc_value is not None and args.exc_type is not SystemExit:
        print_error_line(_message(args.exc_value))


def _unraisable(args: "sys.UnraisableHookArgs") -> None:
    if args.exc_value is not None:
        print_error_line(_message(args.exc_value))
