"""Results that end later than the call are followed to their end, and all others left alone."""

import asyncio
import concurrent.futures
import contextlib
import functools
import gc
import inspect
import sys
import threading
import types
import warnings
from unittest.mock import MagicMock

import pytest
from breaker_calls import fail

from recloser import CircuitBreaker, CircuitBreakerConfig, CircuitOpenError, MemoryLog


@pytest.fixture
def log(clock):
    return MemoryLog(clock=clock, tick_seconds=None)


@pytest.fixture
def breaker(log):
    settings = CircuitBreakerConfig(
        failure_threshold=3, recovery_timeout_seconds=30, half_open_success_threshold=1
    )
    return CircuitBreaker("b", settings, log=log)


@pytest.fixture(params=["closed", "half open"])
def any_breaker(request, breaker, clock):
    """The same breaker on its fast path, and where each call has to ask."""
    if request.param == "half open":
        half_open(breaker, clock)
    return breaker


def half_open(breaker, clock):
    fail(breaker, 3)
    clock.advance(seconds=30)


def outcomes(log):
    """The outcomes but for those that have opened the breaker."""
    found = [event.kind[5:] for event in log if event.kind in OUTCOMES]
    return found[3:] if found[:3] == ["failed"] * 3 else found


OUTCOMES = ("call_succeeded", "call_failed", "call_ignored")


def plainly(function):
    """As many a decorator does: what hides what kind of function it is over."""

    @functools.wraps(function)
    def call(*args, **kwargs):
        return function(*args, **kwargs)

    return call


class Proxy:
    """Like a lazy proxy: to look at it is to make what it stands for."""

    __slots__ = ()

    def __getattribute__(self, name):
        pytest.fail(f"{name} was looked at")

    def __await__(self):
        pytest.fail("it was awaited")

    def __eq__(self, other):
        pytest.fail("it was compared")

    __hash__ = None


class Uncomparable(type):
    def __eq__(cls, other):
        raise RuntimeError

    __hash__ = None

    def __instancecheck__(cls, instance):
        raise RuntimeError

    def __subclasscheck__(cls, subclass):
        raise RuntimeError


class Strange(metaclass=Uncomparable):
    def __await__(self):
        yield


class Client:
    """An object that can be awaited and is much more, as ``redis.asyncio.Redis``."""

    def __await__(self):
        yield

    def get(self):
        return "value"


@pytest.mark.parametrize("make", [Client, Proxy, Strange, MagicMock, object])
def test_awaitable_that_is_no_coroutine_is_handed_back_as_it_is(any_breaker, log, make):
    made = make()
    deferred_results = [any_breaker.call(lambda: made) for _ in range(2)]
    assert [id(result) for result in deferred_results] == [id(made)] * 2
    assert outcomes(log) == ["succeeded"] * 2


@pytest.mark.parametrize("name", ["twisted", "werkzeug", "lazy_object_proxy", "wrapt", "redis"])
def test_awaitable_of_a_library_is_handed_back_as_it_is(any_breaker, log, name):
    module = pytest.importorskip(name)
    if name == "twisted":
        from twisted.internet.defer import succeed as make
    elif name == "werkzeug":
        from werkzeug.local import LocalProxy

        def make(_):
            return LocalProxy(lambda: pytest.fail("it was looked up"))
    elif name == "redis":
        import redis.asyncio

        def make(_):
            return redis.asyncio.Redis()
    else:
        proxy = module.Proxy if name == "lazy_object_proxy" else module.LazyObjectProxy

        def make(_):
            return proxy(lambda: pytest.fail("it was evaluated"))

    made = make(1)
    assert any_breaker.call(lambda: made) is made
    assert outcomes(log) == ["succeeded"]


def test_coroutine_of_a_plain_function_is_reported_when_awaited(any_breaker, log):
    async def work():
        await asyncio.sleep(0)
        return "done"

    coroutine = any_breaker(plainly(work))()
    assert inspect.iscoroutine(coroutine)
    assert coroutine.__qualname__ == work.__qualname__
    assert outcomes(log) == []
    assert asyncio.run(coroutine) == "done"
    assert outcomes(log) == ["succeeded"]


