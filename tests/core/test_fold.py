"""What each event does to the state of a breaker."""

import pytest

from recloser import CircuitBreakerConfig, FiredRule, FoldError, Reason, Rule, Trigger
from recloser.core.events import (
    BreakerConfigured,
    CallFailed,
    CallIgnored,
    CallRejected,
    CallSucceeded,
    Checkpoint,
    ForcedClosed,
    ForcedOpen,
    ProbeAdmitted,
    Reset,
)
from recloser.core.fold import apply
from recloser.core.kernel import NEVER
from recloser.core.limits import MAX_AT
from recloser.core.state import BreakerState, dump, numbers_of, probes_of, restore
from recloser.core.state_machine import CLOSED, HALF_OPEN, OPEN

COOLDOWN = 30_000_000_000


class Fold:
    """A breaker's state with its events numbered as in a log."""

    def __init__(self, **settings):
        self.state = BreakerState("b", CircuitBreakerConfig(**settings))
        self.seq = 1
        self.edges = []

    def apply(self, event_type, at=0, *fields):
        event = event_type(self.seq + 1, at, "b", *fields)
        edges = apply(self.state, event)
        self.edges += edges
        self.seq = event.seq + len(edges)
        return edges

    def succeed(self, at=0, took=5):
        return self.apply(CallSucceeded, at, self.state.epoch, took, self.first_probe())

    def fail(self, at=0, took=5):
        return self.apply(CallFailed, at, self.state.epoch, took, self.first_probe(), "OSError")

    def ignore(self, at=0):
        return self.apply(CallIgnored, at, self.state.epoch, 5, self.first_probe())

    def first_probe(self):
        return next(iter(probes_of(self.state)), 0)

    def probe(self, at):
        return self.apply(ProbeAdmitted, at, self.state.epoch, self.state.probes_admitted + 1)

    def reject(self, at):
        return self.apply(CallRejected, at, Reason.COOLDOWN_ACTIVE, None)


def tripped(**settings):
    fold = Fold(failure_threshold=1, **settings)
    fold.fail(at=0)
    assert fold.state.state is OPEN
    return fold


def half_open(**settings):
    fold = tripped(**settings)
    fold.reject(at=COOLDOWN)
    assert fold.state.state is HALF_OPEN
    return fold


def test_failures_in_a_row_trip_the_breaker_and_are_the_evidence():
    fold = Fold(failure_threshold=3)
    for at in (1, 2, 3):
        edges = fold.fail(at)
    (edge,) = edges
    assert (edge.seq, edge.at, edge.epoch) == (5, 3, 1)
    assert (edge.from_state, edge.to_state, edge.trigger) == (CLOSED, OPEN, Trigger.TRIP)
    assert edge.cause == FiredRule(
        Rule.CONSECUTIVE_FAILURES, observed=3, threshold=3, seqs=(2, 3, 4)
    )
    assert fold.state.why_open == edge.cause


def test_success_in_closed_resets_the_count():
    fold = Fold(failure_threshold=3)
    fold.fail()
    fold.fail()
    fold.succeed()
    fold.fail()
    fold.fail()
    assert fold.state.state is CLOSED
    assert fold.state.consecutive_failures == 2
    (edge,) = fold.fail()
    assert edge.cause.seqs == (5, 6, 7)


def test_without_a_threshold_no_run_of_failures_trips():
    fold = Fold(failure_threshold=None)
    for _ in range(100):
        fold.fail()
    assert fold.state.state is CLOSED
    assert fold.state.consecutive_failures == 100
    assert numbers_of(fold.state.failure_seqs) == []


@pytest.mark.parametrize(("early_ns", "state"), [(1, OPEN), (0, HALF_OPEN), (-1, HALF_OPEN)])
def test_the_cooldown_ends_at_its_deadline_to_the_nanosecond(early_ns, state):
    """The boundary is inclusive: at the deadline itself the breaker probes."""
    fold = tripped()
    fold.reject(at=COOLDOWN - early_ns)
    assert fold.state.state is state


def test_cause_of_the_cooldown_edge_has_its_length():
    fold = tripped()
    (edge,) = fold.reject(at=COOLDOWN + 7)
    assert edge.at == COOLDOWN + 7
    assert edge.cause == FiredRule(Rule.COOLDOWN, observed=COOLDOWN + 7, threshold=COOLDOWN)


def test_failure_in_half_open_reopens_and_resets_the_success_count():
    fold = half_open(half_open_success_threshold=2)
    fold.probe(at=COOLDOWN)
    fold.succeed(at=COOLDOWN)
    assert len(numbers_of(fold.state.probe_seqs)) == 1
    fold.probe(at=COOLDOWN)
    (edge,) = fold.fail(at=COOLDOWN + 1)
    assert (edge.trigger, edge.to_state) == (Trigger.RELAPSE, OPEN)
    assert numbers_of(fold.state.probe_seqs) == []
    assert fold.state.deadline == COOLDOWN + 1 + COOLDOWN
    fold.reject(at=2 * COOLDOWN + 1)
    fold.probe(at=2 * COOLDOWN + 1)
    fold.succeed(at=2 * COOLDOWN + 1)
    assert fold.state.state is HALF_OPEN


