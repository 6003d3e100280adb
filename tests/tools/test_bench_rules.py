"""Each rule for randomly failing calls trips, or tolerates all failures, as it declares."""

from itertools import cycle

import pytest

from bench import hostile, ours, rules
from bench.adapters import Broken, Unsupported
from recloser import CircuitBreaker, CircuitOpenError, ManualClock, MemoryLog

FEW = 3000


@pytest.mark.parametrize("rule", rules.RULES, ids=lambda rule: f"{rule.kind}, {rule.trips}")
@pytest.mark.parametrize("share", hostile.SHARES)
def test_rule_trips_or_tolerates_failures_as_declared(rule, share):
    clock = ManualClock()
    breaker = CircuitBreaker("a", rules.config_of(rule), log=MemoryLog(clock=clock))
    fails = cycle(hostile.outcomes(share))

    @breaker
    def call():
        clock.advance_monotonic(ns=1000)
        if next(fails):
            raise Broken

    rejected = 0
    number = hostile.DRAWS if rule.trips and share == hostile.SHARES[0] else FEW
    for _ in range(number):
        try:
            call()
        except Broken:
            pass
        except CircuitOpenError:
            clock.advance_monotonic(ns=1000)
            rejected += 1
    assert (rejected > 0) == rule.trips
    assert rejected < number * 0.99  # it closes again after a trip


@pytest.mark.parametrize("share", hostile.SHARES)
def test_the_same_calls_fail_in_each_run(share):
    outcomes = hostile.outcomes(share)
    assert outcomes == hostile.outcomes.__wrapped__(share)
    assert sum(outcomes) / len(outcomes) == pytest.approx(share / 100, abs=0.005)


def test_recloser_is_measured_with_every_rule():
    assert set(rules.ours()) == {ours.NO_LOG, ours.DISK, ours.RUNS}


def rejected_of(protection):
    """How many calls of a peer are rejected when 60 % fail."""
    fails = cycle(hostile.outcomes(60))

    def dependency():
        if next(fails):
            raise Broken

    call = protection.protect(dependency)
    rejected = 0
    for _ in range(FEW):
        try:
            call()
        except Broken:
            pass
        except protection.refused:
            rejected += 1
    return rejected


@pytest.mark.parametrize(
    ("peer", "kinds"),
    [
        ("circuitbreaker", {"consecutive failures"}),
        ("pybreaker", {"consecutive failures"}),
        ("purgatory", {"consecutive failures"}),
        ("pyresilience", {"consecutive failures", "count window"}),
        ("nopanic", {"time window"}),
    ],
)
def test_a_peer_has_the_rules_that_it_is_measured_with(peer, kinds):
    pytest.importorskip(peer)
    can = set()
    for rule in rules.RULES:
        try:
            protection = rules.PEERS[peer](rule)
        except Unsupported:
            continue
        can.add(rule.kind)
        assert (rejected_of(protection) > 0) == rule.trips
    assert can == kinds
