"""Requests that a proxy tried several times become one call per attempt."""

import json

import pytest
from import_support import imported

START = 1_767_225_600
NGINX = {
    "time_iso8601": "2026-01-01T00:00:02+00:00",
    "remote_addr": "192.0.2.1",
    "status": "200",
    "request_time": "1.500",
    "host": "h",
}


def logged(tmp_path, **changes):
    return imported(tmp_path, json.dumps(NGINX | changes) + "\n")


@pytest.mark.parametrize("between", [", ", " : "])
def test_each_attempt_is_a_call_after_the_one_before(tmp_path, between):
    calls, unreadable = logged(
        tmp_path,
        upstream_status=between.join(["502", "200"]),
        upstream_response_time=between.join(["1.000", "0.500"]),
    )
    assert unreadable == []
    found = [(c.start - START * 10**9, c.took, c.outcome.value, c.error) for c in calls]
    assert found == [
        (500 * 10**6, 10**9, "failed", "502"),
        (1500 * 10**6, 500 * 10**6, "succeeded", None),
    ]


@pytest.mark.parametrize(
    ("status", "attempts", "outcomes"),
    [
        ("200", "-, 200", [("failed", "no response"), ("succeeded", None)]),
        ("499", "502, -", [("failed", "502"), ("ignored", "499")]),
        ("502", "502, -", [("failed", "502"), ("failed", "502")]),
        ("499", "-, 200", [("failed", "no response"), ("ignored", "499,200")]),
        ("504", "504, 404", [("failed", "504"), ("succeeded", None)]),
    ],
)
def test_each_attempt_has_its_own_outcome(tmp_path, status, attempts, outcomes):
    calls, _ = logged(
        tmp_path, status=status, upstream_status=attempts, upstream_response_time="1.000, 0.500"
    )
    assert [(call.outcome.value, call.error) for call in calls] == outcomes


@pytest.mark.parametrize(
    ("changes", "outcome"),
    [
        ({"upstream_status": "502"}, "failed"),
        ({"upstream_status": "-", "status": "499"}, "ignored"),
        ({"upstream_status": "", "status": "404"}, "succeeded"),
        ({"upstream_status": "200", "upstream_response_time": "1.2"}, "succeeded"),
    ],
)
def test_request_with_one_attempt_is_one_call(tmp_path, changes, outcome):
    (call,), _ = logged(tmp_path, **changes)
    assert (call.outcome.value, call.took) == (outcome, 1_500_000_000)


def test_each_attempt_names_its_own_upstream(tmp_path):
    text = json.dumps(
        NGINX
        | {"upstream_addr": "192.0.2.5:80, [::1]:80", "upstream_status": "502, 200", "upstream_response_time": "1.000, 0.500"}
    )  # fmt: skip
    calls, _ = imported(tmp_path, text, breaker="{upstream_addr}", labels=["upstream_addr"])
    assert [call.breaker for call in calls] == ["192.0.2.5:80", "[::1]:80"]
    assert [call.labels["upstream_addr"] for call in calls] == ["192.0.2.5:80", "[::1]:80"]


@pytest.mark.parametrize("times", [{}, {"upstream_response_time": "1"}, {"upstream_response_time": "x, y"}])  # fmt: skip
def test_attempts_of_unknown_duration_are_unreadable(tmp_path, times):
    calls, (bad,) = logged(tmp_path, upstream_status="502, 200", **times)
    assert calls == []
    assert "upstream_response_time does not have" in bad.why or "'x' is not a duration" in bad.why


def test_outcome_field_of_the_user_applies_to_the_whole_request(tmp_path):
    text = json.dumps(NGINX | {"upstream_status": "502, 200", "upstream_response_time": "1, 0.5"})
    (call,), _ = imported(tmp_path, text, outcome="status")
    assert (call.outcome.value, call.took) == ("succeeded", 1_500_000_000)
