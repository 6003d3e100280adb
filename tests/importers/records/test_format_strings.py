"""Format strings from the configuration of a server become expressions that match its lines."""

import time

import pytest

from recloser.errors import ImportTraceError
from recloser.importers.records.format_string_languages import language_of, split_format
from recloser.importers.records.format_strings import field_names_in, line_pattern

NGINX = '$remote_addr - $remote_user [$time_local] "$request" $status $request_time'
APACHE = '%h %l %u %t "%r" %>s %b %D'
ENVOY = '[%START_TIME%] "%REQ(:METHOD)%" %RESPONSE_CODE% %DURATION% "%REQ(USER-AGENT)%"'
HAPROXY = "%ci:%cp [%tr] %ft %b/%s %TR/%Tw/%Tc/%Tr/%Ta %ST %B %hr %{+Q}r"


def values(language, text, line, **options):
    parts = split_format(language, text)
    pattern, names = line_pattern(parts, field_names_in(parts), **options)
    found = pattern.fullmatch(line)
    return found and dict(zip(names, found.groups(), strict=True))


@pytest.mark.parametrize(
    ("text", "language"),
    [(NGINX, "nginx"), (APACHE, "apache"), (ENVOY, "envoy"), (HAPROXY, "haproxy"), ("abc", None)],
)
def test_language_of_a_format_string_is_detected(text, language):
    assert language_of(text) == language


def test_nginx_fields_are_named_like_its_variables():
    line = '192.0.2.1 - jane doe [28/Mar/2022:09:28:48 +0000] "GET /\\"x\\" HTTP/1.1" 200 1.886'
    assert values("nginx", NGINX, line) == {
        "remote_addr": "192.0.2.1", "remote_user": "jane doe",
        "time_local": "28/Mar/2022:09:28:48 +0000", "request": 'GET /\\"x\\" HTTP/1.1',
        "status": "200", "request_time": "1.886",
    }  # fmt: skip


@pytest.mark.parametrize(
    "configured",
    [
        "log_format main '$remote_addr $status '\n    '\"${request}\"';",
        "log_format main escape=json '$remote_addr $status ' '\"$request\"';",
        "'$remote_addr $status \"$request\"'",
    ],
)
def test_nginx_log_format_directive_is_accepted_whole(configured):
    assert split_format("nginx", configured) == split_format(
        "nginx", '$remote_addr $status "$request"'
    )


def test_apache_log_format_directive_is_accepted_whole():
    configured = r'LogFormat "%h %l %u %t \"%r\" %>s %b \"%{User-Agent}i\" %{ms}T" combined'
    parts = split_format("apache", configured)
    names = ["host", "ident", "user", "time", "request", "status", "bytes", "agent", "duration_ms"]
    assert field_names_in(parts) == names


def test_nginx_list_field_holds_several_values():
    text = "$upstream_addr $upstream_status $status"
    found = values(
        "nginx", text, "192.0.2.1:80, 192.0.2.2:80 : - 502, 403 : 200 200",
        lists=["upstream_addr", "upstream_status"],
    )  # fmt: skip
    assert found == {
        "upstream_addr": "192.0.2.1:80, 192.0.2.2:80 : -",
        "upstream_status": "502, 403 : 200",
        "status": "200",
    }


def test_haproxy_fields_are_named_like_its_tags():
    line = '192.0.2.9:5000 [06/Feb/2009:12:14:14.655] http-in static/srv1 10/0/30/69/109 200 2750 - "GET /"'
    found = values("haproxy", HAPROXY, line)
    assert (found["b"], found["s"], found["Tr"], found["ST"]) == ("static", "srv1", "69", "200")


def test_line_of_another_format_is_not_matched():
    assert values("nginx", NGINX, "hello") is None


@pytest.mark.parametrize(
    ("language", "text", "why"),
    [
        ("nginx", "$status$request_time", "has nothing between status and request_time"),
        ("nginx", "status", "has no field of nginx"),
        ("iis", "$status", "there are format strings of nginx, apache, envoy, haproxy"),
    ],
)
def test_format_string_that_cannot_be_matched_is_refused(language, text, why):
    with pytest.raises(ImportTraceError, match=why):
        split_format(language, text)


