"""The fold of a stream's entries, by the rules in ``recloser.sharing``.

The fold uses only the entries, so from the same entries every member computes the same
events, with the same numbers, times, edges and seals, and thus the same states.
"""

from collections import deque
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Final

import msgspec
from attrs import evolve, frozen

from recloser.core.checkpoint_parts import pieces_of
from recloser.core.events import (
    FORMAT_VERSION,
    RULES_VERSION,
    BreakerConfigured,
    Checkpoint,
    ClockTicked,
    Edge,
    Event,
    LogGap,
    LogOpened,
    LogSealed,
    ProbeAdmitted,
)
from recloser.core.fold import config_in
from recloser.core.kernel import PROBE, decide
from recloser.core.limits import label
from recloser.core.log_fold import LogFold
from recloser.core.moments import after
from recloser.core.state import dump
from recloser.core.validation import NS_PER_SECOND
from recloser.errors import FutureVersionError, LogError, RecloserError
from recloser.sharing.operator_commands import COMMANDS, OperatorCommands
from recloser.sharing.stream_entry import (
    Begin,
    Entry,
    EntryId,
    OfflineReport,
    StreamCheckpoint,
    format_id,
    parse_event,
    parse_id,
)

CHECKPOINT_EVERY: Final = 2000
"""Number of entries after which a checkpoint is due."""

_DUE_AGAIN_AFTER: Final = 50
_EVENTS_PER_SEAL: Final = 1024
_MAX_MEMBERS: Final = 1000
_KEPT_EDGES: Final = 256
_KEPT_CHECKPOINTS: Final = 1000
_NS_PER_MS: Final = 1_000_000
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_OUTCOMES: Final = frozenset(("call_succeeded", "call_failed", "call_ignored"))
_ALWAYS_FOLDED: Final = COMMANDS | {"call_rejected"}
_LAST_MS: Final = 253_402_300_799_999
"""The end of the year 9999, in milliseconds: later ids do not come from a clock."""


@frozen
class FoldedEntry:
    """The result of folding one entry.

    Attributes:
        events: The events of the log that the entry adds, each followed by the edges it fires.
        grants: The probes granted, by the number of the claim.
    """

    events: Sequence[Event]
    grants: Mapping[int, ProbeAdmitted]


NOTHING: Final = FoldedEntry((), {})


