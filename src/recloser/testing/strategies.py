"""Hypothesis strategies for configurations, clocks, traces and logs.

from hypothesis import given
from recloser import replay
from recloser.testing import strategies as rst

@given(rst.traces(), rst.configurations(mode=st.just("enforce")))
def test_no_history_holds_more_than_ten_trips(trace, config):
    assert len(replay(trace, config=config).trips()) <= 10
"""

from collections.abc import Sequence
from datetime import UTC, datetime
from fractions import Fraction
from typing import Any, Final, TypeVar

from recloser.clock import ManualClock, SkewedClock
from recloser.core.backoff import Backoff, Constant, Exponential
from recloser.core.config import CircuitBreakerConfig, CountWindow, TimeWindow
from recloser.core.events import (
    FORMAT_VERSION,
    RULES_VERSION,
    CallObserved,
    Event,
    LogOpened,
    Outcome,
)
from recloser.live.breaker import CircuitBreaker
from recloser.live.decision import Permit
from recloser.live.memory_log import MemoryLog
from recloser.version import __version__

try:
    from hypothesis import strategies as st
except ModuleNotFoundError as error:
    raise ModuleNotFoundError(
        "recloser.testing.strategies needs Hypothesis: pip install 'recloser[testing]'",
        name=error.name,
    ) from None

_W = TypeVar("_W", CountWindow, TimeWindow)

_MS: Final = 1_000_000
_SECOND: Final = 1_000_000_000
_BOOT_LIMIT_NS: Final = 1 << 62
_LIMITS: Final = ("failure_rate", "slow_call_rate", "failures")

# Times that equal, just miss and clearly miss the durations in the configurations below.
_WAITS_NS: Final = st.one_of(
    st.sampled_from([0, 1, _MS, _SECOND - 1, _SECOND, _SECOND + 1, 2 * _SECOND, 60 * _SECOND]),
    st.integers(0, 5 * _SECOND),
)


def configurations(**settings: st.SearchStrategy[Any]) -> st.SearchStrategy[CircuitBreakerConfig]:
    """Generate valid configurations of every kind.

    They vary in consecutive failures and windows, backoff and jitter, modes and timeouts.

    Args:
        settings: Strategies for single settings, by name: ``configurations(window=st.none())``.
    """
    drawn: dict[str, st.SearchStrategy[Any]] = {
        "failure_threshold": st.none() | st.integers(1, 6),
        "window": st.none() | count_windows() | time_windows(),
        "slow_call_seconds": st.sampled_from([0, 0.05, 1]),
        "recovery_timeout_seconds": st.sampled_from([0, 0.5, 1, 2, 30]),
        "backoff": backoffs(),
        "half_open_success_threshold": st.integers(0, 3),
        "half_open_max_probes": st.integers(1, 3),
        "half_open_window": st.none() | count_windows(),
        "half_open_timeout_seconds": st.sampled_from([None, 0.5, 3]),
        "probe_timeout_seconds": st.sampled_from([0.5, 1, 60]),
        "mode": st.sampled_from(["enforce", "shadow", "disabled"]),
    }
    return st.builds(CircuitBreakerConfig, **{**drawn, **settings})


def count_windows() -> st.SearchStrategy[CountWindow]:
    """Generate count windows.

    Those with ``slow_call_rate`` need ``slow_call_seconds`` in the configuration.
    """
    return _windows(CountWindow, "size")


def time_windows() -> st.SearchStrategy[TimeWindow]:
    """Generate time windows; those with ``slow_call_rate`` need ``slow_call_seconds``."""
    return _windows(TimeWindow, "seconds")


def backoffs() -> st.SearchStrategy[Backoff]:
    """Generate constant and growing cooldowns, with every kind of jitter."""
    jitter = st.sampled_from(["none", "full", "equal"])
    seed = st.integers(0, 3)
    return st.one_of(
        st.builds(Constant, jitter=jitter, seed=seed),
        st.builds(
            Exponential,
            factor=st.sampled_from([1, 1.5, 2, Fraction(4, 3)]),
            max_seconds=st.sampled_from([1, 8, 600]),
            jitter=jitter,
            seed=seed,
        ),
    )


def clocks() -> st.SearchStrategy[ManualClock]:
    """Generate manual clocks that start at any date and monotonic time."""
    return st.builds(
        ManualClock,
        start=st.datetimes(datetime(1970, 1, 1), datetime(2200, 1, 1), timezones=st.just(UTC)),  # noqa: DTZ001  # Hypothesis adds the zone
        monotonic_ns=st.integers(0, _BOOT_LIMIT_NS),
    )


def skewed_clocks(clock: ManualClock) -> st.SearchStrategy[SkewedClock]:
    """Generate clocks with a wrong wall time, moved by ``clock``."""
    seconds = st.sampled_from([-86_400, -3600, -1, 0, 1, 3600, 86_400])
    return st.builds(
        SkewedClock,
        st.just(clock),
        shift_seconds=seconds,
        drift_ppm=st.integers(-100_000, 100_000),
        steps=st.lists(st.tuples(st.integers(0, 600), seconds), max_size=4),
    )


