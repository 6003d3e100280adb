"""Fixtures for tests of shared breakers: real servers, and logs on them."""

import itertools

import pytest
from redis_servers import RedisServer, servers_here

from recloser.sharing.redis_log import RedisLog

SERVERS = servers_here()
_numbers = itertools.count()


@pytest.fixture(scope="session", params=list(SERVERS) or ["none"])
def redis_server(request):
    if not SERVERS:
        pytest.skip("there is no Redis server on this machine")
    with RedisServer(SERVERS[request.param]) as running:
        yield running


@pytest.fixture
def own_redis(request):
    """A server that a test may kill."""
    if not SERVERS:
        pytest.skip("there is no Redis server on this machine")
    with RedisServer() as running:
        yield running


@pytest.fixture
def stream():
    return f"s{next(_numbers)}"


@pytest.fixture
def make_log(request):
    """Return a function that joins a stream as another member; its logs are closed at the end."""
    logs = []

    def join(server, stream, **options):
        logs.append(RedisLog(server.url, stream=stream, **options))
        return logs[-1]

    yield join
    for log in logs:
        log.close()
