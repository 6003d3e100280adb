"""Calls in the samples of the formats, counted by hand."""

import json
from datetime import UTC, datetime

import pytest
from import_support import imported, ready

from recloser.core.events import REFUSED
from recloser.importers.formats.format_description import format_named

MS, S = 10**6, 10**9
OK, BAD, NEITHER = "succeeded", "failed", "ignored"
ISTIO = "production.svc.cluster.local"

COUNTED = {
    "apache-combined-us": [
        ("192.0.2.1", "2021-09-15T16:13:46", 0, 30_021_417_000, BAD, "502"),
        ("192.0.2.1", "2021-09-15T16:13:48", 0, 1_250_000, OK, None),
    ],
    "apache-vhost": [
        ("shop.example", "2021-09-15T16:13:48", 0, 0, OK, None),
        ("bank.example", "2021-09-15T16:13:49", 0, 0, BAD, "504"),
    ],
    "nginx-json": [
        ("shop.example", "2024-05-01T10:00:00", 500 * MS, 1500 * MS, OK, None),
        ("shop.example", "2024-05-01T10:00:02", 700 * MS, 300 * MS, NEITHER, "499"),
    ],
    "ingress-nginx": [
        ("default-web-8080", "2020-02-07T11:48:50", 999 * MS, MS, OK, None),
        ("default-web-8080", "2020-02-07T11:48:50", 750 * MS, 250 * MS, BAD, "502"),
        ("default-web-8080", "2020-02-07T11:48:51", 0, 1000 * MS, OK, None),
    ],
    "ingress-nginx-json": [
        ("shop.example", "2024-05-01T10:00:00", 750 * MS, 1250 * MS, OK, None),
        ("shop.example", "2024-05-01T10:00:02", 995 * MS, 5 * MS, BAD, "503"),
    ],
    "istio-before-1.9": [
        (f"bank.{ISTIO}", "2020-07-05T00:00:00", 0, 7 * MS, BAD, "UF,503"),
        (f"db.{ISTIO}", "2020-07-05T00:00:01", 0, 5012 * MS, OK, None),
        (f"bank.{ISTIO}", "2020-07-05T00:00:02", 0, 7 * MS, OK, None),
    ],
    "istio": [
        (f"health-api.{ISTIO}", "2023-07-05T00:00:00", 0, 3 * MS, BAD, "UC,503"),
        (f"db.{ISTIO}", "2023-07-05T00:00:01", 0, 5 * MS, BAD, "UF,URX,0"),
    ],
    "envoy-json": [
        (f"bank.{ISTIO}", "2023-07-05T00:00:00", 0, 7 * MS, BAD, "UF,503"),
        ("bank", "2023-07-05T00:00:01", 0, 12 * MS, BAD, "14,200"),
        (f"db.{ISTIO}", "2023-07-05T00:00:02", 0, 5012 * MS, OK, None),
    ],
    "haproxy-http": [
        ("shop", "2021-03-12T06:56:28", 88 * MS, 1264 * MS, OK, None),
        ("shop", "2021-03-12T06:56:29", 88 * MS, 30_001 * MS, BAD, "sH--,504"),
        ("shop", "2021-03-12T06:56:30", 88 * MS, 12 * MS, BAD, "SC--,503"),
    ],
    "traefik": [
        ("shop@docker", "2021-03-12T06:56:28", 0, 12 * MS, OK, None),
        ("shop@docker", "2021-03-12T06:56:29", 0, 3001 * MS, BAD, "502"),
    ],
    "traefik-json": [
        ("shop@docker", "2024-01-28T10:15:30", 123_456_789, 12_345_678, OK, None),
        ("shop@docker", "2024-01-28T10:15:31", 123_456_789, 30_000_000_001, BAD, "504,0"),
    ],
    "aws-alb": [
        ("shop/73e2d6bc24d8a067", "2018-07-02T22:22:59", 986 * MS, 200_641_000, OK, None),
        ("shop/73e2d6bc24d8a067", "2018-07-02T22:23:01", 186 * MS, 10 * S, BAD, "504"),
    ],
    "aws-elb": [
        ("shop", "2015-05-13T23:39:43", 945_958_000, 1_048_000, OK, None),
        ("shop", "2015-05-13T23:39:44", 945_958_000, 0, BAD, "504,0"),
        ("shop", "2015-05-13T23:39:45", 945_958_000, 0, BAD, "503,0"),
    ],
    "aws-s3": [
        ("shop-bucket", "2019-02-06T00:00:38", 0, 2872 * MS, OK, None),
        ("shop-bucket", "2019-02-06T00:00:39", 0, 11 * MS, BAD, "503"),
    ],
    "aws-cloudfront": [
        ("shop.example", "2024-03-12T15:22:27", 887 * MS, 113 * MS, OK, None),
        ("shop.example", "2024-03-12T15:21:58", 999 * MS, 30_001 * MS, BAD, "OriginConnectError,502"),
    ],
    "aws-api-gateway": [
        ("/pets/{id}", "2021-04-09T12:34:56", 0, 41 * MS, OK, None),
        ("/pets/{id}", "2021-04-09T12:34:57", 0, 29_001 * MS, BAD, "504"),
    ],
    "gcp-load-balancer": [
        ("shop", "2020-06-08T23:41:30", 78_651_000, 27 * MS, OK, None),
        ("shop", "2020-06-08T23:41:31", 78_651_000, 30_001 * MS, BAD, "backend_timeout,502"),
    ],
    "iis": [
        ("SHOP", "2024-05-01T10:00:01", 750 * MS, 250 * MS, OK, None),
        ("SHOP", "2024-05-01T09:59:32", 985 * MS, 30_015 * MS, BAD, "0,503"),
        ("SHOP", "2024-05-01T10:00:02", 500 * MS, 1500 * MS, NEITHER, "64,200"),
    ],
    "k6": [
        ("shop.example", "2022-01-04T12:15:35", 885_635_000, 114_365_000, OK, None),
        ("shop.example", "2022-01-04T12:15:37", 0, 0, BAD, "0"),
    ],
    "k6-json": [
        ("shop.example", "2022-02-16T10:07:28", 869_900_000, 1_530_100_000, BAD, "503"),
        ("shop.example", "2022-02-16T10:07:31", 400 * MS, 0, BAD, "0"),
    ],
    "jmeter": [
        ("shop.example", "2022-11-02T05:11:56", 729 * MS, 115 * MS, OK, None),
        ("shop.example", "2022-11-02T05:11:56", 844 * MS, 30_000 * MS, BAD, "Non HTTP response code: java.net.SocketTimeoutException,false"),
        ("shop.example", "2022-11-02T05:12:26", 844 * MS, 12 * MS, BAD, "200,false"),
    ],
    "jmeter-without-header": [
        ("pay", "2022-11-02T05:11:56", 729 * MS, 115 * MS, OK, None),
        ("pay", "2022-11-02T05:11:56", 844 * MS, 30_000 * MS, BAD, "Non HTTP response code: java.net.SocketTimeoutException,false"),
        ("pay", "2022-11-02T05:12:27", 844 * MS, 12 * MS, BAD, "503,false"),
    ],
    "har": [
        ("shop.example", "2024-05-01T10:00:02", 500 * MS, 125_500_000, OK, None),
        ("pay.example", "2024-05-01T10:00:03", 500 * MS, 30 * S, BAD, "0"),
    ],
    "upptime": [
        ("Shop of Example", "2024-05-01T10:00:01", 883 * MS, 117 * MS, OK, None),
        ("Shop of Example", "2024-05-01T09:55:02", 0, 0, BAD, "down"),
        ("Bank", "2024-05-01T09:49:56", 790 * MS, 5210 * MS, OK, None),
    ],
    "postgresql-json": [
        ("shop", "2023-05-01T10:00:02", 487_655_000, 12_345_000, OK, None),
        ("shop", "2023-05-01T10:00:03", 500 * MS, 0, BAD, "57014"),
        ("shop", "2023-05-01T10:00:05", 500 * MS, 0, OK, None),
    ],
    "postgresql-csv": [
        ("shop", "2023-05-01T10:00:02", 487_655_000, 12_345_000, OK, None),
        ("shop", "2023-05-01T10:00:03", 500 * MS, 0, BAD, "57014"),
    ],
    "openstack-nova-api": [
        ("any", "2017-05-16T00:00:00", 252_217_100, 247_782_900, OK, None),
        ("any", "2017-05-16T00:00:01", 0, 1500 * MS, BAD, "503"),
    ],
    "vegeta": [
        ("shop.example", "2020-09-01T08:00:00", 123_456_789, 12_345_678, OK, None),
        ("shop.example", "2020-09-01T08:00:00", 223_456_789, 345_678, BAD, "0"),
    ],
    "vegeta-json": [
        ("shop.example", "2020-09-01T08:00:00", 123_456_789, 12_345_678, OK, None),
        ("shop.example", "2020-09-01T08:00:00", 223_456_789, 345_678, BAD, "0"),
    ],
    "hey": [
        ("any", "1970-01-01T00:00:00", 1_600_000, 8_700_000, OK, None),
        ("any", "1970-01-01T00:00:00", 10_300_000, 50 * MS, BAD, "503"),
    ],
    "litellm": [
        ("openai", "2024-04-01T19:33:20", 250 * MS, 1500 * MS, OK, None),
        ("openai", "2024-04-01T19:33:22", 250 * MS, 250 * MS, BAD, "429,failure"),
        ("openai", "2024-04-01T19:33:23", 0, 600 * S, BAD, "failure"),
    ],
    "polly": [
        ("shop-standard", "2024-05-01T09:59:59", 999_500_000, 120_500_000, OK, None),
        ("shop-standard", "2024-05-01T10:00:01", 89_750_000, 30_250_000, BAD, "true"),
    ],
    "skywalking-csv": [
        ("bank:8080", "2021-06-15T03:41:01", 0, 250 * MS, OK, None),
        ("bank:8080", "2021-06-15T03:41:02", 0, 1000 * MS, BAD, "True"),
    ],
    "pino-http": [
        ("web-1", "2024-05-01T10:00:02", 108 * MS, 12 * MS, OK, None),
        ("web-1", "2024-05-01T09:59:33", 119 * MS, 30_001 * MS, BAD, "503"),
    ],
    "zap": [
        ("bank", "2024-05-01T10:00:01", 870 * MS, 250 * MS, OK, None),
        ("bank", "2024-05-01T10:00:01", 620 * MS, 1500 * MS, BAD, "503"),
    ],
    "winston": [
        ("bank", "2024-05-01T10:00:01", 870 * MS, 250 * MS, OK, None),
        ("bank", "2024-05-01T10:00:01", 620 * MS, 1500 * MS, BAD, "503"),
    ],
    "structlog": [
        ("bank", "2024-05-01T10:00:01", 870 * MS, 250 * MS, OK, None),
        ("bank", "2024-05-01T10:00:01", 620 * MS, 1500 * MS, BAD, "ConnectTimeout"),
    ],
    "loguru": [
        ("bank", "2024-05-01T10:00:01", 870 * MS, 250 * MS, OK, None),
        ("bank", "2024-05-01T10:00:01", 620 * MS, 1500 * MS, BAD, "503"),
    ],
}  # fmt: skip
"""By format: breaker, second and nanosecond of the start, duration in ns, outcome, error."""


