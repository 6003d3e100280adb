"""Golden files have one edge per line and equal bytes for equal histories; damage is an error."""

import json

import pytest
from breaker_calls import fail, succeed

from recloser import (
    CircuitBreaker,
    CircuitBreakerConfig,
    CountWindow,
    EventLog,
    FutureVersionError,
    MemoryLog,
)
from recloser.errors import GoldenError
from recloser.golden.golden_file import golden_bytes, read_golden, write_golden
from recloser.history.engine import replay
from recloser.history.summary import summarize
from recloser.log import disk
from recloser.log.codec import encode


@pytest.fixture
def history(clock):
    """The history of two breakers with hostile names, which are not in code-point order."""
    log = MemoryLog(clock=clock, tick_seconds=None)
    config = CircuitBreakerConfig(
        failure_threshold=3, window=CountWindow(10, failure_rate=0.1, minimum_calls=9)
    )
    for name in ('zürich "2"\n', "a\x1f\u202e"):
        breaker = CircuitBreaker(name, config, log=log)
        fail(breaker, 3)
        breaker.before_call()
        clock.advance(seconds=31)
        succeed(breaker, 2)
    return replay(log)


def written(tmp_path, history, config=None):
    path = tmp_path / "x.golden.json"
    write_golden(path, summarize(history, config))
    return path


def test_a_golden_file_reads_back_as_written(tmp_path, history):
    assert read_golden(written(tmp_path, history)) == summarize(history)


def test_equal_histories_give_equal_golden_bytes(tmp_path, history):
    once = golden_bytes(summarize(history))
    again = golden_bytes(read_golden(written(tmp_path, history)))
    assert once == again
    assert b"\r" not in once
    assert once.endswith(b"}\n")


def test_a_golden_file_is_json_that_begins_with_its_schema(history):
    golden = json.loads(golden_bytes(summarize(history)))
    assert next(iter(golden.items())) == ("schema", "recloser.golden/1")
    assert golden["digest"] == history.digest
    assert list(golden["totals"]) == sorted(history.snapshots)
    assert golden["totals"]["a\x1f\u202e"]["rejected"] == 1


def test_each_edge_is_the_line_that_the_log_holds(history):
    """Edges are sorted by breaker, so a change of one breaker is in one place of a pull request."""
    lines = golden_bytes(summarize(history)).decode().splitlines()
    for edge in history.edges:
        assert sum(encode(edge).decode().strip() == line.strip().rstrip(",") for line in lines) == 1
    edges = json.loads(golden_bytes(summarize(history)))["edges"]
    names = [edge["breaker"] for edge in edges]
    assert names == sorted(names)
    assert [edge["epoch"] for edge in edges] == [1, 2, 3, 1, 2, 3]


def test_the_configurations_of_a_log_are_in_its_golden_file(history):
    golden = json.loads(golden_bytes(summarize(history)))
    assert [event["config"]["failure_threshold"] for event in golden["configured"]] == [3, 3]
    assert "driven_with" not in golden


def test_settings_of_driven_breakers_are_in_the_golden_file_one_per_line(tmp_path, history):
    config = CircuitBreakerConfig(failure_threshold=7)
    path = written(tmp_path, history, config)
    assert '    "failure_threshold": 7,\n' in path.read_text()
    assert json.loads(path.read_text())["driven_with"]["recovery_timeout_seconds"] == 30
    assert "configured" not in json.loads(path.read_text())
    assert read_golden(path) == summarize(history, config)


def test_a_setting_that_is_newer_than_the_golden_file_has_its_default(tmp_path, history):
    path = written(tmp_path, history, CircuitBreakerConfig())
    golden = json.loads(path.read_text())
    del golden["driven_with"]["mode"]
    path.write_text(json.dumps(golden))
    assert read_golden(path).driven_with["mode"] == "enforce"


def test_a_golden_file_with_crlf_line_ends_reads_the_same(tmp_path, history):
    path = written(tmp_path, history)
    path.write_bytes(path.read_bytes().replace(b"\n", b"\r\n"))
    assert read_golden(path) == summarize(history)


