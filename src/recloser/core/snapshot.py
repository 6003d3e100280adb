"""Snapshots: the state of a breaker at one time, frozen, and with wall times for people."""

from collections.abc import Callable
from datetime import datetime

from attrs import field, frozen

from recloser.core.config import Mode
from recloser.core.events import CircuitBreakerState, FiredRule
from recloser.core.kernel import NEVER, Window
from recloser.core.state import BreakerState, numbers_of, probes_of
from recloser.core.state_machine import OPEN


@frozen
class Totals:
    """Counts of calls since the log began, by how they ended."""

    succeeded: int
    failed: int
    ignored: int
    rejected: int
    stale: int


@frozen
class WindowCounts:
    """Counts of the outcomes in a window, after the last one was added.

    Attributes:
        calls: Number of outcomes.
        failures: Number of failures.
        slow: Number of slow calls.
    """

    calls: int
    failures: int
    slow: int

    @property
    def failure_rate(self) -> float | None:
        """Share of failures, for display; None if there are no calls."""
        return self.failures / self.calls if self.calls else None

    @property
    def slow_call_rate(self) -> float | None:
        """Share of slow calls, for display; None if there are no calls."""
        return self.slow / self.calls if self.calls else None


@frozen
class Snapshot:
    """The state of a breaker at one time; equal snapshots mean equal states.

    Attributes:
        breaker: Name of the breaker.
        state: CLOSED, OPEN or HALF_OPEN. After its cooldown a breaker stays OPEN until the next
            event.
        mode: ``enforce``, ``shadow`` or ``disabled``.
        epoch: How many times the breaker has changed its state.
        forced: Whether an operator holds it open.
        openings_in_a_row: How often its rules have opened it since it was last closed.
        consecutive_failures: Failures since the last success.
        window: Counts of its window; None without a window, or unless CLOSED.
        probes_in_flight: Probes that have not ended.
        probe_successes: Probes of this epoch that succeeded.
        probe_window: Counts of the window of probes; None without one, or unless HALF_OPEN.
        why_open: The rule that opened it; None once it is closed again.
        opened_at: When it opened, in UTC; None unless OPEN.
        retry_at: When its cooldown ends, in UTC; None unless it is OPEN with a cooldown.
        retry_after: Seconds until ``retry_at``, never negative. It depends on when the snapshot was
            taken, so comparisons of snapshots ignore it.
        totals: Counts of calls since the log began.
        degraded: Whether this process shares the breaker with others, and now decides by its own
            calls only. It depends on the process, so comparisons of snapshots ignore it.
    """

    breaker: str
    state: CircuitBreakerState
    mode: Mode
    epoch: int
    forced: bool
    openings_in_a_row: int
    consecutive_failures: int
    window: WindowCounts | None
    probes_in_flight: int
    probe_successes: int
    probe_window: WindowCounts | None
    why_open: FiredRule | None
    opened_at: datetime | None
    retry_at: datetime | None
    retry_after: float | None = field(eq=False)
    totals: Totals
    degraded: bool = field(default=False, eq=False)


def take_snapshot(state: BreakerState, at: int, utc: Callable[[int], datetime]) -> Snapshot:
    """Make a snapshot of a state.

    Args:
        state: The state.
        at: The time now, in nanoseconds of the log.
        utc: Returns the wall time of a time of the log.
    """
    deadline = state.deadline if state.state is OPEN and state.deadline != NEVER else None
    return Snapshot(
        breaker=state.breaker,
        state=state.state,
        mode=state.mode,
        epoch=state.epoch,
        forced=state.is_forced,
        openings_in_a_row=state.openings_in_a_row,
        consecutive_failures=state.consecutive_failures,
        window=_counts(state.window),
        probes_in_flight=len(probes_of(state)),
        probe_successes=len(numbers_of(state.probe_seqs)),
        probe_window=_counts(state.probe_window),
        why_open=state.why_open,
        opened_at=None if state.opened_at < 0 else utc(state.opened_at),
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


def _counts(window: Window | None) -> WindowCounts | None:
    return None if window is None else WindowCounts(window.calls, window.failures, window.slow)
