"""Recloser, configured to mean the same, decides as released breakers of other libraries did.

The decisions of those libraries were recorded on seeded random traffic (``fixtures/conformance``).
Every ``permitted`` and every state must be equal, for our breaker and for the model that it is
tested against. With overlapping calls the libraries differ on purpose; a model of both shows that
one rule is the only difference.
"""

import csv
import gzip
from itertools import groupby

import pytest
from model import Model

from conftest import ROOT
from recloser import (
    CircuitBreaker,
    CircuitBreakerConfig,
    CountWindow,
    Exponential,
    ManualClock,
    MemoryLog,
    TimeWindow,
)
from recloser.history.engine import replay

MS = 10**6
JUST_AFTER = 1e-9
"""Theirs probes strictly after the wait, ours at its end: so our cooldown is a nanosecond more."""


def counted(size, rate, needed, half, wait, **more):
    """A count window and a probe window as resilience4j has them."""
    rates = {"failure_rate": rate, "minimum_calls": needed, **more}
    return {
        "failure_threshold": None,
        "window": CountWindow(size, **rates),
        "half_open_window": CountWindow(half, **rates),
        "recovery_timeout_seconds": wait + JUST_AFTER,
    }


CONFIGS = {
    "cockatiel-consecutive3-backoff": {
        "failure_threshold": 3,
        "recovery_timeout_seconds": 1,
        "backoff": Exponential(2, 60),
        "half_open_success_threshold": 1,
    },
    "cockatiel-consecutive5": {
        "recovery_timeout_seconds": 10,
        "half_open_success_threshold": 1,
    },
    "failsafe-go-threshold5": {
        "failure_threshold": None,
        "window": CountWindow(5, failures=5),
        "recovery_timeout_seconds": 10,
        "half_open_success_threshold": 1,
    },
    "gobreaker-consecutive5-max1": {
        "recovery_timeout_seconds": 10 + JUST_AFTER,
        "half_open_success_threshold": 1,
        "half_open_max_probes": 1,
    },
    "pybreaker-failmax3-reset30-success3": {
        "failure_threshold": 3,
        "recovery_timeout_seconds": 30,
        "half_open_success_threshold": 3,
    },
    "pybreaker-failmax5-reset10": {
        "recovery_timeout_seconds": 10,
        "half_open_success_threshold": 1,
    },
    "resilience4j-backoff-exp2": counted(5, 0.6, 3, 2, 1)
    | {"recovery_timeout_seconds": 1, "backoff": Exponential(2, 60)},
    "resilience4j-consecutive5": counted(5, 1, 5, 1, 10),
    "resilience4j-count10-rate50-half3": counted(10, 0.5, 10, 3, 30),
    "resilience4j-count20-min5-rate40-half10": counted(20, 0.4, 5, 10, 10),
    "resilience4j-slow-count10-min5": counted(10, 0.8, 5, 4, 8, slow_call_rate=0.6)
    | {"slow_call_seconds": 0.2},
    "resilience4j-time10-min5-rate50-half2": counted(10, 0.5, 5, 2, 5)
    | {"window": TimeWindow(10, 0.5, minimum_calls=5)},
}
OVERLAP = "resilience4j-overlap-count10-min5-half3"

# Where the wait grows, a nanosecond can't be added to it once: the call is made one earlier.
ATTEMPTED_EARLY = {"resilience4j-backoff-exp2"}
# These two take an ignored outcome for a success.
IGNORED_SUCCEEDS = ("pybreaker", "failsafe-go")


RECORDINGS = ROOT / "fixtures" / "conformance"


def traces(name):
    """The steps of each trace, as tuples in the order of the columns."""
    with gzip.open(RECORDINGS / f"{name}.csv.gz", "rt") as lines:
        for _, rows in groupby(csv.DictReader(lines), key=lambda row: row["trace"]):
            yield [
                (
                    int(row["t_ms"]),
                    row["operation"] if name == OVERLAP else row["outcome"],
                    int(row["call"] if name == OVERLAP else row["took_ms"]),
                    row["permitted"] == "yes",
                    row["state"],
                )
                for row in rows
            ]


def test_every_recording_is_compared_and_described():
    recorded = {path.name.removesuffix(".csv.gz") for path in RECORDINGS.glob("*.csv.gz")}
    assert recorded == {*CONFIGS, OVERLAP}
    described = (RECORDINGS / "README.md").read_text()
    assert all(f"| `{name}` | " in described for name in recorded)


def opened(settings):
    clock = ManualClock()
    log = MemoryLog(clock=clock, tick_seconds=None)
    return clock, log, CircuitBreaker("b", CircuitBreakerConfig(**settings), log=log)


def move_to(clock, ns):
    clock.advance(ns=ns - clock.monotonic_ns())


def report(breaker, permit, outcome):
    if outcome == "success":
        breaker.after_success(permit)
    elif outcome == "failure":
        breaker.after_failure(permit, "failure")
    else:
        breaker.after_ignored(permit)