def test_the_configuration_comes_from_the_checkpoint_that_begins_a_log(tmp_path, clock):
    """The log's first segments were removed, so it begins with a checkpoint."""
    for _ in range(2):
        with EventLog(tmp_path / "log", clock=clock) as log:
            fail(CircuitBreaker("b", CircuitBreakerConfig(failure_threshold=7), log=log))
    first, second = sorted((tmp_path / "log").glob("*.jsonl"))
    first.unlink()
    assert b"breaker_configured" not in second.read_bytes()
    (configured,) = summarize(replay(second)).configured
    assert (configured.breaker, configured.config["failure_threshold"]) == ("b", 7)


@pytest.mark.parametrize(
    ("change", "why"),
    [
        (lambda text: "", "malformed|truncated"),
        (lambda text: text[:-20], "truncated"),
        (lambda text: text.replace('"schema": "recloser.golden/1",', ""), "schema"),
        (
            lambda text: text.replace("recloser.golden/1", "recloser.replay/1"),
            "its schema is 'recl",
        ),
        (
            lambda text: text.replace("recloser.golden/1", "recloser.golden/0"),
            "its schema is 'recl",
        ),
        (lambda text: text.replace('"digest": ', '"digits": '), "digits"),
        (lambda text: text.replace('"trigger":"trip"', '"trigger":"slip"', 1), "slip"),
        (lambda text: text.replace('"edges": [', '"edges": [7,'), "no event can be read here"),
        (lambda text: text.replace('"event":"state_changed"', '"event":"reset"', 1), "no event"),
        (lambda text: "<<<<<<< HEAD\n" + text, "malformed"),
        (lambda text: "[" * 100_000, "this is not a complete golden file"),
        (lambda text: '{"schema": "\ud800"}', "this is not a complete golden file"),
    ],
)
def test_a_damaged_golden_file_is_a_one_line_error(tmp_path, history, change, why):
    path = written(tmp_path, history)
    text = change(path.read_text())
    path.write_bytes(text.encode("utf-8", "surrogatepass"))
    with pytest.raises(GoldenError, match=why) as caught:
        read_golden(path)
    assert str(caught.value).startswith(f"{path}: this is not a complete golden file: ")
    assert "\n" not in str(caught.value)


def test_an_edge_in_the_list_of_configurations_is_an_error(tmp_path, history):
    path = written(tmp_path, history)
    golden = json.loads(path.read_text())
    golden["configured"].append(golden["edges"][0])
    path.write_text(json.dumps(golden))
    with pytest.raises(GoldenError, match="does not belong there"):
        read_golden(path)


def test_a_golden_file_of_a_later_version_is_an_error(tmp_path, history):
    path = written(tmp_path, history)
    path.write_text(path.read_text().replace("golden/1", "golden/12"))
    with pytest.raises(FutureVersionError, match="version 12; this library reads up to 1: upgrade"):
        read_golden(path)


def test_a_failed_write_leaves_no_partial_file(tmp_path, history):
    with pytest.raises(GoldenError, match="No such file"):
        write_golden(tmp_path / "absent" / "x.golden.json", summarize(history))
    (tmp_path / "x.golden.json").mkdir()
    with pytest.raises(GoldenError):
        write_golden(tmp_path / "x.golden.json", summarize(history))
    assert [path.name for path in tmp_path.iterdir()] == ["x.golden.json"]


def test_write_golden_syncs_the_file_and_its_folder(tmp_path, monkeypatch, history):
    synced = []
    sync, sync_folder = disk.sync, disk.sync_folder
    monkeypatch.setattr(disk, "sync", lambda fd: synced.append("file") or sync(fd))
    monkeypatch.setattr(disk, "sync_folder", lambda f: synced.append(f) or sync_folder(f))
    path = written(tmp_path, history)
    assert synced == ["file", tmp_path]
    assert list(tmp_path.iterdir()) == [path]
