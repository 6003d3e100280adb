"""Mistakes of an HTTP caller are ignored; errors of server and network are failures."""

import array
import asyncio
import contextlib
import io
import socket
import ssl
import threading
from contextlib import contextmanager

import aiohttp
import httpx
import httpx2
import pytest
import requests
import urllib3
from servers import Upstream

from recloser import Breakers, CircuitBreaker, CircuitBreakerConfig
from recloser.integrations import aiohttp as for_aiohttp
from recloser.integrations import httpx as for_httpx
from recloser.integrations import httpx2 as for_httpx2
from recloser.integrations import requests as for_requests
from recloser.integrations.callers_faults import is_mistake

CALLS = 6


class ClientDisconnectError(Exception):
    pass


@pytest.fixture(scope="module")
def upstream():
    with Upstream().serving() as serving:
        yield serving


class BadServer:
    """A server that calls ``behaviour`` with each connection."""

    def __init__(self, behaviour):
        self._behaviour = behaviour
        self._listening = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._listening.getsockname()[1]}"
        self._held = []

    def _serve(self):
        while True:
            try:
                connection, _ = self._listening.accept()
            except OSError:
                return
            self._held.append(connection)
            with contextlib.suppress(OSError):
                connection.recv(65536)
                self._behaviour(connection)

    @contextmanager
    def serving(self):
        thread = threading.Thread(target=self._serve)
        thread.start()
        yield self.url
        self._listening.shutdown(socket.SHUT_RDWR)
        self._listening.close()
        thread.join()
        for connection in self._held:
            connection.close()


def hangs_up(connection):
    connection.shutdown(socket.SHUT_RDWR)


def resets(connection):
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
    connection.close()


def answers_nonsense(connection):
    connection.sendall(b"nonsense\r\n\r\n")
    connection.shutdown(socket.SHUT_RDWR)


def says_nothing(_connection):
    pass


SERVERS_FAULTS = [hangs_up, resets, answers_nonsense, says_nothing]


def parts():
    yield b"x" * 10
    raise ClientDisconnectError


def parts_of_a_lost_upstream():
    yield b"x" * 10
    raise ConnectionResetError


async def async_parts():
    yield b"x" * 10
    raise ClientDisconnectError


async def async_parts_of_a_lost_upstream():
    yield b"x" * 10
    raise ConnectionResetError


class BrokenFile(io.RawIOBase):
    def readable(self):
        return True

    def readinto(self, _buffer):
        raise OSError(5, "the disk is gone")


# What to ask of a client, by what is wrong with it.
HTTPX_FAULTS = {
    "newline in a header": {"headers": {"X-Request-Id": "a\nb"}},
    "header that does not end": {"headers": {"X-Request-Id": "a\0b"}},
    "upload breaks off": {"method": "POST", "content": parts},
    "upload loses its upstream": {"method": "POST", "content": parts_of_a_lost_upstream},
    "file that can't be read": {"method": "POST", "files": lambda: {"f": BrokenFile()}},
    "upload longer than said": {
        "method": "POST",
        "content": lambda: iter([b"x"] * 20),
        "headers": {"Content-Length": "7"},
    },
    "unknown scheme": {"scheme": "htp"},
}
HTTPX_ASYNC_FAULTS = HTTPX_FAULTS | {
    "upload breaks off": {"method": "POST", "content": async_parts},
    "upload loses its upstream": {"method": "POST", "content": async_parts_of_a_lost_upstream},
    "file that can't be read": {"method": "POST", "content": async_parts},
    "upload longer than said": {
        "method": "POST",
        "content": lambda: whole_async_parts(),  # noqa: PLW0108  # it is defined below
        "headers": {"Content-Length": "7"},
    },
}
REQUESTS_FAULTS = {
    "upload breaks off": {"method": "POST", "data": parts},
    "upload loses its upstream": {"method": "POST", "data": parts_of_a_lost_upstream},
    "file that can't be read": {"method": "POST", "data": BrokenFile},
    "bad timeout": {"timeout": "1"},
    "bad pair of timeouts": {"timeout": (1, 2, 3)},
    "host that is too long": {"host": "a" * 70 + ".example"},
    "certificates that are not there": {"scheme": "https", "verify": "/no/such/file"},
}
AIOHTTP_FAULTS = {
    "newline in a header": {"headers": {"X-Request-Id": "a\nb"}},
    "upload breaks off": {"method": "POST", "data": async_parts},
    "upload loses its upstream": {"method": "POST", "data": async_parts_of_a_lost_upstream},
    "file that can't be read": {"method": "POST", "data": BrokenFile},
}


