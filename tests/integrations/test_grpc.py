"""Each kind of gRPC call through a breaker, against a real server."""

import asyncio
import threading
from concurrent import futures
from contextlib import contextmanager

import grpc
import grpc.aio
import pytest
from attrs import evolve
from servers import CONFIG, THROUGH_AN_OUTAGE, go_through_an_outage, replayed, triggers_of

from recloser import Breakers, CircuitBreaker, CircuitOpenError, EventLog, MemoryLog
from recloser.integrations.grpc import (
    BreakerInterceptor,
    CircuitOpenRpcError,
    aio_interceptors,
    by_method,
)


class Quotes:
    """The service ``shop.Quotes``, which fails while ``healthy`` is false."""

    def __init__(self):
        self.restore()

    def restore(self):
        self.healthy, self.code, self.requests = True, grpc.StatusCode.UNAVAILABLE, 0

    def one(self, request, context):
        self.requests += 1
        if not self.healthy:
            context.abort(self.code, "out of order")
        return b"42"

    def many(self, request, context):
        yield self.one(request, context)
        yield b"43"

    def endless(self, request, context):
        while context.is_active():
            yield b"42"
            threading.Event().wait(0.01)

    def one_of_many(self, requests, context):
        list(requests)
        return self.one(b"", context)

    def many_of_many(self, requests, context):
        for request in requests:
            yield self.one(request, context)


@pytest.fixture(scope="module")
def server():
    quotes = Quotes()
    server = grpc.server(futures.ThreadPoolExecutor(4))
    methods = {
        "One": grpc.unary_unary_rpc_method_handler(quotes.one),
        "Many": grpc.unary_stream_rpc_method_handler(quotes.many),
        "Endless": grpc.unary_stream_rpc_method_handler(quotes.endless),
        "OneOfMany": grpc.stream_unary_rpc_method_handler(quotes.one_of_many),
        "ManyOfMany": grpc.stream_stream_rpc_method_handler(quotes.many_of_many),
    }
    handlers = grpc.method_handlers_generic_handler("shop.Quotes", methods)
    server.add_generic_rpc_handlers([handlers])
    quotes.target = f"127.0.0.1:{server.add_insecure_port('127.0.0.1:0')}"
    server.start()
    yield quotes
    server.stop(None).wait()


@pytest.fixture
def quotes(server):
    server.restore()
    return server


def call_one(channel):
    return channel.unary_unary("/shop.Quotes/One")(b"", timeout=5)


def call_many(channel):
    return list(channel.unary_stream("/shop.Quotes/Many")(b"", timeout=5))


def call_one_of_many(channel):
    return channel.stream_unary("/shop.Quotes/OneOfMany")(iter([b"", b""]), timeout=5)


def call_many_of_many(channel):
    return list(channel.stream_stream("/shop.Quotes/ManyOfMany")(iter([b""]), timeout=5))


KINDS = [call_one, call_many, call_one_of_many, call_many_of_many]


@contextmanager
def plain(quotes, breakers, **options):
    with grpc.insecure_channel(quotes.target) as channel:
        intercepted = grpc.intercept_channel(channel, BreakerInterceptor(breakers, **options))
        yield lambda kind: kind(intercepted)


async def async_call(channel, kind):
    if kind is call_one:
        return await channel.unary_unary("/shop.Quotes/One")(b"", timeout=5)
    if kind is call_many:
        return [item async for item in channel.unary_stream("/shop.Quotes/Many")(b"", timeout=5)]
    if kind is call_one_of_many:
        return await channel.stream_unary("/shop.Quotes/OneOfMany")(iter([b""]), timeout=5)
    calls = channel.stream_stream("/shop.Quotes/ManyOfMany")(iter([b""]), timeout=5)
    return [item async for item in calls]


@contextmanager
def in_a_loop(quotes, breakers, **options):
    async def opened():
        interceptors = aio_interceptors(breakers, **options)
        return grpc.aio.insecure_channel(quotes.target, interceptors=interceptors)

    async def call(kind):
        try:
            return await async_call(channel, kind)
        finally:
            await asyncio.sleep(0)  # a stream is reported by a task of its own

    with asyncio.Runner() as runner:
        channel = runner.run(opened())
        yield lambda kind: runner.run(call(kind))
        runner.run(channel.close())


