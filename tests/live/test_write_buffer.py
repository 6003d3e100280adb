"""Events that a log has accepted and not written yet."""

import pytest

from recloser.core.events import CallFailed
from recloser.live.write_buffer import WriteBuffer, seal_of


def failed(seq):
    return CallFailed(seq, 0, "b", 0, 0)


@pytest.fixture
def buffer():
    return WriteBuffer(None, 0)


def waiting_in(buffer):
    return [event.seq for chunk in buffer.chunks for event in chunk]


@pytest.mark.parametrize("lost", [0, 3])
def test_seal_waits_after_its_events(buffer, lost):
    """As where an exception has come up in between; the disk refuses earlier events by then."""
    buffer.lost, buffer.failure = lost, "the disk is full" if lost else None
    buffer.put([failed(1), failed(2)], None)
    buffer.put_seal(seal_of(failed(2)))
    buffer.put_seal(seal_of(failed(2)))
    assert waiting_in(buffer) == [1, 2, 3]
    assert buffer.seq == 3


def test_seal_whose_events_were_lost_is_left_out(buffer):
    buffer.put([failed(1)], None)
    buffer.lost = 1  # too many wait
    buffer.put([failed(2)], None)
    buffer.put_seal(seal_of(failed(2)))
    assert waiting_in(buffer) == [1]
    assert buffer.lost == 2
