"""Standard output and error, whatever they are: of any encoding, closed, full, or read by nobody."""

import codecs
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final, TextIO

_ERRORS: Final = "recloser.readable"
_IN_ASCII: Final = {"→": "->", "…": "..."}


class OutputError(OSError):
    """Standard output can't be written; what it still holds is given up."""


def prepare() -> None:
    """Make the streams of this process such that text can always be written to them.

    A character that the encoding lacks is written in ASCII. A stream that was closed when the process
    began is replaced by one that leads nowhere, so that no file that is opened later takes its place.
    """
    codecs.register_error(_ERRORS, _readable)
    for descriptor, name in enumerate(("stdin", "stdout", "stderr")):
        stream = getattr(sys, name)
        if stream is None:
            setattr(sys, name, _nowhere(descriptor))
        elif name != "stdin" and hasattr(stream, "reconfigure"):
            stream.reconfigure(errors=_ERRORS)


def flush() -> None:
    """Write out what was printed. Where nobody reads it any more, that is no error.

    Raises:
        OutputError: Standard output can't be written.
    """
    with reporting_failures():
        sys.stdout.flush()


def failure() -> OSError | None:
    """Why what was printed can't be written to standard output; None if it can."""
    try:
        sys.stdout.flush()
    except OSError as error:
        return error
    return None


def silence(stream: TextIO) -> None:
    """Let a stream lead nowhere from now on, also what it holds and would write at exit."""
    try:
        descriptor = stream.fileno()
    except (OSError, ValueError):
        return
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, descriptor)
    os.close(nowhere)


def write(text: str) -> None:
    """Write to standard output. Where nobody reads it any more, that is no error.

    Raises:
        OutputError: Standard output can't be written.
    """
    with reporting_failures():
        sys.stdout.write(text)


def write_bytes(data: bytes) -> None:
    """Write bytes to standard output, as ``write``.

    Raises:
        OutputError: Standard output can't be written.
    """
    with reporting_failures():
        sys.stdout.flush()
        sys.stdout.buffer.write(data)
        sys.stdout.buffer.flush()


def write_error(text: str) -> None:
    """Write to standard error, if it can be written: what can't be said there changes no result."""
    try:
        sys.stderr.write(text)
        sys.stderr.flush()
    except (OSError, ValueError):
        silence(sys.stderr)


def is_unicode() -> bool:
    """Whether all characters can be written to standard output as they are."""
    encoding = getattr(sys.stdout, "encoding", None) or "utf-8"
    return encoding.lower().startswith(("utf", "u8", "cp65001"))


@contextmanager
def reporting_failures() -> Iterator[None]:
    """Let what is printed in this block raise ``OutputError``, or nothing where nobody reads it."""
    try:
        yield
    except BrokenPipeError:
        silence(sys.stdout)  # the reader has seen enough
    except OSError as error:
        silence(sys.stdout)
        raise OutputError(error.errno, error.strerror) from error


def _nowhere(descriptor: int) -> TextIO:
    opened = os.open(os.devnull, os.O_RDWR)
    try:
        os.fstat(descriptor)
    except OSError:
        os.dup2(opened, descriptor)
    if descriptor == 0:
        return os.fdopen(opened, "r", encoding="utf-8", closefd=False)
    return os.fdopen(opened, "w", encoding="utf-8", closefd=False)


def _readable(error: UnicodeError) -> tuple[str, int]:
    if not isinstance(error, UnicodeEncodeError):
        raise error
    missing = error.object[error.start : error.end]
    parts = (_IN_ASCII.get(c) or c.encode("unicode_escape").decode("ascii") for c in missing)
    return "".join(parts), error.end
