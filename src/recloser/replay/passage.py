"""A passage: what a breaker does with given calls, by its rules and without their evidence.

It takes the same edges at the same times as a live breaker that is driven with the calls, which is
proved by test, and passes over what can't change them: the outcomes between two trips, the calls
that a cooldown refuses. Where it depends on an outcome that is unknown, it stops and asks.
"""

import bisect
from collections import deque
from collections.abc import Sequence
from typing import Final, Generic, Self, TypeAlias, TypeVar

from recloser.backoff import Exponential, cooldown_ns
from recloser.config import CircuitBreakerConfig, CountWindow, TimeWindow
from recloser.events import Trigger
from recloser.machine import CLOSED, HALF_OPEN, OPEN
from recloser.replay.calls import FAILED, IGNORED, SUCCEEDED, UNKNOWN
from recloser.replay.ledger import Tape
from recloser.replay.limits import Limits
from recloser.replay.lookout import Lookout
from recloser.replay.trips import Trips
from recloser.validation import NS_PER_SECOND

Answer: TypeAlias = tuple[bool, bool]
"""To whether the unknown call failed, and was slow; or, twice, to whether the window trips."""

Book = TypeVar("Book", bound=Tape)
"""Where what it comes to is booked."""

_EITHER: Final = ((False, False), (True, True))
_OUTCOMES: Final = ((False, False), (True, False))
_SLOW_OUTCOMES: Final = ((False, False), (False, True), (True, False), (True, True))


