"""How type checkers see the public names. mypy and pyright check this file; nothing runs it."""

from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import assert_type

from recloser import (
    BreakerDecision,
    Breakers,
    CircuitBreaker,
    CircuitBreakerConfig,
    CircuitBreakerState,
    CircuitOpenError,
    Clock,
    CountWindow,
    Edge,
    EventLog,
    Exponential,
    History,
    ManualClock,
    MemoryLog,
    Permit,
    Snapshot,
    TimeWindow,
    replay,
)

breaker = CircuitBreaker("payments")


@breaker
def charge(cents: int, *, currency: str = "EUR") -> str:
    return f"{cents} {currency}"


@breaker
async def charge_later(cents: int) -> str:
    return str(cents)


@breaker
def pages(count: int) -> Iterator[bytes]:
    yield from [b""] * count


@breaker
async def stream(count: int) -> AsyncIterator[bytes]:
    for _ in range(count):
        yield b""


class Client:
    @breaker
    def fetch(self, key: str) -> int:
        return len(key)


# The decorator keeps parameters and results.
assert_type(charge(1, currency="USD"), str)
as_callable: Callable[[int], Awaitable[str]] = charge_later
assert_type(pages(1), Iterator[bytes])
assert_type(stream(1), AsyncIterator[bytes])
assert_type(Client().fetch("key"), int)
charge("1")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
charge(1, coin="USD")  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
Client().fetch(1)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]


async def awaits() -> None:
    assert_type(await charge_later(1), str)
    async for page in stream(2):
        assert_type(page, bytes)
    async with breaker as permit:
        assert_type(permit, Permit)
    await charge_later("1")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]


def asks_and_reports() -> None:
    decision = breaker.before_call()
    assert_type(decision, BreakerDecision)
    assert_type(decision.allowed, bool)
    assert_type(decision.permit, Permit | None)
    assert_type(decision.retry_after, float | None)
    breaker.after_success(decision.permit)
    breaker.after_failure(decision.permit, error=TimeoutError())
    assert_type(breaker.call(charge, 1), str)
    breaker.call(charge, "1")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    with breaker as permit:
        assert_type(permit, Permit)
    try:
        charge(1)
    except CircuitOpenError as error:
        assert_type(error.retry_after, float | None)


def reads_and_commands() -> None:
    assert_type(breaker.current_state(), CircuitBreakerState)
    assert_type(breaker.snapshot(), Snapshot)
    breaker.force_open(actor="ops", reason="maintenance")
    breaker.reset()
    breaker.set_mode("shadow")
    breaker.set_mode("off")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]


class StandingClock:
    def monotonic_ns(self) -> int:
        return 0

    def now(self) -> datetime:
        return datetime(2026, 1, 1, tzinfo=UTC)


clock: Clock = StandingClock()

config = CircuitBreakerConfig(
    failure_threshold=3,
    window=CountWindow(size=10, failure_rate=0.5),
    backoff=Exponential(factor=2, max_seconds=60),
    record=(TimeoutError,),
)
CircuitBreakerConfig(window=TimeWindow(seconds=10, failure_rate=0.5))


def records_and_replays(folder: Path) -> None:
    with EventLog(folder) as log:
        breakers = Breakers(log=log)
        assert_type(breakers["payments"], CircuitBreaker)
    with MemoryLog(clock=ManualClock()) as memory:
        CircuitBreaker("payments", config, log=memory)
        history = replay(memory)
    assert_type(history, History)
    edges: Sequence[Edge] = history.edges
    assert edges is not None
