"""Standard output and error that may have any encoding, be closed or full, or have no reader."""

import codecs
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final, TextIO

_ERRORS: Final = "recloser.readable"
_IN_ASCII: Final = {"→": "->", "…": "..."}


class OutputError(OSError):
    """Standard output can't be written; text that is still in its buffer is lost."""


def prepare() -> None:
    """Make the standard streams of this process accept any text.

    A character that the encoding lacks is written in ASCII. A stream that was closed when the process
    began is replaced by the null device, so that no file opened later gets its descriptor.
    """
    codecs.register_error(_ERRORS, _readable)
    for descriptor, name in enumerate(("stdin", "stdout", "stderr")):
        stream = getattr(sys, name)
        if stream is None:
            setattr(sys, name, _null_device(descriptor))
        elif name != "stdin" and hasattr(stream, "reconfigure"):
            stream.reconfigure(errors=_ERRORS)


def flush() -> None:
    """Flush standard output; a pipe that its reader has closed is not an error.

    Raises:
        OutputError: Standard output can't be written.
    """
    with reporting_failures():
        sys.stdout.flush()


def failure() -> OSError | None:
    """Flush standard output and return the error that this raises, or None."""
    try:
        sys.stdout.flush()
    except OSError as error:
        return error
    return None


def silence(stream: TextIO) -> None:
    """Redirect a stream to the null device, including text that it would write at exit."""
    try:
        descriptor = stream.fileno()
    except (OSError, ValueError):
        return
    null = os.open(os.devnull, os.O_WRONLY)
    os.dup2(null, descriptor)
    os.close(null)


def write(text: str) -> None:
    """Write text to standard output; a pipe that its reader has closed is not an error.

    Raises:
        OutputError: Standard output can't be written.
    """
    with reporting_failures():
        sys.stdout.write(text)


def write_bytes(data: bytes) -> None:
    """Write bytes to standard output; a pipe that its reader has closed is not an error.

    Raises:
        OutputError: Standard output can't be written.
    """
    with reporting_failures():
        sys.stdout.flush()
        sys.stdout.buffer.write(data)
        sys.stdout.buffer.flush()


def write_error(text: str) -> None:
    """Write text to standard error; ignores failures, because no result depends on it."""
    try:
        sys.stderr.write(text)
        sys.stderr.flush()
    except (OSError, ValueError):
        silence(sys.stderr)


def is_unicode() -> bool:
    """Whether the encoding of standard output has all characters."""
    encoding = getattr(sys.stdout, "encoding", None) or "utf-8"
    return encoding.lower().startswith(("utf", "u8", "cp65001"))


@contextmanager
def reporting_failures() -> Iterator[None]:
    """Turn failures to write in this block into ``OutputError``; ignore a pipe without a reader."""
    try:
        yield
    except BrokenPipeError:
        silence(sys.stdout)  # the reader has seen enough
    except OSError as error:
        silence(sys.stdout)
        raise OutputError(error.errno, error.strerror) from error


def _null_device(descriptor: int) -> TextIO:
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
