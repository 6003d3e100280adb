"""The notifier of a log: its listeners, and the delivery of events to them."""

import atexit
import os
import sys
import threading
import weakref
from _thread import start_new_thread
from collections import deque
from collections.abc import Sequence
from functools import partial
from itertools import count
from typing import Final

from recloser.clock import SYSTEM_CLOCK
from recloser.core.events import BreakerEvent, Event, is_about_a_breaker
from recloser.core.validation import NS_PER_SECOND, Seconds, nanoseconds
from recloser.live.listener_queue import CAPACITY, HELD, Claim, ListenerQueue, is_claimed_here
from recloser.live.listeners import Subscription
from recloser.process.bell import Bell
from recloser.process.thread_runner import ThreadRunner, is_running

OWN_EVENTS: Final = 8
"""The most events that a caller delivers to inline listeners: a call records fewer."""

FLUSH_SECONDS: Final = 1.0
"""How long a flush, a close and the exit of the process wait for listeners by default."""

_SORTED_AT_ONCE: Final = 256
_DELIVERED_AT_ONCE: Final = 256
_IDLE_SECONDS: Final = 1.0
"""A thread that had nothing to deliver for this long ends; the next event starts another one."""

_RETRY_SECONDS: Final = 0.01
_START_AGAIN_NS: Final = NS_PER_SECOND
"""After a thread could not be started, none is tried for this long."""

_NO_INBOX: Final[deque[Event]] = deque(maxlen=0)
"""Shared by all notifiers without listeners: there may be thousands, and a deque takes 760 bytes."""

_NO_SUBSCRIPTIONS: Final[dict[str, tuple[Subscription, ...]]] = {}
"""Shared by all notifiers without listeners; it stays empty."""


class _Runner(ThreadRunner):
    """The right to be the delivering thread, for as long as that thread's frame refers to it.

    Attributes:
        starter: The identifier of the thread that is starting it; None once that is done.
    """

    __slots__ = ("starter",)

    def __init__(self) -> None:
        self.starter: int | None = threading.get_ident()