@st.composite
def traces(
    draw: st.DrawFn, breakers: Sequence[str] = ("a", "b"), max_calls: int = 40
) -> Sequence[Event]:
    """Generate imported calls that overlap, for ``replay(trace, config=...)``.

    Args:
        draw: Passed by Hypothesis.
        breakers: The names of the breakers.
        max_calls: The most calls in a trace; there is at least one.
    """
    start, calls = 0, []
    for _ in range(draw(st.integers(1, max_calls))):
        start += draw(_WAITS_NS)
        took = draw(_WAITS_NS)
        calls.append((start + took, start, draw(st.sampled_from(breakers)), draw(_outcomes())))
    calls.sort(key=lambda call: call[0])
    events: list[Event] = [_opening()]
    for seq, (end, started, breaker, outcome) in enumerate(calls, start=2):
        error = (
            draw(st.sampled_from(["TimeoutError", "503", None]))
            if outcome.value == "failed"
            else None
        )
        events.append(CallObserved(seq, end, breaker, started, end - started, outcome, error=error))
    return events


@st.composite
def logs(
    draw: st.DrawFn,
    config: st.SearchStrategy[CircuitBreakerConfig] | None = None,
    breakers: Sequence[str] = ("a", "b"),
    max_steps: int = 60,
) -> MemoryLog:
    """Generate logs of live breakers.

    They have overlapping calls, a wrong wall clock and operators' commands.

    Args:
        draw: Passed by Hypothesis.
        config: The strategy for each breaker's configuration; by default ``configurations()``.
        breakers: The names of the breakers.
        max_steps: The most steps in the life of the breakers.
    """
    configs = configurations() if config is None else config
    clock = draw(clocks())
    log = MemoryLog(clock=clock, host="")
    life = _Life(draw, clock, [CircuitBreaker(name, draw(configs), log=log) for name in breakers])
    for step in draw(st.lists(st.sampled_from(_Life.STEPS), max_size=max_steps)):
        step(life)
    return log


class _Life:
    """Breakers that a test uses in randomly drawn steps."""

    def __init__(
        self, draw: st.DrawFn, clock: ManualClock, breakers: Sequence[CircuitBreaker]
    ) -> None:
        self._draw = draw
        self._clock = clock
        self._breakers = st.sampled_from(breakers)
        self._in_flight: list[tuple[CircuitBreaker, Permit]] = []

    def ask(self) -> None:
        breaker = self._draw(self._breakers)
        permit = breaker.before_call().permit
        if permit is not None:
            self._in_flight.append((breaker, permit))

    def end(self) -> None:
        if not self._in_flight:
            return
        index = self._draw(st.integers(0, len(self._in_flight) - 1))
        breaker, permit = self._in_flight.pop(index)
        outcome = self._draw(_outcomes())
        if outcome is Outcome.SUCCEEDED:
            breaker.after_success(permit)
        elif outcome is Outcome.FAILED:
            breaker.after_failure(permit, "TimeoutError")
        else:
            breaker.after_ignored(permit)

    def call(self) -> None:
        for _ in range(self._draw(st.integers(1, 4))):
            self.ask()
            self.end()

    def wait(self) -> None:
        self._clock.advance(ns=self._draw(_WAITS_NS))

    def step_the_wall_clock(self) -> None:
        steps = st.sampled_from([-86_400, -3600, -1, 1, 3600, 86_400])
        self._clock.advance_wall(seconds=self._draw(steps))

    def command(self) -> None:
        breaker = self._draw(self._breakers)
        commands = [breaker.force_open, breaker.force_closed, breaker.reset]
        self._draw(st.sampled_from(commands))(actor="ann", reason="drawn")

    STEPS: Final = (ask, end, call, call, wait, wait, step_the_wall_clock, command)


def _outcomes() -> st.SearchStrategy[Outcome]:
    return st.sampled_from([Outcome.FAILED, Outcome.FAILED, Outcome.SUCCEEDED, Outcome.IGNORED])


def _opening() -> LogOpened:
    return LogOpened(
        seq=1,
        at=0,
        format=FORMAT_VERSION,
        rules=RULES_VERSION,
        session=1,
        wall=datetime(2000, 1, 1, tzinfo=UTC),
        monotonic=0,
        boot_id="",
        host="",
        pid=0,
        library=__version__,
    )


def _windows(kind: type[_W], length: str) -> st.SearchStrategy[_W]:
    rates = st.sampled_from([None, 0.1, 0.5, Fraction(1, 3), 1])
    drawn: st.SearchStrategy[dict[str, Any]] = st.fixed_dictionaries(
        {
            length: st.integers(1, 8),
            "failure_rate": rates,
            "minimum_calls": st.integers(1, 6),
            "slow_call_rate": rates,
            "failures": st.sampled_from([None, 1, 3]),
        }
    )
    return drawn.filter(lambda settings: any(settings[name] is not None for name in _LIMITS)).map(
        lambda settings: kind(**settings)
    )
