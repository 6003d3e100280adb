"""A passage: what a breaker does with given calls, by its rules and without their evidence.

It takes the same edges at the same times as a live breaker that is driven with the calls, which is
proved by test, and passes over what can't change them: the outcomes between two trips, the calls
that a cooldown refuses. Its outcomes are known; where some are not, it is an ``UncertainPassage``.
"""

import bisect
from collections.abc import Sequence
from typing import Final, Generic, TypeAlias, TypeVar

from recloser.backoff import cooldown_ns
from recloser.config import CircuitBreakerConfig
from recloser.events import CircuitBreakerState, Trigger
from recloser.machine import CLOSED, HALF_OPEN, OPEN
from recloser.replay.calls import FAILED, IGNORED, UNKNOWN
from recloser.replay.ledger import Tape
from recloser.replay.lookout import Lookout
from recloser.replay.trips import Trips
from recloser.replay.window import Window

Answer: TypeAlias = tuple[bool, bool]
"""To whether the unknown call failed, and was slow; or, twice, to whether the window trips."""

OUTCOMES: Final = ((False, False), (True, False))
"""The answers to how a call ended."""

SLOW_OUTCOMES: Final = ((False, False), (False, True), (True, False), (True, True))
"""The answers to how a call ended, where it matters whether it was slow."""

Book = TypeVar("Book", bound=Tape)
"""Where what it comes to is booked."""


