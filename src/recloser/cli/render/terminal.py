"""What all commands print with: notes, tables, facts and JSON."""

import json
import re
import sys
from collections.abc import Callable, Container, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import cache
from typing import TYPE_CHECKING, Any, Final

import msgspec

from recloser.cli import streams
from recloser.cli.failures import say
from recloser.core.formatting import counted, duration, printable

# Whoever prints needs the words too.
__all__ = [
    "counted",
    "duration",
    "note",
    "print_facts",
    "print_json",
    "print_table",
    "print_text",
    "printable",
    "results",
]

if TYPE_CHECKING:
    from rich.console import Console
    from rich.progress import Progress, TaskID

_DELETE: Final = "\x7f"
_NOT_ASCII: Final = re.compile("[^\n -~]")
_WIDE: Final = 1000  # for a file or a pipe: nothing is cut


@cache
def results() -> "Console":
    """Where results are printed: standard output, with nothing interpreted in them.

    Text is printed with what could steer a terminal escaped, except for its ends of lines.
    """
    from rich.console import Console

    class Results(Console):
        def print(self, *objects: Any, **options: Any) -> None:
            safe = (_printable_lines(o) if isinstance(o, str) else o for o in objects)
            with streams.reporting_failures():
                super().print(*safe, **options)

        def on_broken_pipe(self) -> None:
            streams.silence(sys.stdout)  # rich would end with the status of a difference

    width = None if sys.stdout.isatty() else _WIDE
    return Results(width=width, markup=False, emoji=False, highlight=False, soft_wrap=True)


def note(message: str) -> None:
    """Say something about the work, which is no result: one line on standard error."""
    say(message)


def print_text(text: str, end: str = "\n") -> None:
    """Print text as a result, with what could steer a terminal escaped, except for ends of lines."""
    streams.write(_printable_lines(text) + end)


def _printable_lines(text: str) -> str:
    return "\n".join(map(printable, text.split("\n")))


class Stages:
    """Bars for the stages of one work: the bytes of its files are read, then calls are driven."""

    def __init__(self, bars: "Progress", what: str, size: int) -> None:
        self._bars = bars
        self._reading = bars.add_task(printable(what), total=size, unit="")
        self._driving: TaskID | None = None

    def read(self, size: int) -> None:
        """So many more bytes have been read, as they are on disk."""
        self._bars.advance(self._reading, size)

    def driven(self, done: int, total: int) -> None:
        """So many calls have been driven, of so many."""
        if self._driving is None:
            self._driving = self._bars.add_task("driving", total=total, unit="calls")
        self._bars.update(self._driving, completed=done)


@contextmanager
def stages_progress(what: str, size: int) -> Iterator[Stages | None]:
    """Bars on standard error for the bytes of files and what is done with them.

    Each shows how fast it goes and how long it still takes. None where standard error is no
    terminal, or the size is not known.
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
    """Print one JSON object, indented for people and parsers alike.

    What could steer a terminal, or break a line, is escaped as JSON does it, and so is what the
    encoding of standard output does not have.
    """
    try:
        text = msgspec.json.format(msgspec.json.encode(value), indent=2).decode()
    except UnicodeEncodeError:  # a path that is not UTF-8
        text = json.dumps(msgspec.to_builtins(value), indent=2)
    if not text.isascii() or _DELETE in text:
        escape = _escaped_unless_safe if streams.is_unicode() else _escaped
        text = _NOT_ASCII.sub(lambda found: escape(found[0]), text)
    streams.write(f"{text}\n")


@cache
def _escaped_unless_safe(char: str) -> str:
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
        headings: Its columns; if all are empty the headings are left out.
        rows: Its cells.
        right: The columns that are set flush right.
        folded: The columns whose cells go on below themselves where they are too long.
        red: The numbers, from 0, of the rows that are coloured so.
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


@contextmanager
def working_progress(what: str, total: int) -> Iterator[Callable[[int], None] | None]:
    """A bar on standard error for things done, to be told how many; None off a terminal."""
    with progress_bar() as bar:
        yield None if bar is None else lambda done: bar(what, done, total)


def print_facts(facts: Iterable[tuple[str, str]]) -> None:
    """Print names and what they are, a line each; what is too long goes on below itself."""
    from rich.table import Table
    from rich.text import Text

    table = Table.grid(padding=(0, 2, 0, 0), pad_edge=False)
    table.add_column(no_wrap=True, style="bold")
    table.add_column(overflow="fold")
    for name, fact in facts:
        table.add_row(name, Text(printable(fact)))
    results().print(table)
