"""A call inside another call of the same breaker is part of that call's probe."""

import asyncio
import contextlib
import contextvars
import threading

import pytest
from breaker_calls import fail, work

from recloser import (
    CircuitBreaker,
    CircuitBreakerConfig,
    CircuitOpenError,
    MemoryLog,
    PermitError,
    Reason,
)


@pytest.fixture
def log(clock):
    return MemoryLog(clock=clock, tick_seconds=None)


def half_open_breaker(log, clock, **settings):
    defaults = {
        "failure_threshold": 1,
        "recovery_timeout_seconds": 10,
        "half_open_success_threshold": 1,
    }
    breaker = CircuitBreaker("b", CircuitBreakerConfig(**{**defaults, **settings}), log=log)
    fail(breaker)
    clock.advance(seconds=10)
    return breaker


@pytest.fixture
def breaker(log, clock):
    return half_open_breaker(log, clock)


def outcomes(log):
    """The outcomes after the failure that has opened the breaker."""
    kinds = [event.kind[5:] for event in log if event.kind.startswith("call_")]
    return kinds[1:]


def in_block(breaker):
    with breaker:
        return work()


async def in_async_block(breaker):
    async with breaker:
        return work()


async def awaited(breaker):
    async def inner():
        return work()

    return await breaker.call(inner)


def by_hand(breaker):
    decision = breaker.before_call()
    assert decision.allowed
    assert decision.reason is Reason.PROBE
    result = work()
    breaker.after_success(decision.permit)
    return result


def by_hand_without_the_permit(breaker):
    assert breaker.before_call().allowed
    breaker.after_success()
    return work()


def in_generator(breaker):
    @breaker
    def stream():
        yield work()

    return next(iter(list(stream())))


INNER = {
    "call": lambda breaker: breaker.call(work),
    "decorated": lambda breaker: breaker(work)(),
    "block": in_block,
    "async block": lambda breaker: asyncio.run(in_async_block(breaker)),
    "coroutine": lambda breaker: asyncio.run(awaited(breaker)),
    "by hand": by_hand,
    "by hand, without the permit": by_hand_without_the_permit,
    "generator": in_generator,
}


@pytest.fixture(params=INNER.values(), ids=INNER.keys())
def inner(request):
    return request.param


def test_nested_call_rides_on_the_probe_that_it_is_in(breaker, log, inner):
    assert breaker.call(inner, breaker) == "done"
    assert outcomes(log) == ["succeeded"]
    assert breaker.current_state().value == "CLOSED"


def test_nested_call_rides_on_the_probe_of_a_block(breaker, log, inner):
    with breaker:
        assert inner(breaker) == "done"
        assert inner(breaker) == "done"
    assert outcomes(log) == ["succeeded"]


def test_recursive_function_closes_its_breaker(breaker, log):
    @breaker
    def walk(depth):
        return depth and 1 + walk(depth - 1)

    assert walk(3) == 3
    assert outcomes(log) == ["succeeded"]
    assert breaker.current_state().value == "CLOSED"


def test_recursive_coroutine_closes_its_breaker(breaker, log):
    @breaker
    async def walk(depth):
        await asyncio.sleep(0)
        return depth and 1 + await walk(depth - 1)

    assert asyncio.run(walk(3)) == 3
    assert outcomes(log) == ["succeeded"]


def test_recursive_generators_close_their_breaker(breaker, log):
    @breaker
    def walk(depth):
        yield depth
        if depth:
            yield from walk(depth - 1)

    assert list(walk(3)) == [3, 2, 1, 0]
    assert outcomes(log) == ["succeeded"]


def test_recursive_async_generators_close_their_breaker(breaker, log):
    @breaker
    async def walk(depth):
        yield depth
        if depth:
            async for deeper in walk(depth - 1):
                yield deeper

    async def main():
        return [depth async for depth in walk(3)]

    assert asyncio.run(main()) == [3, 2, 1, 0]
    assert outcomes(log) == ["succeeded"]


def test_failure_of_a_nested_call_is_reported_by_the_outermost_alone(breaker, log):
    with pytest.raises(OSError):
        breaker.call(breaker(breaker(raising)))
    assert outcomes(log) == ["failed"]
    assert breaker.current_state().value == "OPEN"


