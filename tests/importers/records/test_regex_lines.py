"""Lines are read by a regular expression of the user, which is stopped if it takes too long."""

import shlex
import signal
import threading
import time

import pytest
from import_support import imported, ready

from recloser.cli import status_of
from recloser.errors import ImportTraceError
from recloser.importers.records import regex_lines

LINES = (
    "INFO called bank at 2024-03-05T10:00:01Z: 200 in 12ms\n"
    "INFO started\n"
    "WARN called bank at 2024-03-05T10:00:02Z: 503 in 1.5s\n\n"
)
PATTERN = r"called (?P<target>\S+) at (?P<end>\S+): (?P<status>\d+) in (?P<duration>\S+)"


def test_named_groups_of_a_regex_are_fields(tmp_path):
    calls, (bad,) = imported(tmp_path, LINES, regex=PATTERN)
    assert [(call.breaker, call.took, call.error) for call in calls] == [
        ("bank", 12_000_000, None), ("bank", 1_500_000_000, "503"),
    ]  # fmt: skip
    assert calls[0].start == 1_709_632_801_000_000_000 - 12_000_000
    assert (bad.line, bad.why) == (2, "--regex does not match: INFO started")


def test_group_without_a_match_leaves_the_field_empty(tmp_path):
    pattern = r"(?P<target>\w+) (?P<start_s>\d+) (?P<status>\d+)(?: (?P<duration>\S+))?"
    calls, _ = imported(tmp_path, "a 17 200\na 17 200 5ms\n", regex=pattern)
    assert [call.took for call in calls] == [0, 5_000_000]


def test_printed_command_contains_the_regex(capsys, tmp_path):
    (tmp_path / "trace").write_text(LINES)
    words = ["import", str(tmp_path / "trace"), "--regex", PATTERN, "--dry-run"]
    assert status_of(words) == 3  # a line is not matched
    (command,) = (
        line for line in capsys.readouterr().out.splitlines() if line.startswith("recloser")
    )
    assert shlex.split(command)[3:].count("--regex") == 1
    assert "--format" not in command


@pytest.mark.parametrize(
    ("pattern", "why"),
    [
        ("(", "--regex is not a regular expression: missing"),
        ("(a)", "--regex has no named group"),
        ("(?P<a>x)(?P<a>y)", "--regex is not a regular expression: redefinition"),
    ],
)
def test_regex_without_named_groups_is_refused(tmp_path, pattern, why):
    with pytest.raises(ImportTraceError, match=why):
        ready(tmp_path, LINES, regex=pattern)


def test_regex_cannot_be_combined_with_a_format(tmp_path):
    with pytest.raises(ImportTraceError, match="give one of --format and --regex, not both"):
        ready(tmp_path, LINES, regex=PATTERN, format="csv")


@pytest.mark.parametrize(
    "pattern", [r"(?P<status>(a+)+)$", r"(?P<status>(?:a|a|aa)*)c", r"(?P<status>.*.*.*.*.*.*)=x"]
)
def test_slow_regex_is_stopped_and_the_line_is_named(tmp_path, monkeypatch, pattern):
    monkeypatch.setattr(regex_lines, "SECONDS", 0.2)
    reader = regex_lines.RegexReader(pattern)
    before = signal.getsignal(signal.SIGVTALRM)
    started = time.process_time()
    lines = [regex_lines.LineBatch("trace", 1, ["x", "a" * 3000 + "b"])]
    with pytest.raises(
        ImportTraceError, match=r"more than 0.2 s for trace, up to line 2: write it so"
    ):
        list(reader.read(lines, ["status"]))
    assert time.process_time() - started < 5
    assert signal.getsignal(signal.SIGVTALRM) == before
    assert signal.getitimer(signal.ITIMER_VIRTUAL) == (0.0, 0.0)


def test_regex_is_refused_where_it_cannot_be_stopped():
    raised = []

    def read():
        try:
            regex_lines.RegexReader(PATTERN)
        except ImportTraceError as error:
            raised.append(str(error))

    thread = threading.Thread(target=read)
    thread.start()
    thread.join()
    try:
        import re2  # noqa: F401
    except ImportError:
        assert "needs google-re2: pip install google-re2" in raised[0]
    else:
        assert raised == []


def test_line_beyond_the_length_limit_is_unreadable():
    (records,) = regex_lines.RegexReader("(?P<a>x)").read(
        [regex_lines.LineBatch("f", 1, ["x", None, "x"])], []
    )
    assert list(records.lines) == [1, 3]
    assert [bad.line for bad in records.unreadable] == [2]
