"""What all commands print with: safe text, tables, JSON, and durations."""

import sys
import unicodedata
from collections.abc import Callable, Container, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import cache
from typing import TYPE_CHECKING, Final

import click
import msgspec

if TYPE_CHECKING:
    from rich.console import Console

_WIDE: Final = 1000  # for a file or a pipe: nothing is cut

_UNSAFE: Final = frozenset(("Cc", "Cf", "Cs", "Zl", "Zp"))


def printable(text: str) -> str:
    """The text with all that could steer a terminal, or turn the reading order, shown escaped."""
    if text.isascii() and text.isprintable():
        return text
    return "".join(
        char.encode("unicode_escape").decode("ascii")
        if unicodedata.category(char) in _UNSAFE
        else char
        for char in text
    )


@cache
def results() -> "Console":
    """Where results are printed: standard output, with nothing interpreted in them."""
    from rich.console import Console

    width = None if sys.stdout.isatty() else _WIDE
    return Console(width=width, markup=False, emoji=False, highlight=False, soft_wrap=True)


def note(message: str) -> None:
    """Say something about the work, which is no result: one line on standard error."""
    click.echo(f"recloser: {printable(message)}", err=True)


@contextmanager
def reading_progress(what: str, size: int) -> Iterator[Callable[[int], None] | None]:
    """A bar on standard error for the bytes of a file, to be told of each read.

    None where standard error is no terminal, or the size is not known.
    """
    if not sys.stderr.isatty() or not size:
        yield None
        return
    from rich.console import Console
    from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (
        TextColumn("{task.fields[what]}", markup=False),
        BarColumn(),
        DownloadColumn(),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=Console(stderr=True), transient=True) as progress:
        task = progress.add_task("", total=size, what=printable(what))
        yield lambda read: progress.advance(task, read)


@contextmanager
def working_progress(what: str, total: int) -> Iterator[Callable[[int], None] | None]:
    """A bar on standard error for things done, to be told how many; None off a terminal."""
    if not sys.stderr.isatty():
        yield None
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TimeRemainingColumn

    columns = (what, BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as progress:
        task = progress.add_task("", total=total)
        yield lambda done: progress.update(task, completed=done)


def print_json(value: Mapping[str, object]) -> None:
    """Print one JSON object, indented for people and parsers alike."""
    click.echo(msgspec.json.format(msgspec.json.encode(value), indent=2).decode())


def print_table(
    headings: Sequence[str],
    rows: Iterable[Sequence[str]],
    *,
    right: Sequence[str] = (),
    red: Container[int] = (),
) -> None:
    """Print a table without frames; the columns in ``right`` are set flush right.

    The rows whose number, from 0, is in ``red`` are coloured so.

    Headings that are all empty are left out.
    """
    from rich.table import Table
    from rich.text import Text

    table = Table(
        box=None,
        pad_edge=False,
        padding=(0, 2, 0, 0),
        header_style="bold",
        show_header=any(headings),
    )
    for heading in headings:
        table.add_column(heading, justify="right" if heading in right else "left", no_wrap=True)
    for number, row in enumerate(rows):
        cells = (Text(printable(cell)) for cell in row)
        table.add_row(*cells, style="red" if number in red else None)
    results().print(table)


@contextmanager
def progress_bar() -> Iterator[Callable[[str, int, int | None], None] | None]:
    """On a terminal, a bar: told what is done, how much of it, and of how much if that is known."""
    if not sys.stderr.isatty():
        yield None
        return
    from rich.console import Console
    from rich.progress import Progress

    with Progress(console=Console(stderr=True, markup=False), transient=True) as bar:
        task = bar.add_task("", total=None)

        def tell(doing: str, done: int, total: int | None) -> None:
            bar.update(task, description=printable(doing), completed=done, total=total)

        yield tell


def duration(ns: int) -> str:
    """A duration for people, in the unit that fits it."""
    if ns >= 60_000_000_000:  # noqa: PLR2004  # a minute
        minutes, rest = divmod(ns // 1_000_000_000, 60)
        hours, minutes = divmod(minutes, 60)
        return f"{hours} h {minutes:02} min {rest:02} s" if hours else f"{minutes} min {rest:02} s"
    for unit, size in (("s", 1_000_000_000), ("ms", 1_000_000), ("us", 1_000)):
        if ns >= size:
            return f"{ns / size:.3f} {unit}"
    return f"{ns} ns"


def counted(count: int, noun: str, plural: str | None = None) -> str:
    """A number with its noun: ``1 call``, ``1,024 calls``."""
    return f"{count:,} {noun if count == 1 else plural or noun + 's'}"
