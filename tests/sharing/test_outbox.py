"""What waits to be sent: bounded, in order, and with like outcomes made one."""

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


def add(outbox, event, since_ns, **told):
    outbox.add(OutboxItem(event, since_ns, **told))


def succeeded(breaker="b", took=10, epoch=0, probe=0, count=1):
    return CallSucceeded(0, 0, breaker, epoch, took, probe, count)


def failed(breaker="b"):
    return CallFailed(0, 0, breaker, 0, 1)


def test_successes_in_a_row_are_one_event_with_their_mean_duration(outbox):
    for took in (10, 20, 60):
        add(outbox, succeeded(took=took), 0)
    assert outbox.next_batch().events == [succeeded(took=30, count=3)]


def test_what_is_between_them_keeps_its_place(outbox):
    for event in (succeeded(), succeeded(), failed(), succeeded()):
        add(outbox, event, 0)
    assert outbox.next_batch().events == [succeeded(count=2), failed(), succeeded()]


def test_breakers_do_not_stand_between_one_another(outbox):
    for _ in range(3):
        add(outbox, succeeded("b"), 0)
        add(outbox, succeeded("c"), 0)
    assert outbox.next_batch().events == [succeeded("b", count=3), succeeded("c", count=3)]


@pytest.mark.parametrize(
    "other", [succeeded(epoch=1), succeeded(probe=1), CallIgnored(0, 0, "b", 0, 1)]
)
def test_what_differs_in_more_than_its_duration_stays_apart(outbox, other):
    add(outbox, succeeded(), 0)
    add(outbox, other, 0)
    assert len(outbox.next_batch().events) == 2


def test_slow_calls_stay_apart_from_others(outbox):
    add(outbox, succeeded(took=1), 0)
    add(outbox, succeeded(took=99), 0, is_slow=True)
    add(outbox, succeeded(took=1), 0)
    assert [event.took for event in outbox.next_batch().events] == [1, 99, 1]


def test_refusals_are_counted_by_their_reason(outbox):
    for reason in (Reason.COOLDOWN_ACTIVE, Reason.COOLDOWN_ACTIVE, Reason.FORCED_OPEN):
        add(outbox, CallRejected(0, 0, "b", reason, 5), 0)
    first, second = outbox.next_batch().events
    assert (first.count, first.retry_after) == (2, None)
    assert (second.count, second.retry_after) == (1, 5)


def test_an_entry_is_the_next_one_until_it_has_arrived(outbox):
    add(outbox, failed(), 0)
    batch = outbox.next_batch()
    add(outbox, succeeded(), 0)
    assert outbox.next_batch() is batch
    assert outbox.confirm(batch.number + 1) is None
    assert outbox.confirm(batch.number) is batch
    assert outbox.next_batch().events == [succeeded()]


def test_an_entry_has_so_many_events_at_most(outbox):
    for _ in range(MAX_ENTRY_EVENTS + 1):
        add(outbox, failed(), 0)
    assert len(outbox.next_batch().events) == MAX_ENTRY_EVENTS


def test_an_entry_of_another_kind_stands_alone(outbox):
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


def test_it_is_bounded_and_counts_what_it_gives_up(outbox):
    for _ in range(MAX_WAITING + 500):
        add(outbox, failed(), 0)
    assert len(outbox) <= MAX_WAITING
    assert outbox.calls + outbox.lost == MAX_WAITING + 500


def test_what_is_too_old_is_given_up_but_not_an_operators_word_or_a_probes_end(outbox):
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


def test_what_is_in_flight_is_told_too(outbox):
    add(outbox, failed(), 0)
    assert not outbox.next_batch().is_notified
    add(outbox, succeeded(), 0)
    assert outbox.mark_notified() == [(failed(), False), (succeeded(), False)]
    assert outbox.in_flight.is_notified
    assert outbox.mark_notified() == [(failed(), True), (succeeded(), True)]


def test_claims_are_forgotten_and_nothing_else(outbox):
    add(outbox, ProbeAdmitted(0, 0, "b", 1, 1), 0)
    add(outbox, failed(), 0)
    assert outbox.mark_notified() == [(failed(), False)]
    assert outbox.next_batch().events == [failed()]
    assert outbox.in_flight.is_notified
    assert outbox.lost == 0