def raising():
    raise OSError


def test_failure_of_a_nested_call_that_is_caught_counts_no_more_than_the_rest(breaker, log):
    def outer():
        with contextlib.suppress(OSError):
            breaker.call(raising)

    breaker.call(outer)
    assert outcomes(log) == ["succeeded"]


def test_nested_calls_of_a_closed_breaker_count_each(log):
    breaker = CircuitBreaker("b", log=log)
    breaker.call(breaker.call, work)
    assert [event.kind for event in log][-2:] == ["call_succeeded"] * 2


def test_call_after_the_probe_does_not_ride_on_it(log, clock):
    breaker = half_open_breaker(log, clock, half_open_success_threshold=3)
    breaker.call(work)
    breaker.call(work)
    assert outcomes(log) == ["succeeded"] * 2


def test_call_does_not_ride_on_a_probe_that_is_overdue(log, clock):
    """As where an exception strikes at the first instruction of ``__exit__``: nobody ends the block."""
    breaker = half_open_breaker(log, clock, probe_timeout_seconds=5)

    def enter_and_never_leave():
        breaker.__enter__()

    enter_and_never_leave()
    clock.advance(seconds=4)
    breaker.call(work)  # rides: the block may be open
    assert outcomes(log) == []
    clock.advance(seconds=1)
    with pytest.raises(CircuitOpenError, match="cooldown_active"):
        breaker.call(work)
    clock.advance(seconds=10)
    breaker.call(work)
    assert outcomes(log) == ["rejected", "succeeded"]


@pytest.mark.parametrize("run", ["thread", "context"])
def test_call_in_another_thread_or_context_does_not_use_the_outer_permit(breaker, log, run):
    refused = []

    def call():
        with pytest.raises(CircuitOpenError, match="probes_exhausted"):
            breaker.call(work)
        refused.append(True)

    def elsewhere():
        if run == "context":
            contextvars.Context().run(call)
            return
        thread = threading.Thread(target=call)
        thread.start()
        thread.join()

    breaker.call(elsewhere)
    assert refused == [True]
    assert outcomes(log)[-1] == "succeeded"


def test_task_rides_as_long_as_the_call_that_began_it_runs(log, clock):
    breaker = half_open_breaker(log, clock, half_open_success_threshold=2)

    async def main():
        ended = asyncio.Event()

        async def child():
            assert breaker.call(work) == "done"
            await ended.wait()
            own = breaker.before_call().permit
            assert own.probe == 2
            breaker.after_success(own)

        @breaker
        async def outer():
            task = asyncio.ensure_future(child())
            await asyncio.sleep(0)
            return task

        task = await outer()
        assert outcomes(log) == ["succeeded"]
        ended.set()
        await task

    asyncio.run(main())
    assert outcomes(log) == ["succeeded"] * 2


def test_nested_call_after_the_breaker_has_moved_on_does_not_ride(breaker, log, clock):
    def outer():
        breaker.force_open()
        breaker.call(work)

    with pytest.raises(CircuitOpenError, match="forced_open"):
        breaker.call(outer)


def test_two_calls_by_hand_do_not_ride_on_each_other(breaker):
    assert breaker.before_call().allowed
    assert not breaker.before_call().allowed


def test_ride_is_reported_once(breaker):
    def outer():
        permit = breaker.before_call().permit
        breaker.after_failure(permit, OSError())
        with pytest.raises(PermitError, match="reported before"):
            breaker.after_failure(permit, OSError())

    breaker.call(outer)
    assert breaker.current_state().value == "CLOSED"


@pytest.mark.parametrize("form", ["decorated", "block"])
def test_calls_of_the_consumer_of_a_stream_do_not_ride_on_it(breaker, form):
    @breaker
    def stream():
        yield 1
        assert breaker.call(work) == "done"
        yield 2

    def block():
        with breaker:
            yield 1
            yield 2

    generator = (stream if form == "decorated" else block)()
    next(generator)
    with pytest.raises(CircuitOpenError):
        breaker.call(work)
    next(generator)
    generator.close()


