"""What a breaker looks like at one moment: frozen, and dated for people."""

from collections.abc import Callable
from datetime import datetime

from attrs import field, frozen

from recloser.events import CircuitBreakerState, FiredRule
from recloser.fold import BreakerState


@frozen
class Totals:
    """How many calls ended in which way since the log began."""

    succeeded: int
    failed: int
    ignored: int
    rejected: int
    stale: int


@frozen
class Snapshot:
    """A breaker at one moment; equal snapshots mean equal states.

    Attributes:
        breaker: Its name.
        state: Where it is. Past its deadline an OPEN breaker is still OPEN until the next event.
        epoch: How many edges it has taken.
        forced: Held open by an operator.
        consecutive_failures: Length of the current run of failures.
        probes_in_flight: Probes that have not reported.
        probe_successes: Probes of this epoch that succeeded.
        why_open: The rule that opened it; None while it has been closed since.
        opened_at: When it opened, in UTC; None unless OPEN.
        retry_at: When it will probe, in UTC; None unless it is cooling.
        retry_after: Seconds from the reading until ``retry_at``, never negative. It says when the
            snapshot was read, so it does not count when snapshots are compared.
        totals: Calls since the log began.
    """

    breaker: str
    state: CircuitBreakerState
    epoch: int
    forced: bool
    consecutive_failures: int
    probes_in_flight: int
    probe_successes: int
    why_open: FiredRule | None
    opened_at: datetime | None
    retry_at: datetime | None
    retry_after: float | None = field(eq=False)
    totals: Totals


def take_snapshot(state: BreakerState, at: int, utc: Callable[[int], datetime]) -> Snapshot:
    """The state as read at ``at`` nanoseconds; ``utc`` dates a moment of the log."""
    deadline = state.deadline
    return Snapshot(
        breaker=state.breaker,
        state=state.state,
        epoch=state.epoch,
        forced=state.forced,
        consecutive_failures=state.consecutive_failures,
        probes_in_flight=state.probes_in_flight,
        probe_successes=len(state.probe_seqs),
        why_open=state.why_open,
        opened_at=None if state.opened_at is None else utc(state.opened_at),
        retry_at=None if deadline is None else utc(deadline),
        retry_after=None if deadline is None else max(0, deadline - at) / 1e9,
        totals=Totals(
            succeeded=state.succeeded,
            failed=state.failed,
            ignored=state.ignored,
            rejected=state.rejected,
            stale=state.stale,
        ),
    )
