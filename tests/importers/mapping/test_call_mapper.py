"""Fields of records become the times, breakers and labels of calls."""

import json

import pytest
from import_support import imported

from recloser import Outcome
from recloser.core.events import REFUSED
from recloser.errors import ImportTraceError
from recloser.importers.formats.format_description import TimeField
from recloser.importers.outcomes.outcome_rules import UserRules

S = 10**9
T = 1_767_225_600  # 2026-01-01T00:00:00Z


def read(tmp_path, *objects, **options):
    text = "".join(json.dumps(each) + "\n" for each in objects)
    named = ("start", "end", "duration")
    roles = {name: TimeField.parse(options.pop(name)) for name in named if name in options}
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
def test_any_two_of_start_end_and_duration_are_enough(tmp_path, roles, start, took):
    (call,), unreadable = read(tmp_path, CALL, **roles)
    assert unreadable == []
    assert (call.start, call.took) == (start, took)


@pytest.mark.parametrize(
    ("given", "took"),
    [
        ({}, 250),
        ({"start": "Began:ms"}, 300),
        ({"end": "Over:ms"}, 400),
        ({"duration": "Took:ms"}, 7),
    ],
)
def test_option_overrides_the_field_of_the_format(tmp_path, given, took):
    text = "StartTime,EndTime,IsError,Began,Over,Took\n1700000001000,1700000001250,False,1700000000950,1700000001400,7\n"
    roles = {name: TimeField.parse(value) for name, value in given.items()}
    (call,), _ = imported(tmp_path, text, format="skywalking-csv", breaker="b", **roles)
    assert (call.took, call.start) == (
        took * 10**6,
        (1_700_000_000_950 if "start" in given else 1_700_000_001_000) * 10**6,
    )


def test_start_end_and_duration_together_are_refused(tmp_path):
    with pytest.raises(ImportTraceError, match="give two of --start, --end and --duration"):
        read(tmp_path, CALL, start="s:s", end="e:s", duration="d:ms")


def test_first_field_that_a_record_has_is_used(tmp_path):
    calls, _ = read(
        tmp_path,
        {"start_time": "2026-01-01T00:00:00Z", "status": 200, "request_time": "0.5"},
        {"time": T + 1, "status": 200, "duration_ms": 250},
        {"start_time": None, "time": T + 1, "status": 200, "request_time": "-"},
    )
    found = [(call.start, call.took) for call in calls]
    assert found == [(T * S, S // 2), ((T + 1) * S - S // 4, S // 4), ((T + 1) * S, 0)]


def test_unreadable_records_do_not_affect_others(tmp_path):
    objects = [{"start_time": "x" if n in (3, 77) else f"2026-01-01T00:00:{n % 60:02}Z", "status": 200} for n in range(100)]  # fmt: skip
    calls, unreadable = read(tmp_path, *objects)
    assert len(calls) == 98
    assert [each.line for each in unreadable] == [4, 78]
    assert {each.why for each in unreadable} == {"'x' is not a time"}


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({"s": None}, "it has no time"),
        ({"e": T - 1}, "it ends before it starts"),
        ({"s": [T]}, "s holds a list or an object, not a value"),
        ({"s": True}, "True is not a number"),
    ],
)
def test_record_without_a_time_is_unreadable(tmp_path, change, why):
    _, (bad,) = read(tmp_path, CALL | change, start="s:s", end="e:s")
    assert bad.why == why


def test_call_before_1970_is_unreadable(tmp_path):
    _, (bad,) = read(tmp_path, CALL | {"e": 1}, end="e:s", duration="d:ms")
    assert bad.why == "it started before 1970"


def test_breaker_is_named_by_fields(tmp_path):
    objects = [CALL | {"a": "x", "n": {"b": 7}}, CALL | {"a": "-"}]
    (call,), (bad,) = read(tmp_path, *objects, start="s:s", breaker="{a}>{n.b} 100%")
    assert call.breaker == "x>7 100%"
    assert bad.why == "the field a is empty, and the breaker's name needs it"


def test_slow_success_counts_as_failed(tmp_path):
    (call,), _ = read(tmp_path, CALL, start="s:s", duration="d:ms", slow_ns=S)
    assert (call.outcome, call.error) == (Outcome.FAILED, "slow")


def test_labels_are_kept_as_text(tmp_path):
    labels = ["d", "flag", "absent"]
    (call,), _ = read(tmp_path, CALL | {"flag": True}, start="s:s", labels=labels)
    assert call.labels == {"d": "1500", "flag": "true"}


def test_call_of_unknown_outcome_is_labelled(tmp_path):
    (call,), _ = read(tmp_path, CALL | {"status": 0}, start="s:s", own=UserRules())
    assert (call.outcome, call.labels) == (Outcome.IGNORED, {REFUSED: "0"})


def test_missing_breaker_or_time_is_asked_for(tmp_path):
    with pytest.raises(
        ImportTraceError, match="name the field with --start or --end; the fields are q"
    ):
        read(tmp_path, {"q": 1})