@pytest.mark.parametrize(
    "line",
    ["a " * 200_000, "[" * 400_000, '"' * 400_000, "\\" * 400_000, "a - a [" * 60_000, "a, b : " * 60_000],
    ids=["spaces", "brackets", "quotes", "backslashes", "literals", "lists"],
)  # fmt: skip
def test_hostile_line_takes_linear_time(line):
    formats = [("nginx", NGINX), ("apache", APACHE), ("envoy", ENVOY), ("haproxy", HAPROXY)]
    formats.append(("nginx", "$upstream_addr - $upstream_status [$status"))
    began = time.process_time()
    for language, text in formats:
        values(language, text, line, lists=["upstream_addr", "upstream_status"])
    assert time.process_time() - began < 2


def test_values_not_separated_by_spaces_may_hold_spaces():
    line = "15/Sep/2021:16:13:46 +0000|GET /a b HTTP/1.1|curl 8|200"
    found = values("nginx", "$time_local|$request|$http_user_agent|$status", line)
    assert list(found.values()) == line.split("|")


def test_time_with_a_space_before_its_zone_needs_no_brackets():
    line = "192.0.2.1 15/Sep/2021:16:13:46 +0000 200"
    found = values("nginx", "$remote_addr $time_local $status", line)
    assert found["time_local"] == "15/Sep/2021:16:13:46 +0000"


@pytest.mark.parametrize(
    ("written", "line", "name", "value"),
    [
        ("%{sec}t", "1631722426", "time_s", "1631722426"),
        ("%{begin:msec}t", "1631722426123", "time_ms", "1631722426123"),
        ("%{end:usec}t", "1631722426123456", "end_time_us", "1631722426123456"),
        ("%{%s}t", "1631722426", "time_s", "1631722426"),
        ("%{%Y-%m-%d %H:%M:%S}t", "2021-09-15 16:13:46", "time", "2021-09-15 16:13:46"),
        ("%{%Y-%m-%dT%H:%M:%S}t.%{usec_frac}t%{%z}t", "2021-09-15T16:13:46.123456+0200", "time", None),
        ("[%{%d/%b/%Y:%H:%M:%S}t.%{msec_frac}t %{%z}t]", "[15/Sep/2021:16:13:46.123 +0000]", "time",
         "15/Sep/2021:16:13:46.123 +0000"),
        ("%{end:%F %T}t.%{end:msec_frac}t", "2021-09-15 16:13:46.123", "end_time", None),
    ],
)  # fmt: skip
def test_apache_time_may_be_written_in_parts(written, line, name, value):
    found = values("apache", f"%h {written} %>s", f"192.0.2.1 {line} 200")
    assert found == {"host": "192.0.2.1", name: value or line, "status": "200"}


def test_haproxy_flags_decide_which_values_are_quoted():
    text = 'log-format "%{+Q,+E}o\\ %ci %ST %{-Q}o%b"'
    found = values("haproxy", text, '"192.0.2.9" 200 static')
    assert found == {"ci": '"192.0.2.9"', "ST": "200", "b": "static"}
    found = values("haproxy", '"%ci %{+Q,+E}r"', '192.0.2.9 "GET /a\\"b"')
    assert found["r"] == 'GET /a\\"b'


@pytest.mark.parametrize(
    ("line", "captured"),
    [
        ("200 {shop.example|curl 8} {} /", ("{shop.example|curl 8}", "{}")),
        ("200 {shop.example} /", ("{shop.example}", None)),
        ("200 /", (None, None)),
    ],
)
def test_haproxy_omits_headers_that_it_does_not_capture(line, captured):
    found = values("haproxy", "%ST %hr %hs %HU", line)
    assert (found["hr"], found["hs"], found["HU"]) == (*captured, "/")