def test_coroutine_that_is_never_awaited_gives_its_probe_back(breaker, log, clock):
    async def work():
        pass

    half_open(breaker, clock)
    with warnings.catch_warnings(action="ignore"):
        breaker(plainly(work))()
        gc.collect()
    assert outcomes(log) == ["ignored"]
    assert breaker.snapshot().probes_in_flight == 0


@types.coroutine
def generator_coroutine():
    yield
    raise OSError


@pytest.mark.parametrize("wrap", [plainly, lambda function: function])
def test_generator_based_coroutine_can_still_be_awaited(any_breaker, log, wrap):
    protected = any_breaker(wrap(generator_coroutine))

    async def main():
        await protected()

    with pytest.raises(OSError):
        asyncio.run(main())
    assert outcomes(log) == ["failed"]


def test_coroutine_compiled_by_cython_is_reported_when_awaited(any_breaker, log):
    class coroutine:  # noqa: N801  # as Cython has it
        __module__ = "_cython_3_1_2"

        def __await__(self):
            yield
            raise OSError

    async def main():
        await any_breaker.call(coroutine)

    with pytest.raises(OSError):
        asyncio.run(main())
    assert outcomes(log) == ["failed"]


@pytest.mark.parametrize("subclass", [False, True])
@pytest.mark.parametrize("outcome", ["succeeded", "failed", "ignored"])
def test_future_of_asyncio_is_handed_back_and_reported_when_done(
    any_breaker, log, outcome, subclass
):
    class Future(asyncio.Future):
        pass

    async def main():
        future = Future() if subclass else asyncio.get_running_loop().create_future()
        assert any_breaker.call(lambda: future) is future
        assert outcomes(log) == []
        end(future, outcome)
        await asyncio.wait([future])
        assert outcomes(log) == [outcome]

    with warnings.catch_warnings(action="ignore"):
        asyncio.run(main())


def end(future, outcome):
    if outcome == "succeeded":
        future.set_result(1)
    elif outcome == "failed":
        future.set_exception(OSError())
    else:
        future.cancel()


@pytest.mark.parametrize("outcome", ["succeeded", "failed", "ignored"])
def test_future_of_an_executor_is_reported_when_done(any_breaker, log, outcome):
    future = concurrent.futures.Future()
    assert any_breaker.call(lambda: future) is future
    assert outcomes(log) == []
    end(future, outcome)
    assert outcomes(log) == [outcome]


def test_future_that_is_done_already_is_reported_at_once(any_breaker, log):
    future = concurrent.futures.Future()
    future.set_exception(OSError())
    any_breaker.call(lambda: future)
    assert outcomes(log) == ["failed"]


def test_failed_task_that_nobody_looks_at_is_still_warned_of(breaker):
    warned = []

    async def failing():
        raise OSError

    async def main():
        asyncio.get_running_loop().set_exception_handler(lambda _, context: warned.append(context))
        breaker.call(lambda: asyncio.ensure_future(failing()))
        await asyncio.sleep(0.01)
        gc.collect()

    asyncio.run(main())
    assert "never retrieved" in warned[0]["message"]


def test_future_whose_methods_raise_is_a_success(any_breaker, log):
    class Broken(concurrent.futures.Future):
        def done(self):
            raise RuntimeError

    made = Broken()
    assert any_breaker.call(lambda: made) is made
    assert outcomes(log) == ["succeeded"]


def numbers():
    got = yield 1
    try:
        yield got
    except KeyError:
        yield "caught"
    return "end"


def test_generator_of_a_plain_function_is_reported_when_it_ends(any_breaker, log):
    generator = any_breaker(plainly(numbers))()
    assert inspect.isgenerator(generator)
    assert generator.__name__ == "numbers"
    assert next(generator) == 1
    assert generator.send(7) == 7
    assert generator.throw(KeyError()) == "caught"
    assert outcomes(log) == []
    with pytest.raises(StopIteration) as stopped:
        next(generator)
    assert stopped.value.value == "end"
    assert outcomes(log) == ["succeeded"]