def address(url, scheme="http", host=None):
    address = url.replace("http:", f"{scheme}:")
    return address if host is None else f"{scheme}://{host}/"


def asked(fault):
    """Return the method and arguments of a mistake, with a new upload source for each request."""
    arguments = {name: value() if callable(value) else value for name, value in fault.items()}
    target = {name: arguments.pop(name) for name in ("scheme", "host") if name in arguments}
    return arguments.pop("method", "GET"), target, arguments


def of_httpx(library, integration):
    def send(url, breakers, fault):
        transport = integration.BreakerTransport(breakers, library.HTTPTransport())
        with library.Client(transport=transport, timeout=0.2, trust_env=False) as client:
            for _ in range(CALLS):
                method, target, arguments = asked(fault)
                with contextlib.suppress(Exception):
                    client.request(method, address(url, **target), **arguments)

    return send


def of_httpx_async(library, integration):
    def send(url, breakers, fault):
        async def main():
            transport = integration.AsyncBreakerTransport(breakers, library.AsyncHTTPTransport())
            async with library.AsyncClient(
                transport=transport, timeout=0.2, trust_env=False
            ) as client:
                for _ in range(CALLS):
                    method, target, arguments = asked(fault)
                    with contextlib.suppress(Exception):
                        await client.request(method, address(url, **target), **arguments)

        asyncio.run(main())

    return send


def of_requests(url, breakers, fault):
    with requests.Session() as session:
        for scheme in ("http://", "https://"):
            session.mount(scheme, for_requests.BreakerAdapter(breakers))
        session.trust_env = False
        for _ in range(CALLS):
            method, target, arguments = asked(fault)
            with contextlib.suppress(Exception):
                session.request(method, address(url, **target), **{"timeout": 0.2, **arguments})


def of_aiohttp(url, breakers, fault):
    async def main():
        timeout = aiohttp.ClientTimeout(total=0.2)
        middleware = for_aiohttp.breaker_middleware(breakers)
        async with aiohttp.ClientSession(middlewares=[middleware], timeout=timeout) as session:
            for _ in range(CALLS):
                method, target, arguments = asked(fault)
                with contextlib.suppress(Exception):
                    async with session.request(method, address(url, **target), **arguments):
                        pass

    asyncio.run(main())


CLIENTS = {
    "httpx": (of_httpx(httpx, for_httpx), HTTPX_FAULTS),
    "httpx2": (of_httpx(httpx2, for_httpx2), HTTPX_FAULTS),
    "async httpx": (of_httpx_async(httpx, for_httpx), HTTPX_ASYNC_FAULTS),
    "async httpx2": (of_httpx_async(httpx2, for_httpx2), HTTPX_ASYNC_FAULTS),
    "requests": (of_requests, REQUESTS_FAULTS),
    "aiohttp": (of_aiohttp, AIOHTTP_FAULTS),
}
ROWS = [(client, fault) for client, (_, faults) in CLIENTS.items() for fault in faults]


@pytest.mark.parametrize(("client", "fault"), ROWS)
def test_callers_mistake_is_ignored(upstream, clock, client, fault):
    send, faults = CLIENTS[client]
    breaker = CircuitBreaker("b", clock=clock)
    send(upstream.url, breaker, faults[fault])
    totals = breaker.snapshot().totals
    assert (totals.ignored, totals.failed, totals.succeeded) == (CALLS, 0, 0)


