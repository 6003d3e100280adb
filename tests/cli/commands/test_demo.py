"""``recloser demo`` plays a real outage, and records, replays and explains it."""

import json
import subprocess
import sys
from pathlib import Path

from recloser.history.engine import replay
from recloser.log.reader import LogReader

RECLOSER = Path(sys.executable).with_name("recloser")


def test_demo_records_an_outage_across_a_kill_and_explains_it(tmp_path):
    log = tmp_path / "log"
    done = subprocess.run([RECLOSER, "demo", "-o", log], capture_output=True, text=True, check=True)
    for step in (
        "10 calls were rejected, 0 of them reached the service",
        "killed with SIGKILL, in mid-outage",
        "started again from its log: OPEN,",
        "the breaker probed, closed, and lets calls through",
    ):
        assert step in done.stderr
    assert "all equal to those recorded live" in done.stdout
    assert "5 consecutive failures reached the threshold of 5" in done.stdout
    assert "\x1b" not in done.stdout + done.stderr

    history = replay(log)
    assert history.differences == []
    assert [edge.trigger.value for edge in history.edges] == ["trip", "cool", "recover"]
    sessions = [event for event in LogReader(log) if event.kind == "log_opened"]
    assert len(sessions) == 2
    assert sessions[1].unsealed > 0


def test_demo_as_json_prints_the_cause(tmp_path):
    done = subprocess.run(
        [RECLOSER, "demo", "--json", "-o", tmp_path / "log"],
        capture_output=True,
        text=True,
        check=True,
    )
    cause = json.loads(done.stdout)
    assert cause["schema"] == "recloser.demo/1"
    assert cause["rule"]["rule"] == "consecutive_failures"
    assert len(cause["evidence"]) == 5
