"""What a breaker looks like at one moment: frozen, and dated for people."""

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
    """How many calls ended in which way since the log began."""

    succeeded: int
    failed: int
    ignored: int
    rejected: int
    stale: int


@frozen
class WindowCounts:
    """What a window held after the last outcome that was put into it.

    Attributes:
        calls: Outcomes in it.
        failures: Those that failed.
        slow: Those that were slow.
    """

    calls: int
    failures: int
    slow: int

    @property
    def failure_rate(self) -> float | None:
        """Share of failures, for display; None where there are no calls."""
        return self.failures / self.calls if self.calls else None

    @property
    def slow_call_rate(self) -> float | None:
        """Share of slow calls, for display; None where there are no calls."""
        return self.slow / self.calls if self.calls else None


@frozen
class Snapshot:
    """A breaker at one moment; equal snapshots mean equal states.

    Attributes:
        breaker: Its name.
        state: Where it is. Past its deadline an OPEN breaker is still OPEN until the next event.
        mode: What it does with its decisions.
        epoch: How many edges it has taken.
        forced: Held open by an operator.
        openings_in_a_row: How often it has opened by its rules since it was last closed.
        consecutive_failures: Length of the current run of failures.
        window: What its window holds; None where it has none, or is not CLOSED.
        probes_in_flight: Probes that have not reported.
        probe_successes: Probes of this epoch that succeeded.
        probe_window: What the window over its probes holds; None where it has none.
        why_open: The rule that opened it; None while it has been closed since.
        opened_at: When it opened, in UTC; None unless OPEN.
        retry_at: When it will probe, in UTC; None unless it is cooling.
        retry_after: Seconds from the reading until ``retry_at``, never negative. It says when the
            snapshot was read, so it does not count when snapshots are compared.
        totals: Calls since the log began.
        degraded: Whether it is shared by a fleet, and this process, for now, goes by its own calls
            alone. It says who read the snapshot, so it does not count when snapshots are compared.
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
    """The state as read at ``at`` nanoseconds; ``utc`` dates a moment of the log."""
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
