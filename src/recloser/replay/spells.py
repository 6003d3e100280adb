"""Spells: how long a breaker is not closed after a trip, and what that costs.

Without jitter a spell depends on the trip, on the calls that were under way, and on the settings of
an open and a half-open breaker. So settings that differ in when they trip share their spells, as
those that differ in how they recover share their trips; many settings come to little more than the
combinations of the two. A spell is made of visits: each from the call that finds the cooldown
passed until the breaker is closed, or open again. They do not even depend on how long it cools.
"""

import bisect
from collections.abc import Sequence
from typing import Final

from attrs import frozen

from recloser.backoff import Exponential, cooldown_ns
from recloser.config import CircuitBreakerConfig
from recloser.machine import CLOSED
from recloser.replay.calls import FAILED, SUCCEEDED, Calls
from recloser.replay.ledger import Tape
from recloser.replay.lookout import Lookout
from recloser.replay.passage import Passage

_NEVER: Final = -1


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
    out: Sequence[int]
    until: int
    lost: int
    saved: int

    def behind(self, lost: int, saved: int) -> "Spell":
        """This one, when so many calls were refused before."""
        return Spell(
            self.since, self.place, self.out, self.until, self.lost + lost, self.saved + saved
        )


@frozen
class Opening:
    """How a breaker came to be open.

    Attributes:
        number: The first call that starts behind it.
        at: When it opened.
        last_end: When the last of the calls ends that were let through and are under way then.
        lost: The good calls refused on the visit that it ended.
        saved: The failed ones.
    """

    number: int
    at: int
    last_end: int
    lost: int = 0
    saved: int = 0


class Openings:
    """The openings by a trip, which are the same for all settings.

    Args:
        calls: The calls.
    """

    def __init__(self, calls: Calls) -> None:
        self._calls = calls
        self._found: dict[int, tuple[Opening, int]] = {}

    @property
    def kept(self) -> int:
        """How many openings are kept."""
        return len(self._found)

    def of(self, trip: int) -> tuple[Opening, int]:
        """That by a trip at a place, and the first of the calls that were under way then.

        They are all taken to have been let through.
        """
        found = self._found.get(trip)
        if found is None:
            calls = self._calls
            number = calls.started_before(trip)
            under_way = calls.under_way(number, trip + 1)
            oldest = min((calls.by_end[place] for place in under_way), default=number)
            last_end = calls.end_of(under_way[-1]) if under_way else _NEVER
            found = self._found[trip] = Opening(number, calls.end_of(trip), last_end), oldest
        return found


class Visits:
    """The visits of a half-open breaker to its dependency.

    Args:
        lookout: Knows the calls.
        config: The settings, of which only those of a half-open breaker have a say.
    """

    def __init__(self, lookout: Lookout, config: CircuitBreakerConfig) -> None:
        self._calls = lookout.calls
        self._passage = Passage(lookout, config, Tape(), self._calls.last_end)
        self._found: dict[int, Spell | Opening] = {}

    @property
    def kept(self) -> int:
        """How many visits are kept."""
        return len(self._found)

    def of(self, start: int) -> Spell | Opening:
        """What comes of a call that finds the cooldown passed: the end, or another opening."""
        found = self._found.get(start)
        if found is None:
            found = self._found[start] = self._visit(start)
        return found

    def _visit(self, start: int) -> Spell | Opening:
        calls, passage, tape = self._calls, self._passage, Tape()
        passage.ledger = tape
        state = passage.cool(start)
        if state is None or state is CLOSED:
            return spell_on(tape, passage, calls, is_closed=state is CLOSED)
        assert tape.edges is not None
        last_end = calls.end_of(passage.out[-1]) if passage.out else _NEVER
        return Opening(passage.number, tape.edges[-1][0], last_end, *_refused(tape, calls))


