"""Fields of records become the time, the breaker and the labels of calls."""

import json

import pytest
from import_support import imported

from recloser import Outcome
from recloser.core.events import REFUSED
from recloser.errors import ImportTraceError
from recloser.importers.descriptions import Role
from recloser.importers.outcome_rules import OwnRules

S = 10**9
T = 1_767_225_600  # 2026-01-01T00:00:00Z


def read(tmp_path, *objects, **options):
    text = "".join(json.dumps(each) + "\n" for each in objects)
    named = ("start", "end", "duration")
    roles = {name: Role.parse(options.pop(name)) for name in named if name in options}
    return imported(tmp_path, text, **{"format": "json", "breaker": "b"} | roles | options)


CALL = {"s": T, "e": T + 2, "d": 1500, "status": 200}


@pytest.mark.parametrize(
    ("roles", "start", "took"),
    [
        ({"start": "s:s"}, T * S, 0),
        ({"end": "e:s"}, (T + 2) * S, 0),
        ({"start": "s:s", "duration": "d:ms"}, T * S, 1_500_000_000),
        ({"end": "e:s", "duration": "d:ms"}, T * S + S // 2, 1_500_000_000),
        ({"start": "s:s", "end": "e:s"}, T * S, 2 * S),
        ({"start": "s:auto", "end": "e:auto"}, T * S, 2 * S),
    ],
)
def test_any_two_of_start_end_and_duration_say_when_a_call_was(tmp_path, roles, start, took):
    (call,), unreadable = read(tmp_path, CALL, **roles)
    assert unreadable == []
    assert (call.start, call.took) == (start, took)


@pytest.mark.parametrize(
    ("said", "took"),
    [
        ({}, 250),
        ({"start": "Began:ms"}, 300),
        ({"end": "Over:ms"}, 400),
        ({"duration": "Took:ms"}, 7),
    ],
)
def test_an_option_takes_the_place_of_one_of_the_formats_own(tmp_path, said, took):
    text = "StartTime,EndTime,IsError,Began,Over,Took\n1700000001000,1700000001250,False,1700000000950,1700000001400,7\n"
    roles = {name: Role.parse(value) for name, value in said.items()}
    (call,), _ = imported(tmp_path, text, format="skywalking-csv", breaker="b", **roles)
    assert (call.took, call.start) == (
        took * 10**6,
        (1_700_000_000_950 if "start" in said else 1_700_000_001_000) * 10**6,
    )


def test_all_three_are_refused(tmp_path):
    with pytest.raises(ImportTraceError, match="give two of --start, --end and --duration"):
        read(tmp_path, CALL, start="s:s", end="e:s", duration="d:ms")


def test_the_first_field_that_a_record_has_is_used(tmp_path):
    calls, _ = read(
        tmp_path,
        {"start_time": "2026-01-01T00:00:00Z", "status": 200, "request_time": "0.5"},
        {"time": T + 1, "status": 200, "duration_ms": 250},
        {"start_time": None, "time": T + 1, "status": 200, "request_time": "-"},
    )
    found = [(call.start, call.took) for call in calls]
    assert found == [(T * S, S // 2), ((T + 1) * S - S // 4, S // 4), ((T + 1) * S, 0)]


def test_rows_that_can_not_be_read_do_not_keep_others(tmp_path):
    objects = [{"start_time": "x" if n in (3, 77) else f"2026-01-01T00:00:{n % 60:02}Z", "status": 200} for n in range(100)]  # fmt: skip
    calls, unreadable = read(tmp_path, *objects)
    assert len(calls) == 98
    assert [each.line for each in unreadable] == [4, 78]
    assert {each.why for each in unreadable} == {"'x' is no time"}


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({"s": None}, "it has no time"),
        ({"e": T - 1}, "it ends before it starts"),
        ({"s": [T]}, "s holds no single value"),
        ({"s": True}, "True is no number"),
    ],
)
def test_a_record_without_a_time_is_named(tmp_path, change, why):
    _, (bad,) = read(tmp_path, CALL | change, start="s:s", end="e:s")
    assert bad.why == why


def test_a_call_that_began_before_1970_is_named(tmp_path):
    _, (bad,) = read(tmp_path, CALL | {"e": 1}, end="e:s", duration="d:ms")
    assert bad.why == "it started before 1970"


def test_a_breaker_is_named_by_fields(tmp_path):
    objects = [CALL | {"a": "x", "n": {"b": 7}}, CALL | {"a": "-"}]
    (call,), (bad,) = read(tmp_path, *objects, start="s:s", breaker="{a}>{n.b} 100%")
    assert call.breaker == "x>7 100%"
    assert bad.why == "the field a is empty, which names the breaker"


def test_slow_successes_have_failed(tmp_path):
    (call,), _ = read(tmp_path, CALL, start="s:s", duration="d:ms", slow_ns=S)
    assert (call.outcome, call.error) == (Outcome.FAILED, "slow")


def test_labels_are_kept_as_text(tmp_path):
    labels = ["d", "flag", "absent"]
    (call,), _ = read(tmp_path, CALL | {"flag": True}, start="s:s", labels=labels)
    assert call.labels == {"d": "1500", "flag": "true"}


def test_a_call_whose_outcome_is_not_known_says_so(tmp_path):
    (call,), _ = read(tmp_path, CALL | {"status": 0}, start="s:s", own=OwnRules())
    assert (call.outcome, call.labels) == (Outcome.IGNORED, {REFUSED: "0"})


def test_what_is_needed_and_not_said_is_asked_for(tmp_path):
    with pytest.raises(ImportTraceError, match="name the field with --start or --end; there are q"):
        read(tmp_path, {"q": 1})
