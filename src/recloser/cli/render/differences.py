"""Text on how two histories differ, for the command line and the pytest plugin."""

from collections.abc import Iterable, Iterator, Mapping
from typing import Final, Literal, TypeAlias

import attrs
from attrs import frozen

from recloser.audit import phrasing
from recloser.cli.render.terminal import results
from recloser.core.events import Edge, Event, FiredRule
from recloser.core.formatting import duration, printable, quantity
from recloser.core.snapshot import Totals
from recloser.golden.golden_pairs import GoldenCheck, Verdict
from recloser.history.difference import (
    Change,
    Comparison,
    DivergingEvent,
    EdgeDifference,
    SettingDifference,
    TotalsDifference,
)

Style: TypeAlias = Literal["plain", "title", "old", "new"]

_COLOURS: Final[Mapping[Style, str]] = {
    "plain": "",
    "title": "bold",
    "old": "red",
    "new": "green",
}
_VERDICTS: Final = {
    Verdict.SAME: "the same",
    Verdict.DIFFERENT: "differs",
    Verdict.NEW: "new",
    Verdict.CHANGED: "changed",
}
_ALWAYS_SHOWN: Final = ("seq", "at", "breaker", "error")
_MOST_SHOWN: Final = 10  # of each kind of difference
_MOST_SEQS: Final = 6
_DIGEST_CHARS: Final = 16


@frozen
class Line:
    """One line that is safe to print, and the style that decides its colour."""

    text: str
    style: Style = "plain"


def print_lines(lines: Iterable[Line]) -> None:
    """Print lines to standard output, in colour if that is a terminal."""
    from rich.text import Text

    for line in lines:
        results().print(Text(line.text, style=_COLOURS[line.style]))


def checked_lines(checked: GoldenCheck) -> Iterator[Line]:
    """Describe the result of checking or updating one golden file."""
    yield Line(printable(f"{checked.golden}: {_VERDICTS[checked.verdict]}"), "title")
    if checked.comparison:
        yield from (Line(f"  {line.text}", line.style) for line in lines_of(checked.comparison))
    for difference in checked.history.differences[:1]:
        yield Line("  the log does not replay to the edges that were recorded live:")
        yield Line(printable(f"  - seq {difference.seq}: {difference.got}"), "old")
        yield Line(printable(f"  + seq {difference.seq}: {difference.expected}"), "new")


def lines_of(comparison: Comparison) -> Iterator[Line]:
    """Describe a comparison; the old history is marked with ``-``, the new one with ``+``."""
    if comparison.event is not None:
        yield from _event_lines(comparison.event)
    for difference in comparison.edges[:_MOST_SHOWN]:
        yield from _edge_lines(difference)
    yield from _rest(len(comparison.edges), "breaker", "whose edges differ")
    for setting in comparison.settings[:_MOST_SHOWN]:
        yield Line(_setting(setting))
    yield from _rest(len(comparison.settings), "setting")
    for totals in comparison.totals[:_MOST_SHOWN]:
        yield Line(_totals(totals))
    yield from _rest(len(comparison.totals), "breaker", "whose calls differ")
    old, new = comparison.digests
    if old != new:
        yield Line(f"digest: {old[:_DIGEST_CHARS]} became {new[:_DIGEST_CHARS]}")
    else:
        yield Line(f"digest: {old[:_DIGEST_CHARS]}, the same")


def _event_lines(parting: DivergingEvent) -> Iterator[Line]:
    old, new = parting.old, parting.new
    if old == new:
        yield Line(f"the histories first differ at {_event(parting.event)}", "title")
        return
    yield Line("the histories first differ at", "title")
    yield Line(f"- {_event_against(old, new)}", "old")
    yield Line(f"+ {_event_against(new, old)}", "new")


def _event_against(event: Event | None, other: Event | None) -> str:
    """Describe an event, with every field in which it differs from the other."""
    if event is None:
        return "the end"
    if type(event) is not type(other):
        return _event(event)
    differing = [
        f", {name} {getattr(event, name)}"
        for name in attrs.fields_dict(type(event))
        if name not in _ALWAYS_SHOWN and getattr(event, name) != getattr(other, name)
    ]
    return _event(event) + printable("".join(differing))


