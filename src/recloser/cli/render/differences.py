"""How two histories differ, as the command line and the pytest plugin show it."""

from collections.abc import Iterable, Iterator, Mapping
from typing import Final, Literal, TypeAlias

import attrs
import msgspec
from attrs import frozen

from recloser.audit import phrasing
from recloser.cli.render.terminal import counted, duration, printable, results
from recloser.core.events import Edge, Event, FiredRule
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
from recloser.log.codec import encode

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
_SHOWN: Final = 10
_SEQS_SHOWN: Final = 6
_SHORT_DIGEST: Final = 16


@frozen
class Line:
    """One line, safe to print, and what it is: that decides its colour."""

    text: str
    style: Style = "plain"


def print_lines(lines: Iterable[Line]) -> None:
    """Print lines to standard output, in colour where that is a terminal."""
    from rich.text import Text

    for line in lines:
        results().print(Text(line.text, style=_COLOURS[line.style]))


def checked_lines(checked: GoldenCheck) -> Iterator[Line]:
    """What was found out about one golden file, or done with it."""
    yield Line(printable(f"{checked.golden}: {_VERDICTS[checked.verdict]}"), "title")
    if checked.comparison:
        yield from (Line(f"  {line.text}", line.style) for line in lines_of(checked.comparison))
    for difference in checked.history.differences[:1]:
        yield Line("  the log itself does not replay to what was witnessed live:")
        yield Line(printable(f"  - seq {difference.seq}: {difference.got}"), "old")
        yield Line(printable(f"  + seq {difference.seq}: {difference.expected}"), "new")


def lines_of(comparison: Comparison) -> Iterator[Line]:
    """A short account of a comparison, the one history marked ``-``, the other ``+``."""
    if comparison.event is not None:
        yield from _event_lines(comparison.event)
    for difference in comparison.edges[:_SHOWN]:
        yield from _edge_lines(difference)
    yield from _rest(len(comparison.edges), "breaker", "whose edges differ")
    for setting in comparison.settings[:_SHOWN]:
        yield Line(_setting(setting))
    yield from _rest(len(comparison.settings), "setting")
    for totals in comparison.totals[:_SHOWN]:
        yield Line(_totals(totals))
    yield from _rest(len(comparison.totals), "breaker", "whose calls differ")
    old, new = comparison.digests
    if old != new:
        yield Line(f"digest: {old[:_SHORT_DIGEST]} became {new[:_SHORT_DIGEST]}")
    else:
        yield Line(f"digest: {old[:_SHORT_DIGEST]}, the same")


def comparison_data(comparison: Comparison) -> Mapping[str, object]:
    """A comparison as data for JSON."""
    parting = comparison.event
    return {
        "equal": not comparison,
        "digests": comparison.digests,
        "event": None
        if parting is None
        else {
            "old": None if parting.old is None else _event_data(parting.old),
            "new": None if parting.new is None else _event_data(parting.new),
        },
        "edges": [
            {
                "breaker": difference.breaker,
                "number": difference.number,
                "change": difference.change.value,
                "moved_ns": difference.moved_ns,
                "old": None if difference.old is None else _event_data(difference.old),
                "new": None if difference.new is None else _event_data(difference.new),
                "further": difference.further,
            }
            for difference in comparison.edges
        ],
        "settings": [attrs.asdict(setting) for setting in comparison.settings],
        "totals": [attrs.asdict(totals) for totals in comparison.totals],
    }


def _event_data(event: Event) -> Mapping[str, object]:
    data: Mapping[str, object] = msgspec.json.decode(encode(event))
    return data


def _event_lines(parting: DivergingEvent) -> Iterator[Line]:
    old, new = parting.old, parting.new
    if old == new:
        yield Line(f"the histories part at {_event(parting.event)}", "title")
        return
    yield Line("the histories part at", "title")
    yield Line(f"- {_event_beside(old, new)}", "old")
    yield Line(f"+ {_event_beside(new, old)}", "new")


def _event_beside(event: Event | None, other: Event | None) -> str:
    """An event, with what is not shown of every event but differs from the other's."""
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
    """An event in one line: its number, what it is, of which breaker, and when."""
    breaker = getattr(event, "breaker", None)
    whose = "" if breaker is None else f" of {breaker}"
    error = getattr(event, "error", None)
    what = "" if error is None else f", {error}"
    return printable(f"seq {event.seq}, {event.kind}{whose} at {_seconds(event.at)}{what}")


def _edge_lines(difference: EdgeDifference) -> Iterator[Line]:
    edge = difference.new or difference.old
    assert edge is not None
    further = (
        f"; {counted(difference.further, 'edge')} behind it {_differ(difference.further)} too"
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
        return f"stands where {difference.old.trigger.value} stood" + (f", {by}" if moved else "")
    return {
        Change.MOVED: f"moved {by}",
        Change.GONE: "is gone",
        Change.ADDED: "is new",
        Change.OTHER_CAUSE: "has another cause",
        Change.RENUMBERED: "has other numbers in the log",
    }[difference.change]


def _edge(edge: Edge) -> str:
    return printable(
        f"{_seconds(edge.at)}  {edge.from_state.value} → {edge.to_state.value}  "
        f"{edge.trigger.value} at seq {edge.seq}: {_cause(edge.cause)}"
    )


def _cause(cause: FiredRule) -> str:
    text = phrasing.rule(cause)
    if cause.seqs:
        first = ", ".join(map(str, cause.seqs[:_SEQS_SHOWN]))
        more = f" to {cause.seqs[-1]}" if len(cause.seqs) > _SEQS_SHOWN else ""
        text += f" on seq {first}{more}"
    if cause.span:
        text += f" on seq {cause.span[0]} to {cause.span[-1]}"
    if cause.actor is not None:
        text += f" of {cause.actor}"
    return text if cause.reason is None else f"{text}: {cause.reason}"


def _setting(difference: SettingDifference) -> str:
    whose = f" of {difference.breaker}" if difference.breaker else ""
    return printable(
        f"{difference.name}{whose}: {_value(difference.old)} became {_value(difference.new)}"
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


def _rest(count: int, noun: str, what: str = "") -> Iterator[Line]:
    if count > _SHOWN:
        yield Line(f"and {counted(count - _SHOWN, noun)} more {what}".rstrip() + "; --json has all")


def _seconds(ns: int) -> str:
    return f"{ns // 10**9}.{ns % 10**9:09d} s"
