"""A restart vouches only for what is on disk."""

import os
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest
from breaker_calls import fail

from recloser import CircuitBreaker, EventLog
from recloser.log import disk, recovery
from recloser.log.reader import LogReader
from recloser.log.verification import verify

KILLED = textwrap.dedent(
    """
    import os, sys
    from recloser import CircuitBreaker, EventLog
    from recloser.log import disk

    real = disk.sync
    def sync(descriptor):
        real(descriptor)
        name = os.path.basename(os.readlink(f"/proc/self/fd/{descriptor}"))
        print(name, os.fstat(descriptor).st_size, flush=True)
    disk.sync = sync

    log = EventLog(sys.argv[1])
    breaker = CircuitBreaker("payments", log=log)
    breaker.force_open(actor="ops")
    breaker.force_closed(actor="ops")
    log.flush()
    for _ in range(30):
        breaker.call(int)
    log.flush()
    os.kill(os.getpid(), 9)
    """
)


@pytest.mark.skipif(not Path("/proc/self/fd").is_dir(), reason="descriptors have no names")
def test_acknowledged_events_survive_kill_and_power_loss_after_a_restart(tmp_path, monkeypatch):
    """Only synced bytes of each file survive; names and their order do too."""
    folder = tmp_path / "log"
    command = [sys.executable, "-c", KILLED, str(folder)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == -9, done.stderr
    synced = {name: int(size) for name, size in map(str.split, done.stdout.splitlines())}
    real = disk.sync

    def sync(descriptor):
        real(descriptor)
        name = Path(f"/proc/self/fd/{descriptor}").readlink().name
        synced[name] = os.fstat(descriptor).st_size

    monkeypatch.setattr(disk, "sync", sync)
    with EventLog(folder, durability="sync") as log:
        breaker = CircuitBreaker("payments", log=log)
        fail(breaker, 3)
        left = dict(synced)
    for segment in folder.glob("*.jsonl"):
        os.truncate(segment, left.get(segment.name, 0))
    assert verify(folder).damages == []
    events = [event.kind for event in LogReader(folder)]
    assert events.count("call_failed") == 3
    assert events.count("call_succeeded") == 30


def test_folders_above_a_new_log_are_synced_before_its_first_event(tmp_path, monkeypatch):
    calls = []
    for name in ("sync_folder", "create"):
        real = getattr(disk, name)
        monkeypatch.setattr(
            disk, name, lambda path, name=name, real=real: calls.append((name, path)) or real(path)
        )
    folder = tmp_path / "far" / "below"
    with EventLog(folder) as log:
        CircuitBreaker("payments", log=log)
    made = calls.index(("create", folder / "000000000001.jsonl"))
    above = {("sync_folder", tmp_path), ("sync_folder", tmp_path / "far")}
    assert above <= set(calls[:made])
    assert ("sync_folder", folder) in calls[made:]


@pytest.mark.parametrize(
    "left", [b"", b'{"event":"log_op', b'{"event":"log_opened","seq":3,', bytes(5000)]
)
def test_segment_without_a_whole_first_line_is_removed_on_restart(tmp_path, left):
    with EventLog(tmp_path) as log:
        CircuitBreaker("payments", log=log)
    (tmp_path / "000000000002.jsonl").write_bytes(left)
    recovered = recovery.recover(tmp_path)
    assert recovered.damage is None
    assert recovered.tail.torn == 0
    assert not (tmp_path / "000000000002.jsonl").exists()
