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
from recloser.sharing.operator_commands import COMMANDS, Commands
from recloser.sharing.stream_entry import (
    Away,
    Begin,
    Checkpointed,
    Entry,
    EntryId,
    event_of,
    id_text,
    parse_id,
)

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
_PLAIN: Final = COMMANDS | {"call_rejected"}
_LAST_MS: Final = 253_402_300_799_999
"""The end of the year 9999: no clock of a server has given an id that is later."""


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
        rests_on: The entry from which a new process can start, as long as it is there.
        commands: The last commands of operators.
        passed_over: How many entries could not be read, or not to the end, or not be folded.
        fault: What was wrong with the last of them, and where; None before the first.
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
        self.start = self.position = self.rests_on = position
        self.edges: deque[tuple[EntryId, Edge]] = deque(maxlen=_RECENT_EDGES)
        self.entries = 0
        self.checkpoints: deque[tuple[EntryId, int]] = deque(maxlen=_CHECKPOINTS)
        self.commands = Commands(begin.commands)
        self.passed_over = 0
        self.fault: str | None = None
        self._anchor_ms = self._id_ms = anchor_ms
        self._shift = 0
        self._stands_still = False
        self._members: dict[str, int] = {}
        self._unsealed = 0
        self._since_checkpoint = 0

    @classmethod
    def begun(cls, entry: Entry) -> tuple["Course", Taken]:
        """The course that an entry begins, and the events that it stands for.

        Raises:
            LogError: It begins none, or with states that there can't be.
            FutureVersionError: It begins one of a version that is not known.
        """
        begin = entry.body
        if not isinstance(begin, Begin):
            raise LogError("the stream does not begin with an entry that begins one")
        course = cls(begin, entry.id[0], entry.id)
        events: list[Event] = []
        course._open(events, begin.seq, begin.at, begin.states)
        if begin.lost:
            course._tell_gap(events, 0, begin.lost, begin.at)
        return course, Taken(events, {})

    @classmethod
    def remains(cls, begin: Begin, first: Entry) -> "Course":
        """The course of what is left of a stream without its beginning, which knows no breaker.

        Args:
            begin: What it is taken to have begun with.
            first: The first entry that is left.
        """
        course = cls(begin, first.id[0], first.id)
        course._open([], begin.seq, begin.at, begin.states)
        return course

    @classmethod
    def restored(cls, kept: Checkpointed) -> "Course":
        """The course as it was at the entry that a checkpoint is of.

        Raises:
            LogError: It holds states that there can't be, or can't be written again.
            FutureVersionError: Its stream was begun by a version that is not known.
        """
        course = cls(kept.begin, kept.anchor, parse_id(kept.of))
        course.commands = Commands(kept.commands)
        course._id_ms = kept.clock or course.start[0]
        course._shift = kept.shift
        course._members = dict(kept.members)
        course._open([], kept.seq - len(kept.states) - 1, kept.ticked_at, kept.states, kept.at)
        course._unsealed = kept.unsealed
        return course

    def is_cut_by(self, entry: Entry) -> bool:
        """Whether the stream begins anew with an entry: what stood before it has no beginning left.

        Where two processes begin it at once, the second has not seen the first, and begins nothing.
        """
        body = entry.body
        if not isinstance(body, Begin) or not body.upto:
            return False
        return parse_id(body.upto)[0] >= self._anchor_ms

    def take(self, entry: Entry) -> Taken:
        """Fold the next entry, which does not cut the stream."""
        self._go_to(entry)
        body = entry.body
        if entry.batch <= self._members.get(entry.member, 0) or isinstance(body, Begin):
            if entry.fault is not None:
                self._pass_over(entry, entry.fault)
            return NOTHING
        if isinstance(body, Checkpointed) and body.begin.generation != self.begin.generation:
            return NOTHING
        self._note_batch(entry)
        at = self._time_at(entry)
        events: list[Event] = []
        grants: dict[int, ProbeAdmitted] = {}
        self._tick_if_due(events, at)
        if isinstance(body, Checkpointed):
            self._reopen(events, body, at)
        elif isinstance(body, Away):
            self._tell_gap(events, body.lost, _told(body), at)
        else:
            faults = [self._take_line(line, at, events, grants, entry) for line in body]
            fault = next((fault for fault in (entry.fault, *faults) if fault is not None), None)
            if fault is not None:
                self._pass_over(entry, fault)
        self._unsealed += len(events)
        if self._unsealed >= _SEAL_AFTER:
            self._seal(events)
        self.edges += [(entry.id, event) for event in events if event.kind == "state_changed"]
        return Taken(events, grants)

    def pass_over(self, entry: Entry, fault: str) -> None:
        """Go on to the next entry, which can't be folded."""
        self._go_to(entry)
        self._pass_over(entry, fault)

    def _pass_over(self, entry: Entry, fault: str) -> None:
        self.passed_over += 1
        self.fault = f"entry {id_text(entry.id)}: {fault}"

    def _go_to(self, entry: Entry) -> None:
        self.position = entry.id
        self._stands_still = entry.id[0] == self._id_ms or entry.id[0] > _LAST_MS
        if not self._stands_still:
            self._id_ms = entry.id[0]
        self.entries += 1
        self._since_checkpoint += 1

    def _time_at(self, entry: Entry) -> int:
        """The time of an entry, in nanoseconds of the log.

        It is that of the id, unless the ids stand still: after the server's clock was ahead once,
        each id has the same milliseconds until the clock has caught up. The sender gives the time
        then, and the difference is added to the times of all later ids.
        """
        by_id = max(self.fold.at, self.at_by_id)
        if self._stands_still and entry.at is not None and entry.at > by_id:
            self._shift += entry.at - self.at_by_id
            return entry.at
        return by_id

    def at_of_us(self, us: int) -> int:
        """The time that the log gives to a reading of the server's clock in microseconds."""
        return self.begin.at + us * 1000 - self._anchor_ms * _NS_PER_MS + self._shift

    @property
    def at_by_id(self) -> int:
        """The time that the log gives to the id of the last entry."""
        return self.at_of_us(self._id_ms * 1000)

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
            commands=self.commands.kept(),
        )

    def is_checkpoint_due(self) -> bool:
        """Whether the member whose entry was the last one should add a checkpoint."""
        over = self._since_checkpoint - CHECKPOINT_EVERY
        return over >= 0 and over % _AGAIN_AFTER == 0

    def checkpoint(self) -> Checkpointed:
        """All there is to know at this entry."""
        return Checkpointed(
            of=id_text(self.position),
            begin=msgspec.structs.replace(self.begin, states=(), commands=(), lost=""),
            anchor=self._anchor_ms,
            seq=self.fold.seq,
            at=self.fold.at,
            ticked_at=self.fold.ticked_at,
            unsealed=self._unsealed,
            members=dict(self._members),
            states=self._states(),
            commands=self.commands.kept(),
            shift=self._shift,
            clock=self._id_ms,
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
        return after(_EPOCH, self._monotonic(at) - self._shift)

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
        self._tell_states(events, states, at if then_at is None else then_at)
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
        self.rests_on = parse_id(kept.of)
        self.checkpoints.append((self.rests_on, behind))

    def _tell_gap(self, events: list[Event], lost: int, text: str, at: int) -> None:
        self._apply(events, LogGap(self.fold.seq + 1, at, lost, label(text)))
        self._tell_states(events, self._states(), at)

    def _tell_states(
        self, events: list[Event], states: Sequence[Mapping[str, object]], at: int
    ) -> None:
        for state in states:
            name = str(state.get("breaker"))
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
        entry: Entry,
    ) -> str | None:
        """Fold a line of an entry; what is wrong with it, if that is why it is not folded."""
        event = event_of(line, self.fold.seq + 1, at)
        if event is None:
            return "no event can be read in it"
        if isinstance(event, ProbeAdmitted):
            granted = self._granted(event)
            if granted is not None:
                grants[event.probe] = granted
                self._apply(events, granted)
            return None
        try:
            if not self._can_happen(event, entry):
                return None
        except (RecloserError, ArithmeticError, LookupError, TypeError, ValueError):
            return "it configures a breaker in a way that there can't be"
        is_new = isinstance(event, BreakerConfigured) and event.breaker not in self.fold.breakers
        self._apply(events, event)
        if event.kind in COMMANDS:
            self.commands.note(event, entry.again or entry.id)
        if is_new:
            # Of a stream that lost its beginning the command may be left, and not the breaker.
            for command in self.commands.of(getattr(event, "breaker", "")):
                self._apply(events, evolve(command, seq=self.fold.seq + 1, at=at))
        return None

    def _granted(self, claim: ProbeAdmitted) -> ProbeAdmitted | None:
        state = self.fold.breakers.get(claim.breaker)
        if state is None or state.epoch != claim.epoch or decide(state) != PROBE:
            return None
        return evolve(claim, probe=state.probes_admitted + 1)

    def _can_happen(self, event: Event, entry: Entry) -> bool:
        if isinstance(event, BreakerConfigured):
            return self._configures(event, replaces=entry.replaces)
        name = getattr(event, "breaker", None)
        if name not in self.fold.breakers:
            return False
        if event.kind in _OUTCOMES:
            return getattr(event, "epoch", 0) <= self.fold.breakers[name].epoch
        if event.kind in COMMANDS and entry.again is not None:
            return self.commands.is_newest(event, entry.again)
        return event.kind in _PLAIN

    def _configures(self, event: BreakerConfigured, *, replaces: bool) -> bool:
        settings = config_in(event).to_mapping()
        known = self.fold.breakers.get(event.breaker)
        return known is None or (replaces and known.config.to_mapping() != settings)

    def _apply(self, events: list[Event], event: Event) -> None:
        edges = self.fold.apply(event)
        events.append(event)
        for edge in edges:
            self.fold.apply(edge)
            events.append(edge)


def _told(away: Away) -> str:
    gave_up = f"; it gave up {', '.join(away.edges)}" if away.edges else ""
    return (
        f"{away.host} was without the stream for {away.seconds:.3f} s and on its own: "
        f"{away.sent} of its outcomes came late, {away.lost} not at all{gave_up}"
    )
