"""A passage through calls of which some outcomes are unknown: where one matters, it stops and asks.

In an epoch that holds an unknown outcome before its trip, outcomes are taken one by one, until
nothing but certain ones count; all others are passed as where everything is known.
"""

import bisect
from collections.abc import Sequence
from typing import Final, Self

from recloser.backoff import Exponential
from recloser.config import CircuitBreakerConfig, CountWindow, TimeWindow
from recloser.machine import CLOSED
from recloser.replay.calls import FAILED, IGNORED, SUCCEEDED, UNKNOWN
from recloser.replay.ledger import Ledger
from recloser.replay.lookout import Lookout
from recloser.replay.passage import OUTCOMES, Answer, Passage
from recloser.replay.window import Window
from recloser.validation import NS_PER_SECOND

_EITHER: Final = ((False, False), (True, True))


class UncertainPassage(Passage[Ledger]):
    """One breaker's way through its calls, or one of those that are possible."""

    def __init__(
        self, lookout: Lookout, config: CircuitBreakerConfig, ledger: Ledger, horizon: int
    ) -> None:
        super().__init__(lookout, config, ledger, horizon)
        # From `zone` on all outcomes are of calls let through in this epoch, from `clean` on they
        # are certain too; the run is `fresh` where it is that of the outcomes alone.
        self._zone = self._clean = self._run = 0
        self._is_new = self._is_fresh = True
        self._window: Window | None = None
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
        return _EITHER if self._is_window_asked else super().run()

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

    def _step(self) -> Sequence[Answer] | None:
        answers = super()._step()
        if answers:
            self._asked_for = self.place
        return answers

    def _close(self, at: int, place: int) -> None:
        super()._close(at, place)
        self._is_new = True

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
        self._window = None if config is None else Window(config)

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
                return OUTCOMES
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

    def _window_before(self, place: int, config: CountWindow | TimeWindow) -> Window:
        calls, window = self._calls, Window(config)
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
