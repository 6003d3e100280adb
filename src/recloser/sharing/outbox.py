"""What waits to be sent: bounded, in order, and with like outcomes made one."""

from collections import Counter, deque
from collections.abc import Callable, Sequence
from itertools import islice
from typing import Final

from attrs import define, evolve, frozen

from recloser.core.events import BreakerConfigured, CallRejected, CallSucceeded, Event
from recloser.core.limits import MAX_COUNT, MAX_LINE_BYTES
from recloser.live.request import Message
from recloser.log.codec import full
from recloser.sharing.operator_commands import COMMANDS
from recloser.sharing.stream_entry import (
    EVENTS_AT_ONCE,
    MAX_EVENTS_BYTES,
    Body,
    EntryId,
    id_text,
    lines_of,
)

MAX_WAITING: Final = 10_000
"""Of more than this the oldest outcomes are given up."""

MAX_AGE_NS: Final = 10_000_000_000
"""An outcome that could not be sent for so long tells nothing of now, and is given up."""

_LASTING: Final = COMMANDS | {"breaker_configured"}


@define(eq=False)
class Said(Message):
    """Something to be sent.

    Attributes:
        event: The event, with ``seq`` and ``at`` 0; None where ``body`` says it.
        since_ns: When it came, by the monotonic hand.
        is_told: Whether its sender's listeners were told of it already.
        replaces: Whether it is a configuration that replaces another.
        is_slow: Whether the call was slow.
        body: An entry of another kind.
        number: Which of all that is ever put into the outbox it is; 0 until it has a number.
        took_ns: What all the calls took that were made one.
    """

    event: Event | None
    since_ns: int = 0
    is_told: bool = False
    replaces: bool = False
    is_slow: bool = False
    body: Body = ()
    number: int = 0
    took_ns: int = 0


@frozen
class Batch:
    """What one entry will say.

    Attributes:
        number: Which entry of its member it is.
        body: What it says.
        events: The events in it.
        upto: The number of the last thing in it.
        is_told: Whether its sender's listeners were told of it already.
        replaces: Whether a configuration in it replaces another.
        again: The id of the entry that first said what is put back by it; empty where nothing is.
    """

    number: int
    body: Body
    events: Sequence[Event]
    upto: int
    is_told: bool
    replaces: bool
    again: str = ""


