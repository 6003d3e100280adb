"""``recloser why``: its answers as text, JSON and Markdown."""

import json
import re
import shlex

import msgspec
import pytest
from breaker_calls import fail, succeed

from recloser import CircuitBreaker, CircuitBreakerConfig, EventLog
from recloser.audit.cause import Answer
from recloser.cli import status_of
from recloser.cli.render.why_markdown import escaped

HOSTILE = "<b>pay</b> | [x](http://e.invalid) `c` **b** ~~s~~ @ann #1 $x$ :tada: www.e.invalid\n\x1b[31m\u202e"


@pytest.fixture
def path(tmp_path, clock):
    """Two trips of one breaker, with operators in between."""
    path = tmp_path / "log"
    with EventLog(path, clock=clock, tick_seconds=None) as log:
        breaker = CircuitBreaker("pay", CircuitBreakerConfig(failure_threshold=3), log=log)
        fail(breaker, 3)
        clock.advance(seconds=30)
        fail(breaker)
        breaker.force_closed(actor="ann", reason="the bank is back")
        clock.advance(seconds=60)
        breaker.after_failure(breaker.before_call().permit, "OSError", took_ns=5)
        fail(breaker, 2)
        breaker.before_call()
        clock.advance(seconds=30)
        succeed(breaker, 2)
    return path


def run(capsys, *arguments):
    status = status_of(["why", *map(str, arguments)])
    captured = capsys.readouterr()
    return status, captured.out, captured.err


def facts(out):
    return re.findall(r"^(\S+(?: \S+)?)  +(\S.*?) *$", out, re.MULTILINE)


def test_why_prints_all_facts_about_a_trip(capsys, path):
    status, out, err = run(capsys, path)
    assert (status, err) == (0, "")
    shown = dict(facts(out))
    assert out.startswith("pay opened at 2000-01-01T00:01:30.000000000Z: 3 consecutive failures")
    assert shown["rule"] == "consecutive_failures, 3 of 3"
    assert shown["trip"] == "2 of 2, state_changed at seq 22, which ended epoch 4"
    assert ("evidence", "TimeoutError, 2 times, 0 ns") in facts(out)
    assert ("evidence", "OSError, 1 time, 5 ns") in facts(out)
    assert shown["minimal cause"] == (
        "it would have stayed closed if any 1 of these 3 calls had succeeded"
    )
    assert shown["nearest setting"] == "failure_threshold = 4 (it was 3)"
    assert shown["cost"] == "1 call rejected, 2 probes"
    assert shown["closed"] == "30.000 s later, at 2000-01-01T00:02:00.000000000Z, by recover"
    assert shown["backoff"] == ("opening 1 since it was last closed, 3 in all; cooldown 30.000 s")
    assert shown["earlier"].startswith("1 trip, the last 1 min 30 s before")
    assert "No effect on the breaker: it decides by the monotonic clock only" in shown["clock"]
    assert shown["operator"].endswith("(seq 15) by ann: the bank is back")


def test_command_in_the_last_line_of_why_repeats_the_answer(capsys, path):
    _, out, _ = run(capsys, path, "--trip", 1)
    again = shlex.split(out.splitlines()[-1].removeprefix("again: "))
    assert again[:3] == ["recloser", "why", str(path)]
    assert run(capsys, *again[2:])[1] == out


def test_why_explains_several_trips_in_the_order_asked(capsys, path):
    _, out, _ = run(capsys, path, "--trip", 2, "--trip", 1)
    assert [line.split(":")[-1] for line in out.splitlines() if " opened at " in line] == [
        " 3 consecutive failures reached the threshold of 3"
    ] * 2
    _, out, _ = run(capsys, path, "--trip", "all", "--json")
    assert [cause["trip"] for cause in json.loads(out)["causes"]] == [1, 2]


def test_why_at_a_time_explains_the_state_and_its_trip(capsys, path):
    _, out, _ = run(capsys, path, "--at", "+10s")
    assert out.startswith("pay was OPEN at 2000-01-01T00:00:10.000000000Z: it had opened")
    assert ("rule", "cooldown: 20.000 s left") in facts(out)
    assert "pay opened at 2000-01-01T00:00:00.000000000Z" in out
    _, out, _ = run(capsys, path, "--at", "2000-01-01T00:01:00Z")
    assert out.startswith(
        "pay was CLOSED at 2000-01-01T00:01:00.000000000Z: an operator had closed it"
    )
    assert ("reason", "the bank is back") in facts(out)
    assert "opened at" not in out