@pytest.mark.parametrize("name", COUNTED)
def test_calls_of_each_format_match_a_count_by_hand(tmp_path, name):
    description = format_named(name)
    zone = (
        UTC if description.name in ("haproxy-http", "openstack-nova-api") else None
    )  # the times of these formats name no zone
    breaker = description.breaker or ("{host}" if name == "apache-combined-us" else "any")
    calls, unreadable = imported(tmp_path, description.sample.lstrip(), breaker=breaker, zone=zone)
    assert unreadable == []
    expected = [
        (name, _ns(second) + ns, took, outcome, error)
        for name, second, ns, took, outcome, error in COUNTED[name]
    ]
    found = [(c.breaker, c.start, c.took, c.outcome.value, c.error) for c in calls]
    assert found == expected


def _ns(second):
    moment = datetime.fromisoformat(second).replace(tzinfo=UTC)
    return int(moment.timestamp()) * S


def test_w3c_fields_are_those_of_its_comment(tmp_path):
    text = (
        "#Software: Microsoft Internet Information Services 10.0\n"
        "#Fields: date time sc-status time-taken cs-host\n"
        "2024-05-01 10:00:02 500 250 shop.example\n"
        "2024-05-01 10:00:03 200 250 shop.example\n"
    )
    calls, unreadable = imported(tmp_path, text)
    assert unreadable == []
    assert [(c.breaker, c.took, c.error) for c in calls] == [
        ("shop.example", 250 * MS, "500"),
        ("shop.example", 250 * MS, None),
    ]


