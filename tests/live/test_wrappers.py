"""Every form of a call is protected, and its outcome is known when it ends."""

import asyncio
import contextlib
import functools
import gc
import inspect
from unittest.mock import AsyncMock, MagicMock

import pytest
from breaker_calls import fail

from recloser import CircuitBreaker, CircuitBreakerConfig, CircuitOpenError, ConfigError, MemoryLog


@pytest.fixture
def log(clock):
    return MemoryLog(clock=clock, tick_seconds=None)


@pytest.fixture
def breaker(log):
    return CircuitBreaker("b", CircuitBreakerConfig(failure_threshold=3), log=log)


def outcomes(log):
    return [event.kind[5:] for event in log if event.kind.startswith("call_")]


def test_a_function_is_decorated(breaker, log):
    @breaker
    def divide(a, b=1):
        """Divide."""
        return a / b

    assert divide(6, b=3) == 2
    assert divide.__doc__ == "Divide."
    with pytest.raises(ZeroDivisionError):
        divide(1, 0)
    assert outcomes(log) == ["succeeded", "failed"]


def test_decorated_coroutine_function_is_admitted_when_awaited(breaker, log, clock):
    @breaker
    async def work(fails=False):
        clock.advance(seconds=2)
        await asyncio.sleep(0)
        if fails:
            raise OSError
        return "done"

    assert inspect.iscoroutinefunction(work)
    coroutine = work()
    assert outcomes(log) == []
    assert asyncio.run(coroutine) == "done"
    with pytest.raises(OSError):
        asyncio.run(work(fails=True))
    assert outcomes(log) == ["succeeded", "failed"]
    assert list(log)[-1].took == 2 * 10**9


def test_call_takes_coroutine_functions_too(breaker, log):
    async def work():
        return "done"

    async def main():
        assert await breaker.call(work) == "done"
        fail(breaker, 3)
        with pytest.raises(CircuitOpenError):
            await breaker.call(work)

    asyncio.run(main())
    assert outcomes(log)[0] == "succeeded"


def hidden(function):
    def call():
        return function()

    return call


@pytest.mark.parametrize("wrap", [hidden, functools.partial])
def test_function_that_returns_an_awaitable_is_reported_when_it_was_awaited(breaker, log, wrap):
    """The sync form must not take the making of a coroutine for its success."""

    async def work():
        raise OSError

    async def main():
        with pytest.raises(OSError):
            await breaker.call(wrap(work))

    asyncio.run(main())
    assert outcomes(log) == ["failed"]


def test_a_callable_object_with_an_async_call_is_protected(breaker, log):
    class Client:
        async def __call__(self):
            raise OSError

    async def main():
        with pytest.raises(OSError):
            await breaker.call(Client())

    asyncio.run(main())
    assert outcomes(log) == ["failed"]


def test_a_cancelled_call_is_ignored_and_gives_its_place_back(breaker, log, clock):
    fail(breaker, 3)
    clock.advance(seconds=30)

    @breaker
    async def forever():
        await asyncio.Event().wait()

    async def main():
        task = asyncio.create_task(forever())
        await asyncio.sleep(0)
        assert breaker.snapshot().probes_in_flight == 1
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(main())
    assert outcomes(log)[-1] == "ignored"
    assert breaker.snapshot().probes_in_flight == 0
    assert breaker.current_state().value == "HALF_OPEN"


def test_a_generator_is_reported_when_it_ends(breaker, log):
    @breaker
    def numbers(fails=False):
        got = yield 1
        yield got
        if fails:
            raise OSError
        return "end"

    assert inspect.isgeneratorfunction(numbers)
    generator = numbers()
    assert outcomes(log) == []
    assert next(generator) == 1
    assert generator.send(7) == 7
    assert outcomes(log) == []
    with pytest.raises(StopIteration) as stopped:
        next(generator)
    assert stopped.value.value == "end"
    with pytest.raises(OSError):
        list(numbers(fails=True))
    generator = numbers()
    next(generator)
    generator.close()
    assert outcomes(log) == ["succeeded", "failed", "succeeded"]


def test_a_generator_that_garbage_collection_ends_in_mid_record_is_reported_after_it(clock):
    """The collection strikes under the lock, which the report would wait for, for ever."""

    class CollectingLog(MemoryLog):
        def write(self, events, seal):
            super().write(events, seal)
            if events[0].kind == "call_succeeded":
                gc.collect()

    log = CollectingLog(clock=clock)
    breaker = CircuitBreaker("b", log=log)

    @breaker
    def numbers():
        yield 1

    gc.disable()
    try:
        cycle = [numbers()]
        next(cycle[0])
        cycle.append(cycle)
        del cycle
        breaker.call(int)
    finally:
        gc.enable()
    log.flush()  # in the midst of which the collection strikes
    assert outcomes(log) == ["succeeded", "succeeded"]


def test_an_async_generator_is_reported_when_it_ends(breaker, log):
    closed = []

    @breaker
    async def numbers(fails=False):
        try:
            got = yield 1
            try:
                yield got
            except KeyError:
                yield "caught"
            if fails:
                raise OSError
        finally:
            closed.append(True)

    assert inspect.isasyncgenfunction(numbers)

    async def main():
        generator = numbers()
        assert await anext(generator) == 1
        assert await generator.asend(7) == 7
        assert await generator.athrow(KeyError()) == "caught"
        assert outcomes(log) == []
        with pytest.raises(StopAsyncIteration):
            await anext(generator)
        with pytest.raises(OSError):
            [item async for item in numbers(fails=True)]
        generator = numbers()
        await anext(generator)
        await generator.aclose()

    asyncio.run(main())
    assert outcomes(log) == ["succeeded", "failed", "succeeded"]
    assert closed == [True] * 3


