"""Wrappers around lines are detected and removed."""

import json
import time

import pytest
from import_support import calls_and_unreadable, imported, ready

from recloser.cli import status_of
from recloser.errors import ImportTraceError
from recloser.importers.formats.format_description import TimeField
from recloser.importers.import_batches import LineBatch
from recloser.importers.unwrapping.line_unwrapper import LineUnwrapper, certain_wrappers
from recloser.importers.unwrapping.line_wrappers import FIELD_WRAPPERS, WRAPPERS, wrappers_named

TIME = "2021-09-15T16:13:47.123456789Z"
WRAP = {
    "cri": lambda text: f"{TIME} stdout F {text}",
    "docker-json": lambda text: json.dumps(
        {"log": text + "\n", "stream": "stdout", "time": TIME}, separators=(",", ":")
    ),
    "journald": lambda text: json.dumps(
        {"MESSAGE": text, "__REALTIME_TIMESTAMP": "1631722427123456", "_HOSTNAME": "web"}
    ),
    "kubectl-prefix": lambda text: f"[pod/web-7d9f/nginx] {text}",
    "syslog5424": lambda text: f'<34>1 {TIME} web nginx 28 - [a@1 b="\\"]"][c] \ufeff{text}',
    "syslog": lambda text: f"<34>Sep  5 16:13:46 web nginx[2869]: {text}",
    "compose": lambda text: f"web-1  | {text}",
    "timestamps": lambda text: f"{TIME} {text}",
    "json-prefix": lambda text: f"2021-09-15 16:13:47,123 INFO [main] c.E - {text}",
}
SAID = {
    "cri": (TIME, None),
    "docker-json": (TIME, None),
    "journald": ("2021-09-15T16:13:47.123456+00:00", "web"),
    "kubectl-prefix": (None, "web-7d9f"),
    "syslog5424": (TIME, "web"),
    "syslog": (None, "web"),
    "compose": (None, "web-1"),
    "timestamps": (TIME, None),
    "json-prefix": ("2021-09-15 16:13:47,123", None),
}
CLF = '192.0.2.1 - - [15/Sep/2021:16:13:4%d +0000] "POST /login HTTP/1.1" 502 5364 "-" "-"'
OBJECT = '{"status":502,"service":"192.0.2.1","duration_ms":5,"time":"2021-09-15T16:13:4%dZ"}'


def unwrapped(lines, names):
    unwrapper = LineUnwrapper(wrappers_named(names))
    (batch,) = unwrapper([LineBatch("f", 1, list(lines))])
    return batch.texts, dict(unwrapper.counts)


@pytest.mark.parametrize("name", WRAPPERS)
def test_wrapper_is_detected_and_removed(name):
    text = "{}" if name == "json-prefix" else "GET / 200"
    line = WRAP[name](text)
    found = [] if WRAPPERS[name].is_uncertain else [name]
    assert [wrapper.name for wrapper in certain_wrappers([line])] == found
    assert unwrapped([line, "as it is", None], [name]) == ([text, "as it is", None], {name: 1})


@pytest.mark.parametrize("name", WRAPPERS)
def test_time_and_host_of_a_wrapper_are_kept(name):
    unwrapper = LineUnwrapper(wrappers_named([name]))
    assert unwrapper.wrapper_fields(WRAP[name]("{}")) == SAID[name]
    assert unwrapper.wrapper_fields("as it is") == (None, None)


@pytest.mark.parametrize(
    "line",
    [
        "Sep 15 16:13:46 web nginx: {}",
        "2021-09-15T16:13:46.123456+02:00 web nginx[2869]: {}",
        "2021-09-15T16:13:46+0200 web systemd[1]: {}",
    ],
)
def test_syslog_times_are_read_in_several_forms(line):
    assert unwrapped([line.format("x y")], ["syslog"])[0] == ["x y"]