def test_w3c_time_taken_needs_a_unit_unless_iis_wrote_it(tmp_path):
    text = "#Fields: date time sc-status time-taken\n2024-05-01 10:00:02 500 250\n"
    assert ready(tmp_path, text, breaker="a").format.description.name == "w3c"
    _, unreadable = imported(tmp_path, text, breaker="a")
    assert "has no unit: give it as FIELD:ms" in unreadable[0].why


@pytest.mark.parametrize(
    "status",
    [
        "java.net.SocketTimeoutException: Read timed out", "requests.exceptions.ConnectTimeout",
        "ConnectionError", "TimeoutError", "Non HTTP response code: java.net.ConnectException",
        "no response", "No response from upstream", "ECONNREFUSED", "connect: Connection refused",
        "read: connection reset by peer", "dial tcp: i/o timed out", "Error: socket hang up",
    ],
)  # fmt: skip
def test_exception_text_as_a_status_is_a_failure(tmp_path, status):
    text = f'target,start_ms,status\na,1700000000000,200\na,1700000000001,"{status}"\n'
    (_, call), _ = imported(tmp_path, text)
    assert (call.outcome.value, call.error) == (BAD, status)


@pytest.mark.parametrize("status", ["0", "NoError", "Exceptional", "done", "True"])
def test_words_of_unclear_meaning_have_an_unknown_outcome(tmp_path, status):
    text = f"target,start_ms,status\na,1700000000000,200\na,1700000000001,{status}\n"
    (_, call), _ = imported(tmp_path, text)
    assert call.labels == {REFUSED: status}