class _Window:
    """The outcomes that a window holds; of the unknown ones it is not said how they ended.

    A part is ``[second, calls, failures, slow, unknown]``: one outcome of a ``CountWindow``, one
    whole second of a ``TimeWindow``.
    """

    __slots__ = ("_config", "_limits", "_parts", "_totals")

    def __init__(self, config: CountWindow | TimeWindow) -> None:
        self._config, self._limits = config, Limits.of(config)
        self._parts: deque[tuple[int, int, int, int, int]] = deque()
        self._totals = [0, 0, 0, 0]

    def copy(self) -> "_Window":
        other = _Window(self._config)
        other._parts = self._parts.copy()
        other._totals = self._totals.copy()
        return other

    @property
    def key(self) -> tuple[object, ...]:
        if isinstance(self._config, CountWindow):
            return tuple(part[1:] for part in self._parts)
        return tuple(self._parts)

    @property
    def calls(self) -> int:
        return self._totals[0]

    def add(self, at: int, *, failed: bool, slow: bool, unknown: bool = False) -> bool | None:
        """Take in an outcome; whether a threshold is reached, None where that is unknown."""
        config, parts = self._config, self._parts
        second = at // NS_PER_SECOND
        new = (second, 1, int(failed and not unknown), int(slow and not unknown), int(unknown))
        if isinstance(config, CountWindow):
            if len(parts) == config.size:
                self._count(parts.popleft(), -1)
            parts.append(new)
        else:
            while parts and parts[0][0] <= second - config.seconds:
                self._count(parts.popleft(), -1)
            if parts and parts[-1][0] == second:
                last = parts.pop()
                parts.append((second, *map(sum, zip(last[1:], new[1:], strict=True))))  # type: ignore[arg-type]  # four numbers
            else:
                parts.append(new)
        self._count(new, 1)
        calls, failures, slowed, unsure = self._totals
        reached = self._limits.reached
        if reached(calls, failures, slowed):
            return True
        possible = unsure and reached(calls, failures + unsure, slowed + unsure)
        return None if possible else False

    def add_successes(self, at: int, count: int) -> None:
        """Take in quick successes, of the second of the outcome before where seconds count."""
        config, parts = self._config, self._parts
        if isinstance(config, CountWindow):
            part = (at // NS_PER_SECOND, 1, 0, 0, 0)
            for _ in range(min(count, config.size)):
                if len(parts) == config.size:
                    self._count(parts.popleft(), -1)
                parts.append(part)
                self._count(part, 1)
            return
        second, calls, *rest = parts.pop()
        parts.append((second, calls + count, rest[0], rest[1], rest[2]))
        self._totals[0] += count

    @property
    def second(self) -> int | None:
        """That of the last outcome."""
        return self._parts[-1][0] if self._parts else None

    def _count(self, part: Sequence[int], sign: int) -> None:
        totals = self._totals
        for index in range(4):
            totals[index] += sign * part[index + 1]


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
        # Closed: where outcomes are unknown they are taken one by one. From `zone` on all are of
        # calls let through in this epoch, from `clean` on they are certain too; the run is `fresh`
        # where it is that of the outcomes alone.
        self._zone = self._clean = self._run = 0
        self._is_new = self._is_fresh = True
        self._window: _Window | None = None
        # Not closed: the ends before `passed` have been; probes as when they were let through, and
        # their place.
        self._passed = 0
        self._half_open_at = 0
        self.deadline: int | None = None
        self._probes: list[tuple[int, int]] = []
        self._good = 0
        self._probe_window: _Window | None = None
        self._asked_for: int | None = None  # the place of an unknown outcome
        self._is_window_asked = False

    def copy(self) -> Self:
        """The same course, to be gone on with another answer."""
        other = object.__new__(type(self))
        other.__dict__.update(self.__dict__)
        other.ledger = self.ledger.copy()
        other.out, other._probes = self.out.copy(), self._probes.copy()
        other._window = self._window and self._window.copy()
        other._probe_window = self._probe_window and self._probe_window.copy()
        return other

    @property
    def key(self) -> tuple[object, ...]:
        """What two courses that ask at one place must agree in, to go on alike."""
        if self._state is CLOSED:
            self.ledger.settle(self._calls.end_of(self.place) - 1)
        grows = isinstance(self._config.backoff, Exponential)
        return (
            self.place,
            self._asked_for,
            self._closed_key() if self._state is CLOSED else self._open_key(),
            self._openings if self._config.backoff.jitter != "none" else 0,
            self.in_a_row if grows else 0,
            tuple(place for place in self.out if place >= self.place),
            self.ledger.key,
        )

    def _closed_key(self) -> tuple[object, ...]:
        is_even = self.place >= self._zone
        asks_outcome = self._asked_for is not None
        return (
            0 if is_even else self.since,
            0 if is_even else self._zone,
            0 if asks_outcome else self._clean,
            asks_outcome or self._is_fresh,
            self._run,
            self._window and self._window.key,
        )

    def _open_key(self) -> tuple[object, ...]:
        return (
            self._state,
            self.number,
            self.deadline,
            self._half_open_at if self._config.half_open_timeout_ns is not None else 0,
            tuple(self._probes),
            self._good,
            self._probe_window and self._probe_window.key,
        )

    def run(self) -> Sequence[Answer]:
        """Go on to the end, or to what is unknown: then the answers that there are."""
        if self._is_window_asked:
            return _EITHER
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

    def cool(self, number: int, in_a_row: int) -> bool:
        """Be open, find the cooldown passed at a start, and go on until it opens or closes.

        Returns:
            Whether it is closed again.
        """
        self._state, self.out, self.in_a_row = OPEN, [], in_a_row
        self.number, self.deadline = number, self._calls.starts[number]
        is_over = self._step() is None
        while self._state is HALF_OPEN and not is_over:
            is_over = self._step() is None
        if is_over:
            self.number = len(self._calls)
        return self._state is CLOSED

    def recover(self) -> bool:
        """Go on from where it is open; whether it closes before the calls are at their end."""
        self._pass_open()
        return self._state is CLOSED

    def answer(self, answer: Answer) -> None:
        """Take what was asked for to be so; then ``run`` goes on."""
        place, self._asked_for = self._asked_for, None
        if self._is_window_asked:
            self._is_window_asked = False
            if answer[0]:
                self._trip(self.place)
            else:
                self.place += 1
            return
        assert place is not None
        failed, slow = answer
        self.ledger.resolve(failed=failed)
        if self._state is CLOSED:
            self._count(place, failed=failed, unknown=True)
        else:
            self._judge(self._calls.end_of(place), failed=failed, slow=slow)

    # Closed

    def _pass_closed(self) -> Sequence[Answer]:
        if self._is_new:
            trip = self._trips.after(self.since, self.place)
            unknown = self._lookout.next_unknown(self.place)
            if trip < unknown:
                self._trip(trip)
                return ()
            if unknown == len(self._calls):
                self.place = unknown
                return ()
            self._begin_to_count()
        return self._pass_unknown()

    def _begin_to_count(self) -> None:
        """Take the outcomes of this epoch one by one, since some that it holds are unknown."""
        config = self._config.window
        self._is_new, self._is_fresh = False, self.since == 0
        self._zone = self.place
        if self.since:
            self._zone = max(self.place, self._calls.last_place[self.since - 1] + 1)
        self._clean = self._zone
        self._run = 0
        self._window = None if config is None else _Window(config)

    def _pass_unknown(self) -> Sequence[Answer]:
        calls, threshold = self._calls, self._config.failure_threshold
        outcomes, by_end = calls.outcome_at, calls.by_end
        while self._state is CLOSED and self.place < len(calls):
            if self._is_steady():
                self._leap()
                if self._state is not CLOSED or self.place >= len(calls):
                    break
            place = self.place
            outcome = outcomes[place]
            if outcome == IGNORED or by_end[place] < self.since:
                self.place += 1
            elif outcome == SUCCEEDED and place >= self._zone and self._glide(place):
                continue
            elif outcome == UNKNOWN and threshold is not None:
                self._asked_for = place
                return _OUTCOMES
            else:
                self._count(place, failed=outcome == FAILED, unknown=outcome == UNKNOWN)
                if self._is_window_asked:
                    return _EITHER
        return ()

    def _count(self, place: int, *, failed: bool, unknown: bool) -> None:
        """Take in the outcome at a place; ``_is_window_asked`` is set where it may trip."""
        calls, threshold = self._calls, self._config.failure_threshold
        if unknown:
            self._clean = max(self._clean, place + 1)
        if threshold is not None:
            self._run = self._run + 1 if failed else 0
            self._is_fresh = place >= self._zone if not failed else self._is_fresh and not unknown
            if self._run >= threshold:
                self._trip(place)
                return
        if self._window is not None:
            slow = self._is_slow(calls.tooks[calls.by_end[place]])
            at = calls.end_of(place)
            reached = self._window.add(at, failed=failed, slow=slow, unknown=unknown)
            if reached:
                self._trip(place)
                return
            if reached is None:
                self._is_window_asked = True
                return
        self.place = place + 1

    def _glide(self, place: int) -> bool:
        """Pass over successes that can trip nothing; False if there are none such from here on.

        A rate falls with each of them, unless the minimum is met, or a new second lets others go.
        """
        config, window, calls = self._config.window, self._window, self._calls
        if config is None or window is None or self._run:
            return False
        slow_ns = None if config.slow_call_rate is None else self._config.slow_call_ns
        index = calls.counted_before[place]
        behind = calls.counted_before[self._lookout.next_bad(slow_ns, place)]
        if window.calls < config.needed:
            behind = min(behind, index + config.needed - window.calls - 1)
        if isinstance(config, TimeWindow):
            second = calls.seconds[index]
            if window.second != second:
                return False
            behind = bisect.bisect_right(calls.seconds, second, index, max(index, behind))
        if behind <= index:
            return False
        window.add_successes(calls.end_of(place), behind - index)
        self.place = calls.counted[behind - 1] + 1
        self._is_fresh = True
        return True

    def _is_steady(self) -> bool:
        """Whether the rules look at nothing but certain outcomes of this epoch, and full windows."""
        if self.place < self._zone:
            return False
        if self._config.failure_threshold is not None and not self._is_fresh:
            return False
        config = self._config.window
        if config is None:
            return True
        before = self._calls.counted_before
        first = before[max(self._clean, self._zone)]
        if isinstance(config, CountWindow):
            return before[self.place] - first >= config.size
        seconds = self._calls.seconds
        following = before[self.place]
        if first == 0 or following >= len(seconds):
            return True
        return seconds[following] - config.seconds >= seconds[first - 1]

    def _leap(self) -> None:
        """To the next trip, the next unknown outcome or the end, whichever is first."""
        lookout, config = self._lookout, self._config
        trip = len(self._calls)
        if config.failure_threshold is not None:
            trip = lookout.first(lookout.run_trips(config.failure_threshold), self.place)
        if config.window is not None:
            full = lookout.full_trips(config.window, config.slow_call_ns)
            trip = min(trip, lookout.first(full, self.place))
        unknown = lookout.next_unknown(self.place)
        if trip < unknown:
            self._trip(trip)
            return
        self.place = unknown
        if unknown < len(self._calls):
            self._run = lookout.run_before(unknown)
            if config.window is not None:
                self._window = self._window_before(unknown, config.window)

    def _window_before(self, place: int, config: CountWindow | TimeWindow) -> _Window:
        calls, window = self._calls, _Window(config)
        behind = calls.counted_before[place]
        if isinstance(config, CountWindow):
            first = max(0, behind - config.size)
        else:
            second = calls.end_of(place) // NS_PER_SECOND
            first = bisect.bisect_right(calls.seconds, second - config.seconds)
        for index in range(first, behind):
            counted = calls.counted[index]
            window.add(
                calls.end_of(counted),
                failed=calls.outcome_at[counted] == FAILED,
                slow=self._is_slow(calls.tooks[calls.by_end[counted]]),
            )
        return window

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
                self._asked_for = end
                return _SLOW_OUTCOMES if self._judges_slowness() else _OUTCOMES
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
        self._probe_window = None if window is None else _Window(window)
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
        calls = self._calls
        self._state = CLOSED
        self.ledger.edge(at, Trigger.RECOVER)
        self.ledger.close(at)
        self.in_a_row = 0
        self.deadline = None
        self._end_probing()
        self.since, self.place = self.number, place
        self._is_new = True

    def _end_probing(self) -> None:
        for _, place in self._probes:
            self._give_up(place)
        self._probes.clear()
        self._good = 0
        self._probe_window = None

    def _give_up(self, place: int) -> None:
        self.ledger.outlive((place,))
        bisect.insort(self.out, place)
