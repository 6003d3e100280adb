"""The probes that one process has asked the stream for."""

from collections.abc import Callable, Mapping
from typing import Final

from attrs import define

from recloser.core.edges import take_edge
from recloser.core.events import ProbeAdmitted, Trigger
from recloser.core.kernel import may_probe
from recloser.core.state import BreakerState, probes_of
from recloser.core.state_machine import HALF_OPEN, OPEN

HOLD_NS: Final = 1_000_000_000
"""How long a probe granted after its call has given up is kept for another call, in nanoseconds."""

_NS_PER_MS: Final = 1_000_000


@define(eq=False)
class Claim:
    """A request to the stream for one probe of a breaker.

    Attributes:
        number: Number of the claim within this process, from 1.
        breaker: The breaker's name.
        made_ns: Monotonic time of the request, in nanoseconds.
        item: Number of the claim's item in the outbox.
        granted: The probe; None until the stream has granted it.
        decided_ns: Monotonic time at which the decision was read, in nanoseconds; None until then.
        is_awaited: Whether a call waits for the decision.
        wait_until: Waits, outside the lock, until a condition holds or a time limit has passed.
    """

    number: int
    breaker: str
    made_ns: int
    item: int
    granted: ProbeAdmitted | None = None
    decided_ns: int | None = None
    is_awaited: bool = True
    wait_until: Callable[[Callable[[], bool]], None] | None = None

    def wait(self) -> None:
        """Wait until the stream has decided, for ``claim_seconds`` at most."""
        try:
            if self.wait_until is not None:
                self.wait_until(lambda: self.decided_ns is not None)
        finally:
            self.is_awaited = False


class Claims:
    """The undecided or unused claims of this process.

    Its methods are called under the sequencer's lock.
    """

    def __init__(self) -> None:
        self._claims: list[Claim] = []
        self._made = 0

    @property
    def next_number(self) -> int:
        """The number that the next claim will have."""
        return self._made + 1

    def make(self, breaker: str, now_ns: int, item: int) -> Claim:
        """Note a claim that was added to the outbox as ``item``."""
        self._made += 1
        claim = Claim(self._made, breaker, now_ns, item)
        self._claims.append(claim)
        return claim

    def may_claim(self, state: BreakerState, at: int) -> bool:
        """Return whether the stream might grant one more claim, as far as is known here.

        Args:
            state: The breaker's state.
            at: The present time in nanoseconds of the log.
        """
        # The stream counts in whole milliseconds, so the end of a cooldown may show one later.
        if state.state is OPEN and at >= state.deadline + _NS_PER_MS:
            state = state.copy()
            take_edge(state, Trigger.COOL, at)
        open_claims = sum(claim.breaker == state.breaker for claim in self._claims)
        return state.state is HALF_OPEN and may_probe(state, open_claims)

    def record_decision(self, grants: Mapping[int, ProbeAdmitted], item: int, now_ns: int) -> None:
        """Record that the stream has decided on all claims up to an item of the outbox.

        Args:
            grants: The probes granted, by the number of the claim.
            item: The last item that has come back.
            now_ns: Monotonic time in nanoseconds.
        """
        for claim in self._claims:
            if claim.decided_ns is None and claim.item <= item:
                claim.granted = grants.get(claim.number)
                claim.decided_ns = now_ns

    def use_granted(self, state: BreakerState, now_ns: int) -> ProbeAdmitted | None:
        """Return a granted probe that is unused and still valid, or None.

        Args:
            state: The breaker's state.
            now_ns: Monotonic time in nanoseconds.
        """
        for claim in self._decided():
            if claim.breaker != state.breaker:
                continue
            self._claims.remove(claim)
            probe = claim.granted
            # A process that was stopped for long has not read what happened since: the stream may
            # have given this probe up already.
            is_fresh = now_ns - claim.made_ns < state.config.probe_timeout_ns
            if probe is not None and is_fresh and _is_current(probe, state):
                return probe
        return None

    def drop_unused(self, now_ns: int) -> list[ProbeAdmitted]:
        """Drop rejected claims and probes unused for ``HOLD_NS``; return these probes."""
        unused = []
        for claim in self._decided():
            assert claim.decided_ns is not None
            if claim.granted is None or now_ns - claim.decided_ns > HOLD_NS:
                self._claims.remove(claim)
                if claim.granted is not None:
                    unused.append(claim.granted)
        return unused

    def has_granted(self, breaker: str) -> bool:
        """Return whether a granted probe is ready for the next call of a breaker."""
        return any(c.breaker == breaker and c.granted is not None for c in self._claims)

    def forget_unsent(self, item: int) -> None:
        """Forget the claims after an item of the outbox: they will not be sent."""
        self._claims = [claim for claim in self._claims if claim.item <= item]

    def _decided(self) -> list[Claim]:
        # A claim that a call still waits for belongs to that call.
        return [c for c in self._claims if c.decided_ns is not None and not c.is_awaited]


def _is_current(probe: ProbeAdmitted, state: BreakerState) -> bool:
    is_same_period = state.state is HALF_OPEN and state.epoch == probe.epoch
    return is_same_period and probe.probe in probes_of(state)
