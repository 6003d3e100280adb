"""Connections to a server: accepted URLs and names, and no secrets in messages."""

import logging
import shutil
import subprocess
import traceback

import pytest
from breaker_calls import fail
from redis_servers import RedisServer, free_port, servers_here, wait_for
from shared_support import has_tripped, state

from recloser import CircuitBreaker, CircuitBreakerConfig, ConfigError
from recloser.sharing.connection import StreamAwayError, StreamConnection, stream_key
from recloser.sharing.redis_log import RedisLog

SECRET = "hunter2"  # must appear in no message
CONFIG = CircuitBreakerConfig(
    failure_threshold=3, recovery_timeout_seconds=0.2, half_open_success_threshold=1
)


def test_stream_key_has_braces_for_one_slot_of_a_cluster():
    assert stream_key("shop") == "recloser:{shop}"


@pytest.mark.parametrize("name", ["", "a b", "a{b", "a}b", "x" * 201, None])
def test_invalid_stream_name_is_refused(name):
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
def test_repr_shows_the_url_without_user_password_and_options(url, place):
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
def test_unreadable_url_is_refused_without_being_quoted(url):
    with pytest.raises(ConfigError, match="URL") as refused:
        StreamConnection(url, "s", 1)
    assert SECRET not in "".join(traceback.format_exception(refused.value))


def test_unreachable_server_is_reported_without_secrets(caplog):
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


def test_reconnecting_keeps_the_same_client():
    """An old client would be closed by the garbage collector, in a thread that may hold a lock."""
    server = StreamConnection("redis://127.0.0.1:1/0", "s", 1)
    client = server._client
    for _ in range(3):
        with pytest.raises(StreamAwayError):
            server.now_us()
        server.reconnect()
    assert server._client is client


def test_log_follows_the_stream_to_another_node_of_a_redis_cluster(stream, make_log):
    binary = next(iter(servers_here().values()), None)
    if binary is None:
        pytest.skip("there is no Redis server on this machine")
    options = ["--cluster-enabled", "yes"]
    with RedisServer(binary, options) as first, RedisServer(binary, options) as second:
        with first.client() as one, second.client() as other:
            one.execute_command("CLUSTER", "ADDSLOTS", *range(8192))
            other.execute_command("CLUSTER", "ADDSLOTS", *range(8192, 16384))
            one.execute_command("CLUSTER", "MEET", "127.0.0.1", second.port)
            for node in (one, other):
                wait_for(
                    lambda node=node: b"cluster_state:ok" in node.execute_command("CLUSTER", "INFO")
                )
        breakers = [
            CircuitBreaker("b", CONFIG, log=make_log(node, stream)) for node in (first, second)
        ]
        wait_for(lambda: not any(breaker.snapshot().degraded for breaker in breakers))
        fail(breakers[0], 3)
        wait_for(lambda: has_tripped(breakers[1]))
        for breaker in breakers:
            breaker._sequencer._log.close()


def test_log_connects_with_tls(stream, make_log, tmp_path):
    binary, openssl = servers_here().get("redis-server"), shutil.which("openssl")
    if binary is None or openssl is None:
        pytest.skip("there is no Redis server here that speaks TLS")
    key, certificate = tmp_path / "key.pem", tmp_path / "certificate.pem"
    subprocess.run(
        [openssl, "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "1",
         "-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost",
         "-keyout", key, "-out", certificate],
        check=True, capture_output=True,
    )  # fmt: skip
    port = free_port() + 1
    options = ["--tls-port", str(port), "--tls-auth-clients", "no", "--tls-ca-cert-file"]
    options += [str(certificate), "--tls-cert-file", str(certificate), "--tls-key-file", str(key)]

    class Secure:
        url = f"rediss://localhost:{port}/0?ssl_ca_certs={certificate}"

    with RedisServer(binary, options):
        breaker = CircuitBreaker("b", CONFIG, log=make_log(Secure, stream))
        assert not breaker.snapshot().degraded
        breaker.force_open()
        assert state(breaker) == "OPEN"
        breaker._sequencer._log.close()


def test_documented_rights_of_the_redis_user_are_enough(redis_server, stream, make_log):
    with redis_server.client() as client:
        client.execute_command(
            "ACL", "SETUSER", "shared", "on", ">pa:ss@/word", "resetkeys", "resetchannels",
            f"~recloser:{{{stream}}}", f"&recloser:{{{stream}}}:bell", "-@all",
            *["+xadd", "+xread", "+xrange", "+xrevrange", "+xtrim", "+publish", "+subscribe", "+time", "+client"],
        )  # fmt: skip

    class Named:
        url = redis_server.url.replace("//", "//shared:pa%3Ass%40%2Fword@")

    breakers = [CircuitBreaker("b", CONFIG, log=make_log(Named, stream)) for _ in range(2)]
    assert not breakers[0].snapshot().degraded
    fail(breakers[0], 3)
    wait_for(lambda: has_tripped(breakers[1]))
