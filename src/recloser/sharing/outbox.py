"""The unsent events of a member: in order, bounded, like outcomes merged."""

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
    MAX_ENTRY_EVENTS,
    MAX_EVENTS_BYTES,
    Body,
    EntryId,
    event_lines,
    format_id,
)

MAX_WAITING: Final = 10_000
"""When more items than this wait, the oldest outcomes are dropped."""

MAX_AGE_NS: Final = 10_000_000_000
"""Outcomes older than this say nothing about the present and are dropped, in nanoseconds."""

_LASTING: Final = COMMANDS | {"breaker_configured"}


@define(eq=False)
class OutboxItem(Message):
    """One event, or one entry of another kind, that waits to be sent.

    Attributes:
        event: The event, with ``seq`` and ``at`` 0; None if ``body`` is the entry.
        added_ns: Monotonic time at which it was added, in nanoseconds.
        is_notified: Whether this process's listeners have received the event already.
        replaces: Whether it holds settings that replace those in the stream.
        is_slow: Whether the call was slow.
        body: The body of an entry other than ``events``.
        number: Position among all items ever added, from 1; 0 until it is added.
        took_ns: Total duration of the calls merged into it, in nanoseconds.
    """

    event: Event | None
    added_ns: int = 0
    is_notified: bool = False
    replaces: bool = False
    is_slow: bool = False
    body: Body = ()
    number: int = 0
    took_ns: int = 0


@frozen
class Batch:
    """The contents of one entry to send.

    Attributes:
        number: The ``batch`` of the entry: its position among this member's entries, from 1.
        body: The body of the entry.
        events: The events in it.
        last_item: Number of the last outbox item in it; 0 if it holds none.
        is_notified: Whether this process's listeners have received its events already.
        replaces: Whether settings in it replace those in the stream.
        again: Id of the entry that first held the command that this one restores; else empty.
    """

    number: int
    body: Body
    events: Sequence[Event]
    last_item: int
    is_notified: bool
    replaces: bool
    again: str = ""


