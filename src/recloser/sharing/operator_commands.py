"""Keep the last commands of operators, so that none is lost with a part of the stream."""

from collections.abc import Iterable, Sequence
from operator import itemgetter
from typing import Final, TypeAlias

from attrs import evolve

from recloser.core.events import Event
from recloser.sharing.stream_entry import Commanded, EntryId, event_of, id_text, lines_of, parse_id

COMMANDS: Final = frozenset(("forced_open", "forced_closed", "reset", "mode_changed"))
"""The kinds of events by which an operator commands a breaker."""

_Key: TypeAlias = tuple[str, bool]


class Commands:
    """For each breaker the last command that moved it, and the last one that changed its mode.

    Each command is kept with the id of its first entry. If several processes put back a command
    that the stream has lost, it is obeyed once, and not at all if a newer one was given since.
    """

    def __init__(self, kept: Iterable[Commanded] = ()) -> None:
        self._last: dict[_Key, tuple[EntryId, Event]] = {}
        for each in kept:
            event = event_of(each.line.encode(), 0, 0)
            if event is not None and event.kind in COMMANDS:
                self._last[_key(event)] = parse_id(each.of), event

    def is_newest(self, event: Event, of: EntryId) -> bool:
        """Whether no command is known that was given after this one, or is this one."""
        known = self._last.get(_key(event))
        return known is None or known[0] < of

    def note(self, event: Event, of: EntryId) -> None:
        """Note a command that is obeyed."""
        self._last[_key(event)] = of, evolve(event, seq=0, at=0)

    def of(self, breaker: str) -> Sequence[Event]:
        """The last commands of one breaker, in their order."""
        keys = [(breaker, is_mode) for is_mode in (False, True)]
        known = [self._last[key] for key in keys if key in self._last]
        return [event for _, event in sorted(known, key=itemgetter(0))]

    def kept(self) -> tuple[Commanded, ...]:
        """All of them, for a checkpoint."""
        return tuple(
            Commanded(id_text(of), lines_of([event])[0].decode())
            for of, event in self._last.values()
        )

    def unknown_to(self, other: "Commands") -> Sequence[tuple[Event, EntryId]]:
        """The commands that another stream, or the rest of this one, has lost; the oldest first."""
        lost = [(event, of) for of, event in self._last.values() if other.is_newest(event, of)]
        return sorted(lost, key=itemgetter(1))


def _key(event: Event) -> _Key:
    return getattr(event, "breaker", ""), event.kind == "mode_changed"