def test_a_block_is_protected(breaker, log):
    with breaker as permit:
        assert permit.breaker == "b"
    with pytest.raises(OSError), breaker:
        raise OSError
    assert outcomes(log) == ["succeeded", "failed"]


def test_blocks_nest(breaker, log, clock):
    with breaker:
        clock.advance(seconds=1)
        with pytest.raises(OSError), breaker:
            raise OSError
        clock.advance(seconds=1)
    assert [event.took for event in log if event.kind.startswith("call_")] == [0, 2 * 10**9]


def test_an_async_block_is_protected_in_each_task(breaker, log):
    async def work(n):
        async with breaker:
            await asyncio.sleep(0)
            if n % 2:
                raise OSError

    async def main():
        return await asyncio.gather(*(work(n) for n in range(4)), return_exceptions=True)

    assert [type(result) for result in asyncio.run(main())] == [type(None), OSError] * 2
    assert sorted(outcomes(log)) == ["failed", "failed", "succeeded", "succeeded"]


@pytest.mark.parametrize(
    "form", ["call", "function", "coroutine", "generator", "agen", "with", "async with"]
)
def test_open_breaker_rejects_every_kind_of_callable_before_it_runs(breaker, form):
    fail(breaker, 3)

    def function():
        pytest.fail("it was called")

    async def coroutine():
        pytest.fail("it was called")

    def generator():
        pytest.fail("it was called")
        yield

    async def agen():
        pytest.fail("it was called")
        yield

    async def consume():
        async for _ in breaker(agen)():
            pass

    async def enter():
        async with breaker:
            pytest.fail("it was entered")

    def block():
        with breaker:
            pytest.fail("it was entered")

    run = {
        "call": lambda: breaker.call(function),
        "function": breaker(function),
        "coroutine": lambda: asyncio.run(breaker(coroutine)()),
        "generator": lambda: list(breaker(generator)()),
        "agen": lambda: asyncio.run(consume()),
        "with": block,
        "async with": lambda: asyncio.run(enter()),
    }[form]
    with pytest.raises(CircuitOpenError, match="cooldown_active"):
        run()


@pytest.mark.parametrize("kind", [staticmethod, classmethod])
@pytest.mark.parametrize("order", ["over", "under"])
def test_static_and_class_methods_are_protected_in_either_order(breaker, log, kind, order):
    def add(*args):
        if args[-1] < 0:
            raise OSError
        return args[-1] + 1

    class Client:
        add_one = kind(breaker(add)) if order == "under" else breaker(kind(add))

    assert Client.add_one(1) == Client().add_one(1) == 2
    with pytest.raises(OSError):
        Client().add_one(-1)
    assert outcomes(log) == ["succeeded", "succeeded", "failed"]


def test_static_generators_are_reported_when_they_end(breaker, log):
    class Client:
        @breaker
        @staticmethod
        def rows():
            yield 1
            raise OSError

        @breaker
        @staticmethod
        async def pages():
            yield 1
            raise OSError

    async def pages():
        return [page async for page in Client.pages()]

    with pytest.raises(OSError):
        list(Client().rows())
    with pytest.raises(OSError):
        asyncio.run(pages())
    assert outcomes(log) == ["failed"] * 2


def test_partial_methods_and_cached_functions_are_protected(breaker, log):
    class Client:
        def add(self, one, other):
            return one + other

        add_one = breaker(functools.partialmethod(add, 1))

        @breaker
        @functools.lru_cache  # noqa: B019
        def cached(self):
            return 3

    client = Client()
    assert (client.add_one(1), client.cached(), client.cached()) == (2, 3, 3)
    assert outcomes(log) == ["succeeded"] * 3


@pytest.mark.parametrize(
    "given",
    [
        None,
        3,
        "x",
        [],
        property(lambda _self: 1),
        functools.cached_property(lambda _self: 1),
        functools.singledispatchmethod(lambda _self, _value: 1),
    ],
    ids=lambda given: type(given).__name__,
)
def test_object_that_can_not_be_called_is_refused_at_once(breaker, log, given):
    for use in (breaker, breaker.call):
        with pytest.raises(TypeError, match=f"{type(given).__name__}"):
            use(given)
        with pytest.raises(ConfigError):
            use(given)
    assert outcomes(log) == []


@pytest.mark.parametrize("name", ["function", "self", "breaker", "permit", "args", "kwargs"])
def test_keywords_of_a_function_may_have_any_name(breaker, name):
    async def work(**kwargs):
        return kwargs

    given = {name: 1}
    assert breaker.call(dict, **given) == breaker(dict)(**given) == given
    assert asyncio.run(breaker.call(work, **given)) == given


def test_mocks_are_called_as_any_function(breaker, log):
    for _ in range(2):
        assert breaker.call(MagicMock(return_value=7)) == 7
    assert breaker(MagicMock(return_value=7))() == 7
    assert asyncio.run(breaker.call(AsyncMock(return_value=7))) == 7
    assert outcomes(log) == ["succeeded"] * 4


def test_wrong_arguments_give_the_probe_back(breaker, log, clock):
    async def work():
        pass

    def numbers():
        yield 1

    async def main():
        with pytest.raises(TypeError):
            await breaker(work)(1)

    for run in (lambda: asyncio.run(main()), lambda: list(breaker(numbers)(1))):
        fail(breaker, 3)
        clock.advance(seconds=30)
        with contextlib.suppress(TypeError):
            run()
        assert breaker.snapshot().probes_in_flight == 0
        breaker.reset()
