"""Each HTTP client through a breaker, against a real server with an outage."""

import asyncio
from contextlib import contextmanager
from datetime import timedelta
from email.utils import format_datetime

import aiohttp
import httpx
import httpx2
import openai
import pytest
import requests
from servers import CONFIG, THROUGH_AN_OUTAGE, Upstream, go_through_an_outage, replayed, triggers_of

from recloser import Breakers, CircuitBreaker, CircuitOpenError, ConfigError, EventLog, MemoryLog
from recloser.integrations import aiohttp as for_aiohttp
from recloser.integrations import httpx as for_httpx
from recloser.integrations import httpx2 as for_httpx2
from recloser.integrations import requests as for_requests
from recloser.integrations.http import by_route

TIMEOUT = 0.08


@pytest.fixture(scope="module")
def server():
    with Upstream().serving() as upstream:
        yield upstream


@pytest.fixture
def upstream(server):
    server.restore()
    return server


@contextmanager
def httpx_sync(upstream, breakers, **options):
    transport = for_httpx.BreakerTransport(breakers, httpx.HTTPTransport(verify=False), **options)
    with httpx.Client(transport=transport, timeout=TIMEOUT, trust_env=False) as client:
        yield lambda path: client.get(upstream.url + path).status_code


@contextmanager
def httpx2_sync(upstream, breakers, **options):
    transport = for_httpx2.BreakerTransport(breakers, httpx2.HTTPTransport(verify=False), **options)
    with httpx2.Client(transport=transport, timeout=TIMEOUT, trust_env=False) as client:
        yield lambda path: client.get(upstream.url + path).status_code


@contextmanager
def httpx_async(upstream, breakers, **options):
    transport = for_httpx.AsyncBreakerTransport(
        breakers, httpx.AsyncHTTPTransport(verify=False), **options
    )
    client = httpx.AsyncClient(transport=transport, timeout=TIMEOUT, trust_env=False)
    with asyncio.Runner() as runner:
        yield lambda path: runner.run(client.get(upstream.url + path)).status_code
        runner.run(client.aclose())


@contextmanager
def httpx2_async(upstream, breakers, **options):
    transport = for_httpx2.AsyncBreakerTransport(
        breakers, httpx2.AsyncHTTPTransport(verify=False), **options
    )
    client = httpx2.AsyncClient(transport=transport, timeout=TIMEOUT, trust_env=False)
    with asyncio.Runner() as runner:
        yield lambda path: runner.run(client.get(upstream.url + path)).status_code
        runner.run(client.aclose())


@contextmanager
def requests_session(upstream, breakers, **options):
    with requests.Session() as session:
        session.mount("http://", for_requests.BreakerAdapter(breakers, **options))
        yield lambda path: session.get(upstream.url + path, timeout=TIMEOUT).status_code


@contextmanager
def aiohttp_session(upstream, breakers, **options):
    middleware = for_aiohttp.breaker_middleware(breakers, **options)

    async def opened():
        timeout = aiohttp.ClientTimeout(total=TIMEOUT)
        return aiohttp.ClientSession(middlewares=[middleware], timeout=timeout)

    async def get(path):
        async with session.get(upstream.url + path) as response:
            return response.status

    with asyncio.Runner() as runner:
        session = runner.run(opened())
        yield lambda path: runner.run(get(path))
        runner.run(session.close())


CLIENTS = [httpx_sync, httpx2_sync, httpx_async, httpx2_async, requests_session, aiohttp_session]
each_client = pytest.mark.parametrize("client", CLIENTS, ids=lambda client: client.__name__)


@each_client
def test_breaker_of_a_host_goes_through_an_outage(client, upstream, clock, tmp_path):
    with EventLog(tmp_path, clock=clock) as log:
        breakers = Breakers(CONFIG, log=log)
        with client(upstream, breakers, clock=clock) as get:
            go_through_an_outage(lambda: get("/quote?a=b") == 200, upstream, clock)
    history = replayed(tmp_path)
    assert triggers_of(history) == THROUGH_AN_OUTAGE
    assert list(history.snapshots) == [upstream.host]
    (trip,) = history.trips()
    errors = {event.error for event in history.events if event.seq in trip.cause.seqs}
    assert errors == {"HTTP 503"}


@each_client
def test_timeout_is_a_failure(client, upstream, clock):
    breakers = Breakers(CONFIG, log=MemoryLog(clock=clock))
    with client(upstream, breakers, clock=clock) as get:
        for _ in range(3):
            with pytest.raises(Exception, match=r"(?i)timed? ?out|^$"):
                get("/slow")
        with pytest.raises(CircuitOpenError):
            get("/quote")


@each_client
def test_unreachable_server_is_a_failure(client, clock):
    nobody = Upstream()
    nobody.url = "http://127.0.0.1:9"
    log = MemoryLog(clock=clock)
    with client(nobody, Breakers(CONFIG, log=log), clock=clock) as get:
        for _ in range(3):
            with pytest.raises(Exception, match="onnect"):
                get("/quote")
        with pytest.raises(CircuitOpenError, match=r"127\.0\.0\.1:9"):
            get("/quote")
    failed = [event.error for event in log if event.kind == "call_failed"]
    assert all("Connect" in error for error in failed)
    assert len(failed) == 3