class Outbox:
    """The events that one member has not sent yet.

    Every method runs under the sequencer's lock. An exception from outside, as from a signal handler,
    can still interrupt one: CPython raises it at a call or at a jump backwards. So each method first
    computes its new values and then assigns them, in statements without a call or a loop. These are
    marked *One step*: all of them take effect or none, and the method can be repeated. This is also
    why an item is added by ``+= (item,)``, which is no call, instead of ``append``.

    ``health`` and waiting threads read ``len()``, ``in_flight``, ``last_item``, ``lost``
    and ``oldest_ns`` without the lock. Each is one reference that a step replaces, so they see the
    value before or after a step; figures that belong to different steps do no harm there.

    Attributes:
        last_item: Number of the last item ever added.
        lost: Calls dropped.
        unsent_failures: Failures and slow calls that wait, by breaker and kind of event.
        in_flight: The last batch handed out, until it is known to have arrived.
    """

    def __init__(self) -> None:
        self.last_item = 0
        self.in_flight: Batch | None = None
        self.lost = 0
        self.unsent_failures: Counter[tuple[str, str]] = Counter()
        self._waiting: deque[OutboxItem] = deque()
        self._last_of: dict[str, OutboxItem] = {}
        self._batches = 0

    def __len__(self) -> int:
        return len(self._waiting)

    @property
    def oldest_ns(self) -> int | None:
        """Monotonic time of the oldest item, in nanoseconds; None if empty."""
        waiting = self._waiting  # read once: another thread may replace it meanwhile
        return waiting[0].added_ns if waiting else None

    @property
    def calls(self) -> int:
        """Outcomes that wait."""
        return sum(map(_calls_in, self._waiting))

    def configured(self) -> list[BreakerConfigured]:
        """Return the waiting settings that do not replace others."""
        events = [item.event for item in self._waiting if not item.replaces]
        return [event for event in events if isinstance(event, BreakerConfigured)]

    def commands(self) -> list[Event]:
        """Return the operators' commands that are not known to have arrived."""
        sent = () if self.in_flight is None else self.in_flight.events
        waiting = [item.event for item in self._waiting if item.event is not None]
        return [event for event in (*sent, *waiting) if event.kind in COMMANDS]

    def mark_notified(self) -> list[tuple[Event, bool]]:
        """Mark all unsent events as received by listeners, and return them.

        Called when the member goes offline and passes these events to listeners itself. Claims that
        were not sent are forgotten: no call waits for them any more.

        Returns:
            The events, each with whether it was marked before.
        """
        self._drop(lambda item: _kind(item) == "probe_admitted")
        sent = self.in_flight
        events: list[tuple[Event, bool]] = []
        if sent is not None:
            events += [(event, sent.is_notified) for event in sent.events]
        events += [(_sendable(i), i.is_notified) for i in self._waiting if i.event is not None]
        if sent is not None:
            self.in_flight = evolve(sent, is_notified=True)
        for item in self._waiting:
            item.is_notified = True
        return events

    def add(self, item: OutboxItem) -> None:
        """Add an event; merge it with the breaker's last one where that is safe.

        Adding an item a second time does nothing, so an interrupted caller can repeat the call.
        """
        event = item.event
        assert event is not None
        # The number is stored in the item first: a repeated call finds it, and sees by ``last_item``
        # whether the step below was reached.
        item.number = number = item.number or self.last_item + 1
        if number <= self.last_item:
            return
        name: str = getattr(event, "breaker", "")
        item.took_ns = getattr(event, "took", 0) * getattr(event, "count", 1)
        key = name, event.kind
        failures = self.unsent_failures.get(key, 0) + (item.is_slow or event.kind == "call_failed")
        last = self._last_of.get(name)
        merged = None if last is None else _merged(last, item)
        # One step.
        if last is not None and merged is not None:
            last.event = merged
            last.took_ns += item.took_ns
            last.number = number
            self.last_item = number
        else:
            self._last_of[name] = item
            self._waiting += (item,)
            self.last_item = number
        self.unsent_failures[key] = failures
        if len(self._waiting) > MAX_WAITING:
            self._drop(_Oldest(MAX_WAITING // 10))

    def add_body(self, body: Body, now_ns: int) -> None:
        """Add an entry other than ``events``; ``now_ns`` is the monotonic time."""
        item = OutboxItem(None, now_ns, body=body, number=self.last_item + 1)
        # One step.
        self.last_item += 1
        self._waiting += (item,)

    def drop_aged(self, now_ns: int) -> None:
        """Drop the outcomes older than ``MAX_AGE_NS``; ``now_ns`` is the monotonic time."""
        self._drop(lambda item: now_ns - item.added_ns > MAX_AGE_NS)

    def next_batch(self) -> Batch | None:
        """Return the batch in flight or the next one; None if nothing waits."""
        if self.in_flight is not None or not self._waiting:
            return self.in_flight
        first = self._waiting[0]
        used, events, lines, size = 0, list[Event](), list[bytes](), 0
        lost = 0
        for item in islice(self._waiting, MAX_ENTRY_EVENTS):
            if _entry_kind(item) != _entry_kind(first) or (used and item.event is None):
                break
            if item.event is not None:
                event = _sendable(item)
                (line,) = event_lines([event])
                if len(line) >= MAX_LINE_BYTES:
                    lost += max(1, _calls_in(item))  # no member could read it
                elif size + len(line) < MAX_EVENTS_BYTES:
                    events.append(event)
                    lines.append(line)
                    size += len(line) + 1
                else:
                    break
            used += 1
            last_item = item.number
        body = tuple(lines) if first.event is not None else first.body
        batch = self._batch(last_item, body, events, first)
        rest = deque(islice(self._waiting, used, None))
        last_of, failures = dict[str, OutboxItem](), Counter[tuple[str, str]]()
        # One step. ``_last_of`` is emptied because its items may be in the batch, which is final.
        self._batches = batch.number
        self.in_flight = batch
        self._waiting = rest
        self._last_of = last_of
        self.unsent_failures = failures
        self.lost += lost
        return batch

    def batch_ahead(self, events: Sequence[Event], again: EntryId | None = None) -> Batch | None:
        """Return the batch in flight, or a batch of these events ahead of others.

        Args:
            events: The events; those beyond the limit of an entry are left out.
            again: The entry that first held them, if they are restored.
        """
        if self.in_flight is not None:
            return self.in_flight
        few = events[:MAX_ENTRY_EVENTS]
        batch = self._batch(0, event_lines(few), few, OutboxItem(None, is_notified=True))
        if again is not None:
            batch = evolve(batch, again=format_id(again))
        # One step.
        self._batches = batch.number
        self.in_flight = batch
        return batch

    def _batch(
        self, last_item: int, body: Body, events: Sequence[Event], like: OutboxItem
    ) -> Batch:
        return Batch(
            number=self._batches + 1,
            body=body,
            events=events,
            last_item=last_item,
            is_notified=like.is_notified,
            replaces=like.replaces,
        )

    def drop_in_flight(self) -> None:
        """Drop the batch in flight: it cannot be written, or no member could read it."""
        batch = self.in_flight
        lost = 0 if batch is None else sum(map(call_count, batch.events))
        # One step.
        self.in_flight = None
        self.lost += lost

    def confirm(self, number: int) -> Batch | None:
        """Return the batch in flight if it has this number, and note that it has arrived."""
        batch = self.in_flight
        if batch is None or batch.number != number:
            return None
        self.in_flight = None
        return batch

    def _drop(self, is_dropped: Callable[[OutboxItem], bool]) -> None:
        rest: deque[OutboxItem] = deque()
        lost, last_of = 0, dict[str, OutboxItem]()
        for item in self._waiting:
            if _must_arrive(item) or not is_dropped(item):
                rest.append(item)
            else:
                lost += _calls_in(item)
        # One step. ``_last_of`` is emptied because its items may be among the dropped ones.
        self._waiting = rest
        self._last_of = last_of
        self.lost += lost


class _Oldest:
    """A condition that holds for the first ``count`` items that it is called with."""

    def __init__(self, count: int) -> None:
        self._left = count

    def __call__(self, _item: OutboxItem) -> bool:
        self._left -= 1
        return self._left >= 0


def call_count(event: Event) -> int:
    """Return how many calls an event reports the end of."""
    if event.kind in ("call_failed", "call_ignored"):
        return 1
    return getattr(event, "count", 0) if event.kind in ("call_succeeded", "call_rejected") else 0


def _calls_in(item: OutboxItem) -> int:
    return 0 if item.event is None else call_count(item.event)


def _kind(item: OutboxItem) -> str:
    return "" if item.event is None else item.event.kind


def _must_arrive(item: OutboxItem) -> bool:
    """Return whether an item is never dropped: commands, settings, probe outcomes."""
    if item.event is None or item.event.kind in _LASTING:
        return True
    return item.event.kind != "probe_admitted" and getattr(item.event, "probe", 0) > 0


def _entry_kind(item: OutboxItem) -> tuple[bool, bool, bool]:
    return item.event is None, item.is_notified, item.replaces


def _merged(last: OutboxItem, new: OutboxItem) -> Event | None:
    """Return one event for both; None if a decision depends on keeping them apart.

    Outcomes of the same kind and epoch that follow one another may be merged, since their order
    among themselves is all that is lost. Failures stay apart: each may be the one that trips.
    """
    before, event = last.event, new.event
    if (last.is_notified, last.is_slow) != (new.is_notified, new.is_slow):
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


def _sendable(item: OutboxItem) -> Event:
    """Return the event as it is sent: merged calls have their mean duration each."""
    assert item.event is not None
    event = full(item.event)
    if isinstance(event, CallSucceeded):
        return evolve(event, took=item.took_ns // max(1, event.count))
    if isinstance(event, CallRejected) and event.count > 1:
        return evolve(event, retry_after=None)
    return event
