"""Calls out of the access logs of proxies."""

import io
import json

import pytest

from recloser import Outcome
from recloser.importers.fields import BreakerTemplate, OutcomeRule
from recloser.importers.proxy_log import ProxyMapping, read_envoy, read_json_log
from recloser.importers.trace import ObservedCall, Unreadable
from recloser.replay.traffic import REFUSED

START = 1_767_225_600 * 10**9
ENVOY = (
    '[2026-01-01T00:00:00.250Z] "GET /pay?q=1 HTTP/1.1" {} {} 0 154 {} 226 "10.0.35.28" '
    '"curl 8" "cc21d9b0" "bank.local" "10.0.0.1:80"'
)
ISTIO = (
    '[2026-01-01T00:00:00.000Z] "GET /pay HTTP/1.1" 503 UF upstream_reset - "reset" 0 154 7 - '
    '"-" "curl" "cc21" "bank:80" "10.0.0.1:80" outbound|80||bank.ns.svc.cluster.local 10.1.1.1:1 '
    "10.1.1.2:80 10.1.1.3:2 - default"
).replace('upstream_reset - "reset"', 'upstream_reset "reset"')


def options(breaker="{target}", **changes):
    return ProxyMapping(
        breaker=BreakerTemplate(breaker), rule=OutcomeRule(["5xx"], ["499"]), **changes
    )


def envoy(*lines, **changes):
    return list(read_envoy(io.StringIO("\n".join(lines), newline=""), options(**changes)))


def logged(*objects, **changes):
    text = "".join(json.dumps(line) + "\n" for line in objects)
    return list(read_json_log(io.StringIO(text, newline=""), options(**changes)))


def test_envoys_default_is_read():
    (call,) = envoy(ENVOY.format(200, "-", 12), labels=["route", "upstream"])
    assert call == ObservedCall(
        "bank.local", START + 250 * 10**6, 12 * 10**6, Outcome.SUCCEEDED, None,
        {"route": "GET /pay", "upstream": "10.0.0.1:80"},
    )  # fmt: skip


def test_istio_names_the_cluster():
    (call,) = envoy(ISTIO)
    assert (call.breaker, call.outcome) == ("bank.ns.svc.cluster.local", Outcome.FAILED)


@pytest.mark.parametrize(
    ("status", "flags", "outcome"),
    [
        (200, "-", "succeeded"),
        (404, "-", "succeeded"),
        (500, "-", "failed"),
        *(
            (503, flag, "failed")
            for flag in ["UH", "UF", "UT", "UC", "UR", "LR", "URX", "UMSDR", "UPE", "DF", "UF,URX"]
        ),
        *((503, flag, "ignored") for flag in ["UO", "RL", "RLSE", "UO,URX"]),
        *((503, flag, "ignored") for flag in ["NR", "NC", "UAEX", "DC", "DI", "FI"]),
        (0, "DC", "ignored"),
        (0, "-", "ignored"),
        (499, "-", "ignored"),
    ],
)
def test_flags_tell_whose_failure_it_was(status, flags, outcome):
    (call,) = envoy(ENVOY.format(status, flags, 1))
    assert call.outcome is Outcome(outcome)


def test_what_envoy_refused_itself_is_of_unknown_outcome():
    refused, routed = envoy(ENVOY.format(503, "UO", 0), ENVOY.format(404, "NR", 0))
    assert REFUSED in refused.labels
    assert REFUSED not in routed.labels


@pytest.mark.parametrize(
    "line",
    ["", "no log", ENVOY.format("x", "-", 1), ENVOY.replace("-01T", "-99T").format(200, "-", 1)],
)
def test_a_line_that_can_not_be_read_is_told(line):
    good = ENVOY.format(200, "-", 1)
    first, bad, last = envoy(good, line, good)
    assert isinstance(bad, Unreadable)
    assert bad.line == 2
    assert first == last


ISTIO_JSON = {
    "start_time": "2026-01-01T00:00:00.000Z", "method": "GET", "path": "/pay?x",
    "response_code": 503, "response_flags": "UF", "duration": 7, "authority": "bank",
    "upstream_cluster": "outbound|9080|v1|reviews.ns.svc.cluster.local", "upstream_host": None,
}  # fmt: skip


def test_istios_json_is_read_with_numbers_or_texts():
    texts = {key: "-" if value is None else str(value) for key, value in ISTIO_JSON.items()}
    call, same = logged(ISTIO_JSON, texts, labels=["route", "authority"])
    assert call == same == ObservedCall(
        "reviews.ns.svc.cluster.local", START, 7_000_000, Outcome.FAILED, "503,UF",
        {"route": "GET /pay", "authority": "bank"},
    )  # fmt: skip


NGINX = {
    "time_iso8601": "2026-01-01T00:00:02+00:00",
    "status": "200",
    "request_time": "1.500",
    "host": "h",
}


@pytest.mark.parametrize(
    ("changes", "calls"),
    [
        ({}, [(500, 1500, "succeeded")]),
        ({"upstream_status": "200", "upstream_response_time": "1.2"}, [(500, 1500, "succeeded")]),
        (
            {"upstream_status": "502, 200", "upstream_response_time": "1.000, 0.500"},
            [(500, 1000, "failed"), (1500, 500, "succeeded")],
        ),
        (
            {"upstream_status": "502 : 200", "upstream_response_time": "1.000 : 0.500"},
            [(500, 1000, "failed"), (1500, 500, "succeeded")],
        ),
        (
            {"upstream_status": "-, 200", "upstream_response_time": "1.000, 0.500"},
            [(500, 1000, "failed"), (1500, 500, "succeeded")],
        ),
        ({"status": "499", "upstream_status": "-"}, [(500, 1500, "ignored")]),
        ({"time_iso8601": None, "msec": "1767225602.000"}, [(500, 1500, "succeeded")]),
        ({"time_iso8601": "", "time_local": "01/Jan/2026:01:00:02 +0100"}, [(500, 1500, "succeeded")]),
    ],
    ids=range(8),
)  # fmt: skip
def test_nginx_tells_the_end_and_each_attempt(changes, calls):
    found = logged({**NGINX, **changes})
    assert [(c.start - START, c.took, c.outcome.value) for c in found] == [
        (start * 10**6, took * 10**6, outcome) for start, took, outcome in calls
    ]


def test_keys_of_ones_own_are_named():
    (call,) = logged(
        {"t": "2026-01-01T00:00:00Z", "ms": 5, "code": 500, "up": "bank"},
        keys={"start": "t", "duration_ms": "ms", "status": "code", "target": "up"},
    )
    assert call == ObservedCall("bank", START, 5_000_000, Outcome.FAILED, "500")


@pytest.mark.parametrize(
    "changes",
    [
        {"status": None}, {"status": "abc"}, {"time_iso8601": None}, {"time_iso8601": "2026-01"},
        {"request_time": "x"}, {"host": None}, {"time_iso8601": "1970-01-01T00:00:00Z"},
        {"upstream_status": "1, 2", "upstream_response_time": "1"}, {"request_time": []},
    ],
    ids=range(9),
)  # fmt: skip
def test_an_object_that_lacks_what_is_needed_is_told(changes):
    (bad,) = logged({**NGINX, **changes})
    assert isinstance(bad, Unreadable)


def test_what_is_no_object_is_told():
    assert [type(item) for item in logged(7, [], None, "x")] == [Unreadable] * 4
