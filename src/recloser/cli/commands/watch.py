"""``recloser watch``: a live view of a log that is being written."""

import sys
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Final

import click

from recloser.audit.cause import as_data
from recloser.audit.live_view import Watch, WatchedBreaker
from recloser.cli.options import json_option
from recloser.cli.render.terminal import counted, duration, print_json, printable, results
from recloser.clock import SYSTEM_CLOCK
from recloser.core.state_machine import CLOSED, OPEN
from recloser.errors import NotALogError
from recloser.log.listing import errors_of, is_there

if TYPE_CHECKING:
    from rich.console import RenderableType
    from rich.table import Table

_EVERY_SECONDS: Final = 0.5
_AT_ONCE: Final = 20_000
_ABOVE_AND_BELOW: Final = 6  # lines of the view that are no breaker and no trip
_TRIPS_SHOWN: Final = 5
_GAP: Final = 2
_MINUTE_NS: Final = 60_000_000_000


@click.command(short_help="Show a log live while it is written.")
@click.argument("log", metavar="LOG", type=click.Path(path_type=Path))
@click.option("--once", is_flag=True, help="Show what is there now, and end.")
@json_option
def command(*, log: Path, once: bool, as_json: bool) -> None:
    """Show the breakers of LOG, a folder that is being written, until Ctrl-C.

    Those that are not closed come first: states, counters against their thresholds, the countdown
    to the next probe, and the last trips. Off a terminal, and with --json, it shows what is there
    once.
    """
    with errors_of(log):
        is_log = is_there(log)
    if not is_log:
        raise NotALogError(f"{log}: there is no such file or folder")
    watch = Watch(log, SYSTEM_CLOCK)
    if as_json:
        watch.poll()
        print_json(_as_data(watch))
    elif once or not sys.stdout.isatty():
        watch.poll()
        results().print(view(watch, str(log), None))
    else:
        _live(watch, str(log))


def _live(watch: Watch, name: str) -> None:
    from rich.live import Live

    out = results()
    resting = threading.Event()
    with Live(console=out, screen=True, auto_refresh=False) as live:
        while True:
            is_more = watch.poll(_AT_ONCE)
            live.update(view(watch, name, out.height), refresh=True)
            if not is_more:
                resting.wait(_EVERY_SECONDS)


def view(watch: Watch, name: str, height: int | None) -> "RenderableType":
    """What is shown, in so many lines where they are limited."""
    from rich.console import Group
    from rich.text import Text

    breakers, trips = watch.breakers(), watch.trips[:_TRIPS_SHOWN]
    # Off a terminal nothing is cut.
    names = rest = None
    if height is not None:
        names = results().width // 4
        rest = results().width - names - 2 * 9 - 4 * _GAP
    room = len(breakers)
    if height is not None:
        room = max(1, height - _ABOVE_AND_BELOW - len(trips))
    table = _table(("state", 9), ("breaker", names), ("probes in", 9), ("counters", rest))
    for breaker in breakers[:room]:
        table.add_row(*(Text(cell, style) for cell, style in _row(breaker, names)))
    closed = sum(breaker.state is CLOSED for breaker in breakers)
    said = f"{counted(len(breakers), 'breaker')}, {len(breakers) - closed:,} not closed"
    left_out = f", {len(breakers) - room:,} not shown" if room < len(breakers) else ""
    head = f"{said}{left_out}; {counted(watch.events, 'event')} of {name}"
    lines: list[RenderableType] = [
        Text(printable(head), "bold", no_wrap=True, overflow="ellipsis"),
        Text(),
        table,
    ]
    if trips:
        table = _table(("last trips", 20), ("", names), ("", rest))
        for trip in trips:
            name = _shortened(printable(trip.breaker), names)
            table.add_row(trip.utc, Text(name), Text(printable(trip.cause)))
        lines += [Text(), table]
    return Group(*lines)


def _table(*columns: tuple[str, int | None]) -> "Table":
    """A table of columns, by heading and width, whose cells are cut and not wrapped."""
    from rich.table import Table

    table = Table(box=None, pad_edge=False, padding=(0, _GAP, 0, 0), header_style="bold")
    for heading, width in columns:
        table.add_column(heading, width=width, no_wrap=True, overflow="ellipsis")
    return table


def _row(breaker: WatchedBreaker, names: int | None) -> list[tuple[str, str]]:
    style = "green" if breaker.state is CLOSED else "red" if breaker.state is OPEN else "yellow"
    wait = "" if breaker.probe_in_ns is None else _countdown(breaker.probe_in_ns)
    mode = [] if breaker.mode == "enforce" else [breaker.mode]
    figures = "; ".join(mode + ([] if breaker.probe_in_ns is not None else [*breaker.figures]))
    totals = breaker.totals
    counters = f"{totals.failed:,} failed, {totals.rejected:,} rejected in all"
    return [
        (breaker.state.value, f"bold {style}"),
        (_shortened(printable(breaker.breaker), names), ""),
        (wait, ""),
        (
            f"{figures}; {counters}" if figures else counters,
            "dim" if breaker.state is CLOSED else "",
        ),
    ]


def _countdown(ns: int) -> str:
    """How long until it probes, to the tenth of a second."""
    if ns == 0:
        return "due"
    return f"{ns / 1e9:.1f} s" if ns < _MINUTE_NS else duration(ns)


def _shortened(name: str, width: int | None) -> str:
    """A name cut in its middle: its end often tells it from others."""
    if width is None or len(name) <= width:
        return name
    kept = width - 1
    return f"{name[: kept - kept // 2]}…{name[len(name) - kept // 2 :]}"


def _as_data(watch: Watch) -> Mapping[str, object]:
    return {
        "schema": "recloser.watch/1",
        "events": watch.events,
        "breakers": [as_data(breaker) for breaker in watch.breakers()],
        "trips": [as_data(trip) for trip in watch.trips],
    }
