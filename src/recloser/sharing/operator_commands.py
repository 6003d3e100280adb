"""Keep the last commands of operators, in case the stream loses them."""

from collections.abc import Iterable, Sequence
from operator import itemgetter
from typing import Final, TypeAlias

from attrs import evolve

from recloser.core.events import Event
from recloser.sharing.stream_entry import (
    EntryId,
    SavedCommand,
    event_lines,
    format_id,
    parse_event,
    parse_id,
)

COMMANDS: Final = frozenset(("forced_open", "forced_closed", "reset", "mode_changed"))
"""The kinds of events by which an operator commands a breaker."""

_Key: TypeAlias = tuple[str, bool]


class OperatorCommands:
    """For each breaker, the last move and the last change of mode commanded.

    Each command is kept with the id of the entry that held it first. If several members restore a
    command that the stream has lost, it is obeyed once, and not at all if a newer one was given.

    Args:
        saved: Commands from a checkpoint or from the beginning of a stream.
    """

    def __init__(self, saved: Iterable[SavedCommand] = ()) -> None:
        self._last: dict[_Key, tuple[EntryId, Event]] = {}
        for command in saved:
            event = parse_event(command.line.encode(), 0, 0)
            if event is not None and event.kind in COMMANDS:
                self._last[_key(event)] = parse_id(command.of), event

    def is_newest(self, event: Event, entry_id: EntryId) -> bool:
        """Return whether every known command like this one was given before it.

        Args:
            event: The command.
            entry_id: The entry that held it first.
        """
        known = self._last.get(_key(event))
        return known is None or known[0] < entry_id

    def note(self, event: Event, entry_id: EntryId) -> None:
        """Keep a command that was obeyed, with the entry that held it first."""
        self._last[_key(event)] = entry_id, evolve(event, seq=0, at=0)

    def of(self, breaker: str) -> Sequence[Event]:
        """Return the last commands of one breaker, the oldest first."""
        keys = [(breaker, is_mode) for is_mode in (False, True)]
        known = [self._last[key] for key in keys if key in self._last]
        return [event for _, event in sorted(known, key=itemgetter(0))]

    def saved(self) -> tuple[SavedCommand, ...]:
        """Return all commands in the form that a checkpoint stores."""
        return tuple(
            SavedCommand(format_id(entry_id), event_lines([event])[0].decode())
            for entry_id, event in self._last.values()
        )

    def missing_from(self, other: "OperatorCommands") -> Sequence[tuple[Event, EntryId]]:
        """Return the commands that are newer than those in ``other``, the oldest first."""
        lost = [(event, of) for of, event in self._last.values() if other.is_newest(event, of)]
        return sorted(lost, key=itemgetter(1))


def _key(event: Event) -> _Key:
    return getattr(event, "breaker", ""), event.kind == "mode_changed"