def test_calls_of_the_consumer_of_an_async_stream_do_not_ride_on_it(breaker):
    @breaker
    async def stream():
        yield 1
        assert breaker.call(work) == "done"
        yield 2

    async def main():
        generator = stream()
        await anext(generator)
        with pytest.raises(CircuitOpenError):
            breaker.call(work)
        await anext(generator)
        await generator.aclose()

    asyncio.run(main())


def test_calls_in_the_block_of_a_context_manager_ride_on_it(breaker, log):
    @contextlib.contextmanager
    def client():
        with breaker:
            yield

    with client():
        assert breaker.call(work) == "done"
    assert outcomes(log) == ["succeeded"]
    assert breaker.current_state().value == "CLOSED"


def test_calls_in_the_block_of_an_async_context_manager_ride_on_it(breaker, log):
    @contextlib.asynccontextmanager
    async def client():
        async with breaker:
            yield

    async def main():
        async with client():
            assert breaker.call(work) == "done"

    asyncio.run(main())
    assert outcomes(log) == ["succeeded"]


def test_probes_of_two_breakers_are_distinct(log, clock):
    breaker = half_open_breaker(log, clock)
    settings = CircuitBreakerConfig(failure_threshold=1, recovery_timeout_seconds=10)
    other = CircuitBreaker("other", settings, log=log)
    fail(other)
    clock.advance(seconds=10)
    breaker.call(other.call, work)
    assert other.snapshot().totals.succeeded == 1


# Refusals as outcomes.


def exhausted(breaker):
    """A refusal by a half-open breaker, as from a thread that is not in its probe."""
    return contextvars.Context().run(breaker.call, work)


def hand_reported(breaker):
    permit = breaker.before_call().permit
    try:
        exhausted(breaker)
    except CircuitOpenError as error:
        breaker.after_failure(permit, error)


async def exhausted_awaited(breaker):
    exhausted(breaker)


def exhausted_block(breaker):
    with breaker:
        exhausted(breaker)


@pytest.mark.parametrize(
    "run",
    [
        lambda breaker: breaker.call(exhausted, breaker),
        lambda breaker: asyncio.run(breaker.call(exhausted_awaited, breaker)),
        exhausted_block,
        hand_reported,
    ],
    ids=["call", "coroutine", "block", "by hand"],
)
@pytest.mark.parametrize("record", [(), CircuitOpenError, Exception])
def test_half_open_breaker_is_not_reopened_by_its_own_rejection(log, clock, run, record):
    breaker = half_open_breaker(log, clock, record=record)
    with contextlib.suppress(CircuitOpenError):
        run(breaker)
    assert outcomes(log)[-1] == "ignored"
    assert breaker.current_state().value == "HALF_OPEN"
    assert breaker.snapshot().probes_in_flight == 0


def open_breaker():
    other = CircuitBreaker("other")
    other.force_open()
    return other


@pytest.mark.parametrize(
    ("record", "outcome"),
    [
        ((), "ignored"),
        (Exception, "ignored"),
        ("OSError", "ignored"),
        (CircuitOpenError, "failed"),
        ("recloser.live.decision.CircuitOpenError", "failed"),
        (lambda error: isinstance(error, Exception), "ignored"),
    ],
)
def test_rejection_by_another_breaker_is_ignored_unless_it_is_named(log, record, outcome):
    breaker = CircuitBreaker("b", CircuitBreakerConfig(record=record), log=log)
    with pytest.raises(CircuitOpenError):
        breaker.call(open_breaker().call, work)
    assert list(log)[-1].kind == f"call_{outcome}"


def test_refusal_that_both_settings_name_is_ignored(log):
    settings = CircuitBreakerConfig(record=CircuitOpenError, ignore=CircuitOpenError)
    breaker = CircuitBreaker("b", settings, log=log)
    with pytest.raises(CircuitOpenError):
        breaker.call(open_breaker().call, work)
    assert list(log)[-1].kind == "call_ignored"


def test_error_that_a_refusal_caused_is_judged_by_its_own_type(log):
    breaker = CircuitBreaker("b", log=log)

    def outer():
        try:
            open_breaker().call(work)
        except CircuitOpenError as refused:
            raise OSError from refused

    with pytest.raises(OSError):
        breaker.call(outer)
    assert list(log)[-1].kind == "call_failed"
