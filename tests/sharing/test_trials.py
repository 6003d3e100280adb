"""Worst cases of a stream with real processes and a real server: short runs of ``shared_trials``."""

import pytest
from redis_servers import servers_here

import shared_trials

SOON = (
    "away and restarted",
    "trimmed and closed",
    "trimmed and killed",
    "clock ahead",
    "foreign entries",
    "out of memory",
)


@pytest.fixture
def binary():
    found = next(iter(servers_here().values()), None)
    if found is None:
        pytest.skip("there is no Redis server on this machine")
    return found


@pytest.mark.parametrize("name", SOON)
def test_no_command_is_lost_and_all_members_come_back(name, binary):
    outcome = shared_trials.run_once(name, 2, 1.0, binary)
    assert outcome.faults == ()
    assert outcome.slowest_ms < 1000


@pytest.mark.soak
@pytest.mark.parametrize("name", shared_trials.TRIALS)
@pytest.mark.parametrize("server", list(servers_here()) or ["none"])
def test_no_call_waits_long_in_any_trial(name, server):
    if server not in servers_here():
        pytest.skip("there is no Redis server on this machine")
    outcome = shared_trials.run_once(name, 4, 20.0, servers_here()[server])
    assert outcome.faults == ()
    assert outcome.slowest_ms < 120 + outcome.machine_ms
