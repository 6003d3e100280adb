"""The view that ``recloser watch`` shows: breakers, and their last trips."""

from typing import TYPE_CHECKING, Final

from recloser.audit.live_view import Watch, WatchedBreaker
from recloser.cli.render.terminal import results
from recloser.core.formatting import duration, printable, quantity
from recloser.core.state_machine import CLOSED, OPEN

if TYPE_CHECKING:
    from rich.console import RenderableType
    from rich.table import Table

_OTHER_LINES: Final = 6  # all lines but those of breakers and trips
_TRIPS_SHOWN: Final = 5
_GAP_COLUMNS: Final = 2
_STATE_COLUMNS: Final = 9
_TIME_COLUMNS: Final = 20
_MINUTE_NS: Final = 60_000_000_000


def view(watch: Watch, name: str, height: int | None) -> "RenderableType":
    """Make the view of a log.

    Args:
        watch: The breakers and trips of the log.
        name: The name of the log.
        height: The lines of the terminal; None off a terminal, where nothing is cut.
    """
    from rich.console import Group
    from rich.text import Text

    breakers, trips = watch.breakers(), watch.trips[:_TRIPS_SHOWN]
    name_width = figures_width = None
    shown = len(breakers)
    if height is not None:
        width = results().width
        name_width = width // 4
        figures_width = width - name_width - 2 * _STATE_COLUMNS - 4 * _GAP_COLUMNS
        shown = max(1, height - _OTHER_LINES - len(trips))
    table = _table(
        ("state", _STATE_COLUMNS),
        ("breaker", name_width),
        ("probes in", _STATE_COLUMNS),
        ("counters", figures_width),
    )
    for breaker in breakers[:shown]:
        table.add_row(*(Text(cell, style) for cell, style in _row(breaker, name_width)))
    closed = sum(breaker.state is CLOSED for breaker in breakers)
    counts = f"{quantity(len(breakers), 'breaker')}, {len(breakers) - closed:,} not closed"
    left_out = f", {len(breakers) - shown:,} not shown" if shown < len(breakers) else ""
    head = f"{counts}{left_out}; {quantity(watch.events, 'event')} of {name}"
    lines: list[RenderableType] = [
        Text(printable(head), "bold", no_wrap=True, overflow="ellipsis"),
        Text(),
        table,
    ]
    if trips:
        table = _table(("last trips", _TIME_COLUMNS), ("", name_width), ("", figures_width))
        for trip in trips:
            breaker_name = _shortened(printable(trip.breaker), name_width)
            table.add_row(trip.utc, Text(breaker_name), Text(printable(trip.cause)))
        lines += [Text(), table]
    return Group(*lines)


def _table(*columns: tuple[str, int | None]) -> "Table":
    """A table of columns, given by title and width, whose cells are cut and not wrapped."""
    from rich.table import Table

    table = Table(box=None, pad_edge=False, padding=(0, _GAP_COLUMNS, 0, 0), header_style="bold")
    for heading, width in columns:
        table.add_column(heading, width=width, no_wrap=True, overflow="ellipsis")
    return table


def _row(breaker: WatchedBreaker, name_width: int | None) -> list[tuple[str, str]]:
    """The cells of a breaker, each with its style."""
    style = "green" if breaker.state is CLOSED else "red" if breaker.state is OPEN else "yellow"
    until_probe = "" if breaker.probe_in_ns is None else _countdown(breaker.probe_in_ns)
    mode = [] if breaker.mode == "enforce" else [breaker.mode]
    figures = "; ".join(mode + ([] if breaker.probe_in_ns is not None else [*breaker.figures]))
    totals = breaker.totals
    counters = f"{totals.failed:,} failed, {totals.rejected:,} rejected in all"
    return [
        (breaker.state.value, f"bold {style}"),
        (_shortened(printable(breaker.breaker), name_width), ""),
        (until_probe, ""),
        (
            f"{figures}; {counters}" if figures else counters,
            "dim" if breaker.state is CLOSED else "",
        ),
    ]


def _countdown(ns: int) -> str:
    if ns == 0:
        return "due"
    return f"{ns / 1e9:.1f} s" if ns < _MINUTE_NS else duration(ns)


def _shortened(name: str, width: int | None) -> str:
    """Cut a name in its middle, because names often differ only at the end."""
    if width is None or len(name) <= width:
        return name
    kept = width - 1
    return f"{name[: kept - kept // 2]}…{name[len(name) - kept // 2 :]}"