@each_client
def test_longer_retry_after_extends_the_wait(client, upstream, clock, tmp_path):
    """The breaker's cooldown is 30 s, and its log shows the probes that were not sent."""
    with EventLog(tmp_path, clock=clock) as log:
        breakers = Breakers(CONFIG, log=log)
        with client(upstream, breakers, clock=clock) as get:
            upstream.healthy, upstream.retry_after = False, "90"
            assert [get("/") for _ in range(3)] == [503] * 3
            reached = upstream.requests
            for wait, step in [(90, 29), (61, 2), (59, 58), (1, 1)]:
                with pytest.raises(CircuitOpenError) as refused:
                    get("/")
                assert refused.value.decision.retry_after == wait
                clock.advance(seconds=step)
            assert upstream.requests == reached
            upstream.healthy = True
            assert [get("/") for _ in range(3)] == [200] * 3
    history = replayed(tmp_path)
    assert triggers_of(history) == ["trip", "cool", "recover"]
    held = [event.error for event in history.events if event.kind == "call_ignored"]
    assert held == ["Retry-After"] * 2


@pytest.mark.parametrize(
    ("header", "wait"),
    [("40", 40), ("031", 31), ("5", 30), ("", 30), ("soon", 30), ("-7", 30), ("1" * 30, 30)],
)
def test_shorter_retry_after_does_not_shorten_the_wait(upstream, clock, header, wait):
    assert refused_wait(upstream, clock, header) == wait


def test_retry_after_may_be_a_date(upstream, clock):
    at = format_datetime(clock.now() + timedelta(seconds=50), usegmt=True)
    assert refused_wait(upstream, clock, at) == 50


def test_retry_after_is_limited_to_one_hour(upstream, clock):
    assert refused_wait(upstream, clock, "999999999") == 3600


def refused_wait(upstream, clock, header):
    upstream.healthy, upstream.retry_after = False, header
    breaker = CircuitBreaker("one for all", CONFIG, log=MemoryLog(clock=clock))
    with httpx_sync(upstream, breaker, clock=clock) as get:
        for _ in range(3):
            get("/")
        with pytest.raises(CircuitOpenError) as refused:
            get("/")
    return refused.value.decision.retry_after


def test_reset_ends_the_wait_of_retry_after(upstream, clock):
    upstream.healthy, upstream.retry_after = False, "600"
    breaker = CircuitBreaker("b", CONFIG, log=MemoryLog(clock=clock))
    with httpx_sync(upstream, breaker, clock=clock) as get:
        for _ in range(3):
            get("/")
        upstream.healthy = True
        breaker.reset(actor="operator")
        assert get("/") == 200
        breaker.force_open()
        clock.advance(seconds=1)
        with pytest.raises(CircuitOpenError) as refused:
            get("/")
        assert refused.value.decision.retry_after is None


@each_client
def test_each_route_has_its_own_breaker(client, upstream, clock):
    breakers = Breakers(CONFIG, log=MemoryLog(clock=clock))
    name = by_route("/users/{id}", "/users/{id}/orders")
    with client(upstream, breakers, name=name, clock=clock) as get:
        for path in ("/users/7", "/users/8", "/users/7/orders", "/elsewhere"):
            get(path)
        upstream.healthy = False
        for n in range(3):
            get(f"/users/{n}")
        with pytest.raises(CircuitOpenError):
            get("/users/9")
        assert get("/users/9/orders") == 503
    assert set(breakers) == {
        f"{upstream.host}/users/{{id}}",
        f"{upstream.host}/users/{{id}}/orders",
        upstream.host,
    }


def test_is_failure_selects_the_statuses_that_are_failures(upstream, clock):
    breaker = CircuitBreaker("b", CONFIG, log=MemoryLog(clock=clock))
    with httpx_sync(upstream, breaker, is_failure=lambda status: status == 200) as get:
        for _ in range(3):
            assert get("/") == 200
        with pytest.raises(CircuitOpenError):
            get("/")


def test_cancelled_request_is_not_a_failure(upstream, clock):
    breaker = CircuitBreaker("b", CONFIG, log=MemoryLog(clock=clock))

    async def cancelled():
        async with httpx.AsyncClient(
            transport=for_httpx.AsyncBreakerTransport(breaker), timeout=5
        ) as client:
            request = asyncio.create_task(client.get(upstream.url + "/slow"))
            await asyncio.sleep(0.05)
            request.cancel()
            with pytest.raises(asyncio.CancelledError):
                await request

    asyncio.run(cancelled())
    assert breaker.snapshot().totals.ignored == 1


def test_openai_client_goes_through_an_outage(upstream, clock, tmp_path):
    with EventLog(tmp_path, clock=clock) as log:
        transport = for_httpx2.BreakerTransport(Breakers(CONFIG, log=log), clock=clock)
        with openai.OpenAI(
            base_url=upstream.url,
            api_key="none",
            max_retries=0,
            http_client=httpx2.Client(transport=transport),
        ) as client:

            def call():
                try:
                    return client.models.list().data == []
                except openai.InternalServerError:
                    return False
                except openai.APIConnectionError as error:
                    raise error.__cause__ from None

            go_through_an_outage(call, upstream, clock)
    assert triggers_of(replayed(tmp_path)) == THROUGH_AN_OUTAGE


@pytest.mark.parametrize("breakers", [None, "bank", httpx.HTTPTransport(), CircuitBreaker])
def test_transport_refuses_an_argument_that_is_not_a_breaker(breakers):
    with pytest.raises(ConfigError, match=r"^breakers must be a CircuitBreaker, or breakers by"):
        for_httpx.BreakerTransport(breakers)
    with pytest.raises(ConfigError, match=r"^clock must be"):
        for_httpx.BreakerTransport(CircuitBreaker("b"), clock=5)