@pytest.mark.parametrize("data", ["-", '[a@1 b="c" d="e]"]', "[a]"])
@pytest.mark.parametrize("header", ["2021-09-15T16:13:46+02:00 web", "- -"])
def test_syslog_5424_fields_may_all_be_missing(header, data):
    line = f"<165>1 {header} - - - {data} x y"
    assert [wrapper.name for wrapper in certain_wrappers([line])] == ["syslog5424"]
    assert unwrapped([line], ["syslog5424"])[0] == ["x y"]


@pytest.mark.parametrize("text", [CLF, OBJECT], ids=["text", "json"])
@pytest.mark.parametrize("name", WRAPPERS)
def test_calls_are_found_inside_every_wrapper(tmp_path, name, text):
    if name == "json-prefix" and text is CLF:
        return
    lines = "".join(WRAP[name](text % number) + "\n" for number in range(3))
    breaker = "{service}" if text is OBJECT else "{host}"
    trace_import = ready(tmp_path, lines, breaker=breaker)
    assert [wrapper.name for wrapper in trace_import.wrappers] == [name]
    calls, unreadable = calls_and_unreadable(trace_import)
    assert unreadable == []
    assert [(call.breaker, call.error) for call in calls] == [("192.0.2.1", "502")] * 3
    assert [call.start - calls[0].start for call in calls] == [0, 10**9, 2 * 10**9]


@pytest.mark.parametrize("field", ["message", "log", "MESSAGE", "event.original", "msg"])
@pytest.mark.parametrize("text", [CLF, OBJECT], ids=["text", "json"])
def test_calls_are_found_in_a_json_field_that_holds_the_line(tmp_path, field, text):
    def wrapped(number):
        value = text % number
        for key in reversed(field.split(".")):
            value = {key: value}
        return json.dumps({"@timestamp": TIME, "agent": {"id": 1}} | value)

    lines = "".join(wrapped(number) + "\n" for number in range(3))
    trace_import = ready(tmp_path, lines, breaker="{service}" if text is OBJECT else "{host}")
    assert [wrapper.name for wrapper in trace_import.wrappers] == [f"field:{field}"]
    assert len(calls_and_unreadable(trace_import)[0]) == 3
    trace_import = ready(tmp_path, lines, breaker="{agent.id}", unwrap=[], outcome="agent.id")
    assert trace_import.wrappers == []
    assert trace_import.format.description.name == "json"


def test_message_of_an_application_log_is_not_unwrapped(tmp_path):
    line = (
        '{"message":"handled request","time":"2021-09-15T16:13:47Z","service":"a","status":200}\n'
    )
    assert ready(tmp_path, line).wrappers == []


def test_time_prefix_is_removed_only_if_no_format_reads_it(tmp_path):
    lines = f"{TIME} 200 0.25\n"
    text = "$time_iso8601 $status $request_time"
    assert ready(tmp_path, lines, breaker="a", log_format=text).wrappers == []
    trace_import = ready(tmp_path, lines, breaker="a", log_format="$status $request_time", unwrap=["timestamps"],
                      end=TimeField("wrapper_time"))  # fmt: skip
    ((call,), _) = calls_and_unreadable(trace_import)
    assert (call.start, call.took) == (1_631_722_426_873_456_789, 250_000_000)


def test_two_uncertain_wrappers_may_be_around_a_line(tmp_path):
    trace_import = ready(tmp_path, WRAP["compose"](WRAP["timestamps"](OBJECT % 1)) + "\n")
    assert [wrapper.name for wrapper in trace_import.wrappers] == ["compose", "timestamps"]
    assert len(calls_and_unreadable(trace_import)[0]) == 1


def test_wrapper_time_and_host_can_be_used_as_fields(tmp_path):
    line = WRAP["journald"]('{"status":502,"duration_ms":5}')
    with pytest.raises(
        ImportTraceError, match="the fields are status, duration_ms, wrapper_time, wrapper"
    ):
        ready(tmp_path, line, breaker="{wrapper_host}")
    (call,), _ = imported(tmp_path, line, breaker="{wrapper_host}", start=TimeField("wrapper_time"))
    assert (call.breaker, call.start, call.took) == ("web", 1_631_722_427_123_456_000, 5_000_000)


