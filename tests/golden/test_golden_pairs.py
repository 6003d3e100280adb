"""Find, check and update golden files and their traces."""

import shutil

import pytest
from breaker_calls import fail
from log_files import read_lines, resealed, write_traffic

from recloser import CircuitBreaker, CircuitBreakerConfig, EventLog, LogError
from recloser.errors import GoldenError
from recloser.golden.golden_file import read_golden
from recloser.golden.golden_pairs import (
    GoldenPair,
    Verdict,
    check,
    find_pairs,
    golden_path,
    refuse_in_ci,
    trace_path,
    update,
)

SEGMENT = "000000000001.jsonl"


@pytest.fixture
def traces(tmp_path, clock):
    """Three traces: a log of live breakers, a log in one file, and imported traffic."""
    with EventLog(tmp_path / "live", clock=clock, seal_seconds=None) as log:
        fail(CircuitBreaker("b", log=log), 5)
    (tmp_path / "live" / "lock").unlink(missing_ok=True)
    deep = tmp_path / "deep"
    deep.mkdir()
    shutil.copy(tmp_path / "live" / SEGMENT, deep / "single.jsonl")
    write_traffic(tmp_path / "calls", "FFFFFFSSSS")
    return tmp_path


def pair(trace):
    return GoldenPair(trace, golden_path(trace))


@pytest.mark.parametrize(
    ("trace", "golden"),
    [
        ("a/outage", "a/outage.golden.json"),
        ("a/outage.jsonl", "a/outage.golden.json"),
        ("a/outage.jsonl.zst", "a/outage.golden.json"),
        ("a/v1.2", "a/v1.2.golden.json"),
    ],
)
def test_a_golden_file_is_in_the_folder_of_its_trace(tmp_path, trace, golden):
    assert golden_path(tmp_path / trace) == tmp_path / golden


def test_the_golden_path_of_the_current_folder_is_beside_it(traces, monkeypatch):
    monkeypatch.chdir(traces / "live")
    for here in (".", "../live", "../live/../live"):
        (found,) = find_pairs(type(traces)(here))
        assert found.golden.resolve() == traces / "live.golden.json"


def test_find_pairs_finds_every_trace_and_golden_file_below_a_folder(traces):
    (traces / "deep" / "unused.golden.json").write_text("{}")
    (traces / "deep" / "notes.json").write_text("{}")
    assert [found.golden.relative_to(traces).as_posix() for found in find_pairs(traces)] == [
        "calls.golden.json",
        "deep/single.golden.json",
        "deep/unused.golden.json",
        "live.golden.json",
    ]


def test_a_folder_without_traces_and_golden_files_is_an_error(tmp_path):
    (tmp_path / "notes.txt").touch()
    with pytest.raises(GoldenError, match="no trace and no golden file in this folder"):
        find_pairs(tmp_path)
    with pytest.raises(GoldenError, match="no such file or folder"):
        find_pairs(tmp_path / "absent")


def test_find_pairs_accepts_a_golden_file(traces):
    update(pair(traces / "deep" / "single.jsonl"))
    golden = traces / "deep" / "single.golden.json"
    assert find_pairs(golden) == [GoldenPair(traces / "deep" / "single.jsonl", golden)]


def test_a_golden_file_with_two_possible_traces_is_an_error(traces):
    shutil.copy(traces / "live" / SEGMENT, traces / "live.jsonl")
    with pytest.raises(GoldenError, match="could belong to live or live.jsonl beside it"):
        trace_path(traces / "live.golden.json")


def test_only_the_first_of_two_updates_writes_the_file(traces):
    for found in find_pairs(traces):
        assert update(found).verdict is Verdict.NEW
        before = found.golden.stat().st_mtime_ns, found.golden.read_bytes()
        assert update(found).verdict is Verdict.SAME
        assert (found.golden.stat().st_mtime_ns, found.golden.read_bytes()) == before
        assert check(found).verdict is Verdict.SAME


def test_check_writes_nothing(traces):
    files = {path: path.read_bytes() for path in traces.rglob("*.*")}
    with pytest.raises(GoldenError, match=".*live has no golden file; write it with `recl"):
        check(pair(traces / "live"))
    assert {path: path.read_bytes() for path in traces.rglob("*.*")} == files
    update(pair(traces / "live"))
    golden = traces / "live.golden.json"
    golden.write_text(golden.read_text().replace('"failed":5', '"failed":4'))
    before = golden.read_bytes()
    assert check(pair(traces / "live")).verdict is Verdict.DIFFERENT
    assert golden.read_bytes() == before


