"""The course of a stream: what its entries come to, one after another.

It is as pure as the fold: from the same entries every process makes the same events, with the same
numbers, times, edges and seals, and so the same states.
"""

from collections import deque
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Final

import msgspec
from attrs import evolve, frozen

from recloser.checkpoint_parts import pieces_of
from recloser.clock import after
from recloser.errors import FoldError, FutureVersionError, LogError
from recloser.events import (
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
from recloser.fleet.entry import (
    Away,
    Begin,
    Checkpointed,
    Entry,
    EntryId,
    event_of,
    id_text,
    parse_id,
)
from recloser.fold import config_in, may_probe
from recloser.limits import label
from recloser.logfold import LogFold
from recloser.machine import HALF_OPEN
from recloser.state import dump
from recloser.validation import NS_PER_SECOND

CHECKPOINT_EVERY: Final = 2000
"""So many entries stand between two checkpoints, or a few more."""

_AGAIN_AFTER: Final = 50
_SEAL_AFTER: Final = 1024
_MEMBERS: Final = 1000
_RECENT_EDGES: Final = 256
_CHECKPOINTS: Final = 1000
_NS_PER_MS: Final = 1_000_000
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_OUTCOMES: Final = frozenset(("call_succeeded", "call_failed", "call_ignored"))
_PLAIN: Final = frozenset(
    ("call_rejected", "forced_open", "forced_closed", "reset", "mode_changed")
)


@frozen
class Taken:
    """What an entry came to.

    Attributes:
        events: The events of the log that it stands for, each with its edges behind it.
        grants: The probes that were granted, by the number of the claim.
    """

    events: Sequence[Event]
    grants: Mapping[int, ProbeAdmitted]


NOTHING: Final = Taken((), {})


class Course:
    """Folds the entries of one stream.

    Attributes:
        begin: How the stream began.
        fold: The states of all breakers, and the time.
        start: The entry that the fold began with.
        position: The last entry.
        edges: The last edges, with the entries that fired them.
        entries: How many entries have been folded here.
        checkpoints: Which entries there are checkpoints of, each with ``entries`` at that time.
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
        self.start = self.position = position
        self.edges: deque[tuple[EntryId, Edge]] = deque(maxlen=_RECENT_EDGES)
        self.entries = 0
        self.checkpoints: deque[tuple[EntryId, int]] = deque(maxlen=_CHECKPOINTS)
        self._anchor_ms = anchor_ms
        self._members: dict[str, int] = {}
        self._unsealed = 0
        self._since_checkpoint = 0

    @classmethod
    def begun(cls, entry: Entry) -> tuple["Course", Taken]:
        """The course that an entry begins, and the events that it stands for.

        Raises:
            LogError: It begins none.
            FutureVersionError: It begins one of a version that is not known.
        """
        begin = entry.body
        if not isinstance(begin, Begin):
            raise LogError("the stream does not begin with an entry that begins one")
        course = cls(begin, entry.id[0], entry.id)
        events: list[Event] = []
        course._open(events, begin.seq, begin.at, begin.states)
        return course, Taken(events, {})

    @classmethod
    def restored(cls, kept: Checkpointed) -> "Course":
        """The course as it was at the entry that a checkpoint is of."""
        course = cls(kept.begin, kept.anchor, parse_id(kept.of))
        course._members = dict(kept.members)
        course._open([], kept.seq - len(kept.states) - 1, kept.ticked_at, kept.states, kept.at)
        course._unsealed = kept.unsealed
        return course

    def take(self, entry: Entry) -> Taken:
        """Fold the next entry."""
        self.position = entry.id
        self.entries += 1
        self._since_checkpoint += 1
        body = entry.body
        if entry.batch <= self._members.get(entry.member, 0) or isinstance(body, Begin):
            return NOTHING
        self._note_batch(entry)
        at = self.at_of(entry.id)
        events: list[Event] = []
        grants: dict[int, ProbeAdmitted] = {}
        self._tick_if_due(events, at)
        if isinstance(body, Checkpointed):
            self._reopen(events, body, at)
        elif isinstance(body, Away):
            self._tell_gap(events, body, at)
        else:
            for line in body:
                self._take_line(line, at, events, grants, replaces=entry.replaces)
        self._unsealed += len(events)
        if self._unsealed >= _SEAL_AFTER:
            self._seal(events)
        self.edges += [(entry.id, event) for event in events if event.kind == "state_changed"]
        return Taken(events, grants)

    def at_of(self, entry_id: EntryId) -> int:
        """The time of an entry, in nanoseconds of the log."""
        return max(self.fold.at, self.at_of_us(entry_id[0] * 1000))

    def at_of_us(self, us: int) -> int:
        """The time that the log gives to a reading of the server's clock in microseconds."""
        return self.begin.at + us * 1000 - self._anchor_ms * _NS_PER_MS

    def next_generation(self, generation: str, library: str, at: int) -> Begin:
        """How a stream begins that follows on this one, which is lost."""
        return Begin(
            generation=generation,
            format=FORMAT_VERSION,
            rules=RULES_VERSION,
            library=library,
            session=self.begin.session + 1,
            seq=self.fold.seq,
            at=max(self.fold.at, at),
            states=self._states(),
        )

    def is_checkpoint_due(self) -> bool:
        """Whether the member whose entry was the last one should add a checkpoint."""
        over = self._since_checkpoint - CHECKPOINT_EVERY
        return over >= 0 and over % _AGAIN_AFTER == 0

    def checkpoint(self) -> Checkpointed:
        """All there is to know at this entry."""
        return Checkpointed(
            of=id_text(self.position),
            begin=msgspec.structs.replace(self.begin, states=()),
            anchor=self._anchor_ms,
            seq=self.fold.seq,
            at=self.fold.at,
            ticked_at=self.fold.ticked_at,
            unsealed=self._unsealed,
            members=dict(self._members),
            states=self._states(),
        )

    def trims_to(self, keep_entries: int) -> EntryId | None:
        """The newest entry that has a checkpoint, and so many others behind it."""
        old = [of for of, entries in self.checkpoints if self.entries - entries >= keep_entries]
        return old[-1] if old else None

    def _states(self) -> tuple[dict[str, object], ...]:
        return tuple(dict(dump(state)) for state in self.fold.breakers.values())

    def _note_batch(self, entry: Entry) -> None:
        # The one that was silent for longest goes first: it is not likely to send anything twice.
        self._members.pop(entry.member, None)
        self._members[entry.member] = entry.batch
        if len(self._members) > _MEMBERS:
            del self._members[next(iter(self._members))]

    def _wall(self, at: int) -> datetime:
        return after(_EPOCH, self._anchor_ms * _NS_PER_MS + at - self.begin.at)

    def _monotonic(self, at: int) -> int:
        return self._anchor_ms * _NS_PER_MS + at - self.begin.at

    def _open(
        self,
        events: list[Event],
        seq: int,
        at: int,
        states: Sequence[Mapping[str, object]],
        then_at: int | None = None,
    ) -> None:
        """What a segment of the log begins with: the header, and all states."""
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
        for state in states:
            checkpoint_at = at if then_at is None else then_at
            name = str(state.get("breaker"))
            for piece in pieces_of(state):
                self._apply(events, Checkpoint(self.fold.seq + 1, checkpoint_at, name, *piece))
        if then_at is not None:
            self.fold.at = then_at
        self._unsealed = len(events)

    def _reopen(self, events: list[Event], kept: Checkpointed, at: int) -> None:
        """A checkpoint: from here too a fold of the log can start."""
        self._unsealed += len(events)
        self._seal(events)
        before = len(events)
        self._open(events, self.fold.seq, at, self._states())
        self._unsealed = -before  # what is counted when the entry has been taken
        self._since_checkpoint = 0
        behind = self.entries - 1
        self.checkpoints.append((parse_id(kept.of), behind))

    def _tell_gap(self, events: list[Event], away: Away, at: int) -> None:
        gave_up = f"; it gave up {', '.join(away.edges)}" if away.edges else ""
        told = (
            f"{away.host} was without the stream for {away.seconds:.3f} s and on its own: "
            f"{away.sent} of its outcomes came late, {away.lost} not at all{gave_up}"
        )
        self._apply(events, LogGap(self.fold.seq + 1, at, away.lost, label(told)))
        for state in self._states():
            name = str(state["breaker"])
            for piece in pieces_of(state):
                self._apply(events, Checkpoint(self.fold.seq + 1, at, name, *piece))

    def _tick_if_due(self, events: list[Event], at: int) -> None:
        deadline = self.fold.next_deadline
        is_due = deadline is not None and at >= deadline
        if is_due or at - self.fold.ticked_at >= NS_PER_SECOND:
            tick = ClockTicked(self.fold.seq + 1, at, self._wall(at), self._monotonic(at))
            self._apply(events, tick)

    def _seal(self, events: list[Event]) -> None:
        # Whoever writes the log puts in the count and the digest.
        self._apply(events, LogSealed(self.fold.seq + 1, self.fold.at, 0, ""))
        self._unsealed = 0

    def _take_line(
        self,
        line: bytes,
        at: int,
        events: list[Event],
        grants: dict[int, ProbeAdmitted],
        *,
        replaces: bool,
    ) -> None:
        event = event_of(line, self.fold.seq + 1, at)
        if event is None:
            return
        if isinstance(event, ProbeAdmitted):
            claim, event = event.probe, self._granted(event)
            if event is not None:
                grants[claim] = event
        elif not self._can_happen(event, replaces=replaces):
            return
        if event is not None:
            self._apply(events, event)

    def _granted(self, claim: ProbeAdmitted) -> ProbeAdmitted | None:
        state = self.fold.breakers.get(claim.breaker)
        if state is None or state.state is not HALF_OPEN or state.epoch != claim.epoch:
            return None
        if state.mode == "disabled" or not may_probe(state):
            return None
        return evolve(claim, probe=state.probes_admitted + 1)

    def _can_happen(self, event: Event, *, replaces: bool) -> bool:
        if isinstance(event, BreakerConfigured):
            return self._configures(event, replaces=replaces)
        name = getattr(event, "breaker", None)
        if name not in self.fold.breakers:
            return False
        if event.kind in _OUTCOMES:
            return getattr(event, "epoch", 0) <= self.fold.breakers[name].epoch
        return event.kind in _PLAIN

    def _configures(self, event: BreakerConfigured, *, replaces: bool) -> bool:
        try:
            settings = config_in(event).to_mapping()
        except FoldError:
            return False
        known = self.fold.breakers.get(event.breaker)
        return known is None or (replaces and known.config.to_mapping() != settings)

    def _apply(self, events: list[Event], event: Event) -> None:
        edges = self.fold.apply(event)
        events.append(event)
        for edge in edges:
            self.fold.apply(edge)
            events.append(edge)
