"""The probes that one process has asked the stream for."""

from collections.abc import Callable, Mapping
from typing import Final

from attrs import define

from recloser.core.edges import take
from recloser.core.events import ProbeAdmitted, Trigger
from recloser.core.kernel import may_probe
from recloser.core.state import BreakerState, probes_of
from recloser.core.state_machine import HALF_OPEN, OPEN

HOLD_NS: Final = 1_000_000_000
"""A probe that was granted after its call had given up is kept so long for the next one."""

_NS_PER_MS: Final = 1_000_000


@define(eq=False)
class Claim:
    """A probe that was asked for.

    Attributes:
        number: Which claim of this process it is.
        breaker: The breaker.
        made_ns: When it was asked for, by the monotonic hand.
        upto: Which of the things in the outbox it is.
        granted: The probe; None until the stream has granted it.
        settled_ns: When the stream had decided, by the monotonic hand; None until then.
        is_awaited: Whether a call waits for it.
        wait_until: Waits, outside the lock, until something is so or a time has passed.
    """

    number: int
    breaker: str
    made_ns: int
    upto: int
    granted: ProbeAdmitted | None = None
    settled_ns: int | None = None
    is_awaited: bool = True
    wait_until: Callable[[Callable[[], bool]], None] | None = None

    def wait(self) -> None:
        """Wait until the stream has decided, but not for long."""
        try:
            if self.wait_until is not None:
                self.wait_until(lambda: self.settled_ns is not None)
        finally:
            self.is_awaited = False


class Claims:
    """The claims of which something can still come; to be used under the sequencer's lock."""

    def __init__(self) -> None:
        self._claims: list[Claim] = []
        self._made = 0

    @property
    def next_number(self) -> int:
        """The number of the next one."""
        return self._made + 1

    def make(self, breaker: str, now_ns: int, upto: int) -> Claim:
        """Note one that was put into the outbox."""
        self._made += 1
        claim = Claim(self._made, breaker, now_ns, upto)
        self._claims.append(claim)
        return claim

    def may_be_made(self, state: BreakerState, at: int) -> bool:
        """Whether one more may be granted, as far as can be known here."""
        # The stream counts in whole milliseconds.
        if state.state is OPEN and at >= state.deadline + _NS_PER_MS:
            state = state.copy()
            take(state, Trigger.COOL, at)
        asked = sum(claim.breaker == state.breaker for claim in self._claims)
        return state.state is HALF_OPEN and may_probe(state, asked)

    def settle(self, grants: Mapping[int, ProbeAdmitted], upto: int, now_ns: int) -> None:
        """The stream has decided on all up to this thing in the outbox."""
        for claim in self._claims:
            if claim.settled_ns is None and claim.upto <= upto:
                claim.granted = grants.get(claim.number)
                claim.settled_ns = now_ns

    def use(self, state: BreakerState, now_ns: int) -> ProbeAdmitted | None:
        """A probe of the breaker that was granted and not used yet, if it still stands."""
        for claim in self._settled():
            if claim.breaker != state.breaker:
                continue
            self._claims.remove(claim)
            probe = claim.granted
            # Whoever was stopped for long does not know what has happened since.
            is_fresh = now_ns - claim.made_ns < state.config.probe_timeout_ns
            if probe is not None and is_fresh and _stands(probe, state):
                return probe
        return None

    def unused(self, now_ns: int) -> list[ProbeAdmitted]:
        """The probes that no call has come for in time; they are no longer kept."""
        unused = []
        for claim in self._settled():
            assert claim.settled_ns is not None
            if claim.granted is None or now_ns - claim.settled_ns > HOLD_NS:
                self._claims.remove(claim)
                if claim.granted is not None:
                    unused.append(claim.granted)
        return unused

    def has_probe(self, breaker: str) -> bool:
        """Whether a call could have a probe at once."""
        return any(c.breaker == breaker and c.granted is not None for c in self._claims)

    def forget_unsent(self, upto: int) -> None:
        """Forget those behind this thing in the outbox, which are never sent."""
        self._claims = [claim for claim in self._claims if claim.upto <= upto]

    def _settled(self) -> list[Claim]:
        return [c for c in self._claims if c.settled_ns is not None and not c.is_awaited]


def _stands(probe: ProbeAdmitted, state: BreakerState) -> bool:
    is_of_now = state.state is HALF_OPEN and state.epoch == probe.epoch
    return is_of_now and probe.probe in probes_of(state)
