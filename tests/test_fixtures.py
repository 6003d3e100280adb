"""The recordings in ``fixtures/`` replay to the edges that were recorded live."""

from itertools import pairwise

import pytest

from conftest import RECORDED_LOGS, ROOT
from recloser import Trigger
from recloser.audit.explanation import why
from recloser.history.engine import replay
from recloser.log.reader import LogReader

FIXTURES = ROOT / "fixtures"
ERRORS = {
    "http-outage": "httpx.HTTPStatusError",
    "process-killed": "urllib.error.HTTPError",
    "redis-killed": "redis.exceptions.ConnectionError",
    "slow-dependency": "httpx.ReadTimeout",
    "wall-clock-stepped": "httpx.HTTPStatusError",
}


def test_every_recording_is_listed_here_and_in_the_readme():
    recordings = {path.name for path in RECORDED_LOGS}
    assert recordings == set(ERRORS)
    readme = (FIXTURES / "README.md").read_text()
    assert all(f"- `{name}`: " in readme for name in recordings)


@pytest.mark.parametrize("name", ERRORS)
def test_recording_replays_to_its_witnesses(name):
    history = replay(FIXTURES / name)
    assert history.differences == []
    assert history.witnesses == len(history.edges) >= 3
    assert (history.tail.torn, history.tail.unsealed) == (0, 0)
    assert history.edges[0].trigger is Trigger.TRIP
    assert history.edges[-1].trigger is Trigger.RECOVER


@pytest.mark.parametrize("name", ERRORS)
def test_why_explains_the_trip_of_every_recording(name):
    history = replay(FIXTURES / name)
    (breaker,) = history.snapshots
    cause = why(history, breaker)
    assert len(cause.evidence) == 5
    assert {call.error for call in cause.evidence} == {ERRORS[name]}
    assert cause.cost.rejected > 10


def test_process_killed_recording_continues_after_the_kill():
    sessions = [e for e in LogReader(FIXTURES / "process-killed") if e.kind == "log_opened"]
    first, second = sessions
    assert second.unsealed > 0
    assert second.boot_id == first.boot_id != ""


def test_wall_clock_stepped_recording_jumps_by_hours():
    ticks = [e for e in LogReader(FIXTURES / "wall-clock-stepped") if e.kind == "clock_ticked"]
    skews = [
        (later.wall - earlier.wall).total_seconds() - (later.at - earlier.at) / 1e9
        for earlier, later in pairwise(ticks)
    ]
    assert min(skews) == pytest.approx(-3600, abs=1)
    assert max(skews) == pytest.approx(7200, abs=1)
