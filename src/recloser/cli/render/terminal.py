"""Printing of results, notes, tables, JSON and progress, for all commands."""

import json
import re
import sys
from collections.abc import Callable, Container, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import cache
from typing import TYPE_CHECKING, Any, Final

import msgspec

from recloser.cli import streams
from recloser.cli.failures import print_error_line
from recloser.core.formatting import printable

if TYPE_CHECKING:
    from rich.console import Console
    from rich.progress import Progress, TaskID

_DELETE: Final = "\x7f"
_NOT_PRINTABLE_ASCII: Final = re.compile("[^\n -~]")
_WIDE_COLUMNS: Final = 1000  # for a file or a pipe: nothing is cut


@cache
def results() -> "Console":
    """The console that prints results to standard output.

    It interprets no markup in text, and escapes every character that could steer a terminal,
    except the ends of lines.
    """
    from rich.console import Console

    class Results(Console):
        def print(self, *objects: Any, **options: Any) -> None:
            safe = (_printable_lines(o) if isinstance(o, str) else o for o in objects)
            with streams.reporting_failures():
                super().print(*safe, **options)

        def on_broken_pipe(self) -> None:
            streams.silence(sys.stdout)  # rich would end with the status of a difference

    width = None if sys.stdout.isatty() else _WIDE_COLUMNS
    return Results(width=width, markup=False, emoji=False, highlight=False, soft_wrap=True)


def note(message: str) -> None:
    """Print one line about the work, which is not a result, to standard error."""
    print_error_line(message)


def print_text(text: str, end: str = "\n") -> None:
    """Print text as a result; escapes what could steer a terminal, except the ends of lines."""
    streams.write(_printable_lines(text) + end)


def _printable_lines(text: str) -> str:
    return "\n".join(map(printable, text.split("\n")))


class Stages:
    """Progress bars for the two stages of a replay: reading files, then driving breakers.

    Args:
        bars: The display that the bars belong to.
        what: The text beside the first bar.
        size: The bytes to read.
    """

    def __init__(self, bars: "Progress", what: str, size: int) -> None:
        self._bars = bars
        self._reading = bars.add_task(printable(what), total=size, unit="")
        self._driving: TaskID | None = None

    def advance_reading(self, size: int) -> None:
        """Add ``size`` bytes, counted as they are on disk, to what has been read."""
        self._bars.advance(self._reading, size)

    def show_driven(self, done: int, total: int) -> None:
        """Show that ``done`` of ``total`` calls have been driven."""
        if self._driving is None:
            self._driving = self._bars.add_task("driving", total=total, unit="calls")
        self._bars.update(self._driving, completed=done)


@contextmanager
def stages_progress(what: str, size: int) -> Iterator[Stages | None]:
    """Show progress bars on standard error, with rates and the time left.

    Yields None if standard error is not a terminal or the size is not known.

    Args:
        what: The text beside the first bar.
        size: The bytes to read; 0 if that is not known.
    """
    if not sys.stderr.isatty() or not size:
        yield None
        return
    from rich.console import Console
    from rich.filesize import decimal
    from rich.progress import (
        BarColumn,
        Progress,
        ProgressColumn,
        Task,
        TaskProgressColumn,
        TextColumn,
        TimeRemainingColumn,
    )
    from rich.text import Text

    class Rate(ProgressColumn):
        def render(self, task: Task) -> Text:
            speed = task.finished_speed or task.speed
            if speed is None:
                return Text("")
            unit = task.fields["unit"]
            return Text(f"{speed:,.0f} {unit}/s" if unit else f"{decimal(int(speed))}/s")

    columns = (
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        TaskProgressColumn(),
        Rate(),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=Console(stderr=True), transient=True) as bars:
        yield Stages(bars, what, size)


def print_json(value: Mapping[str, object]) -> None:
    """Print one indented JSON object.

    Characters that could steer a terminal or break a line are written as JSON escapes, and so are
    those that the encoding of standard output lacks.
    """
    try:
        text = msgspec.json.format(msgspec.json.encode(value), indent=2).decode()
    except UnicodeEncodeError:  # a path that is not UTF-8
        text = json.dumps(msgspec.to_builtins(value), indent=2)
    if not text.isascii() or _DELETE in text:
        escape = _escaped_unless_printable if streams.is_unicode() else _escaped
        text = _NOT_PRINTABLE_ASCII.sub(lambda found: escape(found[0]), text)
    streams.write(f"{text}\n")


@cache
def _escaped_unless_printable(char: str) -> str:
    return char if printable(char) == char else _escaped(char)


def _escaped(char: str) -> str:
    return json.dumps(char)[1:-1] if char != _DELETE else "\\u007f"


def print_table(
    headings: Sequence[str],
    rows: Iterable[Sequence[str]],
    *,
    right: Sequence[str] = (),
    red: Container[int] = (),
    folded: Sequence[str] = (),
) -> None:
    """Print a table without frames.

    Args:
        headings: The titles of the columns; if all are empty, no heading line is printed.
        rows: The cells of each row.
        right: The titles of the columns that are aligned right.
        red: The indexes, from 0, of the rows that are printed in red.
        folded: The titles of the columns whose long cells continue on further lines; in others
            they are cut.
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
        table.add_column(
            heading,
            justify="right" if heading in right else "left",
            no_wrap=heading not in folded,
            overflow="fold" if heading in folded else "ellipsis",
        )
    for number, row in enumerate(rows):
        cells = (Text(printable(cell)) for cell in row)
        table.add_row(*cells, style="red" if number in red else None)
    results().print(table)


@contextmanager
def progress_bar() -> Iterator[Callable[[str, int, int | None], None] | None]:
    """Show one progress bar on standard error; yields None if that is not a terminal.

    Yields:
        A function that updates the bar. It takes what is being done, how much of it is done, and
        the total, or None while that is not known.
    """
    if not sys.stderr.isatty():
        yield None
        return
    from rich.console import Console
    from rich.progress import Progress

    with Progress(console=Console(stderr=True, markup=False), transient=True) as bar:
        task = bar.add_task("", total=None)

        def update(doing: str, done: int, total: int | None) -> None:
            bar.update(task, description=printable(doing), completed=done, total=total)

        yield update


@contextmanager
def counting_progress(what: str, total: int) -> Iterator[Callable[[int], None] | None]:
    """Show a progress bar for ``total`` items; yields a function that takes how many are done.

    Yields None if standard error is not a terminal.
    """
    with progress_bar() as bar:
        yield None if bar is None else lambda done: bar(what, done, total)


def print_facts(facts: Iterable[tuple[str, str]]) -> None:
    """Print pairs of a name and a text, one pair per line; long text continues below itself."""
    from rich.table import Table
    from rich.text import Text

    table = Table.grid(padding=(0, 2, 0, 0), pad_edge=False)
    table.add_column(no_wrap=True, style="bold")
    table.add_column(overflow="fold")
    for name, fact in facts:
        table.add_row(name, Text(printable(fact)))
    results().print(table)
