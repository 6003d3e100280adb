"""Spells: how long a breaker is not closed after a trip, and what that costs.

Without jitter a spell depends on the trip, on the calls that were under way, and on the settings of
an open and a half-open breaker. So settings that differ in when they trip share their spells, as
those that differ in how they recover share their trips; many settings come to little more than the
combinations of the two.
"""

import bisect

from attrs import frozen

from recloser.backoff import Exponential
from recloser.config import CircuitBreakerConfig
from recloser.replay.calls import FAILED, SUCCEEDED
from recloser.replay.ledger import Tape
from recloser.replay.lookout import Lookout
from recloser.replay.passage import Passage


@frozen
class Spell:
    """What comes of a trip, or of a cooldown that a call finds passed.

    Attributes:
        since: The first call that is let through once it is closed again.
        place: Where the next end stands, then; the number of calls if it does not close.
        out: The places of calls let through before that have not ended by then.
        until: When it is closed again, or the calls are at their end.
        lost: The calls refused that would have succeeded.
        saved: Those that would have failed.
    """

    since: int
    place: int
    out: tuple[int, ...]
    until: int
    lost: int
    saved: int

    def behind(self, lost: int, saved: int) -> "Spell":
        """This one, when so many calls were refused before."""
        return Spell(
            self.since, self.place, self.out, self.until, self.lost + lost, self.saved + saved
        )


class Spells:
    """The spells of a breaker of these settings.

    Args:
        lookout: Knows the calls.
        config: The settings, of which those that make it trip have no say.
    """

    def __init__(self, lookout: Lookout, config: CircuitBreakerConfig) -> None:
        self._calls = lookout.calls
        self._passage = Passage(lookout, config, Tape(), self._calls.last_end)
        self._grows = isinstance(config.backoff, Exponential)
        self._lost, self._saved = (self._calls.before(code) for code in (SUCCEEDED, FAILED))
        self._of_trips: dict[object, Spell] = {}
        self._of_starts: dict[object, Spell] = {}
        self._oldest: dict[int, int] = {}

    @property
    def kept(self) -> int:
        """How many spells are kept."""
        return len(self._of_trips) + len(self._of_starts)

    def of(self, trip: int, since: int, out: tuple[int, ...]) -> Spell:
        """What comes of a trip.

        Args:
            trip: The place of the outcome that trips it.
            since: The first call that was let through while it was closed.
            out: The places of calls let through earlier that had not ended then.
        """
        key: object = trip
        if out or since > self._oldest_under_way(trip):
            key = trip, since, out
        found = self._of_trips.get(key)
        if found is None:
            tape = self._passage.ledger = Tape()
            self._passage.trip(trip, since, out)
            found = self._of_trips[key] = self._opened(tape)
        return found

    def _oldest_under_way(self, trip: int) -> int:
        found = self._oldest.get(trip)
        if found is None:
            calls = self._calls
            number = calls.started_before(trip)
            under_way = calls.under_way(number, trip + 1)
            found = min((calls.by_end[place] for place in under_way), default=number)
            self._oldest[trip] = found
        return found

    def _opened(self, tape: Tape) -> Spell:
        """What comes of the passage's being open now, after what is on the tape."""
        passage, known = self._passage, self._of_starts
        key: object = None
        legs: list[tuple[object, int, int]] = []
        while (start := self._next_start()) is not None:
            legs.append((key, *self._refused(tape, (passage.number, start))))
            key = (start, passage.in_a_row) if self._grows else start
            if key in known:
                spell = known[key]
                break
            tape = passage.ledger = Tape()
            is_closed = passage.cool(start, passage.in_a_row)
            if is_closed or passage.number == len(self._calls):
                spell = known[key] = self._over(tape, is_closed=is_closed)
                break
        else:
            spell = self._over(tape, is_closed=passage.recover())
            if key is not None:
                known[key] = spell
        for key, lost, saved in reversed(legs):
            spell = spell.behind(lost, saved)
            if key is not None:
                known[key] = spell
        return spell

    def _next_start(self) -> int | None:
        """The call that finds the cooldown passed; None if it is none, or perhaps another's end."""
        calls, passage = self._calls, self._passage
        deadline, out = passage.deadline, passage.out
        assert deadline is not None
        if out and calls.end_of(out[-1]) >= deadline:
            return None
        start = bisect.bisect_left(calls.starts, deadline, passage.number)
        return start if start < len(calls) else None

    def _over(self, tape: Tape, *, is_closed: bool) -> Spell:
        passage, calls = self._passage, self._calls
        assert tape.edges is not None
        return Spell(
            passage.since,
            passage.place if is_closed else len(calls),
            tuple(passage.out),
            tape.edges[-1][0] if is_closed else calls.last_end,
            *self._refused(tape),
        )

    def _refused(self, tape: Tape, *further: tuple[int, int]) -> tuple[int, int]:
        """The good and the failed calls among those refused."""
        lost = saved = 0
        assert tape.refused is not None
        for first, behind in (*tape.refused, *further):
            lost += self._lost[behind] - self._lost[first]
            saved += self._saved[behind] - self._saved[first]
        return lost, saved


def spell_settings(config: CircuitBreakerConfig) -> tuple[object, ...]:
    """All settings that a spell depends on."""
    return (
        config.recovery_timeout_ns,
        config.backoff,
        config.half_open_success_threshold,
        config.half_open_max_probes,
        config.half_open_window,
        config.half_open_timeout_ns,
        config.probe_timeout_ns,
        config.slow_call_ns,
    )