def test_a_wrong_digest_differs_even_if_the_edges_are_equal(traces):
    digest = update(pair(traces / "live")).history.digest
    golden = traces / "live.golden.json"
    golden.write_text(golden.read_text().replace(digest, "0" * 64))
    checked = check(pair(traces / "live"))
    assert checked.verdict is Verdict.DIFFERENT
    assert checked.comparison.digests == ("0" * 64, digest)


def test_update_reports_what_changed(traces):
    update(pair(traces / "live"))
    golden = traces / "live.golden.json"
    golden.write_text(golden.read_text().replace('"failed":5', '"failed":4'))
    updated = update(pair(traces / "live"))
    assert updated.verdict is Verdict.CHANGED
    (totals,) = updated.comparison.totals
    assert (totals.old.failed, totals.new.failed) == (4, 5)
    assert check(pair(traces / "live")).verdict is Verdict.SAME


def test_update_and_check_use_the_settings_in_the_golden_file(traces):
    """The first update stores the given settings; later updates and checks use them."""
    calls = pair(traces / "calls")
    trips = len(update(calls, CircuitBreakerConfig(failure_threshold=2)).history.trips())
    assert read_golden(calls.golden).driven_with["failure_threshold"] == 2
    assert update(calls).verdict is Verdict.SAME
    assert len(check(calls).history.trips()) == trips == 1
    updated = update(calls, CircuitBreakerConfig(failure_threshold=9))
    assert (updated.verdict, updated.history.trips()) == (Verdict.CHANGED, [])
    assert [(s.name, s.old, s.new) for s in updated.comparison.settings] == [
        ("failure_threshold", 2, 9)
    ]


def test_update_with_settings_for_a_log_that_breakers_wrote_is_an_error(traces):
    with pytest.raises(ValueError, match="written by breakers"):
        update(pair(traces / "live"), CircuitBreakerConfig())
    assert not (traces / "live.golden.json").exists()


def test_a_golden_file_without_a_trace_is_an_error(traces):
    update(pair(traces / "live"))
    shutil.rmtree(traces / "live")
    (found,) = [found for found in find_pairs(traces) if found.golden.name == "live.golden.json"]
    for work in (check, update):
        with pytest.raises(GoldenError, match="its trace is gone: there is no live/ or live.jsonl"):
            work(found)
    assert found.golden.exists()


def test_update_does_not_overwrite_a_damaged_golden_file(traces):
    golden = traces / "live.golden.json"
    golden.write_text("<<<<<<< HEAD\n")
    with pytest.raises(GoldenError, match="this is not a complete golden file"):
        update(pair(traces / "live"))
    assert golden.read_text() == "<<<<<<< HEAD\n"


def forge(folder):
    """Make a trace whose witness has evidence that differs from the calls before it."""
    segment = folder / SEGMENT
    lines = [line.replace(b'"observed":5,', b'"observed":6,') for line in read_lines(segment)]
    segment.write_bytes(resealed(lines))


def test_update_rejects_a_history_that_differs_from_its_witnesses(traces):
    forge(traces / "live")
    with pytest.raises(GoldenError, match="differs at seq 8 from what was recorded live"):
        update(pair(traces / "live"))
    assert not (traces / "live.golden.json").exists()


def test_check_fails_for_a_history_that_differs_from_its_witnesses(traces):
    update(pair(traces / "live"))
    forge(traces / "live")
    checked = check(pair(traces / "live"))
    assert checked.verdict is Verdict.DIFFERENT
    assert not checked.comparison


def test_a_damaged_trace_is_a_damaged_log_error(traces):
    update(pair(traces / "live"))
    segment = traces / "live" / SEGMENT
    segment.write_bytes(segment.read_bytes().replace(b'"took":0', b'"took":1', 1))
    with pytest.raises(LogError, match="broken"):
        check(pair(traces / "live"))


@pytest.mark.parametrize(
    ("value", "refused"), [("true", True), ("1", True), ("", False), ("false", False)]
)
def test_refuse_in_ci_depends_on_the_variable_ci(monkeypatch, value, refused):
    monkeypatch.setenv("CI", value)
    if refused:
        with pytest.raises(GoldenError, match="^update: the environment says that this is CI"):
            refuse_in_ci("update")
    else:
        refuse_in_ci("update")