def test_enough_successful_probes_close_the_breaker():
    fold = half_open(half_open_success_threshold=2)
    for _ in range(2):
        fold.probe(at=COOLDOWN)
        edges = fold.succeed(at=COOLDOWN)
    (edge,) = edges
    assert (edge.trigger, edge.to_state) == (Trigger.RECOVER, CLOSED)
    assert edge.cause == FiredRule(Rule.PROBE_SUCCESSES, observed=2, threshold=2, seqs=(7, 9))
    assert fold.state.why_open is None


def test_half_open_success_threshold_0_closes_at_once():
    """Two edges in one step: the cooldown ends, and nothing is left to be probed."""
    fold = tripped(half_open_success_threshold=0)
    edges = fold.reject(at=COOLDOWN)
    assert [edge.trigger for edge in edges] == [Trigger.COOL, Trigger.RECOVER]
    assert [edge.seq for edge in edges] == [5, 6]
    assert [edge.epoch for edge in edges] == [2, 3]
    assert fold.state.state is CLOSED


def test_several_edges_at_one_event_are_in_order():
    """A command that comes after the deadline finds the breaker half-open first."""
    fold = tripped()
    edges = fold.apply(ForcedOpen, COOLDOWN, "ann", "maintenance")
    assert [(edge.from_state, edge.to_state) for edge in edges] == [
        (OPEN, HALF_OPEN),
        (HALF_OPEN, OPEN),
    ]


def test_open_without_an_opening_time_is_an_error_that_names_the_event():
    """Never a stuck breaker: it would have no deadline, and refuse for ever."""
    state = dump(tripped().state) | {"opened_at": None}
    with pytest.raises(FoldError, match=r"event 9 \(checkpoint\): 'b' is OPEN without an opening"):
        apply(tripped().state, Checkpoint(9, 0, "b", state))
    stuck = tripped().state
    stuck.opened_at = -1
    with pytest.raises(FoldError, match=r"event 9 \(call_rejected\): 'b' is OPEN without an open"):
        apply(stuck, CallRejected(9, 0, "b", Reason.COOLDOWN_ACTIVE))
    stuck = half_open().state
    stuck.half_open_at = -1
    with pytest.raises(FoldError, match=r"event 9 .* is HALF_OPEN without the time it began"):
        apply(stuck, CallRejected(9, 0, "b", Reason.COOLDOWN_ACTIVE))
    stuck = tripped().state
    stuck.deadline = NEVER
    with pytest.raises(FoldError, match=r"event 9 .* is OPEN without the end of its cooldown"):
        apply(stuck, CallRejected(9, 0, "b", Reason.COOLDOWN_ACTIVE))


def test_a_forced_open_breaker_does_not_cool():
    fold = Fold()
    fold.apply(ForcedOpen, 5, "ann", "maintenance")
    assert fold.state.is_forced
    assert fold.state.deadline == NEVER
    assert not fold.reject(at=10**18)
    assert fold.state.why_open == FiredRule(Rule.COMMAND, actor="ann", reason="maintenance")


@pytest.mark.parametrize("command", [ForcedClosed, Reset])
@pytest.mark.parametrize("begin", [Fold, tripped, half_open])
def test_commands_close_from_every_state_and_reset_counters(begin, command):
    fold = begin()
    epoch = fold.state.epoch
    fold.apply(command, COOLDOWN, "ann", "fixed")
    state = fold.state
    assert (state.state, state.epoch, state.is_forced) == (
        CLOSED,
        epoch + 1 + (begin is tripped),
        False,
    )
    assert (state.consecutive_failures, numbers_of(state.failure_seqs)) == (0, [])
    assert state.deadline == NEVER


def test_a_breaker_closed_by_command_trips_again_by_its_rules():
    fold = tripped()
    fold.apply(ForcedClosed, 1, None, None)
    (edge,) = fold.fail(at=2)
    assert edge.trigger is Trigger.TRIP


@pytest.mark.parametrize("outcome", [CallSucceeded, CallFailed, CallIgnored])
@pytest.mark.parametrize("begin", [tripped, half_open])
def test_outcome_of_an_earlier_epoch_is_stale_and_changes_nothing(begin, outcome):
    fold = begin()
    before = dump(fold.state)
    assert not fold.apply(outcome, 1 if begin is tripped else COOLDOWN, 0, 5)
    assert dump(fold.state) == before | {"stale": 1}


@pytest.mark.parametrize("outcome", [CallSucceeded, CallFailed, CallIgnored])
@pytest.mark.parametrize("begin", [tripped, half_open])
def test_outcome_of_an_epoch_that_let_no_call_through_is_stale(begin, outcome):
    """In shadow mode such calls are made all the same, and must change nothing."""
    fold = begin()
    before = dump(fold.state)
    at = 1 if begin is tripped else COOLDOWN
    assert not fold.apply(outcome, at, fold.state.epoch, 5)
    assert dump(fold.state) == before | {"stale": 1}


