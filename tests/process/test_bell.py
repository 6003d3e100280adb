"""A bell wakes a thread, whatever signal handlers do meanwhile."""

import signal
import threading

import pytest

from recloser.process.bell import Bell


def test_bell_that_was_rung_is_heard_once():
    bell = Bell()
    bell.ring()
    bell.ring()
    assert bell.is_rung
    assert bell.wait(0)
    assert not bell.is_rung
    assert not bell.wait(0)


def test_bell_wakes_a_thread_that_waits():
    bell, heard = Bell(), []
    thread = threading.Thread(target=lambda: heard.append(bell.wait(10)))
    thread.start()
    bell.ring()
    thread.join()
    assert heard == [True]


@pytest.mark.skipif(not hasattr(signal, "setitimer"), reason="there is no setitimer here")
def test_wait_ends_though_a_signal_handler_runs_past_its_end():
    """A queue of the standard library would wait forever."""
    bell, late = Bell(), threading.Event()

    def handler(*_):
        late.wait(0.3)

    before = signal.signal(signal.SIGALRM, handler)
    try:
        signal.setitimer(signal.ITIMER_REAL, 0.05)
        assert not bell.wait(0.1)
    finally:
        signal.signal(signal.SIGALRM, before)


def test_bell_may_be_rung_and_waited_for_in_a_handler_of_its_own_thread():
    bell = Bell()

    def handler(*_):
        bell.ring()
        assert bell.wait(0)
        bell.ring()

    before = signal.signal(signal.SIGALRM, handler)
    try:
        signal.setitimer(signal.ITIMER_REAL, 0.05)
        assert bell.wait(10)
    finally:
        signal.signal(signal.SIGALRM, before)
