"""What all commands print with: notes, tables, facts and JSON."""

import sys
from collections.abc import Callable, Container, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import cache
from typing import TYPE_CHECKING, Final

import click
import msgspec

from recloser.wording import counted, duration, printable

# Whoever prints needs the words too.
__all__ = [
    "counted",
    "duration",
    "note",
    "print_facts",
    "print_json",
    "print_table",
    "printable",
    "results",
]

if TYPE_CHECKING:
    from rich.console import Console
    from rich.progress import Progress, TaskID

_WIDE: Final = 1000  # for a file or a pipe: nothing is cut


@cache
def results() -> "Console":
    """Where results are printed: standard output, with nothing interpreted in them."""
    from rich.console import Console

    width = None if sys.stdout.isatty() else _WIDE
    return Console(width=width, markup=False, emoji=False, highlight=False, soft_wrap=True)


def note(message: str) -> None:
    """Say something about the work, which is no result: one line on standard error."""
    click.echo(f"recloser: {printable(message)}", err=True)


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
    """Print one JSON object, indented for people and parsers alike."""
    click.echo(msgspec.json.format(msgspec.json.encode(value), indent=2).decode())


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
