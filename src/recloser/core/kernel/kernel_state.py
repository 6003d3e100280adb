# cython: language_level=3, annotation_typing=False, freethreading_compatible=True
# cython: boundscheck=False, wraparound=False, cdivision=True, initializedcheck=False
"""The state of one breaker as far as the rules need it, in integers."""

from __future__ import annotations

from typing import TYPE_CHECKING

from recloser.core.kernel.ring import Ring
from recloser.core.kernel.thresholds import Rules
from recloser.core.kernel.window import Window

if TYPE_CHECKING:
    import cython  # by this line the compiler knows the name; it is never run
else:
    from recloser.core import interpreted as cython

if not cython.compiled:  # compiled code has these as C, from the .pxd files
    from recloser.core.kernel.codes import CLOSED, FAILED, HALF_OPEN, NEVER, NO_RULE, SUCCEEDED


class Reclosing:
    """The part of a state that only an open or half-open breaker has.

    It is a class of its own to save memory, since most breakers are closed most of the time.

    Attributes:
        is_forced: Whether an operator holds the breaker open.
        opened_at, half_open_at: When it opened or became half-open, in nanoseconds of the log; -1
            unless it is open or half-open now.
        waited: How long the cooldown, probe or half-open state had lasted, in nanoseconds, when a
            timed rule fired.
        probes_admitted: Probes let through in this epoch.
        probes: Number and time of each probe in flight, in their order; None before the first.
        probe_seqs: The ``seq`` of each probe of this epoch that succeeded; None before the first.
        probe_window: Outcomes of probes; None without such a window, or unless half-open.
    """

    __slots__ = (
        "half_open_at",
        "is_forced",
        "opened_at",
        "probe_seqs",
        "probe_window",
        "probes",
        "probes_admitted",
        "waited",
    )

    def __init__(self, opened_at: int = -1, half_open_at: int = -1) -> None:
        self.opened_at = opened_at
        self.half_open_at = half_open_at
        self.is_forced = False
        self.waited = 0
        self.probes_admitted = 0
        self.probes: Ring | None = None
        self.probe_seqs: Ring | None = None
        self.probe_window: Window | None = None

    def copy(self) -> Reclosing:
        """A copy that shares nothing with this one."""
        other = Reclosing(self.opened_at, self.half_open_at)
        other.is_forced = self.is_forced
        other.waited = self.waited
        other.probes_admitted = self.probes_admitted
        other.probes = None if self.probes is None else self.probes.copy()
        other.probe_seqs = None if self.probe_seqs is None else self.probe_seqs.copy()
        other.probe_window = None if self.probe_window is None else self.probe_window.copy()
        return other


class State:
    """The state of one breaker, as far as the rules need it; a new state is closed.

    Attributes:
        rules: Its settings.
        is_disabled: Whether the breaker decides nothing.
        is_shadow: Whether it lets all calls through and only records what it would reject; the
            rules do not depend on it.
        where: ``CLOSED``, ``OPEN`` or ``HALF_OPEN``.
        epoch: How many edges it has taken.
        deadline: When the next timed edge is due, in nanoseconds of the log; ``NEVER`` where only a
            call can lead to an edge.
        consecutive_failures: Failures since the last success, in CLOSED.
        failure_seqs: The ``seq`` of each of them, while that rule is on; only of the first and the
            last where its threshold is above ``limits.MAX_SEQS``. None before the first.
        window: Outcomes in its window; None without a window, or unless it is closed.
        reclosing: What an open or half-open breaker has besides; None while it is closed.
        fired: The rule at which ``run`` or ``simulate`` has stopped.
        is_timed: Whether that is a timed rule, which fired before the row.
        succeeded, failed, ignored, rejected, stale: Counts of outcomes since the log began.
    """

    __slots__ = (
        "consecutive_failures",
        "deadline",
        "epoch",
        "failed",
        "failure_seqs",
        "fired",
        "ignored",
        "is_disabled",
        "is_shadow",
        "is_timed",
        "reclosing",
        "rejected",
        "rules",
        "stale",
        "succeeded",
        "where",
        "window",
    )

    def __init__(self, rules: Rules) -> None:
        self.rules = rules
        self.is_disabled = False
        self.where: int = CLOSED
        self.epoch = 0
        self.is_shadow = False
        self.deadline: int = NEVER
        self.consecutive_failures = 0
        self.failure_seqs: Ring | None = None
        self.window: Window | None = None
        self.reclosing: Reclosing | None = None
        self.fired: int = NO_RULE
        self.is_timed = False
        self.succeeded = 0
        self.failed = 0
        self.ignored = 0
        self.rejected = 0
        self.stale = 0
        start_windows(self)

    @property
    def is_forced(self) -> bool:
        """Whether an operator holds the breaker open."""
        return self.reclosing is not None and self.reclosing.is_forced

    @is_forced.setter
    def is_forced(self, is_forced: bool) -> None:
        if self.reclosing is not None:
            self.reclosing.is_forced = is_forced

    @property
    def opened_at(self) -> int:
        """When the breaker opened, in nanoseconds of the log; -1 unless it is open."""
        return -1 if self.reclosing is None else self.reclosing.opened_at

    @opened_at.setter
    def opened_at(self, at: int) -> None:
        if self.reclosing is None:
            self.reclosing = Reclosing()
        self.reclosing.opened_at = at

    @property
    def half_open_at(self) -> int:
        """When the breaker became half-open, in nanoseconds of the log; -1 unless it is."""
        return -1 if self.reclosing is None else self.reclosing.half_open_at

    @half_open_at.setter
    def half_open_at(self, at: int) -> None:
        if self.reclosing is None:
            self.reclosing = Reclosing()
        self.reclosing.half_open_at = at

    @property
    def waited(self) -> int:
        """How long the cooldown, probe or half-open state lasted until a timed rule fired, in ns."""
        return 0 if self.reclosing is None else self.reclosing.waited

    @property
    def probes_admitted(self) -> int:
        """Probes let through in this epoch."""
        return 0 if self.reclosing is None else self.reclosing.probes_admitted

    @property
    def probes(self) -> Ring | None:
        """Number and time of each probe in flight, in their order; None before the first."""
        return None if self.reclosing is None else self.reclosing.probes

    @property
    def probe_seqs(self) -> Ring | None:
        """The ``seq`` of each probe of this epoch that succeeded; None before the first."""
        return None if self.reclosing is None else self.reclosing.probe_seqs

    @property
    def probe_window(self) -> Window | None:
        """Outcomes of probes; None without such a window, or unless half-open."""
        return None if self.reclosing is None else self.reclosing.probe_window


def start_windows(state: State) -> None:
    """Give a breaker the empty windows that belong to the state it is in."""
    reclosing = state.reclosing
    state.window = None
    if state.where == CLOSED and state.rules.window is not None:
        state.window = Window(state.rules.window)
    if reclosing is not None:
        reclosing.probe_window = None
        if state.where == HALF_OPEN and state.rules.probe_window is not None:
            reclosing.probe_window = Window(state.rules.probe_window)


def count_outcomes(state: State, kind: int, count: int) -> None:
    """Add outcomes, which are not stale, to the counts since the log began."""
    if kind == SUCCEEDED:
        state.succeeded += count
    elif kind == FAILED:
        state.failed += count
    else:
        state.ignored += count