@pytest.mark.parametrize(
    "line",
    [" " * 400_000, "a " * 200_000, "[" * 400_000, "<1>1 - - - - - " + '[a b="' * 60_000, '{"' * 200_000,
     "web-1 " + " " * 400_000, "<1>1 - - - - - [a" + ' b="\\' * 60_000],
    ids=["spaces", "words", "brackets", "data", "braces", "padding", "backslashes"],
)  # fmt: skip
def test_hostile_line_takes_linear_time(line):
    began = time.process_time()
    for wrapper in [*WRAPPERS.values(), *FIELD_WRAPPERS]:
        wrapper.unwrap(line)
        wrapper.fields_of(line)
    assert time.process_time() - began < 2


def test_named_wrapper_that_no_line_has_is_refused(capsys, tmp_path):
    (tmp_path / "trace").write_text(CLF % 1 + "\n")
    words = ["import", str(tmp_path / "trace"), "--breaker", "a", "--dry-run", "--unwrap"]
    assert status_of([*words, "cri"]) == 2
    assert (
        "no line is wrapped in the prefix of a container runtime (CRI)" in capsys.readouterr().err
    )
    assert status_of([*words, "none"]) == 0
    assert capsys.readouterr().err == ""


def test_journald_messages_may_be_bytes():
    line = json.dumps({"MESSAGE": list(b"caf\xc3\xa9 \xff"), "__REALTIME_TIMESTAMP": "5"})
    assert unwrapped([line], ["journald"])[0] == ["café \\xff"]
    line = json.dumps({"MESSAGE": [999], "__REALTIME_TIMESTAMP": "5"})
    assert unwrapped([line], ["journald"])[0] == [line]


def test_docker_json_lines_without_line_ends_are_not_joined(tmp_path):
    lines = "".join(
        f'{{"log":{json.dumps(CLF % number)},"stream":"stdout"}}\n' for number in range(3)
    )
    trace_import = ready(tmp_path, lines, breaker="{host}")
    assert [wrapper.name for wrapper in trace_import.wrappers] == ["field:log"]
    assert len(calls_and_unreadable(trace_import)[0]) == 3


def test_several_wrappers_may_be_around_a_line_or_in_a_file():
    both = WRAP["cri"](WRAP["docker-json"]("x"))
    assert {wrapper.name for wrapper in certain_wrappers([both])} == {"cri", "docker-json"}
    lines = [both, WRAP["syslog"]("y")]
    assert unwrapped(lines, ["docker-json", "syslog", "cri"])[0] == ["x", "y"]


def test_lines_that_a_runtime_cut_are_joined_and_numbers_stay_right():
    cri = ["2021-09-15T16:13:47Z stdout P ab", "2021-09-15T16:13:47Z stdout P cd", "2021-09-15T16:13:47Z stdout F ef"]  # fmt: skip
    assert unwrapped(cri, ["cri"])[0] == ["", "", "abcdef"]
    docker = ['{"log":"ab","stream":"stdout","time":""}', '{"log":"cd\\r\\n","stream":"stdout","time":""}']  # fmt: skip
    assert unwrapped(docker, ["docker-json"])[0] == ["", "abcd"]


def test_endless_joined_line_is_given_up():
    part = "2021-09-15T16:13:47Z stdout P " + "x" * 400_000
    texts, _ = unwrapped([part] * 4 + ["2021-09-15T16:13:47Z stdout F y"], ["cri"])
    assert texts == ["", "", None, "", "x" * 400_000 + "y"]


def test_other_json_with_a_log_field_is_not_dockers():
    assert certain_wrappers(['{"log":5,"stream":"stdout"}', '{"log":"x"}', "x"]) == []


def test_unknown_wrapper_is_refused_with_the_existing_ones():
    with pytest.raises(
        ImportTraceError, match="no wrapper 'zip' for --unwrap; use cri, docker-json"
    ):
        wrappers_named(["zip"])