def test_ignored_probe_makes_place_for_another():
    fold = half_open()
    fold.probe(at=COOLDOWN)
    assert len(probes_of(fold.state)) == 1
    fold.ignore(at=COOLDOWN)
    assert probes_of(fold.state) == {}
    assert fold.state.ignored == 1
    assert fold.state.state is HALF_OPEN
    fold.probe(at=COOLDOWN)


def test_an_ignored_call_does_not_end_a_run_of_failures():
    fold = Fold(failure_threshold=2)
    fold.fail()
    fold.apply(CallIgnored, 0, 0, 5)
    (edge,) = fold.fail()
    assert edge.cause.seqs == (2, 4)


def test_event_that_stands_for_several_calls_counts_each():
    fold = Fold()
    fold.apply(CallSucceeded, 0, 0, 5, 0, 40)
    fold.apply(CallRejected, 0, Reason.COOLDOWN_ACTIVE, None, 7)
    assert (fold.state.succeeded, fold.state.rejected) == (40, 7)


def test_new_configuration_resets_consecutive_failures():
    fold = Fold(failure_threshold=3)
    fold.fail()
    fold.fail()
    fold.apply(BreakerConfigured, 0, {"failure_threshold": 2})
    assert not fold.fail()
    (edge,) = fold.fail()
    assert edge.cause.threshold == 2


def test_new_configuration_does_not_change_a_running_cooldown():
    fold = tripped()
    fold.apply(BreakerConfigured, 0, {"recovery_timeout_seconds": 1})
    assert fold.state.deadline == COOLDOWN


@pytest.mark.parametrize(
    ("begin", "event_type", "fields", "message"),
    [
        (Fold, CallSucceeded, (7, 5), "its epoch 7 has not begun; it is 0"),
        (Fold, ProbeAdmitted, (0, 1), "epoch 0 admits no probes; it is 0, CLOSED"),
        (half_open, ProbeAdmitted, (1, 1), "epoch 1 admits no probes; it is 2, HALF_OPEN"),
        (half_open, ProbeAdmitted, (2, 2), "probe 2 follows probe 0"),
        (Fold, BreakerConfigured, ({"failure_threshold": 0},), "failure_threshold must be"),
    ],
)
def test_an_event_that_can_not_have_happened_is_refused_by_its_seq(
    begin, event_type, fields, message
):
    fold = begin()
    with pytest.raises(FoldError, match=rf"^event {fold.seq + 1} \({event_type.kind}\): {message}"):
        fold.apply(event_type, COOLDOWN - 1 if begin is tripped else COOLDOWN, *fields)


def test_more_probes_at_once_than_allowed_are_refused():
    fold = half_open(half_open_max_probes=2)
    fold.probe(at=COOLDOWN)
    fold.probe(at=COOLDOWN)
    with pytest.raises(FoldError, match="2 probes are in flight already"):
        fold.probe(at=COOLDOWN)


@pytest.mark.parametrize("begin", [Fold, tripped, half_open])
def test_a_checkpoint_carries_the_complete_state(begin):
    """Restored, it is equal in every field, and so it is in a fold that was somewhere else."""
    state = begin().state
    event = Checkpoint(9, 0, "b", dump(state))
    assert restore(event) == state
    elsewhere = half_open().state
    assert not apply(elsewhere, event)
    assert elsewhere == state


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"epoch": "one"}, r"\$\.epoch"),
        ({"state": "AJAR"}, r"\$\.state"),
        ({"config": {"failure_threshold": 0}}, "failure_threshold"),
        ({"breaker": "c"}, "that of 'c'"),
        ({"deadline": 5}, "it is CLOSED with a deadline"),
        ({"state": "OPEN", "opened_at": MAX_AT + 1, "deadline": MAX_AT + 2}, r"\$\.opened_at"),
        ({"state": "HALF_OPEN", "half_open_at": MAX_AT + 1}, r"\$\.half_open_at"),
        ({"probes": {"1": MAX_AT + 1}}, r"\$\.probes"),
    ],
)
def test_a_checkpoint_that_holds_no_state_is_refused_by_its_seq(change, message):
    event = Checkpoint(9, 0, "b", dump(Fold().state) | change)
    with pytest.raises(FoldError, match=rf"^event 9 \(checkpoint\): .*{message}"):
        restore(event)


def test_probes_of_a_checkpoint_may_be_in_any_order():
    """As a tool may have sorted them: 10 comes before 9 there."""
    fold = half_open(half_open_max_probes=10)
    for _ in range(10):
        fold.probe(at=COOLDOWN)
    data = dict(dump(fold.state))
    data["probes"] = dict(sorted(data["probes"].items()))
    assert list(data["probes"]) != list(dump(fold.state)["probes"])
    restored = restore(Checkpoint(99, COOLDOWN, "b", data))
    assert numbers_of(restored.probes) == numbers_of(fold.state.probes)