CHANNELS = [plain, in_a_loop]
each_channel = pytest.mark.parametrize("channel", CHANNELS, ids=lambda channel: channel.__name__)


def reports(breaker):
    totals = breaker.snapshot().totals
    return totals.succeeded + totals.failed + totals.ignored


@each_channel
@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)
def test_breaker_of_a_grpc_service_goes_through_an_outage(channel, kind, quotes, clock, tmp_path):
    with EventLog(tmp_path, clock=clock) as log:
        breakers = Breakers(CONFIG, log=log)
        breaker = breakers["shop.Quotes"]
        with channel(quotes, breakers) as call:

            def once():
                before = reports(breaker)
                try:
                    call(kind)
                except CircuitOpenError:
                    raise
                except grpc.RpcError:
                    return settled(breaker, before, False)
                return settled(breaker, before, True)

            go_through_an_outage(once, quotes, clock)
    history = replayed(tmp_path)
    assert triggers_of(history) == THROUGH_AN_OUTAGE
    assert list(history.snapshots) == ["shop.Quotes"]
    assert {e.error for e in history.events if e.kind == "call_failed"} == {"grpc UNAVAILABLE"}


def settled(breaker, before, outcome):
    """Wait for the reported outcome; the end of a stream may be read before its callback runs."""
    for _ in range(2000):
        if reports(breaker) > before:
            return outcome
        threading.Event().wait(0.001)
    raise AssertionError("the call was never reported")


@each_channel
def test_rejected_call_raises_a_grpc_error(channel, quotes, clock):
    breaker = CircuitBreaker("quotes", CONFIG, log=MemoryLog(clock=clock))
    breaker.force_open()
    with channel(quotes, breaker) as call, pytest.raises(CircuitOpenRpcError) as refused:
        call(call_one)
    assert isinstance(refused.value, grpc.RpcError)
    assert refused.value.code() is grpc.StatusCode.UNAVAILABLE
    assert "forced_open" in refused.value.details()


@each_channel
def test_negative_answer_is_a_success(channel, quotes, clock):
    breaker = CircuitBreaker("quotes", CONFIG, log=MemoryLog(clock=clock))
    quotes.healthy, quotes.code = False, grpc.StatusCode.NOT_FOUND
    with channel(quotes, breaker) as call:
        for _ in range(5):
            with pytest.raises(grpc.RpcError):
                call(call_one)
    assert breaker.snapshot().totals.succeeded == 5


SETTINGS = [("succeeded", 1), ("ignored", 1), ("failed", 1), ("ignored", 0)]
"""The outcomes of a cancelled stream, by the number of answers before."""


def cancelling(clock, expected, answers):
    """Create a breaker whose settings give a cancelled stream the expected outcome."""
    settings = CONFIG if not answers else evolve(CONFIG, closed_early=expected)
    return CircuitBreaker("quotes", settings, log=MemoryLog(clock=clock))


@pytest.mark.parametrize(("expected", "answers"), SETTINGS)
def test_stream_cancelled_by_its_caller_counts_by_its_answers(quotes, clock, expected, answers):
    breaker = cancelling(clock, expected, answers)
    with plain(quotes, breaker) as call:

        def cancelled(channel):
            stream = channel.unary_stream("/shop.Quotes/Endless")(b"")
            assert isinstance(stream, grpc.Call)
            for _ in range(answers):
                assert next(stream) == b"42"
            stream.cancel()

        call(cancelled)
        settled(breaker, 0, None)
    assert getattr(breaker.snapshot().totals, expected) == 1


@pytest.mark.parametrize(("expected", "answers"), SETTINGS)
def test_stream_cancelled_in_a_loop_counts_by_its_answers(quotes, clock, expected, answers):
    breaker = cancelling(clock, expected, answers)

    async def cancelled():
        interceptors = aio_interceptors(breaker)
        async with grpc.aio.insecure_channel(quotes.target, interceptors=interceptors) as channel:
            stream = channel.unary_stream("/shop.Quotes/Endless")(b"")
            for _ in range(answers):
                assert await stream.read() == b"42"
            await stream.initial_metadata()
            stream.cancel()
            for _ in range(2000):
                if not reports(breaker):
                    await asyncio.sleep(0.001)

    asyncio.run(cancelled())
    assert getattr(breaker.snapshot().totals, expected) == 1


