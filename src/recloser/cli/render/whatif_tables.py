"""The result of ``recloser whatif`` as tables: figures for each set of settings."""

from collections.abc import Callable, Mapping, Sequence
from typing import Final, Self, TypeAlias

from attrs import frozen

from recloser.cli.render.terminal import note, print_table, results
from recloser.core.formatting import duration, quantity
from recloser.simulate.call_table import UNKNOWN
from recloser.simulate.recorded_calls import Traffic
from recloser.whatif.comparison import DelaySummary, summarize_delays
from recloser.whatif.costs import FIGURES, Delay, Figures, Range
from recloser.whatif.evaluation import Evaluation

Column: TypeAlias = Mapping[str, Evaluation]
"""What one set of settings results in, by breaker."""

_ROWS: Final = {
    "trips": "trips",
    "open_ns": "not closed",
    "rejected": "calls rejected",
    "saved": "… that would have failed (saved)",
    "lost": "… that would have succeeded (lost)",
    "let_through": "failures let through",
}
_BREAKERS_SHOWN: Final = 10


@frozen
class CallCounts:
    """How many calls a log holds, and where they are from.

    Attributes:
        calls: For each breaker, how many calls it has and how many of them have an unknown outcome.
        is_recorded: Whether breakers recorded the calls; else they are imported.
        lost_events: How many events of the log could not be written.
    """

    calls: Mapping[str, tuple[int, int]]
    is_recorded: bool
    lost_events: int

    @classmethod
    def of(cls, traffic: Traffic) -> Self:
        """Count the calls of a log."""
        calls = {name: (len(own), own.count(UNKNOWN)) for name, own in traffic.calls.items()}
        return cls(calls, traffic.recorded, traffic.lost)

    @property
    def total(self) -> int:
        """How many calls there are."""
        return sum(calls for calls, _ in self.calls.values())

    @property
    def unknown(self) -> int:
        """How many calls have an unknown outcome."""
        return sum(unknown for _, unknown in self.calls.values())

    @property
    def heading(self) -> str:
        """The title of the column that shows what happened."""
        return "as recorded" if self.is_recorded else "no breaker"


def print_columns(counts: CallCounts, columns: Mapping[str, Column], tried: str) -> None:
    """Print the totals of all columns, and the breakers of one.

    Args:
        counts: The calls.
        columns: What each set of settings results in, by its title.
        tried: The title of the column whose breakers are shown.
    """
    unknown, total = counts.unknown, counts.total
    results().print(
        f"{quantity(total, 'call')} on {quantity(len(counts.calls), 'breaker')}, "
        f"{quantity(unknown, 'outcome')} unknown ({_percent(unknown, total)})"
    )
    if counts.lost_events:
        note(
            f"{quantity(counts.lost_events, 'event')} could not be written to this log; not "
            "counted here"
        )
    results().print()
    totals = [Figures.total(v.figures for v in column.values()) for column in columns.values()]
    rows = [
        (title, *(_range(name, getattr(figures, name)) for figures in totals))
        for name, title in _ROWS.items()
    ]
    outages = sum(len(verdict.outages) for verdict in next(iter(columns.values())).values())
    if outages:
        rows.append(("outages noticed", *_delay_cells(columns, "detection", _noticed)))
        for kind, title in (("detection", "detection delay"), ("recovery", "recovery delay")):
            rows.append((f"{title}, median", *_delay_cells(columns, kind, lambda t: t.median)))
            rows.append((f"{title}, longest", *_delay_cells(columns, kind, lambda t: t.longest)))
    print_table(("", *columns), rows, right=tuple(columns))
    if len(counts.calls) > 1:
        _print_breakers(counts, columns[tried])
    if not all(v.is_complete for column in columns.values() for v in column.values()):
        note(
            "too many outcomes are unknown to follow all of them; some ranges are wider than they "
            "need be"
        )


def _print_breakers(counts: CallCounts, column: Column) -> None:
    tripped = [name for name, verdict in column.items() if verdict.figures.trips.high]
    tripped.sort(key=lambda name: (-column[name].figures.trips.high, name))
    results().print()
    figures = ("trips", "saved", "lost", "let_through")
    titles = ("calls", "unknown", "trips", "saved", "lost", "let through")
    print_table(
        ("breaker, with these settings", *titles),
        (
            (
                name,
                *(f"{count:,}" for count in counts.calls[name]),
                *(_range(figure, getattr(column[name].figures, figure)) for figure in figures),
            )
            for name in tripped[:_BREAKERS_SHOWN]
        ),
        right=titles,
    )
    rest = len(tripped) - _BREAKERS_SHOWN
    if rest > 0:
        results().print(f"… and {quantity(rest, 'breaker')} more that would trip; --json has all")
    results().print(f"{quantity(len(column) - len(tripped), 'breaker')} would not trip")


def _noticed(summary: DelaySummary) -> Range:
    return summary.ended


def _delay_cells(
    columns: Mapping[str, Column],
    kind: str,
    part: Callable[[DelaySummary], Range | tuple[int | None, int | None]],
) -> Sequence[str]:
    """One cell per column: a part of the summary of the delays of one kind."""
    cells = []
    for column in columns.values():
        delays: list[Delay] = [d for verdict in column.values() for d in getattr(verdict, kind)]
        summary = summarize_delays(delays)
        if summary is None:
            cells.append("no outage ended")
            continue
        value = part(summary)
        if isinstance(value, Range):
            cells.append(f"{_range('', value)} of {len(delays):,}")
        else:
            low, high = ("never" if ns is None else duration(ns) for ns in value)
            cells.append(low if low == high else f"{low} to {high}")
    return cells


def _range(name: str, value: Range) -> str:
    """Format a figure that is known, or the range that it lies in."""
    text: Callable[[int], str] = (
        duration if name in FIGURES and name.endswith("_ns") else "{:,}".format
    )
    return text(value.low) if value.exact else f"{text(value.low)} to {text(value.high)}"


def _percent(part: int, whole: int) -> str:
    tenths = part * 1000 // whole
    return f"{tenths // 10}.{tenths % 10} %" if tenths or not part else "under 0.1 %"