def test_generator_of_a_plain_function_that_fails_is_a_failure(any_breaker, log):
    def failing():
        yield 1
        raise OSError

    def delegating():
        yield from any_breaker(plainly(failing))()

    with pytest.raises(OSError):
        list(delegating())
    assert outcomes(log) == ["failed"]


@pytest.mark.parametrize("ends", ["close", "collection"])
def test_generator_that_is_never_begun_gives_its_probe_back(breaker, log, clock, ends):
    half_open(breaker, clock)
    generator = breaker(plainly(numbers))()
    if ends == "close":
        generator.close()
    del generator
    gc.collect()
    assert outcomes(log) == ["ignored"]
    assert breaker.snapshot().probes_in_flight == 0


async def asynchronous_numbers():
    yield 1
    yield 2


def test_async_generator_of_a_plain_function_is_reported_when_it_ends(any_breaker, log):
    generator = any_breaker(plainly(asynchronous_numbers))()
    assert inspect.isasyncgen(generator)

    async def main():
        assert await anext(generator) == 1
        assert outcomes(log) == []
        assert [number async for number in generator] == [2]

    asyncio.run(main())
    assert outcomes(log) == ["succeeded"]


def test_context_manager_is_reported_when_its_block_ends(any_breaker, log):
    @any_breaker
    @contextlib.contextmanager
    def session():
        """A session."""
        yield "it"

    assert session.__doc__ == "A session."
    manager = session()
    assert isinstance(manager, contextlib.AbstractContextManager)
    with manager as it:
        assert it == "it"
        assert outcomes(log) == []
    assert outcomes(log) == ["succeeded"]


def test_context_manager_reports_what_its_block_raises(any_breaker, log):
    @any_breaker
    @contextlib.contextmanager
    def session():
        yield

    with pytest.raises(OSError), session():
        raise OSError
    assert outcomes(log) == ["failed"]


def test_context_manager_that_fails_to_begin_is_a_failure(any_breaker, log):
    @any_breaker
    @contextlib.contextmanager
    def session():
        raise OSError
        yield

    with pytest.raises(OSError), session():
        pytest.fail("it was begun")
    assert outcomes(log) == ["failed"]


def test_context_manager_used_as_a_decorator_protects_each_call(breaker, log):
    @breaker
    @contextlib.contextmanager
    def session():
        yield

    @session()
    def work(fails):
        if fails:
            raise OSError
        return "done"

    assert work(fails=False) == "done"
    for _ in range(3):
        with pytest.raises(OSError):
            work(fails=True)
    with pytest.raises(CircuitOpenError):
        work(fails=False)
    assert outcomes(log) == ["succeeded"] + ["failed"] * 3


def test_asynchronous_context_manager_is_reported_when_its_block_ends(any_breaker, log):
    @any_breaker
    @contextlib.asynccontextmanager
    async def session():
        yield "it"

    async def main():
        async with session() as it:
            assert it == "it"
            assert outcomes(log) == []
        assert outcomes(log) == ["succeeded"]
        with pytest.raises(ZeroDivisionError):
            async with session():
                1 / 0

    asyncio.run(main())
    assert outcomes(log)[1:] == ["failed"]


def test_stop_iteration_in_the_block_of_a_context_manager_is_raised_unchanged(any_breaker):
    @any_breaker
    @contextlib.contextmanager
    def session():
        yield

    with pytest.raises(StopIteration), session():
        raise StopIteration


def test_types_of_results_are_not_kept_without_bound(breaker):
    from recloser.live import deferred_results

    for number in range(1000):
        breaker.call(type(f"Kind{number}", (), {}))
    assert len(deferred_results._plain) <= 256


# Streams that their consumer closes early.


def streams(breaker):
    """Ways to have a stream of numbers protected: as sync iterators of their own."""

    @breaker
    def decorated():
        yield from range(5)

    def block():
        with breaker:
            yield from range(5)

    @breaker
    async def asynchronous():
        for number in range(5):
            yield number

    async def asynchronous_block():
        async with breaker:
            for number in range(5):
                yield number

    return {
        "generator": decorated,
        "plain function": breaker(plainly(lambda: iter_of(range(5)))),
        "block": block,
        "async generator": asynchronous,
        "plain function, async": breaker(plainly(asynchronous.__wrapped__)),
        "async block": asynchronous_block,
    }