@each_channel
def test_failure_codes_and_breaker_names_are_configurable(channel, quotes, clock):
    breakers = Breakers(CONFIG, log=MemoryLog(clock=clock))
    quotes.healthy, quotes.code = False, grpc.StatusCode.NOT_FOUND
    failures = frozenset({grpc.StatusCode.NOT_FOUND})
    options = {"name": by_method, "failures": failures}
    with channel(quotes, breakers, **options) as call, pytest.raises(grpc.RpcError):
        call(call_one)
    assert breakers["shop.Quotes/One"].snapshot().totals.failed == 1


def test_outer_interceptor_receives_a_rejection(quotes, clock):
    """It receives the error instead of a call, and may use it like a call."""
    outer = CircuitBreaker("outer", CONFIG, log=MemoryLog(clock=clock))
    inner = CircuitBreaker("inner", CONFIG, log=MemoryLog(clock=clock))
    inner.force_open()
    with grpc.insecure_channel(quotes.target) as channel:
        intercepted = grpc.intercept_channel(
            channel, BreakerInterceptor(outer), BreakerInterceptor(inner)
        )
        with pytest.raises(CircuitOpenRpcError, match="inner"):
            call_one(intercepted)
    assert outer.snapshot().totals.failed == 1


def broken_off():
    yield b""
    raise KeyError("what the requests are made of is gone")


async def broken_off_in_a_loop():
    yield b""
    raise KeyError("what the requests are made of is gone")


def unserialisable(_request):
    raise ValueError("it can't be serialised")


CALLERS_FAULTS = {
    "stream of requests breaks off, one answer": lambda channel: channel.stream_unary(
        "/shop.Quotes/OneOfMany"
    )(broken_off(), timeout=5),
    "stream of requests breaks off, many answers": lambda channel: list(
        channel.stream_stream("/shop.Quotes/ManyOfMany")(broken_off(), timeout=5)
    ),
    "request that can't be serialised": lambda channel: channel.unary_unary(
        "/shop.Quotes/One", request_serializer=unserialisable
    )(b"", timeout=5),
    "request of a wrong type": lambda channel: channel.unary_unary("/shop.Quotes/One")(
        7, timeout=5
    ),
    "bad timeout": lambda channel: channel.unary_unary("/shop.Quotes/One")(b"", timeout="soon"),
}


@pytest.mark.parametrize("fault", CALLERS_FAULTS)
def test_callers_mistake_in_grpc_is_ignored(quotes, clock, fault):
    breaker = CircuitBreaker("b", CONFIG, clock=clock)
    with plain(quotes, breaker) as call:
        for _ in range(5):
            with pytest.raises((grpc.RpcError, TypeError, ValueError)):
                call(CALLERS_FAULTS[fault])
    totals = breaker.snapshot().totals
    assert (totals.ignored, totals.failed, totals.succeeded) == (5, 0, 0)


def test_call_on_a_closed_channel_is_ignored(quotes, clock):
    breaker = CircuitBreaker("b", CONFIG, clock=clock)
    channel = grpc.insecure_channel(quotes.target)
    intercepted = grpc.intercept_channel(channel, BreakerInterceptor(breaker))
    channel.close()
    for _ in range(5):
        with pytest.raises(ValueError, match="closed channel"):
            call_one(intercepted)
    assert breaker.snapshot().totals.ignored == 5


@pytest.mark.parametrize(
    "fault",
    [
        lambda channel: channel.stream_unary("/shop.Quotes/OneOfMany")(
            broken_off_in_a_loop(), timeout=5
        ),
        lambda channel: channel.unary_unary("/shop.Quotes/One")(7, timeout=5),
    ],
)
def test_callers_mistake_in_grpc_aio_is_ignored(quotes, clock, fault):
    breaker = CircuitBreaker("b", CONFIG, clock=clock)

    async def main():
        interceptors = aio_interceptors(breaker)
        async with grpc.aio.insecure_channel(quotes.target, interceptors=interceptors) as channel:
            for _ in range(5):
                with pytest.raises((Exception, asyncio.CancelledError)):
                    await asyncio.wait_for(fault(channel), timeout=5)
            await asyncio.sleep(0)

    asyncio.run(main())
    totals = breaker.snapshot().totals
    assert (totals.ignored, totals.failed, totals.succeeded) == (5, 0, 0)
