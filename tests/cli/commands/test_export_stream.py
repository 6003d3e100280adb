"""``recloser export redis://… LOG``: what is written and what is printed."""

import json

import pytest
from breaker_calls import fail
from redis_servers import RedisServer, servers_here

from recloser import CircuitBreaker
from recloser.cli import status_of
from recloser.cli.commands.export_stream import is_stream
from recloser.sharing.redis_log import RedisLog


@pytest.fixture(scope="module")
def server():
    if not servers_here():
        pytest.skip("there is no Redis server on this machine")
    with RedisServer() as running, RedisLog(running.url, stream="shop") as log:
        fail(CircuitBreaker("till", log=log), 5)
        log.flush()
        yield running


def test_exported_stream_is_a_log_that_commands_read(server, tmp_path, capsys):
    log = str(tmp_path / "log")
    assert status_of(["export", f"{server.url}?stream=shop", log]) == 0
    shown = capsys.readouterr().out
    assert shown.endswith(f" written to {log}: 1 edge of 1 breaker\n")
    assert status_of(["replay", log]) == 0
    assert status_of(["verify", log]) == 0
    assert status_of(["why", log]) == 0
    assert "5 consecutive failures reached the threshold of 5" in capsys.readouterr().out


def test_stream_export_as_json(server, tmp_path, capsys):
    log = str(tmp_path / "log")
    assert status_of(["export", "--json", f"{server.url}?stream=shop", log]) == 0
    shown = json.loads(capsys.readouterr().out)
    assert shown.pop("events") == shown.pop("last_seq") > 7
    assert shown == {
        "schema": "recloser.export/1",
        "written": log,
        "edges": 1,
        "breakers": 1,
        "whole": True,
    }


@pytest.mark.parametrize(
    ("url", "says"),
    [
        ("redis://:hunter2@127.0.0.1:1/0", "redis://127.0.0.1:1/0 cannot be reached"),
        ("redis://:hunter2/@127.0.0.1:1/0", "cannot read the URL"),
        ("redis://:hunter2@127.0.0.1:1/0?stream=", "stream must be a name"),
    ],
)
def test_unusable_url_is_reported_in_one_line_without_its_password(tmp_path, capsys, url, says):
    assert status_of(["export", url, str(tmp_path / "log")]) == 2
    shown = capsys.readouterr().err
    assert says in shown
    assert shown.count("\n") == 1
    assert "hunter2" not in shown


def test_urls_of_servers_are_streams_and_paths_are_logs():
    urls = ["redis://h", "rediss://h", "valkey://h", "valkeys://h", "unix:///run/redis.sock"]
    assert all(map(is_stream, urls))
    assert not any(map(is_stream, ["logs/payments", "redis", "-", "http://h"]))