def iter_of(items):
    yield from items


STREAMS = [
    "generator",
    "plain function",
    "block",
    "async generator",
    "plain function, async",
    "async block",
]


def close_after(stream, items):
    """Take that many items and close the stream."""
    if inspect.isasyncgen(stream):

        async def take():
            for _ in range(items):
                await anext(stream)
            await stream.aclose()

        asyncio.run(take())
        return
    for _ in range(items):
        next(stream)
    stream.close()


@pytest.mark.parametrize("form", STREAMS)
def test_stream_closed_early_succeeds_and_closes_a_half_open_breaker(breaker, log, clock, form):
    half_open(breaker, clock)
    close_after(streams(breaker)[form](), 2)
    assert outcomes(log) == ["succeeded"]
    assert breaker.current_state().value == "CLOSED"


@pytest.mark.parametrize("setting", ["ignored", "failed"])
@pytest.mark.parametrize("form", STREAMS)
def test_closed_early_setting_decides_the_outcome_of_a_stream(log, form, setting):
    breaker = CircuitBreaker("b", CircuitBreakerConfig(closed_early=setting), log=log)
    close_after(streams(breaker)[form](), 1)
    assert outcomes(log) == [setting]


@pytest.mark.parametrize("form", STREAMS)
def test_stream_closed_before_any_item_reports_no_success(breaker, log, clock, form):
    half_open(breaker, clock)
    close_after(streams(breaker)[form](), 0)
    gc.collect()
    assert "succeeded" not in outcomes(log)
    assert breaker.snapshot().probes_in_flight == 0


def test_streams_dropped_by_a_loop_end_succeed(breaker, log):
    for number in streams(breaker)["generator"]():
        if number == 2:
            break
    gc.collect()
    assert outcomes(log) == ["succeeded"]


def test_stream_abandoned_while_it_waits_is_ignored(any_breaker, log):
    @any_breaker
    async def hanging():
        yield 1
        await forever()

    @types.coroutine
    def forever():
        yield

    async def consume():
        async for _ in hanging():
            pass

    consumer = consume()
    consumer.send(None)
    consumer.close()
    gc.collect()
    assert outcomes(log) == ["ignored"]


def test_coroutine_that_is_closed_is_no_stream(any_breaker, log):
    @types.coroutine
    def forever():
        yield

    async def block():
        async with any_breaker:
            await forever()

    @any_breaker
    async def work():
        await forever()

    for function in (block, work):
        coroutine = function()
        coroutine.send(None)
        coroutine.close()
    assert outcomes(log) == ["ignored"] * 2


@pytest.mark.parametrize("named", ["record", "ignore"])
def test_generator_exit_that_is_named_goes_before_the_setting(log, named):
    breaker = CircuitBreaker("b", CircuitBreakerConfig(**{named: GeneratorExit}), log=log)
    close_after(streams(breaker)["generator"](), 1)
    assert outcomes(log) == ["failed" if named == "record" else "ignored"]


def test_setting_for_early_closes_is_left_out_of_data_where_it_is_the_default():
    assert "closed_early" not in CircuitBreakerConfig().to_mapping()
    config = CircuitBreakerConfig(closed_early="ignored")
    assert CircuitBreakerConfig.from_mapping(config.to_mapping()) == config
    with pytest.raises(ValueError, match="closed_early must be"):
        CircuitBreakerConfig(closed_early="dropped")


def test_report_of_a_future_done_in_another_thread_is_counted(breaker, log):
    with concurrent.futures.ThreadPoolExecutor(2) as pool:
        futures = [breaker.call(lambda: pool.submit(threading.get_ident)) for _ in range(50)]
        concurrent.futures.wait(futures)
    assert outcomes(log) == ["succeeded"] * 50


def test_nothing_is_imported_to_look_at_a_result():
    from test_package import loaded_by

    loaded = loaded_by("from recloser import CircuitBreaker; CircuitBreaker('b').call(object)")
    if sys.version_info < (3, 14):
        assert "asyncio" not in loaded
    assert "concurrent.futures" not in loaded
