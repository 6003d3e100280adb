"""Threads that wait for the log's thread are woken by it, and never wait for themselves."""

import threading

from recloser.sharing.stream_waits import StreamWaits

LONG = 60


def test_waiting_thread_is_woken_when_its_condition_holds():
    done, woken = threading.Event(), threading.Event()
    waits = StreamWaits(lambda: False)

    def wait():
        waits.wait(done.is_set, LONG)
        woken.set()

    thread = threading.Thread(target=wait)
    thread.start()
    done.set()
    while not woken.wait(0.01):
        waits.ring()
    thread.join()


def test_thread_that_holds_the_lock_does_not_wait():
    waits = StreamWaits(lambda: True)
    waits.wait(lambda: False, LONG)


def test_wait_ends_at_its_time_limit():
    waits = StreamWaits(lambda: False)
    waits.wait(lambda: False, 0.01)


def test_ring_without_a_waiting_thread_does_nothing():
    waits = StreamWaits(lambda: False)
    waits.ring()
    waits.forget()
    waits.ring()