@pytest.mark.parametrize("client", CLIENTS)
@pytest.mark.parametrize("behaviour", SERVERS_FAULTS)
@pytest.mark.parametrize("body", [None, "whole", "parts"])
def test_failure_of_the_server_is_a_failure(clock, client, behaviour, body):
    send, _ = CLIENTS[client]
    breaker = CircuitBreaker("b", CircuitBreakerConfig(failure_threshold=CALLS), clock=clock)
    argument = "content" if "httpx" in client else "data"
    fault = {}
    if body is not None:
        is_async = "async" in client or client == "aiohttp"
        in_parts = whole_async_parts if is_async else lambda: iter([b"x" * 10])
        fault = {"method": "POST", argument: b"x" * 10 if body == "whole" else in_parts}
    with BadServer(behaviour).serving() as url:
        send(url, breaker, fault)
    assert breaker.snapshot().totals.failed == CALLS


async def whole_async_parts():
    yield b"x" * 10


@pytest.mark.parametrize("client", CLIENTS)
def test_server_without_tls_is_a_failure(clock, client):
    send, _ = CLIENTS[client]
    breaker = CircuitBreaker("b", CircuitBreakerConfig(failure_threshold=CALLS), clock=clock)
    with BadServer(hangs_up).serving() as url:
        send(url, breaker, {"scheme": "https"})
    assert breaker.snapshot().totals.failed == CALLS


