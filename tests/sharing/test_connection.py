"""How a server is named, and that nothing secret of it is ever told."""

import logging
import traceback

import pytest

from recloser import CircuitBreaker, ConfigError
from recloser.sharing.connection import StreamAwayError, StreamConnection, stream_key
from recloser.sharing.redis_log import RedisLog

SECRET = "hunter2"  # it is looked for where it must not be


def test_the_key_keeps_a_stream_in_one_slot_of_a_cluster():
    assert stream_key("shop") == "recloser:{shop}"


@pytest.mark.parametrize("name", ["", "a b", "a{b", "a}b", "x" * 201, None])
def test_a_name_that_would_not_is_refused(name):
    with pytest.raises(ConfigError, match="stream must be a name"):
        stream_key(name)


@pytest.mark.parametrize(
    ("url", "place"),
    [
        ("redis://localhost", "redis://localhost"),
        ("redis://user:hunter2@host:6380/3", "redis://host:6380/3"),
        ("rediss://:hunter2@host/0?ssl_cert_reqs=none", "rediss://host/0"),
        ("valkey://user:hunter2@[::1]:6379", "valkey://[::1]:6379"),
        ("unix://user:hunter2@/run/redis.sock?db=1", "unix:///run/redis.sock"),
    ],
)
def test_a_server_is_told_by_its_place_alone(url, place):
    server = StreamConnection(url, "s", 1)
    assert server.address == place
    assert repr(server) == f"<StreamConnection {place}, recloser:{{s}}>"
    assert repr(RedisLog(url, stream="s")) == f"<RedisLog {place}, recloser:{{s}}>"


@pytest.mark.parametrize(
    "url",
    [
        "http://host",
        "host:6379",
        "",
        None,
        "redis://:hunter2/x@host:6379",
        "redis://:hunter2?x@host",
        "redis://:hunter2#x@host",
        "redis://host:hunter2",
        "redis://host/0?socket_timeout=hunter2",
    ],
)
def test_a_url_that_can_not_be_read_is_refused_without_being_quoted(url):
    with pytest.raises(ConfigError, match="URL") as refused:
        StreamConnection(url, "s", 1)
    assert SECRET not in "".join(traceback.format_exception(refused.value))


def test_who_can_not_be_reached_is_told_without_what_is_secret(caplog):
    url = f"redis://user:{SECRET}@127.0.0.1:1/0"
    with pytest.raises(StreamAwayError) as refused:
        StreamConnection(url, "s", 1).now_us()
    assert SECRET not in "".join(traceback.format_exception(refused.value))
    with caplog.at_level(logging.DEBUG), RedisLog(url, timeout_seconds=0.2) as log:
        breaker = CircuitBreaker("b", log=log)
        assert breaker.before_call().allowed
        assert log.health().failure is not None
        assert SECRET not in repr(vars(log).get("_connection")) + log.health().failure
    assert caplog.records
    assert SECRET not in caplog.text


def test_another_attempt_leaves_no_client_behind():
    """The garbage collector would find it, in a thread that holds a lock, with all others waiting."""
    server = StreamConnection("redis://127.0.0.1:1/0", "s", 1)
    client = server._client
    for _ in range(3):
        with pytest.raises(StreamAwayError):
            server.now_us()
        server.reconnect()
    assert server._client is client