class Outbox:
    """What one process has to say, and has not said yet.

    Attributes:
        put: How many things were ever put in.
        lost: How many calls were given up.
        bad: How many failures and slow calls wait, by breaker and the event's kind.
        in_flight: What was taken out last, until it is known to have arrived.
    """

    def __init__(self) -> None:
        self.put = 0
        self.in_flight: Batch | None = None
        self.lost = 0
        self.bad: Counter[tuple[str, str]] = Counter()
        self._waiting: deque[Said] = deque()
        self._last: dict[str, Said] = {}
        self._batches = 0

    def __len__(self) -> int:
        return len(self._waiting)

    @property
    def since_ns(self) -> int | None:
        """When the first of what waits came, by the monotonic hand."""
        return self._waiting[0].since_ns if self._waiting else None

    @property
    def calls(self) -> int:
        """How many calls wait."""
        return sum(map(_calls_in, self._waiting))

    def configured(self) -> list[BreakerConfigured]:
        """The settings that wait, and do not replace others."""
        waiting = [w.event for w in self._waiting if not w.replaces]
        return [event for event in waiting if isinstance(event, BreakerConfigured)]

    def commands(self) -> list[Event]:
        """The commands of operators that are not known to have arrived."""
        sent = () if self.in_flight is None else self.in_flight.events
        waiting = [w.event for w in self._waiting if w.event is not None]
        return [event for event in (*sent, *waiting) if event.kind in COMMANDS]

    def tell(self) -> list[tuple[Event, bool]]:
        """The events that are not known to have arrived, which listeners are told of by this.

        Claims that were not sent are forgotten: nobody waits for them any more.

        Returns:
            The events, each with whether listeners were told of it before.
        """
        self._give_up(lambda waiting: _kind(waiting) == "probe_admitted")
        sent = self.in_flight
        told: list[tuple[Event, bool]] = []
        if sent is not None:
            told += [(event, sent.is_told) for event in sent.events]
        told += [(_settled(w), w.is_told) for w in self._waiting if w.event is not None]
        if sent is not None:
            self.in_flight = evolve(sent, is_told=True)
        for waiting in self._waiting:
            waiting.is_told = True
        return told

    def add(self, said: Said) -> None:
        """Put in an event about a breaker; it is made one with the one before where they are alike.

        One that is in already is passed over: so it can be put in again after an interruption.
        """
        event = said.event
        assert event is not None
        said.number = number = said.number or self.put + 1
        if number <= self.put:
            return
        name: str = getattr(event, "breaker", "")
        said.took_ns = getattr(event, "took", 0) * getattr(event, "count", 1)
        key = name, event.kind
        bad = self.bad.get(key, 0) + (said.is_slow or event.kind == "call_failed")
        last = self._last.get(name)
        both = None if last is None else _as_one(last, said)
        # One step: it is in, or it is not.
        if last is not None and both is not None:
            last.event = both
            last.took_ns += said.took_ns
            last.number = number
            self.put = number
        else:
            self._last[name] = said
            self._waiting += (said,)
            self.put = number
        self.bad[key] = bad
        if len(self._waiting) > MAX_WAITING:
            self._give_up(_Oldest(MAX_WAITING // 10))

    def add_body(self, body: Body, now_ns: int) -> None:
        """Put in an entry of another kind."""
        waiting = Said(None, now_ns, body=body, number=self.put + 1)
        # One step.
        self.put += 1
        self._waiting += (waiting,)

    def give_up_aged(self, now_ns: int) -> None:
        """Give up the outcomes that have waited for too long."""
        self._give_up(lambda waiting: now_ns - waiting.since_ns > MAX_AGE_NS)

    def take(self) -> Batch | None:
        """What is in flight, or else the next entry; None if there is nothing to be said."""
        if self.in_flight is not None or not self._waiting:
            return self.in_flight
        first = self._waiting[0]
        taken, events, lines, size = 0, list[Event](), list[bytes](), 0
        lost = 0
        for waiting in islice(self._waiting, EVENTS_AT_ONCE):
            if _manner(waiting) != _manner(first) or (taken and waiting.event is None):
                break
            if waiting.event is not None:
                event = _settled(waiting)
                (line,) = lines_of([event])
                if len(line) >= MAX_LINE_BYTES:
                    lost += max(1, _calls_in(waiting))  # nobody could read it
                elif size + len(line) < MAX_EVENTS_BYTES:
                    events.append(event)
                    lines.append(line)
                    size += len(line) + 1
                else:
                    break
            taken += 1
            last_number = waiting.number
        body = tuple(lines) if first.event is not None else first.body
        batch = self._batch(last_number, body, events, first)
        left = deque(islice(self._waiting, taken, None))
        last, bad = dict[str, Said](), Counter[tuple[str, str]]()
        # One step.
        self._batches = batch.number
        self.in_flight = batch
        self._waiting = left
        self._last = last
        self.bad = bad
        self.lost += lost
        return batch

    def take_at_once(self, events: Sequence[Event], again: EntryId | None = None) -> Batch | None:
        """What is in flight, or else an entry of these events, before all that waits.

        Args:
            events: The events.
            again: The entry that first said them, where they are put back.
        """
        if self.in_flight is not None:
            return self.in_flight
        few = events[:EVENTS_AT_ONCE]
        batch = self._batch(0, lines_of(few), few, Said(None, is_told=True))
        if again is not None:
            batch = evolve(batch, again=id_text(again))
        # One step.
        self._batches = batch.number
        self.in_flight = batch
        return batch

    def _batch(self, upto: int, body: Body, events: Sequence[Event], like: Said) -> Batch:
        return Batch(
            number=self._batches + 1,
            body=body,
            events=events,
            upto=upto,
            is_told=like.is_told,
            replaces=like.replaces,
        )

    def give_up_sent(self) -> None:
        """Give up what is in flight: it can't be written, or not be read."""
        batch = self.in_flight
        lost = 0 if batch is None else sum(map(calls_in, batch.events))
        # One step.
        self.in_flight = None
        self.lost += lost

    def arrived(self, number: int) -> Batch | None:
        """What was in flight under this number, which is known to have arrived."""
        batch = self.in_flight
        if batch is None or batch.number != number:
            return None
        self.in_flight = None
        return batch

    def _give_up(self, is_old: Callable[[Said], bool]) -> None:
        kept: deque[Said] = deque()
        lost, last = 0, dict[str, Said]()
        for waiting in self._waiting:
            if _is_lasting(waiting) or not is_old(waiting):
                kept.append(waiting)
            else:
                lost += _calls_in(waiting)
        # One step.
        self._waiting = kept
        self._last = last
        self.lost += lost


class _Oldest:
    """The first of those that it is asked about."""

    def __init__(self, left: int) -> None:
        self._left = left

    def __call__(self, _waiting: Said) -> bool:
        self._left -= 1
        return self._left >= 0


def calls_in(event: Event) -> int:
    """How many calls an event tells the end of."""
    if event.kind in ("call_failed", "call_ignored"):
        return 1
    return getattr(event, "count", 0) if event.kind in ("call_succeeded", "call_rejected") else 0


def _calls_in(waiting: Said) -> int:
    return 0 if waiting.event is None else calls_in(waiting.event)


def _kind(waiting: Said) -> str:
    return "" if waiting.event is None else waiting.event.kind


def _is_lasting(waiting: Said) -> bool:
    """Whether it has to arrive however late: an operator's word, or how a probe went."""
    if waiting.event is None or waiting.event.kind in _LASTING:
        return True
    return waiting.event.kind != "probe_admitted" and getattr(waiting.event, "probe", 0) > 0


def _manner(waiting: Said) -> tuple[bool, bool, bool]:
    return waiting.event is None, waiting.is_told, waiting.replaces


def _as_one(last: Said, new: Said) -> Event | None:
    """The event that counts both, if that makes no difference to any decision."""
    before, event = last.event, new.event
    if (last.is_told, last.is_slow) != (new.is_told, new.is_slow):
        return None
    if before is None or event is None or before.kind != event.kind:
        return None
    if before.kind == "call_succeeded" and event.kind == "call_succeeded":
        if before.probe or event.probe or before.epoch != event.epoch:
            return None
    elif before.kind == "call_rejected" and event.kind == "call_rejected":
        if before.reason is not event.reason:
            return None
    else:
        return None
    count = before.count + event.count
    return evolve(full(before), count=count) if count <= MAX_COUNT else None


def _settled(waiting: Said) -> Event:
    """The event as it is sent: of calls that were made one, each took as long as all on average."""
    assert waiting.event is not None
    event = full(waiting.event)
    if isinstance(event, CallSucceeded):
        return evolve(event, took=waiting.took_ns // max(1, event.count))
    if isinstance(event, CallRejected) and event.count > 1:
        return evolve(event, retry_after=None)
    return event