class Spells:
    """The spells of a breaker of these settings.

    Args:
        lookout: Knows the calls.
        config: The settings, of which those that make it trip have no say.
        openings: The openings by a trip.
        visits: The visits under these settings.
    """

    def __init__(
        self, lookout: Lookout, config: CircuitBreakerConfig, openings: Openings, visits: Visits
    ) -> None:
        self._calls, self._config = lookout.calls, config
        self._passage = Passage(lookout, config, Tape(), self._calls.last_end)
        self._openings, self._visits = openings, visits
        self._grows = isinstance(config.backoff, Exponential)
        self._waits = [first_wait(lookout.calls, config)]
        self._lost, self._saved = (self._calls.before(code) for code in (SUCCEEDED, FAILED))
        self._of_trips: dict[object, Spell] = {}
        self._of_starts: dict[object, Spell] = {}

    @property
    def kept(self) -> int:
        """How many spells are kept."""
        return len(self._of_trips) + len(self._of_starts)

    def of(self, trip: int, since: int, out: Sequence[int]) -> Spell:
        """What comes of a trip.

        Args:
            trip: The place of the outcome that trips it.
            since: The first call that was let through while it was closed.
            out: The places of calls let through earlier that had not ended then.
        """
        opening, oldest = self._openings.of(trip)
        key: object = trip
        if out or since > oldest:
            key = trip, since, tuple(out)
        found = self._of_trips.get(key)
        if found is None:
            found = None if key is not trip else self._by_visits(opening)
            if found is None:
                found = self._at_once(trip, since, out)
            self._of_trips[key] = found
        return found

    def _at_once(self, trip: int, since: int, out: Sequence[int]) -> Spell:
        passage, tape = self._passage, Tape()
        passage.ledger = tape
        passage.trip(trip, since, out)
        is_closed = passage.recover()
        return spell_on(tape, passage, self._calls, is_closed=is_closed)

    def _by_visits(self, opening: Opening) -> Spell | None:
        """What comes of an opening; None where a call let through may find a cooldown passed."""
        calls, known = self._calls, self._of_starts
        legs: list[tuple[object, int, int]] = []
        key: object = None
        in_a_row = 1
        while True:
            deadline = opening.at + self._wait(in_a_row)
            if opening.last_end >= deadline:
                return None
            number = opening.number
            start = bisect.bisect_left(calls.starts, deadline, number)
            legs.append(
                (
                    key,
                    opening.lost + self._lost[start] - self._lost[number],
                    opening.saved + self._saved[start] - self._saved[number],
                )
            )
            if start == len(calls):
                spell = Spell(0, start, (), calls.last_end, 0, 0)
                break
            key = (start, in_a_row) if self._grows else start
            if key in known:
                spell = known[key]
                break
            found = self._visits.of(start)
            if isinstance(found, Spell):
                spell = known[key] = found
                break
            opening = found
            in_a_row += 1
        for leg, lost, saved in reversed(legs):
            spell = spell.behind(lost, saved)
            if leg is not None:
                known[leg] = spell
        return spell

    def _wait(self, in_a_row: int) -> int:
        if not self._grows:
            return self._waits[0]
        while len(self._waits) < in_a_row:
            self._waits.append(_wait_ns(self._calls, self._config, len(self._waits) + 1))
        return self._waits[in_a_row - 1]


def first_wait(calls: Calls, config: CircuitBreakerConfig) -> int:
    """How long the first opening of a breaker cools, without jitter, in nanoseconds."""
    return _wait_ns(calls, config, 1)


def _wait_ns(calls: Calls, config: CircuitBreakerConfig, in_a_row: int) -> int:
    return cooldown_ns(
        config.backoff,
        config.recovery_timeout_ns,
        calls.breaker,
        opening=1,
        in_a_row=in_a_row,
    )


def spell_on(tape: Tape, passage: Passage[Tape], calls: Calls, *, is_closed: bool) -> Spell:
    """The spell that a tape tells of, at the end of which a passage now is."""
    assert tape.edges is not None
    return Spell(
        passage.since,
        passage.place if is_closed else len(calls),
        tuple(passage.out),
        tape.edges[-1][0] if is_closed else calls.last_end,
        *_refused(tape, calls),
    )


def _refused(tape: Tape, calls: Calls) -> tuple[int, int]:
    """The good and the failed calls among those refused."""
    assert tape.refused is not None
    lost, saved = (
        sum(before[behind] - before[first] for first, behind in tape.refused)
        for before in (calls.before(SUCCEEDED), calls.before(FAILED))
    )
    return lost, saved


def visit_settings(config: CircuitBreakerConfig) -> tuple[object, ...]:
    """All settings that a visit depends on, unless nothing cools at all."""
    return (
        config.half_open_success_threshold,
        config.half_open_max_probes,
        config.half_open_window,
        config.half_open_timeout_ns,
        config.probe_timeout_ns,
        config.slow_call_ns,
    )


def spell_settings(config: CircuitBreakerConfig) -> tuple[object, ...]:
    """All settings that a spell depends on."""
    return config.recovery_timeout_ns, config.backoff, *visit_settings(config)
