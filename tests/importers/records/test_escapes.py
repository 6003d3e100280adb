"""Escaped values are read as what was meant."""

import pytest
from import_support import imported

from recloser.importers.import_batches import LineBatch
from recloser.importers.records.text_lines import FormatStringReader


def value_of(language, text, line, name):
    (records,) = FormatStringReader(language, [text]).read([LineBatch("f", 1, [line])], [name])
    return records.columns[name][0]


@pytest.mark.parametrize(
    ("language", "written", "meant"),
    [
        ("nginx", r"\x22a\x22", '"a"'),
        ("nginx", r"caf\xC3\xA9 \x5Cx22", r"café \x22"),
        ("nginx", r"\xFF", r"\xff"),
        ("nginx", r"\"a\" \\x \u0001 \ud800 \d", '"a" \\x \\x01 \\ud800 \\d'),
        ("nginx", r"\x16\x03\x1b", r"\x16\x03\x1b"),
        ("nginx", r"\xE2\x80\xAE", r"\u202e"),
        ("apache", r"\"a\" \\ \t \xc3\xbc", '"a" \\ \\t ü'),
        ("envoy", r"\x22", r"\x22"),
        ("haproxy", "a#22b#C3#A9 #zz", 'a"bé #zz'),
        ("haproxy", r"\x22", r"\x22"),
    ],
)
def test_escapes_are_replaced_by_their_characters(language, written, meant):
    text = {"nginx": "$a", "apache": "%{A}i", "envoy": "%REQ(A)%", "haproxy": "%{+Q}a"}[language]
    quoted = text if language == "haproxy" else f'"{text}"'
    assert value_of(language, quoted, f'"{written}"', "a") == meant


def test_nginx_with_escape_none_has_no_escapes():
    text = "log_format a escape=none '\"$a\"';"
    assert value_of("nginx", text, r'"\x22\n"', "a") == r"\x22\n"


def test_haproxy_may_escape_with_backslashes():
    assert value_of("haproxy", "%ci %{+Q,+E}r", r'a "GET /#22\"x\]"', "r") == r'GET /#22"x]'


def test_quotes_of_haproxy_flags_are_not_part_of_values():
    text = "%{+Q}o %ci %ST"
    (records,) = FormatStringReader("haproxy", [text]).read(
        [LineBatch("f", 1, ['"192.0.2.9" 200', "192.0.2.9 200"])], ["ci"]
    )
    assert list(records.columns["ci"]) == ["192.0.2.9"] * 2


def test_columns_with_and_without_escapes_are_read_alike(tmp_path):
    line = '192.0.2.1 - - [15/Sep/2021:16:13:46 +0000] "GET /{} HTTP/1.1" 502 5\n'
    text = line.format("a") + line.format("\\x22") + "x\n" + line.format("b")
    calls, unreadable = imported(tmp_path, text, breaker="{path}")
    assert [call.breaker for call in calls] == ["/a", '/"', "/b"]
    assert len(unreadable) == 1


def test_apache_end_times_are_read(tmp_path):
    line = "192.0.2.1 1631722426123456 503 250000\n"
    (call,), _ = imported(tmp_path, line, breaker="{host}", log_format="%h %{end:usec}t %>s %D")
    assert (call.start, call.took) == (1_631_722_425_873_456_000, 250_000_000)
