"""Imports from files to a log, in order and in bounded memory."""

import gzip

import pytest
from import_support import ready

from recloser import Outcome
from recloser.core.events import CallObserved
from recloser.errors import ImportTraceError
from recloser.importers.import_request import ImportRequest
from recloser.importers.input.inputs import Inputs
from recloser.importers.mapping.call_options import CallOptions
from recloser.importers.trace_import import TraceImport
from recloser.log.reader import LogReader

HEADER = "breaker,start_ms,duration_ms,outcome\n"


def calls_in(log):
    return [event for event in LogReader(log) if isinstance(event, CallObserved)]


def test_calls_are_written_in_the_order_of_their_ends(tmp_path):
    text = HEADER + "slow,1000,900,ok\nlate,1500,900,fail\nquick,1200,100,ok\ntwin,1800,100,ok\n"
    summary = ready(tmp_path, text).write(tmp_path / "log")
    assert (summary.read, summary.calls, summary.failed, summary.breakers) == (4, 4, 1, 4)
    calls = calls_in(tmp_path / "log")
    assert [call.breaker for call in calls] == ["quick", "slow", "twin", "late"]
    assert [(call.start, call.at) for call in calls][-1] == (500_000_000, 1_400_000_000)
    assert calls[-1].outcome is Outcome.FAILED


def test_all_calls_of_a_large_import_are_written_in_order(tmp_path):
    count = 120_000
    rows = "".join(f"b{n % 7},{n * 7919 % count},1,ok\n" for n in range(count))
    (tmp_path / "trace.gz").write_bytes(gzip.compress((HEADER + rows).encode(), 1))
    trace_import = TraceImport(Inputs([str(tmp_path / "trace.gz")]), ImportRequest())
    assert trace_import.write(tmp_path / "log").calls == count
    ends = [call.at for call in calls_in(tmp_path / "log")]
    assert ends == [(n + 1) * 1_000_000 for n in range(count)]


def test_several_files_make_one_log_and_unreadable_lines_name_their_file(tmp_path):
    for name, row in (("a", "x,2,1,ok\n"), ("b", "x,1,1,ok\nx,-,1,ok\n")):
        (tmp_path / name).write_text(HEADER + row)
    trace_import = TraceImport(Inputs([str(tmp_path / "a"), str(tmp_path / "b")]), ImportRequest())
    summary = trace_import.write(tmp_path / "log")
    assert (summary.calls, summary.unread) == (2, 1)
    (bad,) = summary.unreadable
    assert (bad.source, bad.line) == (str(tmp_path / "b"), 3)


def test_outcome_field_can_be_named_by_the_user(tmp_path):
    text = "breaker,start_ms,result\na,1,fail\na,2,ok\na,3,503\n"
    trace_import = ready(tmp_path, text, outcome="result")
    assert trace_import.write(tmp_path / "log").failed == 2
    assert trace_import.classifier.fields == ["result"]


def test_file_with_only_too_long_lines_is_refused(tmp_path):
    with pytest.raises(ImportTraceError, match="longer than 1,048,576 characters"):
        ready(tmp_path, "x" * 3_000_000)


def test_field_that_the_first_json_objects_lack_can_be_named(tmp_path):
    text = '{"start_ms":1,"status":200}\n' * 300 + '{"start_ms":2,"status":200,"region":"eu"}\n'
    trace_import = ready(tmp_path, text, breaker="b", labels=["region"])
    batches = list(trace_import.calls())
    labels = [each for batch in batches for each in batch.labels or ()]
    assert labels[-1] == {"region": "eu"}


def test_unwrapper_can_be_switched_off(tmp_path):
    line = "2021-09-15T16:13:47.1Z stdout F breaker,start_ms,outcome\n"
    with pytest.raises(ImportTraceError):
        ready(tmp_path, line + "a,1,ok\n", unwrap=())
    trace_import = TraceImport(
        Inputs([str(tmp_path / "trace")]), ImportRequest(options=CallOptions())
    )
    assert [wrapper.name for wrapper in trace_import.wrappers] == ["cri"]
    assert trace_import.write(tmp_path / "log").calls == 1
    assert trace_import.unwrapped == {"cri": 1}