class StreamFold:
    """The states and events that the entries of one stream result in.

    Attributes:
        begin: The body of the entry that began the stream.
        fold: The states of all breakers, and the log's time.
        start: The entry that this fold started from.
        position: The last entry that was folded.
        edges: The last 256 edges, each with the entry that fired it.
        entries: Number of entries folded by this object.
        checkpoints: The entries that have a checkpoint, each with the value of ``entries`` then.
        start_entry: The entry that a new member can start from, as long as it is in the stream.
        commands: The last commands of operators.
        passed_over: Number of entries that could not be read completely or not be folded.
        fault: What was wrong with the last of them, and its id; None if there was none.
    """

    def __init__(self, begin: Begin, anchor_ms: int, position: EntryId) -> None:
        if begin.format > FORMAT_VERSION or begin.rules > RULES_VERSION:
            raise FutureVersionError(
                f"the stream was begun by recloser {begin.library}, with format version "
                f"{begin.format} and rules version {begin.rules}; this library knows up to "
                f"{FORMAT_VERSION} and {RULES_VERSION}: upgrade recloser"
            )
        self.begin = begin
        self.fold = LogFold()
        self.start = self.position = self.start_entry = position
        self.edges: deque[tuple[EntryId, Edge]] = deque(maxlen=_KEPT_EDGES)
        self.entries = 0
        self.checkpoints: deque[tuple[EntryId, int]] = deque(maxlen=_KEPT_CHECKPOINTS)
        self.commands = OperatorCommands(begin.commands)
        self.passed_over = 0
        self.fault: str | None = None
        self._anchor_ms = self._id_ms = anchor_ms
        self._shift = 0
        self._ids_stand_still = False
        self._members: dict[str, int] = {}
        self._unsealed = 0
        self._since_checkpoint = 0

    @classmethod
    def from_begin(cls, entry: Entry) -> tuple["StreamFold", FoldedEntry]:
        """Start a fold at the entry that begins the stream; return its first events too.

        Raises:
            LogError: The entry has another body, or states that are not valid.
            FutureVersionError: A newer version of recloser began the stream.
        """
        begin = entry.body
        if not isinstance(begin, Begin):
            raise LogError("the first entry of the stream is not a beginning")
        stream_fold = cls(begin, entry.id[0], entry.id)
        events: list[Event] = []
        stream_fold._record_opening(events, begin.seq, begin.at, begin.states)
        if begin.lost:
            stream_fold._record_gap(events, 0, begin.lost, begin.at)
        return stream_fold, FoldedEntry(events, {})

    @classmethod
    def from_remainder(cls, begin: Begin, first: Entry) -> "StreamFold":
        """Start a fold, without any breaker, in a stream that has lost its beginning.

        Args:
            begin: The beginning to assume.
            first: The first entry that is left.
        """
        stream_fold = cls(begin, first.id[0], first.id)
        stream_fold._record_opening([], begin.seq, begin.at, begin.states)
        return stream_fold

    @classmethod
    def from_checkpoint(cls, checkpoint: StreamCheckpoint) -> "StreamFold":
        """Restore the fold at the entry that a checkpoint describes.

        Raises:
            LogError: The checkpoint has states that are not valid or cannot be written again.
            FutureVersionError: A newer version of recloser began the stream.
        """
        stream_fold = cls(checkpoint.begin, checkpoint.anchor, parse_id(checkpoint.of))
        stream_fold.commands = OperatorCommands(checkpoint.commands)
        stream_fold._id_ms = checkpoint.clock or stream_fold.start[0]
        stream_fold._shift = checkpoint.shift
        stream_fold._members = dict(checkpoint.members)
        stream_fold._record_opening(
            [],
            checkpoint.seq - len(checkpoint.states) - 1,
            checkpoint.ticked_at,
            checkpoint.states,
            checkpoint.at,
        )
        # Large states took several events above; all members must number the next event alike.
        stream_fold.fold.seq = checkpoint.seq
        stream_fold._unsealed = checkpoint.unsealed
        return stream_fold

    def is_restarted_by(self, entry: Entry) -> bool:
        """Return whether an entry restarts the stream, whose beginning was lost.

        If two members restart a stream at once, the second ``begin`` names entries from before the
        first one, and is ignored.
        """
        body = entry.body
        if not isinstance(body, Begin) or not body.upto:
            return False
        return parse_id(body.upto)[0] >= self._anchor_ms

    def fold_entry(self, entry: Entry) -> FoldedEntry:
        """Fold the next entry, which does not restart the stream."""
        self._advance_to(entry)
        body = entry.body
        if entry.batch <= self._members.get(entry.member, 0) or isinstance(body, Begin):
            if entry.fault is not None:
                self._note_fault(entry, entry.fault)
            return NOTHING
        if isinstance(body, StreamCheckpoint) and body.begin.generation != self.begin.generation:
            return NOTHING
        self._note_batch(entry)
        at = self._time_at(entry)
        events: list[Event] = []
        grants: dict[int, ProbeAdmitted] = {}
        self._record_due_tick(events, at)
        if isinstance(body, StreamCheckpoint):
            self._record_checkpoint(events, body, at)
        elif isinstance(body, OfflineReport):
            self._record_gap(events, body.lost, _gap_text(body), at)
        else:
            line_faults = [self._fold_line(line, at, events, grants, entry) for line in body]
            fault = next(
                (fault for fault in (entry.fault, *line_faults) if fault is not None), None
            )
            if fault is not None:
                self._note_fault(entry, fault)
        self._unsealed += len(events)
        if self._unsealed >= _EVENTS_PER_SEAL:
            self._record_seal(events)
        self.edges += [(entry.id, event) for event in events if event.kind == "state_changed"]
        return FoldedEntry(events, grants)

    def pass_over(self, entry: Entry, fault: str) -> None:
        """Skip the next entry, which cannot be folded."""
        self._advance_to(entry)
        self._note_fault(entry, fault)

    def _note_fault(self, entry: Entry, fault: str) -> None:
        self.passed_over += 1
        self.fault = f"entry {format_id(entry.id)}: {fault}"

    def _advance_to(self, entry: Entry) -> None:
        self.position = entry.id
        self._ids_stand_still = entry.id[0] == self._id_ms or entry.id[0] > _LAST_MS
        if not self._ids_stand_still:
            self._id_ms = entry.id[0]
        self.entries += 1
        self._since_checkpoint += 1

    def _time_at(self, entry: Entry) -> int:
        """Return the time of an entry, in nanoseconds of the log.

        It is the time of the id, unless the ids stand still: after the server's clock was set back,
        ids have the same milliseconds until the clock has caught up. The sender's estimate is used
        then, and the difference is added to the times of all later ids.
        """
        by_id = max(self.fold.at, self.at_by_id)
        if self._ids_stand_still and entry.at is not None and entry.at > by_id:
            self._shift += entry.at - self.at_by_id
            return entry.at
        return by_id

    def at_of_us(self, us: int) -> int:
        """Convert a time of the server's clock, in microseconds, to that of the log."""
        return self.begin.at + us * 1000 - self._anchor_ms * _NS_PER_MS + self._shift

    @property
    def at_by_id(self) -> int:
        """The log's time for the id of the last entry, in nanoseconds."""
        return self.at_of_us(self._id_ms * 1000)

    def next_generation(self, generation: str, library: str, at: int) -> Begin:
        """Return the ``begin`` of the stream that replaces this one, which is lost."""
        return Begin(
            generation=generation,
            format=FORMAT_VERSION,
            rules=RULES_VERSION,
            library=library,
            session=self.begin.session + 1,
            seq=self.fold.seq,
            at=max(self.fold.at, at),
            states=self._states(),
            commands=self.commands.saved(),
        )

    def is_checkpoint_due(self) -> bool:
        """Return whether the member that sent the last entry should send a checkpoint."""
        over = self._since_checkpoint - CHECKPOINT_EVERY
        return over >= 0 and over % _DUE_AGAIN_AFTER == 0

    def checkpoint(self) -> StreamCheckpoint:
        """Return everything that is needed to continue the fold from this entry."""
        return StreamCheckpoint(
            of=format_id(self.position),
            begin=msgspec.structs.replace(self.begin, states=(), commands=(), lost=""),
            anchor=self._anchor_ms,
            seq=self.fold.seq,
            at=self.fold.at,
            ticked_at=self.fold.ticked_at,
            unsealed=self._unsealed,
            members=dict(self._members),
            states=self._states(),
            commands=self.commands.saved(),
            shift=self._shift,
            clock=self._id_ms,
        )

    def trim_position(self, keep_entries: int) -> EntryId | None:
        """Return the newest entry with a checkpoint and enough entries after it."""
        old = [of for of, entries in self.checkpoints if self.entries - entries >= keep_entries]
        return old[-1] if old else None

    def _states(self) -> tuple[dict[str, object], ...]:
        return tuple(dict(dump(state)) for state in self.fold.breakers.values())

    def _note_batch(self, entry: Entry) -> None:
        # The member that was silent for longest is forgotten: it hardly has anything to send again.
        self._members.pop(entry.member, None)
        self._members[entry.member] = entry.batch
        if len(self._members) > _MAX_MEMBERS:
            del self._members[next(iter(self._members))]

    def _wall(self, at: int) -> datetime:
        return after(_EPOCH, self._monotonic(at) - self._shift)

    def _monotonic(self, at: int) -> int:
        return self._anchor_ms * _NS_PER_MS + at - self.begin.at

    def _record_opening(
        self,
        events: list[Event],
        seq: int,
        at: int,
        states: Sequence[Mapping[str, object]],
        then_at: int | None = None,
    ) -> None:
        """Record the header and the states with which a segment of the log begins.

        ``at`` is the time of the header; ``then_at`` that of the states, if it differs.
        """
        header = LogOpened(
            seq=seq + 1,
            at=at,
            format=self.begin.format,
            rules=self.begin.rules,
            session=self.begin.session,
            wall=self._wall(at),
            monotonic=self._monotonic(at),
            boot_id=self.begin.generation,
            host="",
            pid=0,
            library=self.begin.library,
            checkpoints=len(states),
        )
        self._apply(events, header)
        self._record_states(events, states, at if then_at is None else then_at)
        if then_at is not None:
            self.fold.at = then_at
        self._unsealed = len(events)

    def _record_checkpoint(
        self, events: list[Event], checkpoint: StreamCheckpoint, at: int
    ) -> None:
        """Begin another segment of the log, from which a fold can start."""
        self._unsealed += len(events)
        self._record_seal(events)
        before = len(events)
        self._record_opening(events, self.fold.seq, at, self._states())
        self._unsealed = -before  # ``fold_entry`` then adds all events of the entry
        self._since_checkpoint = 0
        self.start_entry = parse_id(checkpoint.of)
        self.checkpoints.append((self.start_entry, self.entries - 1))

    def _record_gap(self, events: list[Event], lost: int, text: str, at: int) -> None:
        self._apply(events, LogGap(self.fold.seq + 1, at, lost, label(text)))
        self._record_states(events, self._states(), at)

    def _record_states(
        self, events: list[Event], states: Sequence[Mapping[str, object]], at: int
    ) -> None:
        for state in states:
            name = str(state.get("breaker"))
            for piece in pieces_of(state):
                self._apply(events, Checkpoint(self.fold.seq + 1, at, name, *piece))

    def _record_due_tick(self, events: list[Event], at: int) -> None:
        deadline = self.fold.next_deadline
        is_due = deadline is not None and at >= deadline
        if is_due or at - self.fold.ticked_at >= NS_PER_SECOND:
            tick = ClockTicked(self.fold.seq + 1, at, self._wall(at), self._monotonic(at))
            self._apply(events, tick)

    def _record_seal(self, events: list[Event]) -> None:
        # The count and the digest are filled in when the log is written (see ``stream_export``).
        self._apply(events, LogSealed(self.fold.seq + 1, self.fold.at, 0, ""))
        self._unsealed = 0

    def _fold_line(
        self,
        line: bytes,
        at: int,
        events: list[Event],
        grants: dict[int, ProbeAdmitted],
        entry: Entry,
    ) -> str | None:
        """Fold a line of an entry; return why it is invalid, or None."""
        event = parse_event(line, self.fold.seq + 1, at)
        if event is None:
            return "a line cannot be read as an event"
        if isinstance(event, ProbeAdmitted):
            granted = self._grant(event)
            if granted is not None:
                grants[event.probe] = granted
                self._apply(events, granted)
            return None
        try:
            if not self._is_folded(event, entry):
                return None
        except (RecloserError, ArithmeticError, LookupError, TypeError, ValueError):
            return "it has settings that are not valid"
        is_new = isinstance(event, BreakerConfigured) and event.breaker not in self.fold.breakers
        self._apply(events, event)
        if event.kind in COMMANDS:
            self.commands.note(event, entry.again or entry.id)
        if is_new:
            # A stream that lost its beginning may still have the command but not the breaker.
            for command in self.commands.of(getattr(event, "breaker", "")):
                self._apply(events, evolve(command, seq=self.fold.seq + 1, at=at))
        return None

    def _grant(self, claim: ProbeAdmitted) -> ProbeAdmitted | None:
        state = self.fold.breakers.get(claim.breaker)
        if state is None or state.epoch != claim.epoch or decide(state) != PROBE:
            return None
        return evolve(claim, probe=state.probes_admitted + 1)

    def _is_folded(self, event: Event, entry: Entry) -> bool:
        if isinstance(event, BreakerConfigured):
            return self._changes_settings(event, replaces=entry.replaces)
        name = getattr(event, "breaker", None)
        if name not in self.fold.breakers:
            return False
        if event.kind in _OUTCOMES:
            return getattr(event, "epoch", 0) <= self.fold.breakers[name].epoch
        if event.kind in COMMANDS and entry.again is not None:
            return self.commands.is_newest(event, entry.again)
        return event.kind in _ALWAYS_FOLDED

    def _changes_settings(self, event: BreakerConfigured, *, replaces: bool) -> bool:
        settings = config_in(event).to_mapping()
        known = self.fold.breakers.get(event.breaker)
        return known is None or (replaces and known.config.to_mapping() != settings)

    def _apply(self, events: list[Event], event: Event) -> None:
        edges = self.fold.apply(event)
        events.append(event)
        for edge in edges:
            self.fold.apply(edge)
            events.append(edge)


def _gap_text(report: OfflineReport) -> str:
    # The text is part of the log that all members compute, so it must not change.
    gave_up = f"; it gave up {', '.join(report.edges)}" if report.edges else ""
    return (
        f"{report.host} was without the stream for {report.seconds:.3f} s and on its own: "
        f"{report.sent} of its outcomes came late, {report.lost} not at all{gave_up}"
    )