@pytest.mark.parametrize("client", CLIENTS)
@pytest.mark.parametrize("size", [10, 300_000])
def test_upload_in_parts_arrives_complete(upstream, clock, client, size):
    send, _ = CLIENTS[client]
    breaker = CircuitBreaker("b", clock=clock)

    async def in_async_parts():
        for _ in range(10):
            yield b"x" * (size // 10)

    is_async = "async" in client or client == "aiohttp"
    argument = "content" if "httpx" in client else "data"
    source = in_async_parts if is_async else lambda: iter([b"x" * (size // 10)] * 10)
    send(upstream.url, breaker, {"method": "POST", argument: source})
    assert breaker.snapshot().totals.succeeded == CALLS


@pytest.mark.parametrize(
    "body",
    [
        b"x" * 1000,
        "x" * 1000,
        bytearray(b"x" * 1000),
        memoryview(b"x" * 1000),
        array.array("B", b"x" * 1000),
        [("a", "x" * 1000)],
        lambda: io.BytesIO(b"x" * 1000),
        lambda: io.StringIO("x" * 1000),
        lambda: iter([b"x" * 500] * 2),
    ],
)
def test_requests_sends_every_kind_of_body_unchanged(clock, body):
    def behaviour(connection):
        connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")

    sent = []
    for mount in (None, for_requests.BreakerAdapter(CircuitBreaker("b", clock=clock))):
        with BadServer(behaviour).serving() as url, requests.Session() as session:
            session.trust_env = False
            if mount is not None:
                session.mount("http://", mount)
            answer = session.post(url, data=body() if callable(body) else body, timeout=5)
            sent.append((answer.status_code, answer.request.headers, type(answer.request.body)))
    assert sent[0] == sent[1]


@pytest.mark.parametrize(("library", "integration"), [(httpx, for_httpx), (httpx2, for_httpx2)])
def test_exhausted_connection_pool_is_ignored(upstream, clock, library, integration):
    breaker = CircuitBreaker("b", clock=clock)
    limits = library.Limits(max_connections=1)
    transport = integration.BreakerTransport(breaker, library.HTTPTransport(limits=limits))
    timeout = library.Timeout(1, pool=0.01)
    with library.Client(transport=transport, timeout=timeout, trust_env=False) as client:  # noqa: SIM117
        with client.stream("GET", upstream.url):
            for _ in range(CALLS):
                with pytest.raises(library.PoolTimeout):
                    client.get(upstream.url)
    totals = breaker.snapshot().totals
    assert (totals.ignored, totals.failed) == (CALLS, 0)


def test_exhausted_connection_pool_of_aiohttp_is_ignored(upstream, clock):
    breaker = CircuitBreaker("b", clock=clock)

    async def main():
        async with aiohttp.ClientSession(
            middlewares=[for_aiohttp.breaker_middleware(breaker)],
            connector=aiohttp.TCPConnector(limit=1),
            timeout=aiohttp.ClientTimeout(connect=0.01),
        ) as session:
            waiting = asyncio.create_task(session.get(upstream.url + "/slow"))
            await asyncio.sleep(0.05)
            for _ in range(CALLS):
                with pytest.raises(aiohttp.ConnectionTimeoutError):
                    await session.get(upstream.url)
            (await waiting).release()

    asyncio.run(main())
    totals = breaker.snapshot().totals
    assert (totals.ignored, totals.failed, totals.succeeded) == (CALLS, 0, 1)


def test_certificate_error_is_a_failure_though_it_is_a_value_error():
    error = ssl.SSLCertVerificationError("self-signed certificate")
    assert isinstance(error, ValueError)
    assert not is_mistake(error)
    assert not is_mistake(UnicodeDecodeError("utf-8", b"\xff", 0, 1, "what the server sent"))
    assert is_mistake(UnicodeEncodeError("ascii", "\xff", 0, 1, "what the caller gave"))


def test_invalid_header_of_an_answer_is_the_servers_failure(clock):
    adapter = for_requests.BreakerAdapter(CircuitBreaker("b", clock=clock))
    assert adapter._is_callers(requests.exceptions.InvalidHeader("X-Id"))
    of_answer = urllib3.exceptions.InvalidHeader("Invalid Retry-After header")
    assert not adapter._is_callers(requests.exceptions.InvalidHeader(of_answer))


def test_error_type_named_in_record_is_a_failure(upstream, clock):
    config = CircuitBreakerConfig(record=[httpx.LocalProtocolError], failure_threshold=CALLS)
    send, faults = CLIENTS["httpx"]
    breaker = CircuitBreaker("b", config, clock=clock)
    send(upstream.url, breaker, faults["newline in a header"])
    assert breaker.snapshot().totals.failed == CALLS
    general = CircuitBreaker("c", {"record": [httpx.TransportError]}, clock=clock)
    send(upstream.url, general, faults["newline in a header"])
    assert general.snapshot().totals.ignored == CALLS


def test_request_without_a_host_creates_no_breaker(clock):
    breakers = Breakers(clock=clock)
    with httpx.Client(transport=for_httpx.BreakerTransport(breakers)) as client:
        with pytest.raises(httpx.UnsupportedProtocol):
            client.get("http:///nowhere")
        with pytest.raises(httpx.HTTPError):
            client._transport.handle_request(httpx.Request("GET", "http:///nowhere"))
    assert len(breakers) == 0


def test_body_of_a_request_is_restored(upstream, clock):
    transport = for_httpx.BreakerTransport(CircuitBreaker("b", clock=clock))
    request = httpx.Request("POST", upstream.url, content=iter([b"x"]))
    body = request.stream
    with httpx.Client(transport=transport, trust_env=False) as client:
        client.send(request)
    assert request.stream is body


def test_total_timeout_of_aiohttp_while_it_connects_is_a_failure(clock):
    """A server whose connection queue is full accepts no more, without an answer."""
    breaker = CircuitBreaker("b", clock=clock)

    async def main(url):
        async with aiohttp.ClientSession(
            middlewares=[for_aiohttp.breaker_middleware(breaker)],
            timeout=aiohttp.ClientTimeout(total=0.05),
        ) as session:
            for _ in range(3):
                with pytest.raises(TimeoutError):
                    await session.get(url)

    with contextlib.ExitStack() as stack:
        full = stack.enter_context(socket.socket())
        full.bind(("127.0.0.1", 0))
        full.listen(0)
        for _ in range(8):
            waiting = stack.enter_context(socket.socket())
            waiting.setblocking(False)
            waiting.connect_ex(full.getsockname())
        asyncio.run(main(f"http://127.0.0.1:{full.getsockname()[1]}"))
    assert breaker.snapshot().totals.failed == 3


def test_request_of_aiohttp_that_its_caller_cancels_is_ignored(upstream, clock):
    breaker = CircuitBreaker("b", clock=clock)

    async def main():
        async with aiohttp.ClientSession(
            middlewares=[for_aiohttp.breaker_middleware(breaker)]
        ) as session:
            request = asyncio.create_task(session.get(upstream.url + "/slow"))
            await asyncio.sleep(0.05)
            request.cancel()
            with pytest.raises(asyncio.CancelledError):
                await request

    asyncio.run(main())
    assert breaker.snapshot().totals.ignored == 1
