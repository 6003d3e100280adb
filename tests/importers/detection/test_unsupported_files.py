"""Reports with sums and logs without times are refused, and files with calls are not."""

import pytest
from import_support import ready

from recloser.errors import ImportTraceError
from recloser.importers.detection.unsupported_files import aggregates_in
from recloser.importers.formats.format_description import all_formats

LOCUST = "Type,Name,Request Count,Failure Count,Median Response Time,Average Response Time\nGET,/,100,2,12,13.5\n"
HISTORY = "Timestamp,User Count,Type,Name,Requests/s,Failures/s,50%\n1700000000,10,,Aggregated,5.0,0.0,12\n"
WRK = """Running 30s test @ http://shop.example/
  12 threads and 400 connections
  Thread Stats   Avg      Stdev     Max   +/- Stdev
    Latency   635.91us    0.89ms  12.92ms   93.69%
  22464657 requests in 30.00s, 17.76GB read
Requests/sec: 748868.53
"""
NGINX_PLUS = '{"shop":{"peers":[{"id":0,"server":"192.0.2.1:80","requests":100,"responses":{"5xx":2}}],"keepalive":0,"zone":"shop"}}'
NGINX_PLUS_PEERS = '{"upstreams":{},"server_zones":{"shop":{"processing":2,"requests":100}}}'
IAGO = '{"counters":{"client/requests":100},"gauges":{},"metrics":{"client/request_latency_ms":{"p50":12}}}'
PRETTY = '{\n  "latencies": {"mean": 1},\n  "rate": 5,\n  "throughput": 5,\n  "success": 1\n}\n'
K6 = "     http_req_duration..............: avg=130.19ms min=128.13ms p(95)=140ms\n"
JMETER = (
    "summary +   2802 in 00:00:06 =  433.7/s Avg:    66 Min:     9 Max:  1053 Err:     0 (0.00%)\n"
)


@pytest.mark.parametrize(
    ("text", "what"),
    [
        (LOCUST, "Locust"), (HISTORY, "Locust"), (WRK, "wrk"), (NGINX_PLUS, "nginx Plus"),
        (NGINX_PLUS_PEERS, "nginx Plus"), (IAGO, "Iago"), (PRETTY, "Vegeta"), (K6, "k6"), (JMETER, "JMeter"),
        ("Label,# Samples,Average,Median\npay,3,5,5\n", "JMeter"),
        ("# HELP requests_total Requests.\n# TYPE requests_total counter\nrequests_total 7\n", "Prometheus"),
    ],
)  # fmt: skip
def test_report_with_sums_is_refused(tmp_path, text, what):
    with pytest.raises(ImportTraceError, match=f"it is .*{what}, which has sums and not single calls"):  # fmt: skip
        ready(tmp_path, text)


def test_no_sample_of_a_format_is_taken_for_a_report():
    samples = [each.sample.strip().splitlines() for each in all_formats() if not each.is_abstract]
    assert [aggregates_in(lines) for lines in samples] == [None] * len(samples)


def test_log_without_times_is_refused_with_the_remedy(tmp_path):
    line = 'INFO:     192.0.2.1:52348 - "GET /cart HTTP/1.1" 200 OK\n'
    with pytest.raises(
        ImportTraceError, match=r"uvicorn's access log, which does not say when .*asctime"
    ):
        ready(tmp_path, line * 3)
