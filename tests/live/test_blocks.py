"""A block reports with its own permit, wherever and in whatever order blocks are left."""

import asyncio
import contextlib
import contextvars
import gc
import random
import threading
import weakref

import pytest
from breaker_calls import fail

from recloser import CircuitBreaker, CircuitBreakerConfig, CircuitOpenError, MemoryLog, PermitError
from recloser.live import blocks


@pytest.fixture
def log(clock):
    return MemoryLog(clock=clock, tick_seconds=None)


@pytest.fixture
def breaker(log):
    settings = CircuitBreakerConfig(
        failure_threshold=1000, recovery_timeout_seconds=10, half_open_success_threshold=1
    )
    return CircuitBreaker("b", settings, log=log)


@pytest.fixture(autouse=True)
def nothing_is_left():
    """Every block of a test is left, and then nothing of it is kept."""
    before = len(blocks._by_frame), len(blocks._by_owner)
    yield
    gc.collect()
    assert (len(blocks._by_frame), len(blocks._by_owner)) == before


def ends(log):
    """The outcome of each block, with how many seconds it took."""
    return [
        (event.kind[5:], event.took // 10**9) for event in log if event.kind.startswith("call_")
    ]


def page(breaker, *, fails=False):
    with breaker:
        yield
        if fails:
            raise OSError


def end(generator):
    with contextlib.suppress(StopIteration, OSError):
        next(generator)


def test_generators_left_in_the_order_they_were_entered_report_their_own(breaker, log, clock):
    first, second = page(breaker, fails=True), page(breaker)
    next(first)
    clock.advance(seconds=2)
    next(second)
    clock.advance(seconds=1)
    end(first)
    end(second)
    assert ends(log) == [("failed", 3), ("succeeded", 1)]


def test_stale_failure_of_a_block_leaves_a_later_probe_alone(breaker, log, clock):
    old = page(breaker, fails=True)
    next(old)
    breaker.force_closed()
    fail(breaker, 1000)
    clock.advance(seconds=10)
    probe = page(breaker)
    next(probe)
    end(old)
    assert breaker.current_state().value == "HALF_OPEN"
    end(probe)
    assert breaker.current_state().value == "CLOSED"


def test_nested_blocks_of_one_function_report_their_own(breaker, log, clock):
    with breaker:
        clock.advance(seconds=1)
        with breaker as second:
            clock.advance(seconds=1)
            with pytest.raises(OSError), breaker as third:
                raise OSError
        assert second is not third
    assert ends(log) == [("failed", 0), ("succeeded", 1), ("succeeded", 2)]


def test_blocks_of_two_breakers_in_one_function_report_to_their_own_breaker(breaker, log, clock):
    other = CircuitBreaker("other", log=log)
    with breaker as ours, other as theirs:
        assert (ours.breaker, theirs.breaker) == ("b", "other")
    entered = contextlib.ExitStack()
    with other:
        entered.enter_context(breaker)
    entered.close()
    breaker.__enter__()
    other.__enter__()
    breaker.__exit__(None, None, None)
    other.__exit__(None, None, None)
    assert [event.breaker for event in log if event.kind == "call_succeeded"] == [
        "other",
        "b",
        "other",
        "b",
        "b",
        "other",
    ]


def test_block_entered_and_left_in_different_contexts_is_reported(breaker, log):
    """As a generator that is the dependency of a FastAPI endpoint."""
    generator = page(breaker)
    contextvars.Context().run(next, generator)
    with pytest.raises(StopIteration):
        contextvars.Context().run(next, generator)
    assert ends(log) == [("succeeded", 0)]


def test_blocks_entered_and_left_in_different_threads_report_their_own(breaker, log, clock):
    generators = [page(breaker, fails=number % 2 == 1) for number in range(6)]
    for generator in generators:
        in_thread(next, generator)
        clock.advance(seconds=1)
    for generator in generators:
        in_thread(end, generator)
    assert ends(log) == [
        ("succeeded" if number % 2 == 0 else "failed", 6 - number) for number in range(6)
    ]


def in_thread(function, *args):
    thread = threading.Thread(target=function, args=args)
    thread.start()
    thread.join()


async def async_page(breaker, *, fails=False):
    async with breaker:
        yield
        if fails:
            raise OSError


def test_async_generators_begun_and_ended_in_other_tasks_report_their_own(breaker, log, clock):
    """As fixtures of pytest-asyncio."""

    async def step(generator):
        with contextlib.suppress(StopAsyncIteration, OSError):
            await anext(generator)

    async def main():
        generators = [async_page(breaker, fails=number == 0) for number in range(3)]
        for generator in generators:
            await asyncio.create_task(step(generator))
            clock.advance(seconds=1)
        for generator in generators:
            await asyncio.create_task(step(generator))

    asyncio.run(main())
    assert ends(log) == [("failed", 3), ("succeeded", 2), ("succeeded", 1)]


def test_sync_dependencies_of_fastapi_report_their_own(breaker, log):
    fastapi = pytest.importorskip("fastapi")
    testclient = pytest.importorskip("fastapi.testclient")
    app = fastapi.FastAPI()

    def bank():
        with breaker:
            yield "bank"

    @app.get("/")
    def pay(fails: bool, name: str = fastapi.Depends(bank)):
        if fails:
            raise OSError
        return name

    client = testclient.TestClient(app, raise_server_exceptions=False)
    assert client.get("/?fails=false").json() == "bank"
    assert client.get("/?fails=true").status_code == 500
    assert [outcome for outcome, _ in ends(log)] == ["succeeded", "failed"]


class Client:
    """Enters a breaker along with itself."""

    def __init__(self, breaker):
        self.breaker = breaker

    def __enter__(self):
        self.breaker.__enter__()
        return self

    def __exit__(self, *error):
        return self.breaker.__exit__(*error)

    async def __aenter__(self):
        await self.breaker.__aenter__()
        return self

    async def __aexit__(self, *error):
        return await self.breaker.__aexit__(*error)


@pytest.mark.parametrize("elsewhere", [False, True])
@pytest.mark.parametrize("make", ["client", "stack"])
def test_objects_that_enter_a_breaker_with_themselves_report_their_own(
    breaker, log, clock, make, elsewhere
):
    def begin():
        if make == "client":
            return Client(breaker).__enter__()
        stack = contextlib.ExitStack()
        stack.enter_context(breaker)
        return stack

    run = contextvars.Context().run if elsewhere else lambda function, *args: function(*args)
    first = run(begin)
    clock.advance(seconds=2)
    second = run(begin)
    clock.advance(seconds=1)
    run(first.__exit__, None, None, None)
    run(second.__exit__, None, None, None)
    assert ends(log) == [("succeeded", 3), ("succeeded", 1)]


def test_one_object_entered_by_many_threads_reports_each_of_its_blocks(breaker, log):
    client = Client(breaker)
    barrier = threading.Barrier(4)

    def use(number):
        for _ in range(50):
            barrier.wait()
            with contextlib.suppress(OSError), client:
                if number % 2:
                    raise OSError

    threads = [threading.Thread(target=use, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(ends(log)) == [("failed", 0)] * 100 + [("succeeded", 0)] * 100


def test_async_client_in_many_tasks_reports_each_of_its_blocks(breaker, log):
    async def use(number):
        async with Client(breaker), contextlib.AsyncExitStack() as stack:
            await stack.enter_async_context(breaker)
            await asyncio.sleep(0)
            if number % 2:
                raise OSError

    async def main():
        await asyncio.gather(*(use(number) for number in range(10)), return_exceptions=True)

    asyncio.run(main())
    assert sorted(ends(log)) == [("failed", 0)] * 10 + [("succeeded", 0)] * 10


def test_block_entered_and_left_by_separate_functions_is_found_by_context(breaker, log, clock):
    def set_up():
        breaker.__enter__()

    def tear_down(error=None):
        breaker.__exit__(type(error), error, None)

    contexts = [contextvars.Context() for _ in range(3)]
    for context in contexts:
        context.run(set_up)
        clock.advance(seconds=1)
    contexts[0].run(tear_down, OSError())
    contexts[1].run(tear_down)
    contexts[2].run(tear_down)
    assert ends(log) == [("failed", 3), ("succeeded", 2), ("succeeded", 1)]


def test_block_that_no_context_knows_is_the_oldest_one(breaker, log, clock):
    def set_up():
        breaker.__enter__()
        clock.advance(seconds=1)

    for _ in range(3):
        contextvars.Context().run(set_up)
    for _ in range(3):
        breaker.__exit__(None, None, None)
    assert [took for _, took in ends(log)] == [3, 2, 1]


def test_block_that_was_never_entered_can_not_be_left(breaker):
    with pytest.raises(PermitError, match="no block of 'b' is open"):
        breaker.__exit__(None, None, None)


def test_rejected_block_leaves_no_permit(breaker):
    breaker.force_open()
    for _ in range(10):
        with pytest.raises(CircuitOpenError), breaker:
            pytest.fail("it was entered")


def test_blocks_keep_no_frame_and_no_object_of_theirs_alive(breaker):
    class Local:
        pass

    def use():
        local = Local()
        with breaker:
            return weakref.ref(local)

    gc.disable()
    try:
        assert use()() is None
    finally:
        gc.enable()


def test_generator_dropped_in_its_block_reports_and_leaves_nothing(breaker, log):
    generator = page(breaker)
    next(generator)
    del generator
    gc.collect()
    assert ends(log) == [("succeeded", 0)]


def test_overlapping_blocks_do_not_make_their_context_grow(breaker):
    from recloser.live import nesting

    def overlap():
        def enter():
            return Client(breaker).__enter__()

        last = enter()
        for _ in range(100):
            following = enter()
            contextvars.Context().run(last.__exit__, None, None, None)
            last = following
        last.__exit__(None, None, None)
        return len(nesting._held.get())

    assert contextvars.Context().run(overlap) <= 2


def test_random_blocks_of_threads_and_generators_report_their_own(breaker, log):
    """Each block says by its error which one it was; none may be reported as another."""
    random_ = random.Random(7)
    open_pages, failing = [], 0
    for _ in range(500):
        if open_pages and random_.random() < 0.5:
            run = random_.choice([lambda f, *a: f(*a), in_thread, contextvars.Context().run])
            generator, fails, permit = open_pages.pop(random_.randrange(len(open_pages)))
            run(end, generator)
            assert permit.spent
            failing += fails
        else:
            fails = random_.random() < 0.3
            generator = permit_page(breaker, fails)
            open_pages.append((generator, fails, next(generator)))
    for generator, fails, _ in open_pages:
        end(generator)
        failing += fails
    assert breaker.snapshot().totals.failed == failing


def permit_page(breaker, fails):
    with breaker as permit:
        yield permit
        if fails:
            raise OSError


def test_block_without_any_frame_of_python_is_reported(breaker, log):
    import _thread

    done = threading.Event()

    class Done:
        def __del__(self):
            done.set()

    def leave(_done):
        breaker.__exit__(None, None, None)

    _thread.start_new_thread(breaker.__enter__, ())
    while not blocks._by_owner:
        pass
    _thread.start_new_thread(leave, (Done(),))
    assert done.wait(10)
    assert ends(log) == [("succeeded", 0)]


class Named:
    """Enters and leaves a breaker in methods of any name, without a ``with`` statement."""

    def __init__(self, breaker):
        self.breaker = breaker

    def connect(self):
        self.permit = self.breaker.__enter__()

    def disconnect(self):
        self.breaker.__exit__(None, None, None)

    async def start(self):
        self.permit = await self.breaker.__aenter__()

    async def stop(self):
        await self.breaker.__aexit__(None, None, None)


class Slotted:
    """One that can't be referred to weakly."""

    __slots__ = ("breaker", "permit")
    __init__, connect, disconnect = Named.__init__, Named.connect, Named.disconnect


def probing(breaker, clock):
    """Trip the breaker, so that the next block of it is a probe."""
    fail(breaker, 1000)
    clock.advance(seconds=10)


@pytest.mark.parametrize("kind", [Named, Slotted])
def test_stale_block_of_an_object_is_not_taken_for_the_probe_of_another(breaker, clock, kind):
    old, new = kind(breaker), kind(breaker)
    old.connect()
    probing(breaker, clock)
    new.connect()
    old.disconnect()
    assert (old.permit.spent, new.permit.spent) == (True, False)
    assert breaker.current_state().value == "HALF_OPEN"
    new.disconnect()
    assert breaker.current_state().value == "CLOSED"


def test_async_methods_of_any_name_report_the_block_of_their_object(breaker, clock):
    async def main():
        old, new = Named(breaker), Named(breaker)
        await old.start()
        await new.start()
        await old.stop()
        assert (old.permit.spent, new.permit.spent) == (True, False)
        await new.stop()

    asyncio.run(main())


def test_methods_that_pass_breakers_through_a_with_statement_report_their_own(breaker, log, clock):
    class Service:
        def outer(self):
            with breaker:
                clock.advance(seconds=1)
                self.inner()
                clock.advance(seconds=1)

        def inner(self):
            with breaker:
                clock.advance(seconds=1)

        async def wait(self):
            async with breaker:
                clock.advance(seconds=5)

    Service().outer()
    asyncio.run(Service().wait())
    assert ends(log) == [("succeeded", 1), ("succeeded", 3), ("succeeded", 5)]


def test_functions_given_one_request_report_its_block(breaker):
    class Request:
        pass

    def begin(request):
        return breaker.__enter__()

    def finish(request):
        breaker.__exit__(None, None, None)

    first, second = Request(), Request()
    first_permit, second_permit = begin(first), begin(second)
    finish(first)
    assert (first_permit.spent, second_permit.spent) == (True, False)
    finish(second)


def test_stack_made_by_pop_all_reports_the_block_of_the_first(breaker):
    stacks = contextlib.ExitStack(), contextlib.ExitStack()
    first, second = [stack.enter_context(breaker) for stack in stacks]
    popped = stacks[0].pop_all()
    popped.close()
    assert (first.spent, second.spent) == (True, False)
    stacks[1].close()
    assert second.spent


def test_of_unknown_blocks_the_stale_one_is_left_and_not_the_probe(breaker, clock):
    def set_up():
        return breaker.__enter__()

    def tear_down():
        breaker.__exit__(None, None, None)

    old = set_up()
    probing(breaker, clock)
    probe = set_up()
    tear_down()
    assert (old.spent, probe.spent) == (True, False)
    tear_down()
    assert breaker.current_state().value == "CLOSED"


def test_abandoned_blocks_of_objects_are_not_kept(breaker):
    from recloser.live import nesting

    def abandon():
        for _ in range(500):
            Named(breaker).connect()
            contextlib.ExitStack().enter_context(breaker)
        return len(nesting._held.get())

    assert contextvars.Context().run(abandon) <= 2 * blocks._MAX_ABANDONED
    assert len(blocks._abandoned) <= blocks._MAX_ABANDONED


def test_block_of_a_deleted_object_can_be_left_by_another_object(breaker):
    Named(breaker).connect()
    gc.collect()
    contextvars.Context().run(Named(breaker).disconnect)
    assert breaker.snapshot().totals.succeeded == 1