def _event(event: Event) -> str:
    breaker = getattr(event, "breaker", None)
    of_breaker = "" if breaker is None else f" of {breaker}"
    error = getattr(event, "error", None)
    with_error = "" if error is None else f", {error}"
    return printable(
        f"seq {event.seq}, {event.kind}{of_breaker} at {_seconds(event.at)}{with_error}"
    )


def _edge_lines(difference: EdgeDifference) -> Iterator[Line]:
    edge = difference.new or difference.old
    assert edge is not None
    further = (
        f"; {quantity(difference.further, 'later edge')} {_differ(difference.further)} too"
        if difference.further
        else ""
    )
    yield Line(
        printable(
            f"{difference.breaker}: edge {difference.number}, {edge.trigger.value}, "
            f"{_change(difference)}{further}"
        ),
        "title",
    )
    if difference.old is not None:
        yield Line(f"- {_edge(difference.old)}", "old")
    if difference.new is not None:
        yield Line(f"+ {_edge(difference.new)}", "new")


def _differ(count: int) -> str:
    return "differs" if count == 1 else "differ"


def _change(difference: EdgeDifference) -> str:
    moved = difference.moved_ns
    by = f"{duration(abs(moved))} {'later' if moved > 0 else 'earlier'}"
    if difference.change is Change.REPLACED:
        assert difference.old is not None
        return f"replaces {difference.old.trigger.value}" + (f", {by}" if moved else "")
    return {
        Change.MOVED: f"moved {by}",
        Change.GONE: "is gone",
        Change.ADDED: "is new",
        Change.OTHER_CAUSE: "has another cause",
        Change.RENUMBERED: "has other seq numbers",
    }[difference.change]


def _edge(edge: Edge) -> str:
    return printable(
        f"{_seconds(edge.at)}  {edge.from_state.value} → {edge.to_state.value}  "
        f"{edge.trigger.value} at seq {edge.seq}: {_cause(edge.cause)}"
    )


def _cause(cause: FiredRule) -> str:
    text = phrasing.rule(cause)
    if cause.seqs:
        first = ", ".join(map(str, cause.seqs[:_MOST_SEQS]))
        more = f" to {cause.seqs[-1]}" if len(cause.seqs) > _MOST_SEQS else ""
        text += f" on seq {first}{more}"
    if cause.span:
        text += f" on seq {cause.span[0]} to {cause.span[-1]}"
    if cause.actor is not None:
        text += f" of {cause.actor}"
    return text if cause.reason is None else f"{text}: {cause.reason}"


def _setting(difference: SettingDifference) -> str:
    of_breaker = f" of {difference.breaker}" if difference.breaker else ""
    return printable(
        f"{difference.name}{of_breaker}: {_value(difference.old)} became {_value(difference.new)}"
    )


def _value(value: object) -> str:
    if isinstance(value, Mapping):
        return f"{{{', '.join(f'{name}={_value(part)}' for name, part in value.items())}}}"
    return str(value)


def _totals(difference: TotalsDifference) -> str:
    old, new = difference.old, difference.new
    if old is None or new is None:
        return printable(f"{difference.breaker}: is {'new' if old is None else 'gone'}")
    changed = ", ".join(
        f"{name} {was:,} became {now:,}"
        for name, was, now in zip(
            attrs.fields_dict(Totals), attrs.astuple(old), attrs.astuple(new), strict=True
        )
        if was != now
    )
    return printable(f"calls of {difference.breaker}: {changed}")


def _rest(count: int, noun: str, clause: str = "") -> Iterator[Line]:
    if count > _MOST_SHOWN:
        yield Line(
            f"and {quantity(count - _MOST_SHOWN, noun)} more {clause}".rstrip() + "; --json has all"
        )


def _seconds(ns: int) -> str:
    return f"{ns // 10**9}.{ns % 10**9:09d} s"
