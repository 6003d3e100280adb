"""Format strings as their producers' configurations have them become expressions for lines."""

import time

import pytest

from recloser.errors import ImportTraceError
from recloser.importers.records.format_strings import (
    fields_in,
    language_of,
    parts_of,
    pattern_of,
)

NGINX = '$remote_addr - $remote_user [$time_local] "$request" $status $request_time'
APACHE = '%h %l %u %t "%r" %>s %b %D'
ENVOY = '[%START_TIME%] "%REQ(:METHOD)%" %RESPONSE_CODE% %DURATION% "%REQ(USER-AGENT)%"'
HAPROXY = "%ci:%cp [%tr] %ft %b/%s %TR/%Tw/%Tc/%Tr/%Ta %ST %B %hr %{+Q}r"


def values(language, text, line, **options):
    parts = parts_of(language, text)
    pattern, names = pattern_of(parts, fields_in(parts), **options)
    found = pattern.fullmatch(line)
    return found and dict(zip(names, found.groups(), strict=True))


@pytest.mark.parametrize(
    ("text", "language"),
    [(NGINX, "nginx"), (APACHE, "apache"), (ENVOY, "envoy"), (HAPROXY, "haproxy"), ("abc", None)],
)
def test_the_language_of_a_format_string_is_found(text, language):
    assert language_of(text) == language


def test_nginx_fields_have_the_names_of_variables():
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
def test_an_nginx_directive_is_taken_whole(configured):
    assert parts_of("nginx", configured) == parts_of("nginx", '$remote_addr $status "$request"')


def test_an_apache_directive_is_taken_whole():
    configured = r'LogFormat "%h %l %u %t \"%r\" %>s %b \"%{User-Agent}i\" %{ms}T" combined'
    parts = parts_of("apache", configured)
    names = ["host", "ident", "user", "time", "request", "status", "bytes", "agent", "duration_ms"]
    assert fields_in(parts) == names


def test_lists_of_nginx_hold_several_values():
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


def test_haproxy_fields_have_the_names_of_tags():
    line = '192.0.2.9:5000 [06/Feb/2009:12:14:14.655] http-in static/srv1 10/0/30/69/109 200 2750 - "GET /"'
    found = values("haproxy", HAPROXY, line)
    assert (found["b"], found["s"], found["Tr"], found["ST"]) == ("static", "srv1", "69", "200")


def test_a_line_of_another_format_is_not_matched():
    assert values("nginx", NGINX, "hello") is None


@pytest.mark.parametrize(
    ("language", "text", "why"),
    [
        ("nginx", "$status$request_time", "nothing stands between status and request_time"),
        ("nginx", "status", "has no field of nginx"),
        ("iis", "$status", "there are format strings of nginx, apache, envoy, haproxy"),
    ],
)
def test_a_format_string_that_can_not_be_read_by_is_refused(language, text, why):
    with pytest.raises(ImportTraceError, match=why):
        parts_of(language, text)


@pytest.mark.parametrize(
    "line",
    ["a " * 200_000, "[" * 400_000, '"' * 400_000, "\\" * 400_000, "a - a [" * 60_000, "a, b : " * 60_000],
    ids=["spaces", "brackets", "quotes", "backslashes", "literals", "lists"],
)  # fmt: skip
def test_a_hostile_line_takes_time_linear_in_its_length(line):
    formats = [("nginx", NGINX), ("apache", APACHE), ("envoy", ENVOY), ("haproxy", HAPROXY)]
    formats.append(("nginx", "$upstream_addr - $upstream_status [$status"))
    began = time.process_time()
    for language, text in formats:
        values(language, text, line, lists=["upstream_addr", "upstream_status"])
    assert time.process_time() - began < 2
