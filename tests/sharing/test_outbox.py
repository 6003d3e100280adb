"""The outbox: bounded, in order, and with like outcomes merged."""

import pytest

from recloser.core.events import (
    BreakerConfigured,
    CallFailed,
    CallIgnored,
    CallRejected,
    CallSucceeded,
    ProbeAdmitted,
    Reason,
    Reset,
)
from recloser.sharing.outbox import MAX_AGE_NS, MAX_WAITING, Outbox, OutboxItem
from recloser.sharing.stream_entry import MAX_ENTRY_EVENTS, OfflineReport


@pytest.fixture
def outbox():
    return Outbox()


def add(outbox, event, since_ns, **attributes):
    outbox.add(OutboxItem(event, since_ns, **attributes))


def succeeded(breaker="b", took=10, epoch=0, probe=0, count=1):
    return CallSucceeded(0, 0, breaker, epoch, took, probe, count)


def failed(breaker="b"):
    return CallFailed(0, 0, breaker, 0, 1)


def test_consecutive_successes_are_merged_into_one_event_with_their_mean_duration(outbox):
    for took in (10, 20, 60):
        add(outbox, succeeded(took=took), 0)
    assert outbox.next_batch().events == [succeeded(took=30, count=3)]


def test_other_outcomes_between_successes_keep_their_position(outbox):
    for event in (succeeded(), succeeded(), failed(), succeeded()):
        add(outbox, event, 0)
    assert outbox.next_batch().events == [succeeded(count=2), failed(), succeeded()]


def test_outcomes_of_different_breakers_are_merged_separately(outbox):
    for _ in range(3):
        add(outbox, succeeded("b"), 0)
        add(outbox, succeeded("c"), 0)
    assert outbox.next_batch().events == [succeeded("b", count=3), succeeded("c", count=3)]


@pytest.mark.parametrize(
    "other", [succeeded(epoch=1), succeeded(probe=1), CallIgnored(0, 0, "b", 0, 1)]
)
def test_successes_of_other_epochs_or_probes_are_not_merged(outbox, other):
    add(outbox, succeeded(), 0)
    add(outbox, other, 0)
    assert len(outbox.next_batch().events) == 2


def test_slow_calls_are_not_merged_with_quick_ones(outbox):
    add(outbox, succeeded(took=1), 0)
    add(outbox, succeeded(took=99), 0, is_slow=True)
    add(outbox, succeeded(took=1), 0)
    assert [event.took for event in outbox.next_batch().events] == [1, 99, 1]


def test_rejected_calls_are_merged_by_reason(outbox):
    for reason in (Reason.COOLDOWN_ACTIVE, Reason.COOLDOWN_ACTIVE, Reason.FORCED_OPEN):
        add(outbox, CallRejected(0, 0, "b", reason, 5), 0)
    first, second = outbox.next_batch().events
    assert (first.count, first.retry_after) == (2, None)
    assert (second.count, second.retry_after) == (1, 5)


def test_batch_in_flight_is_returned_until_it_is_confirmed(outbox):
    add(outbox, failed(), 0)
    batch = outbox.next_batch()
    add(outbox, succeeded(), 0)
    assert outbox.next_batch() is batch
    assert outbox.confirm(batch.number + 1) is None
    assert outbox.confirm(batch.number) is batch
    assert outbox.next_batch().events == [succeeded()]


def test_batch_has_at_most_500_events(outbox):
    for _ in range(MAX_ENTRY_EVENTS + 1):
        add(outbox, failed(), 0)
    assert len(outbox.next_batch().events) == MAX_ENTRY_EVENTS


def test_body_of_another_kind_is_a_batch_of_its_own(outbox):
    away = OfflineReport("h", 1, 2, 3)
    add(outbox, failed(), 0)
    outbox.add_body(away, 0)
    add(outbox, failed(), 0)
    bodies = []
    for _ in range(3):
        batch = outbox.next_batch()
        bodies.append(batch.body)
        outbox.confirm(batch.number)
    assert bodies[1] == away


def test_outbox_is_bounded_and_counts_dropped_calls(outbox):
    for _ in range(MAX_WAITING + 500):
        add(outbox, failed(), 0)
    assert len(outbox) <= MAX_WAITING
    assert outbox.calls + outbox.lost == MAX_WAITING + 500


def test_old_outcomes_are_dropped_but_not_commands_settings_or_probe_outcomes(outbox):
    lasting = [
        Reset(0, 0, "b"),
        BreakerConfigured(0, 0, "b", {}),
        succeeded(probe=1),
    ]
    for event in [failed(), *lasting]:
        add(outbox, event, 0)
    add(outbox, failed("new"), MAX_AGE_NS)
    outbox.drop_aged(MAX_AGE_NS + 1)
    assert outbox.lost == 1
    assert outbox.next_batch().events == [*lasting, failed("new")]


def test_mark_notified_includes_the_batch_in_flight(outbox):
    add(outbox, failed(), 0)
    assert not outbox.next_batch().is_notified
    add(outbox, succeeded(), 0)
    assert outbox.mark_notified() == [(failed(), False), (succeeded(), False)]
    assert outbox.in_flight.is_notified
    assert outbox.mark_notified() == [(failed(), True), (succeeded(), True)]


def test_mark_notified_drops_claims_only(outbox):
    add(outbox, ProbeAdmitted(0, 0, "b", 1, 1), 0)
    add(outbox, failed(), 0)
    assert outbox.mark_notified() == [(failed(), False)]
    assert outbox.next_batch().events == [failed()]
    assert outbox.in_flight.is_notified
    assert outbox.lost == 0
