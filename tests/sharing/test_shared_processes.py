"""Shared breakers of real processes, on a real server and service: short runs of the tools.

``tools/shared_soak.py`` and ``tools/shared_faults.py`` do it for longer.
"""

import pytest
from redis_servers import servers_here

import shared_faults
import shared_soak

SERVERS = servers_here()


def _binary(name):
    if name not in SERVERS:
        pytest.skip("there is no Redis server on this machine")
    return SERVERS[name]


@pytest.mark.parametrize("name", list(SERVERS) or ["none"])
def test_eight_processes_agree_on_an_outage(name):
    verdict = shared_soak.run_once(8, _binary(name))
    assert verdict.violations == []
    assert verdict.edges >= 3
    assert verdict.probes >= 2
    assert verdict.slowest_ms < 1000


@pytest.mark.parametrize(
    "fault",
    ["restarted with data", "restarted without data", "partition", "stopped until it was open"],
)
def test_processes_agree_after_a_fault(fault):
    verdict = shared_faults.run_once(fault, 3, _binary(next(iter(SERVERS), "none")))
    assert verdict.violations == []
    assert verdict.edges >= 3
    assert verdict.slowest_ms < 1000
