"""Access logs of Envoy and Istio, and JSON with keys that the user chose."""

import json

import pytest
from import_support import calls_and_unreadable, imported, ready
from observed_calls import ObservedCall

from recloser import Outcome
from recloser.core.events import REFUSED
from recloser.errors import ImportTraceError
from recloser.importers.formats.format_description import TimeField

START = 1_767_225_600 * 10**9
ENVOY = (
    '[2026-01-01T00:00:00.250Z] "GET /pay?q=1 HTTP/1.1" {} {} 0 154 {} 226 "10.0.35.28" '
    '"curl 8" "cc21d9b0" "bank.local" "10.0.0.1:80"'
)
ISTIO = (
    '[2026-01-01T00:00:00.000Z] "GET /pay HTTP/1.1" 503 UF upstream_reset "reset" 0 154 7 - '
    '"-" "curl" "cc21" "bank:80" "10.0.0.1:80" outbound|80||bank.ns.svc.cluster.local 10.1.1.1:1 '
    "10.1.1.2:80 10.1.1.3:2 - default"
)


def envoy(tmp_path, *lines, **changes):
    return imported(tmp_path, "\n".join(lines), **changes)


def logged(tmp_path, *objects, **changes):
    return imported(tmp_path, "".join(json.dumps(line) + "\n" for line in objects), **changes)


def test_envoy_default_format_is_read(tmp_path):
    (call,), _ = envoy(tmp_path, ENVOY.format(200, "-", 12), labels=["route", "upstream"])
    assert call == ObservedCall(
        "bank.local", START + 250 * 10**6, 12 * 10**6, Outcome.SUCCEEDED, None,
        {"route": "GET /pay", "upstream": "10.0.0.1:80"},
    )  # fmt: skip


def test_istio_breaker_is_named_by_the_cluster(tmp_path):
    (call,), _ = envoy(tmp_path, ISTIO)
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
def test_envoy_flags_decide_whose_failure_it_was(tmp_path, status, flags, outcome):
    (call,), _ = envoy(tmp_path, ENVOY.format(status, flags, 1))
    assert call.outcome is Outcome(outcome)


def test_request_rejected_by_envoy_has_an_unknown_outcome(tmp_path):
    lines = [ENVOY.format(503, "UO", 0), ENVOY.format(404, "NR", 0)]
    (refused, routed), _ = envoy(tmp_path, *lines)
    assert REFUSED in refused.labels
    assert REFUSED not in routed.labels


@pytest.mark.parametrize(
    ("protocol", "flags", "outcome"),
    [("-", "-", "succeeded"), ("-", "UF,URX", "failed"), ("-", "DC", "ignored"), ("HTTP/1.1", "-", "ignored")],
)  # fmt: skip
def test_connection_other_than_http_succeeds_with_status_0(tmp_path, protocol, flags, outcome):
    line = ENVOY.format(0, flags, 1).replace("HTTP/1.1", protocol)
    (call,), _ = envoy(tmp_path, line)
    assert call.outcome is Outcome(outcome)


@pytest.mark.parametrize(
    ("status", "grpc", "outcome"),
    [(200, "14", "failed"), (200, "0", "succeeded"), (200, "UNAVAILABLE", "failed"), (503, "NotFound", "succeeded"),
     (200, "1", "ignored"), (503, "-", "failed"), (503, None, "failed"), (200, 13, "failed")],
)  # fmt: skip
def test_grpc_status_is_checked_before_http_status(tmp_path, status, grpc, outcome):
    line = ISTIO_JSON | {"response_flags": "-", "response_code": status, "grpc_status": grpc}
    (call,), _ = logged(tmp_path, line)
    assert call.outcome is Outcome(outcome)


@pytest.mark.parametrize(
    "line", ["no log", ENVOY.format("x", "-", 1), ENVOY.replace("-01T", "-99T").format(200, "-", 1)]
)
def test_bad_envoy_line_is_unreadable_or_of_unknown_outcome(tmp_path, line):
    good = ENVOY.format(200, "-", 1)
    trace_import = ready(tmp_path, f"{good}\n{line}\n{good}")
    calls, unreadable = calls_and_unreadable(trace_import)
    assert [bad.line for bad in unreadable] in ([2], [])
    if not unreadable:
        assert calls[1].labels == {REFUSED: "x"}
        with pytest.raises(ImportTraceError, match="the outcome of 1 of 3 calls is unknown"):
            trace_import.classifier.check_unknown()


ISTIO_JSON = {
    "start_time": "2026-01-01T00:00:00.000Z", "method": "GET", "path": "/pay?x",
    "response_code": 503, "response_flags": "UF", "duration": 7, "authority": "bank",
    "upstream_cluster": "outbound|9080|v1|reviews.ns.svc.cluster.local", "upstream_host": None,
}  # fmt: skip


def test_istio_json_is_read_with_numbers_or_strings(tmp_path):
    texts = {key: "-" if value is None else str(value) for key, value in ISTIO_JSON.items()}
    (call, same), _ = logged(tmp_path, ISTIO_JSON, texts, labels=["route", "authority"])
    assert call == same == ObservedCall(
        "reviews.ns.svc.cluster.local", START, 7_000_000, Outcome.FAILED, "UF,503",
        {"route": "GET /pay", "authority": "bank"},
    )  # fmt: skip


def test_inbound_cluster_is_named_by_its_authority(tmp_path):
    (call,), _ = logged(tmp_path, ISTIO_JSON | {"upstream_cluster": "inbound|9080||"})
    assert call.breaker == "bank"


def test_custom_keys_of_envoy_json_can_be_named(tmp_path):
    (call,), _ = logged(
        tmp_path,
        {"t": "2026-01-01T00:00:00Z", "ms": 5, "code": 500, "up": "bank", "status": "fine", "host": "h"},
        format="json", start=TimeField("t", "auto"), duration=TimeField("ms", "ms"),
        fields={"status": "code", "target": "up"},
    )  # fmt: skip
    assert call == ObservedCall("bank", START, 5_000_000, Outcome.FAILED, "500")


NGINX = {
    "time_iso8601": "2026-01-01T00:00:02+00:00",
    "status": "200",
    "request_time": "1.500",
    "host": "h",
}


@pytest.mark.parametrize(
    "changes",
    [
        {"time_iso8601": None}, {"time_iso8601": "2026-01"}, {"request_time": "x"}, {"host": None},
        {"time_iso8601": "1970-01-01T00:00:00Z"}, {"request_time": []},
        {"upstream_status": "1, 2", "upstream_response_time": "1"},
    ],
    ids=range(7),
)  # fmt: skip
def test_json_object_without_a_time_is_unreadable(tmp_path, changes):
    calls, (bad,) = logged(tmp_path, NGINX, {**NGINX, **changes})
    assert len(calls) == 1
    assert bad.line == 2


@pytest.mark.parametrize(
    "changes", [{}, {"time_iso8601": None, "msec": "1767225602.000"}, {"time_iso8601": "", "time_local": "01/Jan/2026:01:00:02 +0100"}]
)  # fmt: skip
def test_nginx_time_is_the_end_of_a_request(tmp_path, changes):
    (call,), _ = logged(tmp_path, NGINX | changes)
    assert (call.start, call.took) == (START + 500 * 10**6, 1500 * 10**6)


def test_json_value_that_is_not_an_object_is_unreadable(tmp_path):
    _, unreadable = logged(tmp_path, NGINX, NGINX, NGINX, 7, [])
    assert [bad.line for bad in unreadable] == [4, 5]
