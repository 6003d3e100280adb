"""A full or old segment is followed by a new one; a crash at any step of it loses nothing."""

import os
import shutil
import subprocess
import sys
import textwrap
from datetime import timedelta

import pytest
from breaker_calls import fail, succeed

from recloser import CircuitBreaker, EventLog, read_events, replay
from recloser.log import disk
from recloser.log.reader import LogReader, segments_of

STEPS = ("create", "write", "sync", "cut", "sync_folder")


def test_segment_older_than_segment_seconds_is_followed_by_a_new_one(tmp_path, clock):
    with EventLog(tmp_path, clock=clock, segment_seconds=60, tick_seconds=None) as log:
        breaker = CircuitBreaker("b", log=log)
        for _ in range(13):
            succeed(breaker)
            log.flush()
            clock.advance(seconds=10)
    headers = [event for event in read_events(tmp_path) if event.kind == "log_opened"]
    assert [header.at // 10**9 for header in headers] == [0, 60, 120]
    assert [header.session for header in headers] == [1, 1, 1]
    assert replay(tmp_path).differences == []


def test_crash_before_or_after_any_disk_call_leaves_a_log_that_can_be_continued(
    tmp_path, clock, monkeypatch
):
    """Copy the folder at a point, as a process that is killed there leaves it."""
    folder, left = tmp_path / "log", []

    def copied(step, when):
        copy = tmp_path / f"{len(left):03d}-{when}-{step}"
        shutil.copytree(folder, copy)
        left.append((copy, safe))

    def watched(step):
        call = getattr(disk, step)

        def watch(*arguments):
            copied(step, "before")
            result = call(*arguments)
            copied(step, "after")
            return result

        return watch

    for step in STEPS:
        monkeypatch.setattr(disk, step, watched(step))
    safe = 0
    with EventLog(
        folder,
        clock=clock,
        durability="sync",
        segment_bytes=2500,
        tick_seconds=None,
        compress=False,
    ) as log:
        breaker = CircuitBreaker("b", log=log)
        for _ in range(24):
            succeed(breaker)
            safe = breaker.snapshot().totals.succeeded
            clock.advance(seconds=1)
    monkeypatch.undo()
    assert len(segments_of(folder)) > 2
    taken = {copy.name.partition("-")[2] for copy, _ in left}
    assert taken >= {"before-create", "after-create", "before-sync_folder", "after-sync"}
    for copy, acknowledged in left:
        with EventLog(copy, clock=clock) as log:
            again = CircuitBreaker("b", log=log)
            assert again.snapshot().totals.succeeded - acknowledged in {0, 1}, copy.name
            succeed(again)
        assert replay(copy).differences == [], copy.name
    print(f"crashed at {len(left)} places around the calls to the disk: nothing lost")


READ_ONLY = textwrap.dedent("""
    import os, pathlib, sys
    from recloser import CircuitBreaker, EventLog

    folder = pathlib.Path(sys.argv[1])

    def make_read_only(is_read_only):
        if os.geteuid() == 0 or os.getuid() == 0:
            os.seteuid(65534 if is_read_only else 0)  # root can write to any folder
        else:
            folder.chmod(0o555 if is_read_only else 0o755)

    with EventLog(folder, segment_bytes=3000, durability="sync", compress=False) as log:
        breaker = CircuitBreaker("b", log=log)
        for calls, is_read_only in [(5, False), (40, True), (5, False)]:
            make_read_only(is_read_only)
            for _ in range(calls):
                breaker.after_success(breaker.before_call().permit)
""")


@pytest.mark.skipif(os.name == "nt", reason="folders have no such mode here")
def test_a_folder_made_read_only(tmp_path):
    """No new segment can be made in it; the calls go on, and what is lost is counted."""
    done = subprocess.run(
        [sys.executable, "-c", READ_ONLY, tmp_path / "log"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    history = replay(tmp_path / "log")
    recorded = sum(event.kind == "call_succeeded" for event in history.events)
    lost = sum(event.lost for event in history.events if event.kind == "log_gap")
    assert lost > 0
    assert recorded + lost == 50
    assert history.snapshots["b"].totals.succeeded == 50
    assert "can't be written: " in done.stderr


def test_segment_begins_with_both_clock_readings_of_the_last_event_before_it(tmp_path, clock):
    """The wall clock is read when the segment begins, which may be some seconds later."""
    begun = clock.now()
    with EventLog(tmp_path, clock=clock, tick_seconds=None, segment_bytes=1) as log:
        breaker = CircuitBreaker("b", log=log)
        log.flush()
        clock.advance(seconds=1)
        fail(breaker)
        clock.advance(seconds=3)
        log.flush()
    *_, header = [event for event in LogReader(tmp_path) if event.kind == "log_opened"]
    assert (header.at, header.monotonic) == (10**9, 10**9)
    assert header.wall == begun + timedelta(seconds=1)


def test_checkpoints_alone_fill_no_segment(tmp_path, clock):
    """Checkpoints of a thousand breakers alone are larger than the size of a segment."""
    with EventLog(tmp_path, clock=clock, segment_bytes=4096) as log:
        breakers = [CircuitBreaker(f"b{number}", log=log) for number in range(100)]
        for breaker in breakers[:30]:
            fail(breaker)
            log.flush()
    assert len(list(tmp_path.glob("*.jsonl*"))) <= 4
    assert replay(tmp_path).differences == []