@pytest.mark.parametrize("name", CONFIGS)
def test_every_decision_and_state_equals_the_other_library(name):
    compared = 0
    for steps in traces(name):
        clock, log, breaker = opened(CONFIGS[name])
        for step, (t_ms, outcome, duration_ms, permitted, state) in enumerate(steps):
            move_to(clock, max(clock.monotonic_ns(), t_ms * MS - (name in ATTEMPTED_EARLY)))
            decision = breaker.before_call()
            assert decision.allowed == permitted, (step, t_ms)
            if decision.allowed:
                move_to(clock, (t_ms + duration_ms) * MS)
                if outcome == "ignored" and name.startswith(IGNORED_SUCCEEDS):
                    outcome = "success"  # noqa: PLW2901  # as the other takes it
                report(breaker, decision.permit, outcome)
            assert breaker.current_state().value == state, (step, t_ms)
            compared += 1
        assert replay(log).differences == []
    assert compared == 2800


@pytest.mark.parametrize("name", CONFIGS)
def test_every_decision_and_state_of_the_model_equals_the_other_library(name):
    compared = 0
    words = {"success": "succeeded", "failure": "failed", "ignored": "ignored"}
    for steps in traces(name):
        model = Model("b", CircuitBreakerConfig(**CONFIGS[name]))
        at = 0
        for step, (t_ms, outcome, took_ms, permitted, state) in enumerate(steps):
            at = max(at, t_ms * MS - (name in ATTEMPTED_EARLY))
            answer = model.ask(at)
            assert answer.allowed == permitted, (step, t_ms)
            if answer.allowed:
                at = (t_ms + took_ms) * MS
                succeeds = outcome == "ignored" and name.startswith(IGNORED_SUCCEEDS)
                model.report(answer.permit, "succeeded" if succeeds else words[outcome], at)
            assert model.state == state, (step, t_ms)
            compared += 1
    assert compared == 2800


class Overlapping:
    """A model of both libraries for overlapping calls, which differ in one rule only.

    With ``counts_late`` an outcome counts in the state that it finds when the call returns, as in
    the other library. Without it, it counts only in the epoch in which its call began, as in ours.
    """

    def __init__(self, *, counts_late):
        self.counts_late = counts_late
        self.epoch = 0
        self.begun = {}
        self.enter("CLOSED", 0)

    def enter(self, state, at):
        self.state, self.at = state, at
        self.outcomes = []
        self.places = 3

    def edge(self, state, at):
        self.epoch += 1
        self.enter(state, at)

    def acquire(self, call, at):
        if self.state == "OPEN" and at > self.at + 5000 * MS:
            self.edge("HALF_OPEN", at)
        permitted = self.state == "CLOSED" or (self.state == "HALF_OPEN" and self.places > 0)
        if permitted:
            self.places -= 1
            self.begun[call] = self.epoch
        return permitted

    def report(self, call, outcome, at):
        late = self.begun.pop(call) != self.epoch
        if late and not self.counts_late:
            return
        if outcome == "ignored":
            self.places += 1
            return
        if self.state == "OPEN":
            return
        size, needed = (10, 5) if self.state == "CLOSED" else (3, 3)
        self.outcomes = [*self.outcomes, outcome == "failure"][-size:]
        if len(self.outcomes) < needed:
            return
        if sum(self.outcomes) * 2 >= len(self.outcomes):
            self.edge("OPEN", at)
        elif self.state == "HALF_OPEN":
            self.edge("CLOSED", at)


def test_overlapping_calls_differ_in_one_rule_only():
    """The other library equals the model with ``counts_late``, and ours the one without.

    So each step at which the two differ is explained by an outcome whose epoch had passed: the
    other library counted it, and ours recorded it as stale.
    """
    steps_seen = parted = 0
    for steps in traces(OVERLAP):
        clock, log, breaker = opened(counted(10, 0.5, 5, 3, 5))
        theirs, ours = Overlapping(counts_late=True), Overlapping(counts_late=False)
        permits = {}
        for step, (t_ms, op, call, permitted, state) in enumerate(steps):
            at = t_ms * MS
            move_to(clock, at)
            if op == "acquire":
                assert theirs.acquire(call, at) == permitted, step
                permits[call] = breaker.before_call().permit
                assert ours.acquire(call, at) == (permits[call] is not None), step
            else:
                # A call that only one of the two let through has no outcome in the other.
                if call in theirs.begun:
                    theirs.report(call, op, at)
                if permits.get(call) is not None:
                    ours.report(call, op, at)
                    report(breaker, permits.pop(call), op)
            assert theirs.state == state, step
            assert ours.state == breaker.current_state().value, step
            steps_seen += 1
            parted += ours.state != theirs.state
        assert replay(log).differences == []
    assert steps_seen == 2818
    assert 0 < parted < steps_seen


def test_overlapping_calls_keep_the_invariants():
    """Driven to the end, stale outcomes change nothing and the number of probes keeps its bound."""
    stale = 0
    for steps in traces(OVERLAP):
        clock, log, breaker = opened(counted(10, 0.5, 5, 3, 5))
        permits = {}
        for t_ms, op, call, _permitted, _state in steps:
            move_to(clock, t_ms * MS)
            if op == "acquire":
                permits[call] = breaker.before_call().permit
            elif permits.get(call) is not None:
                before = breaker.snapshot()
                permit = permits.pop(call)
                report(breaker, permit, op)
                after = breaker.snapshot()
                if after.totals.stale > before.totals.stale:
                    stale += 1
                    assert permit.epoch < after.epoch
                    assert after.window in (before.window, None) or before.epoch != after.epoch
            assert breaker.snapshot().probes_in_flight <= 3
        history = replay(log)
        assert history.differences == []
        assert history.snapshots["b"] == breaker.snapshot()
    assert stale > 20