def test_latest_fields_line_of_a_log_applies(tmp_path):
    text = (
        "#Fields: date time sc-status time-taken cs-host\n"
        "2024-05-01 10:00:02 503 250 shop.example\n"
        "#Fields: date time time-taken sc-status cs-host\n"
        "2024-05-01 10:00:02 250 503 shop.example\n"
    )
    calls, unreadable = imported(tmp_path, text, format="iis")
    assert [(call.took, call.error) for call in calls] == [(250_000_000, "503")] * 2
    assert unreadable == []


@pytest.mark.parametrize(
    ("cluster", "authority", "breaker"),
    [
        ("outbound|80||bank.svc", "bank:80", "bank.svc"),
        ("PassthroughCluster", "api.example", "api.example"),
        ("BlackHoleCluster", "-", "sni.example"),
        ("inbound|9080||", "bank:80", "bank:80"),
    ],
)
def test_istio_cluster_for_unknown_hosts_is_not_a_target(tmp_path, cluster, authority, breaker):
    sample = format_named("istio").sample.strip().splitlines()[1]
    line = sample.replace("outbound|3306||db.production.svc.cluster.local", cluster)
    line = line.replace('"-" "192.0.2.193', f'"{authority}" "192.0.2.193')
    (call,), _ = imported(tmp_path, line.removesuffix("- -") + "sni.example -\n")
    assert call.breaker == breaker


def test_haproxy_https_log_has_fields_after_the_request(tmp_path):
    sample = format_named("haproxy-http").sample.strip().splitlines()[0]
    line = sample + " 0/0000000000000000/0/0/0 shop.example/TLSv1.3/TLS_AES_128_GCM_SHA256\n"
    (call,), _ = imported(tmp_path, line, zone=UTC)
    assert (call.breaker, call.took) == ("shop", 1264 * MS)


@pytest.mark.parametrize("indent", [None, 2])
def test_har_file_of_a_browser_is_read(tmp_path, indent):
    description = format_named("har")
    lines = description.sample.strip().splitlines()
    entries = [json.loads(line) for line in lines]
    document = {"log": {"version": "1.2", "pages": [{"id": "p"}], "entries": entries}}
    of_document = imported(tmp_path, json.dumps(document, indent=indent))
    assert of_document == imported(tmp_path, description.sample.lstrip())
    assert len(of_document[0]) == 2