class Notifier:
    """The listeners of the breakers of one log.

    Recorded events are put into ``inbox`` under the lock of the sequencer. Outside it, ``notify``
    sorts them into two queues: one for inline listeners, which ``notify`` calls, and one for the other
    listeners, which a thread calls.

    No lock is taken here, since a signal handler or a ``__del__`` may enter at any point. Instead, a
    thread claims a piece of work by one ``setdefault`` on a dictionary, and gives the claim back in a
    ``finally`` block without calls; see ``listener_queue``. A thread that finds work claimed leaves it
    to the thread that has the claim. If that thread has just finished and could not see the new
    events, they wait for the next call of a breaker or for the delivering thread.

    Attributes:
        inbox: Events in the order of the log, to be appended to while the notifier is true. It is
            another deque after the first listener was added, and after a fork.
    """

    def __init__(self) -> None:
        self.inbox = _NO_INBOX
        self._subscriptions = _NO_SUBSCRIPTIONS
        self._inline_width = 1  # the most inline listeners of any breaker

    def _begin(self) -> None:
        """Make the queues at the first listener, as thousands of logs may have none."""
        self.inbox = deque()
        self._inline_queue = ListenerQueue()
        self._thread_queue = ListenerQueue()
        self._numbers = count(1)
        self._dropped_unsorted = 0  # deliveries missed because the inbox was full
        self._sorting: dict[str, Claim] = {}
        self._sorted: Event | None = None  # the event that is being sorted
        self._sorted_for = 0  # how many subscriptions it was sorted for
        self._is_left = False  # whether the thread should do a caller's part
        self._runners: dict[str, weakref.ref[_Runner]] = {}
        self._may_start_ns = 0
        self._wake = Bell()
        self._idle = Bell()

    def __bool__(self) -> bool:
        """Return whether the log has listeners."""
        return bool(self._subscriptions)

    @property
    def missed(self) -> int:
        """How many times a listener did not receive an event, or not to the end.

        The listener's queue was full, or an exception of a signal handler or another thread
        interrupted the listener.
        """
        if not self._subscriptions:
            return 0
        return self._dropped_unsorted + self._inline_queue.missed + self._thread_queue.missed

    def add(self, breaker: str, subscription: Subscription) -> None:
        """Deliver the events about a breaker to a listener from now on; called under the lock.

        A listener that receives them already does not receive them twice.

        Args:
            breaker: The breaker's name.
            subscription: The listener.
        """
        known = self._subscriptions.get(breaker, ())
        if any(each.listener is subscription.listener for each in known):
            return
        if self._subscriptions is _NO_SUBSCRIPTIONS:
            self._begin()
            self._subscriptions = {}
        added = (*known, subscription)
        width = sum(each.is_inline for each in added)
        self._inline_width = max(self._inline_width, width)
        _notifiers[id(self)] = weakref.ref(self, partial(_forget, id(self)))
        self._subscriptions[breaker] = added

    def wants_successes(self, breaker: str) -> bool:
        """Return whether a listener receives each success of a breaker."""
        return any(each.hears_successes for each in self._subscriptions.get(breaker, ()))

    def wants_failures(self, breaker: str) -> bool:
        """Return whether a listener receives each failure of a breaker."""
        return any(each.hears_events for each in self._subscriptions.get(breaker, ()))

    def wants_rejections(self, breaker: str) -> bool:
        """Return whether a listener receives each rejection of a breaker at once."""
        return any(each.hears_refusals for each in self._subscriptions.get(breaker, ()))

    def note(self, events: Sequence[Event]) -> None:
        """Accept events that were recorded; called under the lock.

        Args:
            events: The events, in the order of the log.
        """
        if self._subscriptions:
            self.inbox.extend(events)

    def notify(self) -> None:
        """Call the inline listeners of a few events, and leave the rest to the thread."""
        if not self._subscriptions:
            return
        if self.inbox:
            self._sort(_SORTED_AT_ONCE)
            self._bound_inbox()
        if self._inline_queue.entries:
            self._inline_queue.deliver(OWN_EVENTS * self._inline_width)
        if self.inbox or self._inline_queue.entries:
            self._is_left = True
        if self._is_left or self._thread_queue.entries:
            self._wake_thread()

    def _sort(self, limit: int) -> bool:
        """Move events from the inbox into the queues; False if another thread is already doing so."""
        claims = self._sorting
        claim = (threading.get_ident(),)
        try:
            if claims.setdefault(HELD, claim) is not claim:
                return False
            self._sort_inbox(limit)
            return True
        finally:
            # There is no call and no loop in this block, so nothing can interrupt it.
            if HELD in claims and claims[HELD] is claim:
                del claims[HELD]

    def _sort_inbox(self, limit: int) -> None:
        # A signal handler may fork at any point, which empties the queues and replaces them. The child
        # goes on here with the same three objects, and finds them empty.
        inbox, inline_queue, thread_queue = self.inbox, self._inline_queue, self._thread_queue
        while limit:
            try:
                event = inbox[0]
            except IndexError:
                return
            limit -= 1
            if event is not self._sorted:
                self._sorted, self._sorted_for = event, 0
            if is_about_a_breaker(event):
                self._enqueue(event, inline_queue, thread_queue)
            if inbox and inbox[0] is event:
                inbox.popleft()

    def _enqueue(
        self, event: BreakerEvent, inline_queue: ListenerQueue, thread_queue: ListenerQueue
    ) -> None:
        """Put an event into the queues, from the subscription on where an attempt was interrupted."""
        subscriptions = self._subscriptions.get(event.breaker, ())
        is_edge = event.kind == "state_changed"
        is_success = event.kind == "call_succeeded"
        while self._sorted_for < len(subscriptions):
            subscription = subscriptions[self._sorted_for]
            queue = inline_queue if subscription.is_inline else thread_queue
            entries = queue.entries
            is_unwanted = not (is_edge or subscription.hears_events) or (
                is_success and not subscription.hears_successes
            )
            has_room = is_unwanted or queue.has_room(for_edge=is_edge)
            entry = (next(self._numbers), subscription, event)
            # In each branch, nothing can come between counting the subscription as done and doing it.
            if is_unwanted:
                self._sorted_for += 1
            elif has_room:
                self._sorted_for += 1
                entries.append(entry)
            else:
                self._sorted_for += 1
                queue.dropped += 1

    def _bound_inbox(self) -> None:
        """Drop the newest events if sorting is held up, for example by a signal handler."""
        while len(self.inbox) > CAPACITY:
            try:
                event = self.inbox[-1]
                if is_about_a_breaker(event):
                    missed = len(self._subscriptions.get(event.breaker, ()))
                    self._dropped_unsorted += missed
                self.inbox.pop()
            except IndexError:  # other threads have sorted all events meanwhile
                return

    def _wake_thread(self) -> bool:
        """Have the thread deliver; if none can be started, deliver a few events here.

        Returns:
            Whether another thread will deliver.
        """
        if self._has_thread():
            self._wake.ring()
            return True
        if self._is_left:
            self._is_left = False
            self._sort(_SORTED_AT_ONCE)
            self._inline_queue.deliver(OWN_EVENTS * self._inline_width)
        return not self._thread_queue.deliver(OWN_EVENTS * self._inline_width)

    def _has_thread(self) -> bool:
        """Return whether a thread delivers; start one if there is none."""
        if sys.is_finalizing():  # other threads do not run any more
            return False
        runner = self._runners.get(HELD)
        if runner is not None:
            if is_running(runner):
                return True
            if HELD in self._runners and self._runners[HELD] is runner:
                del self._runners[HELD]  # it was killed before it could give its claim back
        return SYSTEM_CLOCK.monotonic_ns() >= self._may_start_ns and self._claim_thread()

    def _claim_thread(self) -> bool:
        runners = self._runners
        runner = _Runner()
        claim = weakref.ref(runner)
        is_started = False
        try:
            is_started = runners.setdefault(HELD, claim) is not claim or self._start(runner, claim)
        finally:
            # There is no call and no loop in this block, so nothing can interrupt it. If the thread
            # was started although an exception came up, it finds the claim free and takes it, or
            # finds another thread's claim and ends.
            runner.starter = None
            if not is_started and HELD in runners and runners[HELD] is claim:
                del runners[HELD]
        return is_started

    def _start(self, runner: _Runner, claim: "weakref.ref[_Runner]") -> bool:
        try:
            # ``Thread.start`` would wait for the thread to run, which may take a while.
            start_new_thread(self._run, (runner, claim))
        except RuntimeError:  # no more threads are allowed, or the interpreter shuts down
            self._may_start_ns = SYSTEM_CLOCK.monotonic_ns() + _START_AGAIN_NS
            return False
        return True

    def _run(self, _runner: _Runner, claim: "weakref.ref[_Runner]") -> None:
        """Deliver events until none has come for a while; runs in the delivering thread."""
        runners = self._runners
        try:
            runners.setdefault(HELD, claim)
            threading.current_thread().name = "recloser-listeners"
            is_idle = False
            while not is_idle and HELD in runners and runners[HELD] is claim:
                try:
                    is_idle = self._serve()
                except BaseException:  # noqa: BLE001, S112  # it hit this thread, and no listener
                    continue
        finally:
            if HELD in runners and runners[HELD] is claim:
                del runners[HELD]
        # An event may have come just as the wait was over: its caller saw this thread's claim, and
        # started no other thread.
        if not self._is_empty() or self._wake.is_rung:
            self.notify()

    def _serve(self) -> bool:
        """Deliver the waiting events and wait for more; return True if none has come for a while."""
        if self._is_left:  # or else the inbox and inline listeners are a caller's part
            self._is_left = False
            has_sorted = self._sort(_SORTED_AT_ONCE)
            has_delivered = self._inline_queue.deliver(_DELIVERED_AT_ONCE)
            if (has_sorted and self.inbox) or (has_delivered and self._inline_queue.entries):
                self._is_left = True
        if self._thread_queue.deliver(_DELIVERED_AT_ONCE) and (
            self._thread_queue.entries or self._is_left
        ):
            return False
        self._idle.ring()
        if self._wake.wait(_IDLE_SECONDS if self._is_empty() else _RETRY_SECONDS):
            return False
        self._is_left = not self._is_empty()
        return not self._is_left

    def _is_empty(self) -> bool:
        return not (self.inbox or self._inline_queue.entries or self._thread_queue.entries)

    def wait_until_delivered(self, timeout_seconds: Seconds = FLUSH_SECONDS) -> bool:
        """Wait until the listeners were called for all events so far.

        Args:
            timeout_seconds: How long to wait at most.

        Returns:
            Whether they were. False at once if this thread is calling a listener, as it would wait for
            itself.
        """
        if not self._subscriptions:
            return True
        due_ns = SYSTEM_CLOCK.monotonic_ns() + nanoseconds(timeout_seconds)
        last: tuple[int, int] | None = None  # the numbers of the last entries to wait for
        while True:
            if self._is_in_this_thread():
                return False
            if last is None and self._sort(len(self.inbox)):
                last = self._inline_queue.last_number(), self._thread_queue.last_number()
            if last is not None and (
                self._inline_queue.is_delivered(last[0])
                and self._thread_queue.is_delivered(last[1])
            ):
                return True
            left_ns = due_ns - SYSTEM_CLOCK.monotonic_ns()
            if left_ns <= 0:
                return False
            self._is_left = True
            if self._wake_thread():
                self._idle.wait(min(left_ns / NS_PER_SECOND, _RETRY_SECONDS))

    def _is_in_this_thread(self) -> bool:
        claim = self._runners.get(HELD)
        runner = None if claim is None else claim()
        return (
            self._inline_queue.is_mine
            or self._thread_queue.is_mine
            or is_claimed_here(self._sorting)
            or (runner is not None and runner.starter == threading.get_ident())
        )

    def after_fork(self) -> None:
        """In a forked child: drop queued events, which the parent delivers in its own thread."""
        if not self._subscriptions:
            return
        # If a listener forked, this thread goes on in the old queues, and finds them empty.
        self.inbox.clear()
        self._inline_queue.entries.clear()
        self._thread_queue.entries.clear()
        self._begin()


_notifiers: Final[dict[int, weakref.ref[Notifier]]] = {}
"""The notifiers that have listeners; a dict is copied in one step, unlike a WeakSet."""


def _forget(key: int, _gone: weakref.ref[Notifier]) -> None:
    _notifiers.pop(key, None)


def _after_fork() -> None:
    for reference in list(_notifiers.values()):
        notifier = reference()
        if notifier is not None:
            notifier.after_fork()


def _at_exit() -> None:
    """Deliver what happened last, such as the trip with which the process ended."""
    due_ns = SYSTEM_CLOCK.monotonic_ns() + nanoseconds(FLUSH_SECONDS)
    for reference in list(_notifiers.values()):
        notifier = reference()
        if notifier is not None:
            left_ns = max(0, due_ns - SYSTEM_CLOCK.monotonic_ns())
            notifier.wait_until_delivered(left_ns / NS_PER_SECOND)


atexit.register(_at_exit)
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)