def test_why_as_json_conforms_to_the_json_schema(capsys, path):
    for arguments in ([], ["--at", "+10s"], ["--trip", "all"]):
        _, out, _ = run(capsys, path, "--json", *arguments)
        assert next(iter(json.loads(out).items())) == ("schema", "recloser.why/1")
        answer = msgspec.json.decode(out, type=Answer)
        assert answer.log == str(path)
    _, out, _ = run(capsys, path, "--json-schema")
    schema = json.loads(out)
    defined = schema["$defs"]
    assert set(defined["Cause"]["properties"]) == set(
        json.loads(run(capsys, path, "--json")[1])["causes"][0]
    )
    assert {"MinimalCause", "Prevention", "Cost", "ClockHealth", "OperatorAct"} <= set(defined)


def test_why_as_markdown_is_a_heading_and_tables(capsys, path):
    _, out, _ = run(capsys, path, "--markdown")
    assert out.startswith(
        "### pay opened at 2000-01-01T00:01:30.000000000Z: 3 consecutive failures"
    )
    assert "| nearest setting | failure_threshold = 4 (it was 3) |\n" in out
    assert out.count("| call_failed |") == 3
    assert f"    recloser why {path} --breaker pay --trip 2\n" in out
    assert run(capsys, path, "--markdown", "--at", "+70s")[1].startswith("### pay was CLOSED at ")


def test_hostile_names_are_escaped_in_text_and_in_markdown(capsys, tmp_path, clock):
    with EventLog(tmp_path / "log", clock=clock) as log:
        breaker = CircuitBreaker(HOSTILE, CircuitBreakerConfig(failure_threshold=1), log=log)
        breaker.after_failure(breaker.before_call().permit, HOSTILE)
        breaker.force_open(actor=HOSTILE, reason=HOSTILE)
    for arguments in ([], ["--markdown"], ["--at", "-1s"]):
        _, out, _ = run(capsys, tmp_path / "log", *arguments)
        assert "\x1b" not in out
        assert "\u202e" not in out
    _, out, _ = run(capsys, tmp_path / "log", "--markdown")
    rows = [line for line in out.splitlines() if line.startswith("| ")]
    assert {line.count("|") for line in rows} <= {3, 7}
    shown = re.sub(r"&#\d+;", "", out.partition("Again:")[0])
    assert not re.search(r"[<>`*~@$]|\]\(|\[x|www\.|:tada|#1|http:", shown)


def test_markdown_escapes_characters_that_begin_markup():
    assert escaped("a_b 12:30:45 call_failed x.y") == "a_b 12:30:45 call_failed x.y"
    assert escaped("_a_ *b*") == "&#95;a&#95; &#42;b&#42;"
    assert escaped("https://x") == "https&#58;//x"


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--trip", "0"], "trips are counted from 1"),
        (["--trip", "x"], "'x' is not a valid integer"),
        (["--trip", "1", "--at", "-5m"], "give one of them"),
        (["--at", "noon"], "cannot read 'noon' as a time; use"),
        (["--trip", "3"], "'pay' has trips 1 to 2; there is no trip 3"),
        (["--trip", "-3"], "'pay' has trips 1 to 2; there is no trip -3"),
    ],
)
def test_question_without_an_answer_is_bad_input(capsys, path, arguments, said):
    status, out, err = run(capsys, path, *arguments)
    assert (status, out) == (2, "")
    assert said in err


def test_why_shows_the_labels_of_imported_calls(capsys, tmp_path):
    trace = tmp_path / "trace.csv"
    rows = [f"{n},1,b,{'fail' if n < 3 else 'ok'},/pay/{n % 2}" for n in range(9)]
    trace.write_text("\n".join(["start_s,took_ms,target,outcome,route", *rows]) + "\n")
    assert status_of(
        ["import", "csv", str(trace), "-o", str(tmp_path / "log"), "--breaker", "{target}",
         "--start", "start_s", "--duration", "took_ms", "--outcome", "outcome", "--failure", "fail",
         "--label", "route"]
    ) == 0  # fmt: skip
    capsys.readouterr()
    _, out, _ = run(capsys, tmp_path / "log", "--set", "failure_threshold=3")
    assert ("evidence", "fail on route=/pay/0, 2 times, 1.000 ms") in facts(out)
    assert ("evidence", "fail on route=/pay/1, 1 time, 1.000 ms") in facts(out)
