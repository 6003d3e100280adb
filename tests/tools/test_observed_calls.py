"""Observed calls become a log in the order of their ends."""

import pytest
from observed_calls import ObservedCall, Unreadable, write_trace

from recloser import DamagedLogError, Outcome
from recloser.errors import ImportTraceError
from recloser.history.timeline import Timeline
from recloser.log.reader import LogReader

ORIGIN = 1_767_225_600 * 10**9
OK, FAIL = Outcome.SUCCEEDED, Outcome.FAILED


def test_calls_are_written_in_the_order_of_their_ends(tmp_path):
    """Calls that end at the same time stay in the order of the input."""
    calls = [
        ObservedCall("slow", ORIGIN + 100, 900, OK),
        ObservedCall("late", ORIGIN + 500, 900, FAIL, "503", {"route": "/"}),
        ObservedCall("quick", ORIGIN + 200, 100, OK),
        ObservedCall("slow's twin", ORIGIN + 900, 100, OK),
    ]
    write_trace(tmp_path / "log", calls)
    _opened, *events, _seal = LogReader(tmp_path / "log")
    assert [event.breaker for event in events] == ["quick", "slow", "slow's twin", "late"]
    assert [(event.start, event.took, event.at) for event in events][-1] == (500, 900, 1400)
    assert (events[-1].outcome, events[-1].error, events[-1].labels) == (
        FAIL,
        "503",
        {"route": "/"},
    )


def test_log_begins_at_the_whole_second_of_the_first_call(tmp_path):
    write_trace(tmp_path / "log", [ObservedCall("b", ORIGIN + 1_715_339, 119_942, OK)])
    opened, call, _seal = LogReader(tmp_path / "log")
    assert call.start == 1_715_339
    timeline = Timeline()
    timeline.add(opened)
    assert timeline.text(call.start) == "2026-01-01T00:00:00.001715339Z"


def test_summary_counts_lines_calls_and_outcomes(tmp_path):
    observed = [
        ObservedCall("a", ORIGIN, 0, OK),
        Unreadable(3, "why"),
        ObservedCall("b", ORIGIN, 0, FAIL),
        ObservedCall("b", ORIGIN, 0, Outcome.IGNORED),
        ObservedCall("b", ORIGIN, 0, FAIL),
    ]
    summary = write_trace(tmp_path / "log", observed)
    assert (summary.read, summary.calls, summary.breakers) == (5, 4, 2)
    assert (summary.succeeded, summary.failed, summary.ignored) == (1, 2, 1)
    assert summary.unreadable == [Unreadable(3, "why")]


def test_existing_output_is_not_overwritten(tmp_path):
    (tmp_path / "log").mkdir()
    with pytest.raises(ImportTraceError, match="log exists already and is left as it is"):
        write_trace(tmp_path / "log", [ObservedCall("a", ORIGIN, 0, OK)])


@pytest.mark.parametrize(
    ("observed", "message"),
    [([], "no call in the input"), ([Unreadable(2, "why")], "none of the 1 lines .* line 2: why")],
)
def test_a_trace_without_calls_is_not_written(tmp_path, observed, message):
    with pytest.raises(ImportTraceError, match=message):
        write_trace(tmp_path / "log", observed)
    assert not (tmp_path / "log").exists()


def test_a_trace_is_sealed_like_any_log(tmp_path):
    write_trace(tmp_path / "log", [ObservedCall("a", ORIGIN, n, OK) for n in range(5000)])
    (segment,) = (tmp_path / "log").glob("*.jsonl")
    data = segment.read_bytes()
    assert data.count(b"log_sealed") == 2
    segment.write_bytes(data.replace(b'"took":4999', b'"took":4998'))
    with pytest.raises(DamagedLogError, match="seal 2"):
        list(LogReader(tmp_path / "log"))