class Passage(Generic[Book]):
    """One breaker's way through its calls.

    Args:
        lookout: Knows the calls.
        config: The settings; its mode is taken for ``enforce``.
        ledger: Books what it comes to.
        horizon: When the calls are at their end, in nanoseconds of the log.

    Attributes:
        place: That of the next end to be looked at.
        since: The first call that was let through in this epoch, or the last one that was closed.
        out: The places, in order, of calls let through before that and not yet ended.
        number: That of the next start to be looked at, while it is not closed.
        deadline: When the next timed edge is due, in nanoseconds; None if none is.
        in_a_row: How often it has opened since it was last closed.
        ledger: The books.
    """

    def __init__(
        self, lookout: Lookout, config: CircuitBreakerConfig, ledger: Book, horizon: int
    ) -> None:
        self._lookout, self._config, self._horizon = lookout, config, horizon
        self._calls = lookout.calls
        self._trips = Trips(lookout, config)
        self.ledger = ledger
        self.place = 0
        self.number = 0  # of the next start, while not closed
        self._state = CLOSED
        self._openings = self.in_a_row = 0
        self.since = 0
        self.out: list[int] = []
        # Not closed: the ends before `passed` have been; probes as when they were let through, and
        # their place.
        self._passed = 0
        self._half_open_at = 0
        self.deadline: int | None = None
        self._probes: list[tuple[int, int]] = []
        self._good = 0
        self._probe_window: Window | None = None

    def run(self) -> Sequence[Answer]:
        """Go on to the end, or to what is unknown: then the answers that there are."""
        while self._state is not CLOSED or self.place < len(self._calls):
            is_closed = self._state is CLOSED
            answers = self._pass_closed() if is_closed else self._pass_open()
            if answers:
                return answers
            if not is_closed and self._state is not CLOSED:
                break  # there are no more calls
        self.ledger.finish(self._horizon)
        return ()

    def trip(self, place: int, since: int, out: Sequence[int]) -> None:
        """Open from CLOSED, all outcomes being known.

        Args:
            place: That of the outcome that trips it.
            since: The first call that was let through while it was closed.
            out: The places, in order, of calls let through before that and not ended by then.
        """
        self.since, self.out = since, list(out)
        self.in_a_row = 0
        self._trip(place)

    def cool(self, number: int) -> CircuitBreakerState | None:
        """Be open, find the cooldown passed at a start, and go on until it opens or closes.

        Returns:
            Whether it is open or closed then; None if the calls are at their end before.
        """
        self._state, self.out = OPEN, []
        self.number, self.deadline = number, self._calls.starts[number]
        is_over = self._step() is None
        while self._state is HALF_OPEN and not is_over:
            is_over = self._step() is None
        return None if is_over else self._state

    def recover(self) -> bool:
        """Go on from where it is open; whether it closes before the calls are at their end."""
        self._pass_open()
        return self._state is CLOSED

    # Closed

    def _pass_closed(self) -> Sequence[Answer]:
        trip = self._trips.after(self.since, self.place)
        if trip < len(self._calls):
            self._trip(trip)
        else:
            self.place = trip
        return ()

    def _is_slow(self, took: int) -> bool:
        limit = self._config.slow_call_ns
        return limit is not None and took > limit

    def _trip(self, place: int) -> None:
        calls = self._calls
        self.number = calls.started_before(place)
        out = [later for later in self.out if later > place]
        under_way = calls.under_way(self.number, place + 1)
        if self.since:
            under_way = [later for later in under_way if calls.by_end[later] >= self.since]
        self.ledger.outlive(under_way)
        self.out = sorted((*out, *under_way)) if out else list(under_way)
        self.place = self._passed = place + 1
        at = calls.end_of(place)
        self.ledger.open(at)
        self._open(at, Trigger.TRIP)

    # Open and half-open

    def _pass_open(self) -> Sequence[Answer]:
        while self._state is not CLOSED:
            answers = self._step()
            if answers is None:
                break
            if answers:
                return answers
        return ()

    def _step(self) -> Sequence[Answer] | None:
        """Take the next start or end that changes something; None if there is none."""
        calls = self._calls
        start = self._next_start()
        end = self._next_end()
        if end is not None and (start >= len(calls) or end < calls.ended_before[start]):
            self._refuse_until(max(self.number, calls.started_before(end)))
            self.place, self._passed = end, end + 1
            if self._end(end):
                return SLOW_OUTCOMES if self._judges_slowness() else OUTCOMES
        elif start < len(calls):
            self._refuse_until(start)
            self._start(start)
        else:
            self._refuse_until(len(calls))
            self.place = len(calls)
            return None
        return ()

    def _next_start(self) -> int:
        """The next call that is let through, or that finds a deadline passed."""
        if self._state is HALF_OPEN and self._may_probe():
            return self.number
        if self.deadline is None:
            return len(self._calls)
        return bisect.bisect_left(self._calls.starts, self.deadline, self.number)

    def _next_end(self) -> int | None:
        """The place of the next probe to report, or of a call that finds a deadline passed."""
        end = None
        if self._probes:
            end = min(place for _, place in self._probes)
        if self.out and self.deadline is not None:
            first = bisect.bisect_left(self.out, self._passed)
            found = bisect.bisect_left(self.out, self.deadline, first, key=self._calls.end_of)
            if found < len(self.out) and (end is None or self.out[found] < end):
                return self.out[found]
        return end

    def _refuse_until(self, number: int) -> None:
        self.ledger.refuse(self.number, number)
        self.number = number

    def _may_probe(self) -> bool:
        window = self._config.half_open_window
        if window is None or self._probe_window is None:
            return len(self._probes) < self._config.half_open_max_probes
        return len(self._probes) + self._probe_window.calls < window.size

    def _judges_slowness(self) -> bool:
        window = self._config.half_open_window
        return window is not None and window.slow_call_rate is not None

    def _end(self, place: int) -> bool:
        """A call that was let through reports; True if its outcome counts and is unknown."""
        calls = self._calls
        number = calls.by_end[place]
        at, outcome = calls.ends[number], calls.outcomes[number]
        self._pass_deadlines(at, place + 1)
        probe = next((probe for probe in self._probes if probe[1] == place), None)
        if self._state is not HALF_OPEN or probe is None:
            return False
        self._probes.remove(probe)
        if outcome == UNKNOWN:
            return True
        if outcome == IGNORED:
            self.deadline = self._half_open_deadline()
        else:
            self._judge(at, failed=outcome == FAILED, slow=self._is_slow(calls.tooks[number]))
        return False

    def _start(self, number: int) -> None:
        calls = self._calls
        at = calls.starts[number]
        self._passed = calls.ended_before[number]
        self._pass_deadlines(at, self._passed)
        if self._state is CLOSED:
            return
        if self._state is HALF_OPEN and self._may_probe():
            self._probes.append((at, calls.place[number]))
            self.deadline = self._half_open_deadline()
            self.number += 1
        else:
            self._refuse_until(number + 1)

    def _pass_deadlines(self, at: int, place: int) -> None:
        """Take the timed edges that are due; ``place`` is where a closed breaker goes on."""
        while self.deadline is not None and at >= self.deadline:
            if self._state is OPEN:
                self._cool(at, place)
            elif self._probes and (
                self._probes[0][0] + self._config.probe_timeout_ns == self.deadline
            ):
                self._expire_probe(at, place)
            else:
                self._open(at, Trigger.RELAPSE)

    def _cool(self, at: int, place: int) -> None:
        config = self._config
        self._state = HALF_OPEN
        self.ledger.edge(at, Trigger.COOL)
        self._half_open_at = at
        self._good = 0
        window = config.half_open_window
        self._probe_window = None if window is None else Window(window)
        self.deadline = self._half_open_deadline()
        if window is None and config.half_open_success_threshold == 0:
            self._close(at, place)

    def _expire_probe(self, at: int, place: int) -> None:
        self._give_up(self._probes.pop(0)[1])
        if self._probe_window is None:
            self._open(at, Trigger.RELAPSE)
        else:
            slow = self._is_slow(self._config.probe_timeout_ns)
            self._judge(at, failed=True, slow=slow, place=place)

    def _judge(self, at: int, *, failed: bool, slow: bool, place: int | None = None) -> None:
        """Decide what a probe that has reported means."""
        config, window = self._config.half_open_window, self._probe_window
        place = self.place + 1 if place is None else place
        self._good += not failed
        if config is not None and window is not None:
            if window.add(at, failed=failed, slow=slow):
                self._open(at, Trigger.RELAPSE)
            elif window.calls >= config.needed:
                self._close(at, place)
        elif failed:
            self._open(at, Trigger.RELAPSE)
        elif self._good >= self._config.half_open_success_threshold:
            self._close(at, place)
        if self._state is HALF_OPEN:
            self.deadline = self._half_open_deadline()

    def _half_open_deadline(self) -> int | None:
        timeout = self._config.half_open_timeout_ns
        whole = None if timeout is None else self._half_open_at + timeout
        if not self._probes:
            return whole
        probe = self._probes[0][0] + self._config.probe_timeout_ns
        return probe if whole is None else min(probe, whole)

    def _open(self, at: int, trigger: Trigger) -> None:
        self._state = OPEN
        self.ledger.edge(at, trigger)
        self._openings += 1
        self.in_a_row += 1
        self._end_probing()
        self.deadline = at + cooldown_ns(
            self._config.backoff,
            self._config.recovery_timeout_ns,
            self._calls.breaker,
            opening=self._openings,
            in_a_row=self.in_a_row,
        )

    def _close(self, at: int, place: int) -> None:
        self._state = CLOSED
        self.ledger.edge(at, Trigger.RECOVER)
        self.ledger.close(at)
        self.in_a_row = 0
        self.deadline = None
        self._end_probing()
        self.since, self.place = self.number, place

    def _end_probing(self) -> None:
        for _, place in self._probes:
            self._give_up(place)
        self._probes.clear()
        self._good = 0
        self._probe_window = None

    def _give_up(self, place: int) -> None:
        self.ledger.outlive((place,))
        bisect.insort(self.out, place)
